"""Which processes hold which socket inode: all of them, with their descriptors. Linux; reads /proc only.

Incremental: a look lists the descriptors of processes that are new, whose number of descriptors has changed,
or whose turn it is, and searches further only for sockets without a known holder. What is watched is checked
at every look. Explains, where nobody is found, what kept it from finding (see proc(5) on /proc/pid/fd).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from loopmon.model import Owner, ProcessId

TURNS = 16
"""Each process is listed at least once in so many looks, and a part of its descriptors read again: one that
was closed and replaced by another between two looks, while its socket lives on elsewhere, leaves no trace."""
KERNEL_TURNS = 64
"""The same for the kernel's own threads: only to find that their pid is another's now."""
TRIES = 2
"""How many looks search everywhere for a socket that nobody is known to hold."""
NOT_A_SOCKET = 0
PF_KTHREAD = 0x00200000
"""linux/sched.h: a thread of the kernel's own, which never has descriptors."""


@dataclass(slots=True)
class _Process:
    identity: ProcessId
    start_ticks: bytes
    is_kernel: bool = False
    count: int = -1
    """Open descriptors as the kernel counts them."""
    inodes: dict[int, int] = field(default_factory=dict)
    """By descriptor."""
    readable: bool = True


class Owners:
    """Call ``look`` once a tick; then ``holders`` of any inode."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._kernel_counts = os.stat(f"{proc}/self/fd").st_size > 0
        """Linux 6.2 and later; an older one says 0 of all, and their descriptors are listed at every look."""
        self._processes: dict[int, _Process] = {}
        self._holders: defaultdict[int, list[Owner]] = defaultdict(list)
        self._in_threads: dict[int, tuple[Owner, ...]] = {}
        self._tries: dict[int, int] = {}
        self._inodes: Set[int] = frozenset()
        self._sought: Set[int] = frozenset()
        self._missing = False
        """Whether there is a socket that has not been sought often enough."""
        self._turn = 0
        self.changed: set[int] = set()
        """The inodes whose holders are others than before the last look."""

    def look(self, inodes: Set[int], sought: Set[int], watched: Iterable[int], focus: int | None = None) -> None:
        """Bring what is known up to date. ``inodes`` are all that live (the same set where nothing has come or
        gone), ``sought`` those of them whose holders may be found by this user; ``watched`` ones and the process
        ``focus`` are checked even if nothing seems to have changed."""
        self._turn += 1
        self.changed = set()
        pids = [int(name) for name in os.listdir(self._proc) if name.isdecimal()]
        for pid in self._processes.keys() - set(pids):
            self._forget(pid)
        suspects = self._verify(watched)
        if inodes is not self._inodes:
            self._inodes = inodes
            suspects |= self._drop_dead(inodes)
        for pid in pids:
            if pid in suspects or pid == focus or self._is_due(pid):
                self._list(pid, inodes, afresh=pid == focus)
        if suspects or self.changed or sought is not self._sought or self._missing:
            self._sought = sought
            self._search(pids, inodes, sought)
        self.changed &= inodes

    def holders(self, inode: int) -> tuple[Owner, ...]:
        """Every holder that can be seen, by pid and descriptor."""
        held = self._holders.get(inode)
        if held:
            return tuple(sorted(held))
        return self._in_threads.get(inode, ())

    def held_by(self, identity: ProcessId) -> frozenset[int]:
        """The inodes of the sockets that a process is known to hold."""
        known = self._processes.get(identity.pid)
        held = known.inodes.values() if known and known.identity == identity else ()
        return frozenset(held) - {NOT_A_SOCKET}

    def was_sought(self, inode: int) -> bool:
        """Whether the search for a socket without holders is over."""
        return self._tries.get(inode, 0) >= TRIES

    def unreadable(self, uid: int) -> tuple[int, ...]:
        """The pids of this user's processes whose descriptors may not be listed, as they are not dumpable."""
        hidden = (pid for pid, process in self._processes.items() if not process.readable)
        return tuple(pid for pid in sorted(hidden) if self._uid(pid) == uid)

    def _drop_dead(self, inodes: Set[int]) -> set[int]:
        """Forget the sockets that have gone. Returns their holders: they may have put new ones in their place."""
        holders: set[int] = set()
        for inode in self._holders.keys() - inodes:
            for owner in self._holders.pop(inode):
                holders.add(owner.process.pid)
                self._processes[owner.process.pid].inodes.pop(owner.fd, None)
        self._tries = {inode: tries for inode, tries in self._tries.items() if inode in inodes}
        return holders

    def _verify(self, watched: Iterable[int]) -> set[int]:
        """Release what is no longer held as known. Returns who held it: something else may be in its place."""
        wrong = [
            (owner.process.pid, owner.fd)
            for inode in watched
            for owner in self._holders.get(inode, ())
            if self._read_link(f"{self._proc}/{owner.process.pid}/fd/{owner.fd}") != inode
        ]
        for pid, fd in wrong:
            self._release(pid, fd, self._processes[pid])
        return {pid for pid, _ in wrong}

    def _is_due(self, pid: int) -> bool:
        known = self._processes.get(pid)
        if known is not None and known.is_kernel and (pid + self._turn) % KERNEL_TURNS:
            return False
        if known is None or (pid + self._turn) % TURNS == 0:
            return True
        try:
            count = os.stat(f"{self._proc}/{pid}/fd").st_size
        except OSError:
            return True  # it has just ended: listing finds out
        return known.readable and (count != known.count or not self._kernel_counts)

    def _list(self, pid: int, inodes: Set[int], *, files: bool = False, afresh: bool = False) -> None:
        """Read the descriptors that are new, whose socket has gone or whose turn it is; ``files``: also those that
        were no socket; ``afresh``: all."""
        known = self._identify(pid)
        if known is None:
            return
        path = f"{self._proc}/{pid}/fd"
        try:
            known.count = os.stat(path).st_size
            names = os.listdir(path)
        except PermissionError:
            known.readable = False
            return
        except OSError:
            self._forget(pid)  # ended meanwhile
            return
        known.readable = True
        fds = {int(name) for name in names}
        for fd in known.inodes.keys() - fds:
            self._release(pid, fd, known)
        part = self._turn // TURNS
        for fd in fds:
            inode = known.inodes.get(fd)
            settled = inode is not None and ((inode == NOT_A_SOCKET and not files) or inode in inodes)
            if afresh or not settled or (fd + part) % TURNS == 0:
                self._take(pid, fd, known, self._read_link(f"{path}/{fd}"))

    def _take(self, pid: int, fd: int, known: _Process, inode: int) -> None:
        if known.inodes.get(fd) == inode:
            return
        self._release(pid, fd, known)
        known.inodes[fd] = inode
        if inode != NOT_A_SOCKET:
            self._holders[inode].append(Owner(known.identity, fd))
            self._tries.pop(inode, None)
            self.changed.add(inode)

    def _release(self, pid: int, fd: int, known: _Process) -> None:
        inode = known.inodes.pop(fd, NOT_A_SOCKET)
        held = self._holders.get(inode, [])
        owner = Owner(known.identity, fd)
        if owner in held:
            held.remove(owner)
            self.changed.add(inode)
            if not held:
                del self._holders[inode]

    def _forget(self, pid: int) -> None:
        for inode, owners in list(self._in_threads.items()):
            if any(owner.process.pid == pid for owner in owners):
                del self._in_threads[inode]
                self._tries.pop(inode, None)
                self.changed.add(inode)
        known = self._processes.pop(pid, None)
        if known:
            for fd in list(known.inodes):
                self._release(pid, fd, known)

    def _identify(self, pid: int) -> _Process | None:
        """The process as known, or a new one: its pid may be another's by now."""
        flags, start_ticks = self._stat(pid)
        known = self._processes.get(pid)
        if known and known.start_ticks == start_ticks:
            return known
        self._forget(pid)
        if start_ticks is None:
            return None
        try:
            identity = ProcessId(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return None  # ended meanwhile
        self._processes[pid] = _Process(identity, start_ticks, is_kernel=bool(flags & PF_KTHREAD))
        return self._processes[pid]

    def _search(self, pids: Iterable[int], inodes: Set[int], sought: Set[int]) -> None:
        """Look everywhere for what nobody is known to hold, then in the threads' own tables."""
        missing = {inode for inode in sought if inode not in self._holders}
        if any(self._tries.get(inode, 0) < TRIES for inode in missing):
            afresh = any(self._tries.get(inode, 0) == 1 for inode in missing)
            for pid in pids:
                self._list(pid, inodes, afresh=afresh)
            missing = {inode for inode in missing if inode not in self._holders}
            for pid in pids if missing else ():
                self._list(pid, inodes, files=True)  # a socket may have taken a closed file's place
            missing = {inode for inode in missing if inode not in self._holders}
            found = self._search_threads(pids, missing) if missing else {}
            self.changed |= found.keys() | self._in_threads.keys()
            self._in_threads = found
        self._missing = any(self._tries.get(inode, 0) < TRIES for inode in missing)
        for inode in missing:
            self._tries[inode] = self._tries.get(inode, 0) + 1

    def _search_threads(self, pids: Iterable[int], missing: Set[int]) -> dict[int, tuple[Owner, ...]]:
        """A thread can have descriptors of its own, or outlive the one that the process is named after."""
        found: defaultdict[int, list[Owner]] = defaultdict(list)
        for pid in pids:
            known = self._processes.get(pid)
            if known is None or not known.readable:
                continue
            for tid in self._names(f"{self._proc}/{pid}/task") - {pid}:
                path = f"{self._proc}/{pid}/task/{tid}/fd"
                for fd in self._names(path):
                    inode = self._read_link(f"{path}/{fd}")
                    if inode in missing:
                        found[inode].append(Owner(known.identity, fd))
        return {inode: tuple(sorted(set(owners))) for inode, owners in found.items()}

    def _names(self, path: str) -> set[int]:
        try:
            return {int(name) for name in os.listdir(path)}
        except OSError:
            return set()  # ended, or may not be looked into

    def _read_link(self, path: str) -> int:
        """The inode of a socket; NOT_A_SOCKET for anything else and for what has just been closed."""
        try:
            target = os.readlink(path)
        except OSError:
            return NOT_A_SOCKET
        return int(target[8:-1]) if target.startswith("socket:[") else NOT_A_SOCKET

    def _stat(self, pid: int) -> tuple[int, bytes | None]:
        """Fields 9 and 22 of /proc/pid/stat, flags and start; the name before them may hold spaces and brackets."""
        try:
            fields = Path(f"{self._proc}/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            return int(fields[6]), fields[19]
        except (OSError, IndexError):
            return 0, None  # ended

    def _uid(self, pid: int) -> int | None:
        """The real user; the owner of /proc/pid is root for a process that is not dumpable."""
        try:
            lines = Path(f"{self._proc}/{pid}/status").read_bytes().splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) for line in lines if line.startswith(b"Uid:")), None)
