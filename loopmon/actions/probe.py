"""One real connection to a server, closed at once, and what became of it.

Sends no data. On Linux the kernel is asked for the server's end of this very connection, which tells a server
that took it from a kernel that only keeps it waiting; elsewhere that cannot be told, and the answer says so.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from enum import StrEnum

from loopmon.address import unmap
from loopmon.machine import has_ipv6_loopback
from loopmon.model import Endpoint, Status
from loopmon.sources import inet_diag as wire
from loopmon.sources.netlink import Dump, Netlink

TIMEOUT_S = 2.0
"""The first repeated SYN, after a second, is waited for: a queue that was full may have room again."""
PATIENCE_S = 0.5
"""So long a server may be busy with something else before it takes the connection."""
SECOND_THOUGHTS_S = 0.1
"""So long one that took it is watched: a forwarder without its server closes or resets a moment later."""
TICK_S = 0.005
DISCARDED_BYTES = 1 << 16

_ANY_COOKIE = (1 << 64) - 1
"""INET_DIAG_NOCOOKIE, both halves."""
_WAITING = frozenset({Status.ESTABLISHED, Status.CLOSE_WAIT})
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""struct linger: on, no time to linger; close() resets the connection then (socket(7))."""


class Outcome(StrEnum):
    TAKEN = "taken"
    """A process has accepted it, and keeps it."""
    NOT_TAKEN = "not-taken"
    """The kernel has accepted it; it waits for a process to do so."""
    CONNECTED = "connected"
    """Whether a process took it cannot be told; ``error`` says why."""
    CLOSED = "closed"
    """Accepted, and closed by the server at once."""
    RESET = "reset"
    REFUSED = "refused"
    TIMED_OUT = "timed-out"
    SELF = "self"
    """The kernel connected the socket to itself: nobody listens there."""
    UNREACHABLE = "unreachable"
    NOT_PERMITTED = "not-permitted"
    NO_PORTS = "no-ports"
    """The client has no port left to connect from."""
    FAILED = "failed"
    """For a reason of this process's own; ``error`` says which."""


@dataclass(frozen=True, slots=True)
class Probe:
    to: Endpoint
    outcome: Outcome
    took_ms: float
    """Until the system said that it is connected, or that it cannot be."""
    local: Endpoint | None = None
    """The client's end, where there was one."""
    error: str | None = None


_FAILURES = {
    errno.ECONNREFUSED: Outcome.REFUSED,
    errno.ECONNRESET: Outcome.RESET,
    errno.ETIMEDOUT: Outcome.TIMED_OUT,
    errno.EHOSTUNREACH: Outcome.UNREACHABLE,
    errno.ENETUNREACH: Outcome.UNREACHABLE,
    errno.EAFNOSUPPORT: Outcome.UNREACHABLE,
    errno.EINVAL: Outcome.UNREACHABLE,  # a route of the type "blackhole" (fib_props in net/ipv4/fib_semantics.c)
    errno.EACCES: Outcome.NOT_PERMITTED,
    errno.EPERM: Outcome.NOT_PERMITTED,
    errno.EADDRNOTAVAIL: Outcome.NO_PORTS,
}


def open_kernel() -> Netlink:
    """Who knows the server's end. Raises OSError where nobody does."""
    if sys.platform != "linux":
        raise OSError(errno.EPROTONOSUPPORT, "this system does not tell whether a process took it")
    return Netlink()


