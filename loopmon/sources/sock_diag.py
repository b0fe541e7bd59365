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
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import NamedTuple

from loopmon.model import Endpoint, Family, OwnerUnknown, ProcessId, Protocol, Socket, Status
from loopmon.sources import inet_diag as wire
from loopmon.sources.destroyed import Destroyed
from loopmon.sources.owners import Owners
from loopmon.sources.privilege import sees_every_process
from loopmon.sources.reading import Reading, SourceError

RECEIVE_BYTES = 1 << 18
DUMP_TRIES = 3
"""A dump that the kernel marks as interrupted is repeated; the table can go on changing for ever."""
TIMEOUT_S = 10.0
KEPT_CHANGING = "the kernel's table kept changing while it was read: a socket may be missing"
COOKIE, EXPIRES = slice(44, 52), slice(52, 56)
"""Where struct inet_diag_msg has them."""

_KERNEL_HELD = frozenset({Status.TIME_WAIT, Status.SYN_RECV})
_ACCEPTABLE = frozenset({Status.ESTABLISHED, Status.CLOSE_WAIT})
_HEARD_FIN = frozenset({Status.CLOSE_WAIT, Status.LAST_ACK, Status.CLOSING})
"""The kernel counts the peer's FIN among the bytes received."""
_CLOSING = frozenset({Status.FIN_WAIT1, Status.FIN_WAIT2, Status.CLOSING, Status.LAST_ACK})


class SockDiagUnavailableError(SourceError):
    """This system has no sock_diag, or refuses it; the message names the reason."""


class _Dump(NamedTuple):
    """One question to the kernel."""

    family: int
    protocol: int
    states: int
    extensions: int = 0
    bytecode: bytes = b""


_INFO = wire.extension(wire.INET_DIAG_INFO)
_NOT_CONNECTED = wire.LISTEN_STATE | wire.BOUND_STATE
LISTENER_DUMPS = tuple(
    _Dump(family, socket.IPPROTO_TCP, wire.LISTEN_STATE) for family in (socket.AF_INET, socket.AF_INET6)
)
"""Cheap: they do not walk the table of connections."""
OTHER_DUMPS = (
    *(
        _Dump(family, socket.IPPROTO_TCP, wire.ALL_STATES & ~_NOT_CONNECTED, _INFO, wire.loopback_bytecode(family))
        for family in (socket.AF_INET, socket.AF_INET6)
    ),
    *(_Dump(family, socket.IPPROTO_UDP, wire.ALL_STATES) for family in (socket.AF_INET, socket.AF_INET6)),
)
BOUND_DUMPS = tuple(_Dump(family, socket.IPPROTO_TCP, wire.BOUND_STATE) for family in (socket.AF_INET, socket.AF_INET6))
"""Sockets that are bound but do not listen. The kernel walks every bound port for these: not at every look."""
BOUND_EVERY = 10


@dataclass(slots=True, eq=False)
class _Known:
    """A socket as the kernel last described it, by the parts of the message that tell whether it has changed."""

    head: bytes
    """struct inet_diag_msg, the whole of it."""
    counters: bytes
    counters_at: int
    inode: int
    uid: int
    found: Socket
    settled: bool = False
    """Whether its owners, or why there are none, have been said for good as long as nothing changes."""
    place: int = -1
    """In the order of its dump."""


class _Table:
    """The sockets of one dump, in the kernel's order."""

    def __init__(self, order: list[_Known]) -> None:
        self.by_cookie = {known.head[COOKIE]: known for known in order}
        self.order = list(self.by_cookie.values())
        for place, known in enumerate(self.order):
            known.place = place


