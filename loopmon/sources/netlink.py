"""The netlink socket: asks the kernel for dumps and for single sockets, and hands over its messages unread.

Knows which questions there are and in which order an answer comes; what a message says is ``inet_diag``'s.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import NamedTuple

from loopmon.sources import inet_diag as wire

RECEIVE_BYTES = 1 << 16
"""Twice what the kernel puts into one datagram of a dump (netlink_dump in net/netlink/af_netlink.c)."""
TIMEOUT_S = 10.0


class Dump(NamedTuple):
    """One question to the kernel."""

    family: int
    protocol: int
    states: int
    extensions: int = 0
    bytecode: bytes = b""


_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_INFO = wire.extension(wire.INET_DIAG_INFO)
_NOT_CONNECTED = wire.LISTEN_STATE | wire.BOUND_STATE
LISTENER_DUMPS = tuple(Dump(family, socket.IPPROTO_TCP, wire.LISTEN_STATE) for family in _FAMILIES)
"""Cheap: they do not walk the table of connections."""
CONNECTION_DUMPS = tuple(
    Dump(family, socket.IPPROTO_TCP, wire.ALL_STATES & ~_NOT_CONNECTED, _INFO, wire.loopback_bytecode(family))
    for family in _FAMILIES
)
UDP_DUMPS = tuple(Dump(family, socket.IPPROTO_UDP, wire.ALL_STATES) for family in _FAMILIES)
BOUND_DUMPS = tuple(Dump(family, socket.IPPROTO_TCP, wire.BOUND_STATE) for family in _FAMILIES)
"""Sockets that are bound but do not listen. The kernel walks every bound port for these."""


class Netlink:
    """One question at a time. Raises OSError where this system has no sock_diag."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, wire.NETLINK_SOCK_DIAG)
        self._socket.settimeout(TIMEOUT_S)
        self._sequence = 0

    def datagrams(self, dump: Dump) -> Iterator[bytes]:
        """The answer to one dump. Raises OSError with the kernel's refusal, DiagError."""
        self._sequence += 1
        self._socket.send(wire.request(*dump, sequence=self._sequence))
        while True:
            buffer = self._answer()
            is_last, code = wire.ending(buffer)
            if code:
                raise OSError(code, os.strerror(code))
            yield buffer
            if is_last:
                return

    def find(self, head: bytes, dump: Dump) -> bytes | None:
        """The message about the one socket that ``head``, a struct inet_diag_msg, describes: 6 us instead of
        a dump. None where it has gone. Raises OSError with any other refusal, DiagError."""
        self._sequence += 1
        self._socket.send(wire.exact_request(head, dump.protocol, dump.extensions, sequence=self._sequence))
        buffer = self._answer()
        for kind, _, start, end in wire.messages(buffer):
            if kind == wire.SOCK_DIAG_BY_FAMILY:
                return buffer[start:end]
        _, code = wire.ending(buffer)
        if code and code not in wire.GONE:
            raise OSError(code, os.strerror(code))
        return None

    def close(self) -> None:
        self._socket.close()

    def _answer(self) -> bytes:
        while True:
            buffer = self._socket.recv(RECEIVE_BYTES)
            if wire.sequence_of(buffer) == self._sequence:
                return buffer  # others are the rest of a dump that was given up
