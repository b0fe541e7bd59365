"""The kernel's notices of TCP sockets that have gone, for connections that no look is quick enough to see.

A thread of its own takes them from the kernel as they come, since what does not fit into the kernel's buffer
is lost; it does nothing else. Losses are counted. Works without root (sock_diag(7), SKNLGRP_INET_TCP_DESTROY).
"""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from collections import deque

from loopmon.sources import inet_diag as wire

BUFFER_BYTES = 1 << 22
"""Asked for; without root the system's net.core.rmem_max is the most."""
RECEIVE_BYTES = 1 << 16
SO_RCVBUFFORCE = 33
"""linux/asm-generic/socket.h; Python has no name for it."""
MAX_WAITING = 200_000
"""Notices that may wait for the next look; more are counted as lost."""


class Destroyed:
    """Subscribed from the moment it is made."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._lost = 0
        self._netlink: socket.socket | None = None
        with contextlib.suppress(OSError):  # an old kernel, or a sandbox: then there are no notices
            self._netlink = _subscribe()
            threading.Thread(target=self._listen, args=(self._netlink,), name="loopmon-destroyed", daemon=True).start()

    @property
    def is_subscribed(self) -> bool:
        return self._netlink is not None

    def take(self) -> tuple[list[wire.Row], int]:
        """The sockets that have gone since the last call, and how often the kernel had to drop notices."""
        rows: list[wire.Row] = []
        while self._waiting:
            datagram = self._waiting.popleft()
            with contextlib.suppress(wire.DiagError):  # a notice that cannot be read is no reason to stop
                for kind, _, start, end in wire.messages(datagram):
                    if kind == wire.SOCK_DIAG_BY_FAMILY:
                        rows.append(wire.parse_row(datagram[start:end]))
        lost, self._lost = self._lost, 0
        return rows, lost

    def close(self) -> None:
        if self._netlink is not None:
            self._netlink.close()

    def _listen(self, netlink: socket.socket) -> None:
        while True:
            try:
                datagram = netlink.recv(RECEIVE_BYTES)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    return  # closed
                self._lost += 1
                continue
            if len(self._waiting) < MAX_WAITING:
                self._waiting.append(datagram)
            else:
                self._lost += 1


def _subscribe() -> socket.socket:
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, wire.NETLINK_SOCK_DIAG)
    try:
        netlink.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    except PermissionError:
        netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    netlink.bind((0, wire.DESTROY_GROUPS))
    return netlink
