"""The address of a web server on this machine, from where it listens. Pure."""

from __future__ import annotations

from loopmon import words
from loopmon.model import Connection, Endpoint, Listener, Protocol

TLS_PORTS = frozenset({443, 4443, 8443, 9443})
"""By custom these speak TLS; nothing is asked of the server itself."""


def reachable(where: Endpoint, v6only: bool | None = None) -> Endpoint:
    """Where a client on this machine finds it: of a wildcard the loopback address."""
    if where.ip == "::" and v6only:
        return Endpoint("::1", where.port)
    return Endpoint("127.0.0.1", where.port) if where.ip in {"0.0.0.0", "::"} else where


def server_of(row: Listener | Connection) -> Endpoint:
    """Of a listener itself, of a connection its server, as a client would write it."""
    if isinstance(row, Listener):
        return reachable(row.laddr, row.socket.v6only)
    return reachable(row.server.addr)


def is_udp(row: Listener | Connection) -> bool:
    return (row.socket.protocol if isinstance(row, Listener) else row.protocol) is Protocol.UDP


def url_of(row: Listener | Connection) -> str:
    """``http://127.0.0.1:3000/``, ``https://[::1]:8443/``."""
    where = server_of(row)
    scheme = "https" if where.port in TLS_PORTS else "http"
    return f"{scheme}://{words.endpoint(where)}/"