_NOTHING = _Table([])
_NOBODY = _Known(
    b"\0" * wire.ROW.size, b"", 0, 0, 0, Socket("", Protocol.TCP, Family.IPV4, Status.NONE, Endpoint("", 0))
)
"""Matches no message: no family is 0."""


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
            self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, wire.NETLINK_SOCK_DIAG)
        except OSError as error:
            raise SockDiagUnavailableError(f"sock_diag: {os.strerror(error.errno or 0)}") from error
        self._netlink.settimeout(TIMEOUT_S)
        self._sequence = 0
        self._tables: dict[_Dump, _Table] = {}
        self._sockets: tuple[Socket, ...] = ()
        self._limits: tuple[str, ...] = ()
        self._inodes: set[int] = set()
        self._sought: set[int] = set()
        self._unsettled = False
        """Whether some owner is still being looked for."""
        self._news = _News.NONE
        self._looks = 0
        self._owners = Owners()
        self._destroyed = Destroyed() if follow else None
        self._sees_all = sees_every_process()
        self._uid = os.geteuid()

    def check(self) -> None:
        """The first dump. Raises SockDiagUnavailableError where the kernel does not know how."""
        try:
            for dump in LISTENER_DUMPS:
                for _ in self._datagrams(dump):
                    pass
        except (OSError, wire.DiagError) as error:
            self.close()
            raise SockDiagUnavailableError(f"sock_diag: {_why(error)}") from error

    def read(self, focus: ProcessId | None = None) -> Reading:
        bound = BOUND_DUMPS if self._looks % BOUND_EVERY == 0 else ()
        self._looks += 1
        return self._reading((*LISTENER_DUMPS, *OTHER_DUMPS, *bound), focus)

    def read_listeners(self) -> Reading | None:
        """A cheap look: a reading with all else as it was if a listener has come or gone, else None."""
        before = {cookie for dump in LISTENER_DUMPS for cookie in self._tables.get(dump, _NOTHING).by_cookie}
        try:
            now = {
                buffer[start + COOKIE.start : start + COOKIE.stop]
                for dump in LISTENER_DUMPS
                for buffer in self._datagrams(dump)
                for kind, _, start, _ in wire.messages(buffer)
                if kind == wire.SOCK_DIAG_BY_FAMILY
            }
        except (OSError, wire.DiagError):
            return None  # the next whole reading says what is wrong
        return None if now == before else replace(self._reading(LISTENER_DUMPS, None), partial=True)

    def close(self) -> None:
        self._netlink.close()
        if self._destroyed:
            self._destroyed.close()

    # Dumps

    def _reading(self, dumps: Iterable[_Dump], focus: ProcessId | None) -> Reading:
        taken_at = time.time()
        # Before the dumps: what goes while they are made would be told twice.
        gone, lost = self._destroyed.take() if self._destroyed else ([], 0)
        try:
            interrupted = [self._take(dump, taken_at) for dump in dumps]
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
            destroyed=tuple(_closed(row, taken_at) for row in gone),
            notices_lost=lost,
        )

    def _take(self, dump: _Dump, taken_at: float) -> bool:
        """Bring one table up to date. Returns whether the kernel was interrupted at every try."""
        before = self._tables.get(dump, _NOTHING)
        for _ in range(DUMP_TRIES):
            fresh: list[_Known] = []
            interrupted = False
            for buffer in self._datagrams(dump):
                interrupted |= self._scan(buffer, dump.protocol, before, fresh, taken_at)
            if not interrupted:
                break
        if fresh != before.order:
            table = _Table(fresh)
            if table.by_cookie.keys() != before.by_cookie.keys():
                self._news = _News.SOCKETS
            self._tables[dump] = table
        return interrupted

    def _scan(self, buffer: bytes, protocol: int, before: _Table, fresh: list[_Known], taken_at: float) -> bool:
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
                known = order[place] if place < count else _NOBODY
                if startswith(known.head, start) and startswith(known.counters, start + known.counters_at):
                    place += 1
                else:
                    known = self._look_up(buffer[start : offset + length], protocol, taken_at, before)
                    place = known.place + 1
                append(known)
            offset += (length + 3) & ~3
        return bool(all_flags & wire.NLM_F_DUMP_INTR)

    def _look_up(self, payload: bytes, protocol: int, taken_at: float, before: _Table) -> _Known:
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

    def _learn(self, payload: bytes, protocol: int, taken_at: float, before: _Known | None) -> _Known:
        known = _known(payload, protocol, taken_at, before)
        if before is None or before.inode != known.inode:
            self._news = _News.SOCKETS
        elif self._news is _News.NONE:
            self._news = _News.FIGURES
        return known

    def _datagrams(self, dump: _Dump) -> Iterator[bytes]:
        """The answer to one dump. Raises OSError with the kernel's refusal, DiagError."""
        self._sequence += 1
        self._netlink.send(wire.request(*dump, sequence=self._sequence))
        while True:
            buffer = self._netlink.recv(RECEIVE_BYTES)
            if wire.sequence_of(buffer) != self._sequence:
                continue  # the rest of a dump that was given up
            is_last, code = wire.ending(buffer)
            if code:
                raise OSError(code, os.strerror(code))
            yield buffer
            if is_last:
                return

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
        listening = [each for dump in LISTENER_DUMPS for each in self._tables.get(dump, _NOTHING).order]
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

    def _settle(self, known: _Known, listening: set[int]) -> bool:
        owners = self._owners.holders(known.inode) if known.inode else ()
        reason, known.settled = (None, True) if owners else self._reason(known, listening)
        self._unsettled |= not known.settled
        if (owners, reason) == (known.found.owners, known.found.owner_unknown):
            return False
        known.found = replace(known.found, owners=owners, owner_unknown=reason)
        return True

    def _reason(self, known: _Known, listening: set[int]) -> tuple[OwnerUnknown, bool]:
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


