"""What ``loopmon wait`` is asked for, in addresses: where a server must be reached, or what must be free."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from loopmon import words
from loopmon.address import LOCAL, WILDCARDS, is_loopback, unmap
from loopmon.machine import has_ipv6_loopback
from loopmon.model import Endpoint
from loopmon.why.target import Target, TargetError, is_localhost, parse_target

MAX_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Wish:
    label: str
    at: tuple[Endpoint, ...]
    """A server: on one of these; free: all of these."""
    is_free: bool

    @property
    def goal(self) -> str:
        return "to be free" if self.is_free else "to accept"

    @property
    def failure(self) -> str:
        return "is not free" if self.is_free else "does not accept"


def wishes(texts: Sequence[str], *, free: bool) -> list[Wish]:
    """Each once. Raises TargetError, which says of several texts which one it is about."""
    found: dict[Wish, None] = {}
    for text in texts:
        try:
            found[_wish(parse_target(text), free=free)] = None
        except TargetError as error:
            raise TargetError(f"{text!r:.{MAX_SHOWN}}: {error}" if len(texts) > 1 else str(error)) from None
    return list(found)


def _wish(target: Target, *, free: bool) -> Wish:
    if target.is_udp:
        raise TargetError(f"{target.quoted} is UDP, which has no server that accepts; only TCP can be waited for")
    ips = _ips(target, free=free)
    if free and target.host is None:
        label = f"port {target.port}"
    elif target.host is not None and is_localhost(target.host):
        label = f"{target.host}:{target.port}"
    else:
        label = words.endpoint(Endpoint(ips[0], target.port))
    return Wish(label, tuple(Endpoint(ip, target.port) for ip in ips), free)


def _ips(target: Target, *, free: bool) -> tuple[str, ...]:
    """A client that says a wildcard reaches loopback; a server that binds one wants every address."""
    host = target.host
    if host is None:
        return ("127.0.0.1", "0.0.0.0") if free else ("127.0.0.1",)
    if is_localhost(host):
        return LOCAL if not free or has_ipv6_loopback() else LOCAL[:1]
    ip = "0.0.0.0" if host == "*" else _literal(host)
    if ip is not None and ip in WILDCARDS:
        return (ip,) if free else ("::1" if ip == "::" else "127.0.0.1",)
    if ip is None or not is_loopback(ip):
        port = target.port
        raise TargetError(f"{host} is not a loopback address; write 127.0.0.1:{port} if this machine is meant")
    return (ip,)


def _literal(host: str) -> str | None:
    try:
        return unmap(str(ipaddress.ip_address(host)))
    except ValueError:
        return None
