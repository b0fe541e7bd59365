"""Which sockets belong to loopback. Pure; nothing is dropped here because its owner is unknown.

A listener is in scope when a client on 127.0.0.0/8 can reach it: bound inside 127.0.0.0/8, to ``0.0.0.0``,
or to a ``[::]`` that is not IPv6-only. A connection is when both its addresses are in 127.0.0.0/8.
What only ``::1`` reaches joins with ``Scope.ipv6``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from loopmon.address import WILDCARDS, is_loopback, is_loopback4
from loopmon.model import Connection, Hidden, Listener, Protocol, Scope, Socket, Status


def is_listener(socket: Socket) -> bool:
    """A TCP socket in LISTEN, or an unconnected bound UDP socket."""
    if socket.protocol is Protocol.TCP:
        return socket.status is Status.LISTEN
    return socket.raddr is None


class Parts(NamedTuple):
    """What of a machine's sockets concerns loopback, IPv4 or IPv6."""

    listening: list[Socket]
    """A loopback client can reach them."""
    connected: list[Socket]
    """With loopback addresses at both ends."""
    bound: list[Socket]
    """TCP sockets that have a port on loopback or on every address, and neither listen nor are connected."""


def split(sockets: Iterable[Socket]) -> Parts:
    parts = Parts([], [], [])
    for found in sockets:
        if found.raddr is not None:
            if is_loopback_connection(found):
                parts.connected.append(found)
        elif found.laddr.ip in WILDCARDS or is_loopback(found.laddr.ip):
            (parts.listening if is_listener(found) else parts.bound).append(found)
    return parts


def is_loopback_connection(found: Socket) -> bool:
    """Whether both ends are loopback addresses, IPv4 or IPv6."""
    return found.raddr is not None and is_loopback(found.laddr.ip) and is_loopback(found.raddr.ip)


def is_exposed(socket: Socket) -> bool:
    """Bound to a wildcard, so reachable from outside this machine as well."""
    return socket.laddr.ip in WILDCARDS


def listener_in_scope(listener: Listener, scope: Scope) -> bool:
    if scope.bound_only and listener.exposed:
        return False
    return scope.ipv6 or _reachable_by_ipv4(listener.socket)


def connection_in_scope(connection: Connection, scope: Scope) -> bool:
    return scope.ipv6 or is_loopback4(connection.server.addr.ip)


def hidden_by(scope: Scope, listeners: Iterable[Listener], hidden_connections: int) -> Hidden:
    """How many listeners the scope leaves out, and why; connections are only ever left out for being on ::1."""
    ipv6, wildcard = hidden_connections, 0
    for listener in listeners:
        if not scope.ipv6 and not _reachable_by_ipv4(listener.socket):
            ipv6 += 1
        elif scope.bound_only and listener.exposed:
            wildcard += 1
    return Hidden(ipv6_loopback=ipv6, wildcard=wildcard)


def _reachable_by_ipv4(socket: Socket) -> bool:
    """``[::]`` counts unless it is known to be IPv6-only: dual-stack is the systems' default."""
    ip = socket.laddr.ip
    return ip == "0.0.0.0" or is_loopback4(ip) or (ip == "::" and not socket.v6only)
