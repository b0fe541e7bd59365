"""Connections that a test holds both ends of."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

HOSTS = ("127.0.0.1", "127.0.0.2", "::ffff:127.0.0.1", "::1")


class Talk(NamedTuple):
    """The ends of one connection."""

    client: socket.socket
    accepted: socket.socket

    @property
    def ports(self) -> set[int]:
        return {end.getsockname()[1] for end in self}

    def reset(self) -> None:
        """End it so that nothing is left of it."""
        for end in self:
            reset(end)


Begin = Callable[..., Talk]
"""Opens a connection to a host, of IPv4 if none is given."""


def begin(stack: ExitStack, host: str = "127.0.0.1") -> Talk:
    """A connection that is reset, if it still lives, at the end of the stack. Its server listens no more."""
    with listen(host) as server:
        client = socket.socket(server.family)
        stack.callback(reset, client)
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        stack.callback(reset, accepted)
        return Talk(client, accepted)


def listen(host: str, port: int = 0) -> socket.socket:
    """A server; on IPv6 of both kinds, so that a mapped address will do."""
    server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((host, port))
    server.listen()
    return server


def reset(end: socket.socket) -> None:
    if end.fileno() >= 0:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()