def _known(payload: bytes, protocol: int, taken_at: float, before: _Known | None) -> _Known:
    """What a message says. Who held the socket before holds it still, as far as is known."""
    row = wire.parse_row(payload)
    start, stop = wire.counters_span(payload)
    found = _to_socket(row, protocol, taken_at)
    settled = before is not None and before.settled and bool(before.found.owners) and before.inode == row.inode
    if before is not None and settled:
        found = replace(found, owners=before.found.owners)
    return _Known(
        head=payload[: wire.ROW.size],
        counters=payload[start:stop],
        counters_at=start,
        inode=row.inode,
        uid=row.uid,
        found=found,
        settled=settled,
    )


def _to_socket(row: wire.Row, number: int, taken_at: float) -> Socket:
    protocol = Protocol.TCP if number == socket.IPPROTO_TCP else Protocol.UDP
    info = row.info
    return Socket(
        id=f"{protocol}:{row.cookie:x}",
        protocol=protocol,
        family=Family.IPV4 if row.family == socket.AF_INET else Family.IPV6,
        status=Status.NONE if protocol is Protocol.UDP else row.status,
        laddr=row.laddr,
        raddr=row.raddr if row.raddr.port else None,
        inode=row.inode,
        uid=row.uid if row.inode else None,
        v6only=row.v6only,
        recv_queue=row.rqueue,
        send_queue=row.wqueue,
        bytes_sent=info.payload_sent if info else None,
        bytes_received=max(0, info.bytes_received - (row.status in _HEARD_FIN)) if info else None,
        rtt_us=info.rtt_us if info else None,
        retransmits=info.total_retrans if info else None,
        active_at=taken_at - min(info.last_data_sent_ms, info.last_data_recv_ms) / 1000 if info else None,
        heard_at=taken_at - info.last_ack_recv_ms / 1000 if info else None,
    )


def _closed(row: wire.Row, taken_at: float) -> Socket:
    found = _to_socket(row, socket.IPPROTO_TCP, taken_at)
    return replace(found, status=Status.CLOSE, owner_unknown=OwnerUnknown.CLOSED_BY_PROCESS)


def _limits(sockets: Iterable[Socket]) -> Iterator[str]:
    others = sum(found.owner_unknown is OwnerUnknown.OTHER_USER for found in sockets)
    if others:
        belong = "socket belongs" if others == 1 else "sockets belong"
        yield f"{others} {belong} to users whose processes you may not read"


def _why(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
