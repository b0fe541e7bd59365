"""The kernel's notices of TCP sockets that have gone, for connections that no look is quick enough to see.

A thread of its own takes them from the kernel as they come, since what does not fit into the kernel's buffer
is lost; it does nothing else. Losses are counted. Works without root (sock_diag(7), SKNLGRP_INET_TCP_DESTROY).
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import threading
from collections import deque

from loopmon.sources import inet_diag as wire

BUFFER_BYTES = 1 << 22
"""Asked for; without root the system's net.core.rmem_max is the most."""
RECEIVE_BYTES = 1 << 16
JOIN_S = 0.2
SO_RCVBUFFORCE = 33
"""linux/asm-generic/socket.h; Python has no name for it."""
MAX_WAITING = 200_000
"""Notices that may wait for the next look; more are counted as lost."""


class Destroyed:
    """Subscribed from the moment it is made."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._lost = 0
        self._ended, self._wake = os.pipe()
        self._thread: threading.Thread | None = None
        with contextlib.suppress(OSError):  # an old kernel, or a sandbox: then there are no notices
            netlink = _subscribe()
            self._thread = threading.Thread(target=self._listen, args=(netlink,), name="loopmon-destroyed", daemon=True)
            self._thread.start()

    @property
    def is_subscribed(self) -> bool:
        return self._thread is not None

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
        os.close(self._wake)  # which the thread sees as the end of the pipe
        if self._thread is not None:
            self._thread.join(JOIN_S)

    def _listen(self, netlink: socket.socket) -> None:
        ready = select.poll()
        ready.register(netlink, select.POLLIN)
        ready.register(self._ended)
        with netlink:
            while True:
                if any(descriptor == self._ended for descriptor, _ in ready.poll()):
                    os.close(self._ended)
                    return
                self._receive(netlink)

    def _receive(self, netlink: socket.socket) -> None:
        try:
            datagram = netlink.recv(RECEIVE_BYTES)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self._lost += 1
            return
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