def probe(
    to: Endpoint,
    timeout_s: float = TIMEOUT_S,
    patience_s: float = PATIENCE_S,
    ask: Callable[[], Netlink] = open_kernel,
) -> Probe:
    """Takes at most ``timeout_s`` and ``patience_s``, and what SECOND_THOUGHTS_S says."""
    began = time.monotonic()
    try:
        connection = socket.socket(socket.AF_INET6 if ":" in to.ip else socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        return Probe(to, _failure(to, error), _since(began), error=_words(error))
    with connection:
        try:
            connection.settimeout(timeout_s)
            connection.connect(to)
        except OSError as error:
            return Probe(to, _failure(to, error), _since(began), _local(connection), _words(error))
        took_ms = _since(began)
        local = _local(connection)
        outcome, error_words = _watch(connection, patience_s, ask)
        _part(connection, outcome)
    return Probe(to, outcome, took_ms, local, error_words)


def _watch(connection: socket.socket, patience_s: float, ask: Callable[[], Netlink]) -> tuple[Outcome, str | None]:
    """What becomes of a connection, and the words for it where it needs some."""
    client = _local(connection)
    try:
        server = _endpoint(connection.getpeername())
    except OSError:
        server = None  # gone already: reading from it tells how
    if client is not None and client == server:
        return Outcome.SELF, None
    with ExitStack() as stack:
        kernel, unknown = None, None
        try:
            kernel = stack.enter_context(closing(ask()))
        except OSError as error:
            unknown = _words(error)
        deadline = time.monotonic() + (patience_s if kernel else SECOND_THOUGHTS_S)
        outcome = Outcome.CONNECTED
        while time.monotonic() < deadline:
            seen = _heard(connection)
            if seen is not None:
                return seen, None
            if kernel is None or client is None or server is None or outcome is Outcome.TAKEN:
                continue
            try:
                outcome, unknown = _server_end(kernel, connection.family, server, client)
            except (OSError, wire.DiagError) as error:
                kernel, unknown = None, str(error)
            if outcome is Outcome.TAKEN:
                deadline = time.monotonic() + SECOND_THOUGHTS_S
    return outcome, unknown


def _heard(connection: socket.socket) -> Outcome | None:
    """What the server has done so far, as far as the client's end shows it; waits a tick for it. Takes no data."""
    connection.settimeout(TICK_S)
    try:
        data = connection.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return None
    except OSError:
        return Outcome.RESET
    return Outcome.TAKEN if data else Outcome.CLOSED


def _server_end(kernel: Netlink, family: int, server: Endpoint, client: Endpoint) -> tuple[Outcome, str | None]:
    """What the kernel says of the other end of this connection. Raises OSError, DiagError."""
    ports = (wire.PORT.pack(server.port), wire.PORT.pack(client.port))
    addresses = (socket.inet_pton(family, server.ip), socket.inet_pton(family, client.ip))
    head = wire.ROW.pack(family, 0, 0, 0, *ports, *addresses, 0, _ANY_COOKIE, 0, 0, 0, 0, 0)
    found = kernel.find(head, Dump(family, socket.IPPROTO_TCP, wire.ALL_STATES))
    row = wire.parse_row(found) if found is not None else None
    # Without the connection the kernel answers with the listener (inet_diag_find_one_icsk in net/ipv4/inet_diag.c).
    if row is None or (row.laddr, row.raddr) != (server, client):
        return Outcome.CONNECTED, "the server's end is not on this machine's network, or has gone"
    if row.status is Status.SYN_RECV:
        return Outcome.CONNECTED, "the server waits for the client to send something first (TCP_DEFER_ACCEPT)"
    if row.inode:
        return Outcome.TAKEN, None
    if row.status in _WAITING:
        return Outcome.NOT_TAKEN, None
    return Outcome.CONNECTED, f"the server's end is in {row.status}"


def _part(connection: socket.socket, outcome: Outcome) -> None:
    """End it with a FIN. What a server said unasked is thrown away first: close() resets a connection with unread
    data (RFC 2525, 2.17). One to itself is reset: TIME_WAIT would keep the server's port from the server."""
    with suppress(OSError):
        if outcome is Outcome.SELF:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            return
        connection.setblocking(False)
        connection.recv(DISCARDED_BYTES)


def _failure(to: Endpoint, error: OSError) -> Outcome:
    if isinstance(error, TimeoutError):
        return Outcome.TIMED_OUT
    if error.errno == errno.EADDRNOTAVAIL and ":" in to.ip and not has_ipv6_loopback():
        return Outcome.UNREACHABLE
    return _FAILURES.get(error.errno or 0, Outcome.FAILED)


def _local(connection: socket.socket) -> Endpoint | None:
    """None where it has no port, or no more."""
    try:
        found = _endpoint(connection.getsockname())
    except OSError:
        return None
    return found if found.port else None


def _endpoint(name: tuple[str, int] | tuple[str, int, int, int]) -> Endpoint:
    return Endpoint(unmap(name[0]), name[1])


def _words(error: OSError) -> str:
    return error.strerror or str(error)


def _since(began: float) -> float:
    return (time.monotonic() - began) * 1000
