"""Whether a port can be bound now, found out by binding it the way a server does and closing it at once.

Never listens, so no client can reach it; sends nothing and leaves nothing behind. Says that the port is taken,
not by whom: the socket table knows that.
"""

from __future__ import annotations

import errno
import socket
import sys
from dataclasses import dataclass

from loopmon.machine import unprivileged_start
from loopmon.model import Endpoint

IN_USE = "the port is in use"
EVERYWHERE = ("127.0.0.1", "0.0.0.0", "::1", "::")
"""Where servers bind; the answers differ, as each is in the way of others only."""

if sys.platform == "win32":
    # SO_REUSEADDR would let us in beside a running server there; learn.microsoft.com, "Using SO_REUSEADDR and
    # SO_EXCLUSIVEADDRUSE".
    _SERVER_OPTION = socket.SO_EXCLUSIVEADDRUSE
else:
    _SERVER_OPTION = socket.SO_REUSEADDR


@dataclass(frozen=True, slots=True)
class Bind:
    """What the system said to one address."""

    ip: str
    port: int
    free: bool
    needs_reuse: bool | None = None
    """Free only for servers that set SO_REUSEADDR: old connections still have the port. None where it is not free,
    or the system has no such thing."""
    code: int | None = None
    """The errno where it is not free."""
    reason: str | None = None


def bind_everywhere(port: int) -> tuple[Bind, ...]:
    return tuple(try_bind(ip, port) for ip in EVERYWHERE)


def try_bind(ip: str, port: int) -> Bind:
    """``::`` is tried for both families at once, as servers bind it."""
    try:
        _bind(ip, port, _SERVER_OPTION)
    except OSError as error:
        return Bind(ip, port, free=False, code=error.errno, reason=_reason(error, ip, port))
    return Bind(ip, port, free=True, needs_reuse=_needs_reuse(ip, port))


def _bind(ip: str, port: int, option: int | None) -> None:
    with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM) as opened:
        if option is not None:
            opened.setsockopt(socket.SOL_SOCKET, option, 1)
        if ip == "::":
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        opened.bind(Endpoint(ip, port))


def _needs_reuse(ip: str, port: int) -> bool | None:
    if sys.platform == "win32":
        return None
    try:
        _bind(ip, port, None)
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def _reason(error: OSError, ip: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return IN_USE
    if error.errno == errno.EACCES:
        start = unprivileged_start()
        if start is not None and port < start:
            return f"ports below {start} are for root (net.ipv4.ip_unprivileged_port_start)"
        return "the system does not permit this port"
    if error.errno == errno.EADDRNOTAVAIL:
        return "IPv6 is off on loopback" if ip == "::1" else f"this machine does not have the address {ip}"
    if error.errno == errno.EAFNOSUPPORT:
        return f"this system has no IPv{6 if ':' in ip else 4}"
    return error.strerror or str(error)
