"""Sockets through the Linux kernel's own dump, sock_diag(7): all of them, without root, with queues and traffic.

Owns the netlink sockets and what is remembered from look to look: a message that says what it said before
is not parsed again, and gives the same ``Socket``. Who holds a socket is ``owners``' business, the layout of
the messages ``inet_diag``'s.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from enum import Enum, auto

from loopmon.model import OwnerUnknown, ProcessId, Socket, Status
from loopmon.sources import inet_diag as wire
from loopmon.sources.destroyed import Destroyed
from loopmon.sources.netlink import BOUND_DUMPS, CONNECTION_DUMPS, LISTENER_DUMPS, UDP_DUMPS, Dump, Netlink
from loopmon.sources.owners import Owners
from loopmon.sources.privilege import sees_every_process
from loopmon.sources.reading import Reading, SourceError
from loopmon.sources.socket_table import COOKIE, EXPIRES, NOBODY, NOTHING, Known, Table, closed, learn
from loopmon.sources.sockstat import Counts, SockStat

DUMP_TRIES = 3
"""A dump that the kernel marks as interrupted is repeated; the table can go on changing for ever."""
KEPT_CHANGING = "the kernel's table kept changing while it was read: a socket may be missing"
BOUND_EVERY = 10
"""Looks, while none is known; what is bound but does not listen is dear to ask for and seldom there."""
WALK_EVERY = 10
"""Looks, for tables that the kernel counts as empty."""
MAX_FOCUSED = 32
"""So many sockets a process may have for its connections to be asked for one by one between two looks."""
MAX_AROUND = 2_000
"""And so many there may be in all: each such reading is paired, judged and drawn like a whole one."""

_KERNEL_HELD = frozenset({Status.TIME_WAIT, Status.SYN_RECV})
_ACCEPTABLE = frozenset({Status.ESTABLISHED, Status.CLOSE_WAIT})
_CLOSING = frozenset({Status.FIN_WAIT1, Status.FIN_WAIT2, Status.CLOSING, Status.LAST_ACK})


class SockDiagUnavailableError(SourceError):
    """This system has no sock_diag, or refuses it; the message names the reason."""


class _News(Enum):
    """What the dumps of one look have told."""

    NONE = auto()
    FIGURES = auto()
    """Other states or counters of the same sockets."""
    SOCKETS = auto()
    """Sockets have come or gone."""


class SockDiagSource:
    """Remembers; used by one thread at a time."""

    name = "sock_diag"
    has_listener_lane = True

    def __init__(self, *, follow: bool = True) -> None:
        """``follow`` subscribes to the notices of what goes between two looks. Raises SockDiagUnavailableError."""
        try:
            self._kernel = Netlink()
        except OSError as error:
            raise SockDiagUnavailableError(f"sock_diag: {_why(error)}") from error
        self._stat = SockStat()
        self._tables: dict[Dump, Table] = {}
        self._sockets: tuple[Socket, ...] = ()
        self._limits: tuple[str, ...] = ()
        self._inodes: set[int] = set()
        self._sought: set[int] = set()
        self._unsettled = False
        """Whether some owner is still being looked for."""
        self._news = _News.NONE
        self._looks = 0
        self._focused_at: tuple[ProcessId | None, int] = (None, 0)
        self._focused: list[tuple[Dump, bytes]] = []
        self._owners = Owners()
        self._destroyed = Destroyed() if follow else None
        self._sees_all = sees_every_process()
        self._uid = os.geteuid()

    def check(self) -> None:
        """The first dump. Raises SockDiagUnavailableError where the kernel does not know how."""
        try:
            for dump in LISTENER_DUMPS:
                for _ in self._kernel.datagrams(dump):
                    pass
        except (OSError, wire.DiagError) as error:
            self.close()
            raise SockDiagUnavailableError(f"sock_diag: {_why(error)}") from error

    def read(self, focus: ProcessId | None = None) -> Reading:
        some = any(self._tables.get(dump, NOTHING).order for dump in BOUND_DUMPS)
        bound = BOUND_DUMPS if some or self._looks % BOUND_EVERY == 0 else ()
        self._looks += 1
        return self._reading((*LISTENER_DUMPS, *CONNECTION_DUMPS, *UDP_DUMPS, *bound), focus)

    def read_listeners(self, focus: ProcessId | None = None) -> Reading | None:
        try:
            if self._listening_cookies() != {
                cookie for dump in LISTENER_DUMPS for cookie in self._tables.get(dump, NOTHING).by_cookie
            }:
                return replace(self._reading(LISTENER_DUMPS, None), partial=True)
            if focus is not None and self._renew(focus):
                return replace(self._reading((), focus), partial=True)
        except (OSError, wire.DiagError):
            return None  # the next whole reading says what is wrong
        return None

    def close(self) -> None:
        self._kernel.close()
        self._stat.close()
        if self._destroyed:
            self._destroyed.close()

    # Dumps

    def _listening_cookies(self) -> set[bytes]:
        return {
            buffer[start + COOKIE.start : start + COOKIE.stop]
            for dump in LISTENER_DUMPS
            for buffer in self._kernel.datagrams(dump)
            for kind, _, start, _ in wire.messages(buffer)
            if kind == wire.SOCK_DIAG_BY_FAMILY
        }

    def _renew(self, focus: ProcessId) -> bool:
        """Ask for each connection of one process. Returns whether one says something else now; one that has
        gone stays until the next whole look."""
        now = time.time()
        for dump, cookie in self._connections_of(focus):
            table = self._tables[dump]
            known = table.by_cookie[cookie]
            payload = self._kernel.find(known.head, dump)
            if payload is not None and payload[COOKIE] == cookie:
                table.put(self._look_up(payload, dump.protocol, now, table))
        return self._news is not _News.NONE

    def _connections_of(self, focus: ProcessId) -> list[tuple[Dump, bytes]]:
        """None of a process that has so many, or among so many, that the whole look serves them better."""
        if self._focused_at != (focus, self._looks):
            inodes = self._owners.held_by(focus) if len(self._sockets) <= MAX_AROUND else frozenset()
            self._focused_at = (focus, self._looks)
            self._focused = [
                (dump, cookie)
                for dump in CONNECTION_DUMPS
                for cookie, known in self._tables.get(dump, NOTHING).by_cookie.items()
                if len(inodes) <= MAX_FOCUSED and known.inode in inodes
            ]
        return self._focused

    def _reading(self, dumps: Iterable[Dump], focus: ProcessId | None) -> Reading:
        taken_at = time.time()
        # Before the dumps: what goes while they are made would be told twice.
        gone, lost = self._destroyed.take() if self._destroyed else ([], 0)
        counts = self._stat.read()
        try:
            interrupted = [self._take(dump, taken_at, counts) for dump in dumps]
        except (OSError, wire.DiagError) as error:
            raise SourceError(f"sock_diag: {_why(error)}") from error
        if self._explain(focus) or self._news is not _News.NONE:
            self._sockets = tuple(each.found for table in self._tables.values() for each in table.order)
            self._limits = tuple(_limits(self._sockets))
        self._news = _News.NONE
        limits = [KEPT_CHANGING] if any(interrupted) else []
        return Reading(
            taken_at,
            self._sockets,
            (*limits, *self._limits),
            destroyed=tuple(closed(row, taken_at) for row in gone),
            notices_lost=lost,
        )

    def _take(self, dump: Dump, taken_at: float, counts: Counts | None) -> bool:
        """Bring one table up to date. Returns whether the kernel was interrupted at every try."""
        before = self._tables.get(dump, NOTHING)
        is_empty = counts is not None and self._is_empty(dump, counts)
        for _ in range(DUMP_TRIES):
            fresh: list[Known] = []
            interrupted = False
            for buffer in () if is_empty else self._kernel.datagrams(dump):
                interrupted |= self._scan(buffer, dump.protocol, before, fresh, taken_at)
            if not interrupted:
                break
        if fresh != before.order:
            table = Table(fresh)
            if table.by_cookie.keys() != before.by_cookie.keys():
                self._news = _News.SOCKETS
            self._tables[dump] = table
        return interrupted

    def _is_empty(self, dump: Dump, counts: Counts) -> bool:
        """Whether the kernel counts nothing but the listeners, which have just been asked for. It does not count
        requests (SYN_RECV) whose client has gone: for those every table is walked now and then all the same, and
        one that held something until it holds nothing."""
        if self._looks % WALK_EVERY == 1 or self._tables.get(dump, NOTHING).order:
            return False
        is_ipv4 = dump.family == socket.AF_INET
        if dump in UDP_DUMPS:
            return (counts.udp if is_ipv4 else counts.udp6) == 0
        listening = sum(
            len(self._tables.get(each, NOTHING).order) for each in LISTENER_DUMPS if each.family == dump.family
        )
        in_use = counts.tcp if is_ipv4 else counts.tcp6
        return dump in CONNECTION_DUMPS and in_use == listening and counts.time_wait == 0

    def _scan(self, buffer: bytes, protocol: int, before: Table, fresh: list[Known], taken_at: float) -> bool:
        """Append the sockets of one datagram to ``fresh``. Returns whether the kernel was interrupted.

        Written for speed: this runs for every socket at every look, and most say what they said before, in
        the order in which they said it before.
        """
        offset, size, all_flags = 0, len(buffer), 0
        unpack, header_size, row_kind = wire.START.unpack_from, wire.HEADER.size, wire.SOCK_DIAG_BY_FAMILY
        startswith, append, order = buffer.startswith, fresh.append, before.order
        place = fresh[-1].place + 1 if fresh else 0
        count = len(order)
        while size - offset >= header_size:
            length, kind, flags = unpack(buffer, offset)
            if length < header_size or offset + length > size:
                raise wire.DiagError(f"a message of {length} bytes does not fit into {size - offset}")
            all_flags |= flags
            if kind == row_kind:
                start = offset + header_size
                known = order[place] if place < count else NOBODY
                if startswith(known.head, start) and startswith(known.counters, start + known.counters_at):
                    place += 1
                else:
                    known = self._look_up(buffer[start : offset + length], protocol, taken_at, before)
                    place = known.place + 1
                append(known)
            offset += (length + 3) & ~3
        return bool(all_flags & wire.NLM_F_DUMP_INTR)

    def _look_up(self, payload: bytes, protocol: int, taken_at: float, before: Table) -> Known:
        """The same by its cookie, for one that is new, has changed or stands elsewhere. The timer's countdown,
        of connections in TIME_WAIT for example, changes nothing."""
        known = before.by_cookie.get(payload[COOKIE])
        if (
            known is not None
            and payload[: EXPIRES.start] == known.head[: EXPIRES.start]
            and payload[EXPIRES.stop : wire.ROW.size] == known.head[EXPIRES.stop :]
            and payload.startswith(known.counters, known.counters_at)
        ):
            known.head = payload[: wire.ROW.size]
            return known
        return self._learn(payload, protocol, taken_at, known)

    def _learn(self, payload: bytes, protocol: int, taken_at: float, before: Known | None) -> Known:
        known = learn(payload, protocol, taken_at, before)
        if before is None or before.inode != known.inode:
            self._news = _News.SOCKETS
        elif self._news is _News.NONE:
            self._news = _News.FIGURES
        return known

    # Owners

    def _explain(self, focus: ProcessId | None) -> bool:
        """Name the owners of each socket, or say why there are none. Asks only for what may have changed.
        Returns whether anything is said differently now."""
        if self._news is _News.SOCKETS:
            known = [each for table in self._tables.values() for each in table.order if each.inode]
            self._inodes = {each.inode for each in known}
            self._sought = self._inodes
            if not self._sees_all:
                self._sought = {each.inode for each in known if each.uid == self._uid}
        listening = [each for dump in LISTENER_DUMPS for each in self._tables.get(dump, NOTHING).order]
        watched = [each.inode for each in listening]
        self._owners.look(self._inodes, self._sought, watched, focus.pid if focus else None)
        changed = self._owners.changed
        if self._news is _News.NONE and not changed and not self._unsettled:
            return False
        ports = {each.found.laddr.port for each in listening}
        self._unsettled = False
        differently = False
        for table in self._tables.values():
            for each in table.order:
                if not each.settled or each.inode in changed:
                    differently |= self._settle(each, ports)
        return differently

    def _settle(self, known: Known, listening: set[int]) -> bool:
        owners = self._owners.holders(known.inode) if known.inode else ()
        reason, known.settled = (None, True) if owners else self._reason(known, listening)
        self._unsettled |= not known.settled
        if (owners, reason) == (known.found.owners, known.found.owner_unknown):
            return False
        known.found = replace(known.found, owners=owners, owner_unknown=reason)
        return True

    def _reason(self, known: Known, listening: set[int]) -> tuple[OwnerUnknown, bool]:
        """Why nobody holds it, and whether that stays so as long as the socket does not change."""
        status = known.found.status
        if status in _KERNEL_HELD:
            return OwnerUnknown.KERNEL, True
        if known.inode == 0:
            if status in _CLOSING:
                return OwnerUnknown.CLOSED_BY_PROCESS, True
            waits = status in _ACCEPTABLE and known.found.laddr.port in listening
            return (OwnerUnknown.NOT_ACCEPTED, True) if waits else (OwnerUnknown.UNKNOWN, False)
        if not self._sees_all and known.uid != self._uid:
            return OwnerUnknown.OTHER_USER, True
        if not self._owners.was_sought(known.inode):
            return OwnerUnknown.UNKNOWN, False
        hidden = self._owners.unreadable(known.uid)
        return (OwnerUnknown.UNREADABLE_PROCESS if hidden else OwnerUnknown.NOT_FOUND), True


def _limits(sockets: Iterable[Socket]) -> Iterator[str]:
    others = sum(found.owner_unknown is OwnerUnknown.OTHER_USER for found in sockets)
    if others:
        belong = "socket belongs" if others == 1 else "sockets belong"
        yield f"{others} {belong} to users whose processes you may not read"


def _why(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
