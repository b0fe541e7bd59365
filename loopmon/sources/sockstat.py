"""How many sockets the kernel counts, so that a table that is known to be empty is not walked. Linux.

The tables of connections have a bucket for so many bytes of memory, and the kernel walks all of them for a
dump, empty or not: 1 ms a family. The counts cost a hundredth of it (net/ipv4/proc.c, sockstat_seq_show).
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import NamedTuple

_FIGURE = re.compile(rb"^(TCP6?|UDP6?): inuse (\d+)(?:.* tw (\d+))?", re.MULTILINE)
PAGE = 4096


class Counts(NamedTuple):
    """In this network namespace: the sockets of each kind that a dump could give, and those in TIME_WAIT."""

    tcp: int
    tcp6: int
    udp: int
    udp6: int
    time_wait: int
    """Of both families."""


class SockStat:
    """Keeps the kernel's two files open: they are read at every look."""

    def __init__(self, net: str = "/proc/self/net") -> None:
        self._fds: list[int] = []
        with contextlib.suppress(OSError):  # no /proc, or no IPv6: nothing can be left out then
            self._fds += [os.open(f"{net}/{name}", os.O_RDONLY) for name in ("sockstat", "sockstat6")]

    def read(self) -> Counts | None:
        """None where the kernel does not say."""
        try:
            text = b"".join(os.pread(fd, PAGE, 0) for fd in self._fds)
        except OSError:
            return None
        found = {name: (int(in_use), int(waiting or 0)) for name, in_use, waiting in _FIGURE.findall(text)}
        try:
            tcp, time_wait = found[b"TCP"]
            return Counts(tcp, found[b"TCP6"][0], found[b"UDP"][0], found[b"UDP6"][0], time_wait)
        except KeyError:
            return None

    def close(self) -> None:
        while self._fds:
            os.close(self._fds.pop())
