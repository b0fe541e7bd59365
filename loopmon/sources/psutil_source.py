"""Sockets through ``psutil.net_connections``: works on every system, knows least.

Owns the stable identities that psutil does not give. Refuses to guess: it has no inode and no uid,
so an owner that is missing stays unknown unless the state or the user (root sees everybody) explains it.
"""

from __future__ import annotations

import socket
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import psutil

from loopmon.address import unmap
from loopmon.model import Endpoint, Family, Owner, OwnerUnknown, ProcessId, Protocol, Socket, Status
from loopmon.sources.privilege import sees_every_process
from loopmon.sources.reading import Reading, SourceDeniedError, SourceError

_KERNEL_HELD = frozenset({Status.TIME_WAIT, Status.SYN_RECV})
_STATUSES = {status.value: status for status in Status}
_CLOSING = frozenset({Status.FIN_WAIT1, Status.FIN_WAIT2, Status.CLOSING, Status.LAST_ACK})


_Holders = tuple[tuple[int, int], ...]


class _Row(NamedTuple):
    """psutil's ``sconn`` as plain values; an address that is missing or has port 0 is an empty tuple."""

    family: int
    type: int
    laddr: tuple[Any, ...]
    raddr: tuple[Any, ...]
    status: str
    holders: _Holders
    """Pid and descriptor. The system call names at most one; asking each process in turn finds them all."""


class PsutilSource:
    """Remembers the rows of the last look, so that an unchanged row is the same ``Socket`` object."""

    name = "psutil"
    has_listener_lane = False

    def __init__(self, because: str | None = None) -> None:
        """``because``: why a better source is not used, which is said with every reading."""
        self._because = (f"psutil is used, which sees less: {because}",) if because else ()
        self._sockets: dict[_Row, Socket] = {}
        self._processes: dict[int, psutil.Process] = {}
        self._ordinals: dict[str, dict[_Holders, int]] = {}
        self._seen_ownerless: set[str] = set()

    def read(self, focus: ProcessId | None = None) -> Reading:
        taken_at = time.time()
        try:
            rows, limits = _rows()
        except (OSError, RuntimeError, psutil.Error) as error:
            # RuntimeError is psutil's word for a line of /proc/net that it cannot parse.
            raise SourceError(f"psutil could not read the sockets: {error}") from error
        sockets = self._explain(self._convert([row for row in rows if row.laddr]))
        return Reading(taken_at, sockets, (*self._because, *limits, *_owner_limits(sockets)))

    def read_listeners(self, focus: ProcessId | None = None) -> Reading | None:
        return None

    def close(self) -> None:
        self._sockets.clear()

    def _convert(self, rows: list[_Row]) -> list[Socket]:
        self._identify({pid for row in rows for pid, _ in row.holders})
        numbered = self._number(rows)
        known, self._sockets = self._sockets, {}
        for row, socket_id in numbered:
            owners = self._owners(row)
            cached = known.get(row)
            fresh = cached is None or cached.id != socket_id or cached.owners != owners
            self._sockets[row] = _socket(row, socket_id, owners) if fresh or cached is None else cached
        return list(self._sockets.values())

    def _identify(self, pids: set[int]) -> None:
        """Know each pid's process. The pid can have been given to another one since the last look;
        psutil's own check of that does not depend on the wall clock, as create_time() does."""
        known, self._processes = self._processes, {}
        for pid in pids:
            try:
                process = known.get(pid)
                if process is None or not process.is_running():
                    process = psutil.Process(pid)
            except psutil.NoSuchProcess:
                continue  # ended since the scan
            self._processes[pid] = process

    def _owners(self, row: _Row) -> tuple[Owner, ...]:
        owners: list[Owner] = []
        for pid, fd in row.holders:
            process = self._processes.get(pid)
            if process is None:
                continue
            try:
                # Kept by psutil from the first call on; 0.0 where the system refuses to tell.
                owners.append(Owner(ProcessId(pid, process.create_time()), fd))
            except psutil.AccessDenied:
                owners.append(Owner(ProcessId(pid, 0.0), fd))
            except psutil.NoSuchProcess:
                continue
        return tuple(owners)

    def _number(self, rows: list[_Row]) -> list[tuple[_Row, str]]:
        """Give each row its id. Rows that differ only in their holder get ``#2``, ``#3``, …, and keep
        that number for as long as the holder is there."""
        groups: defaultdict[str, list[_Row]] = defaultdict(list)
        for row in rows:
            groups[_identity(row)].append(row)
        ordinals: dict[str, dict[_Holders, int]] = {}
        numbered: list[tuple[_Row, str]] = []
        for base, alike in groups.items():
            before = self._ordinals.get(base, {})
            if len(alike) == 1 and not before:
                numbered.append((alike[0], base))
                continue
            given = _assign_ordinals({row.holders for row in alike}, before)
            if set(given.values()) != {1}:
                ordinals[base] = given
            for row in alike:
                ordinal = given[row.holders]
                numbered.append((row, base if ordinal == 1 else f"{base}#{ordinal}"))
        self._ordinals = ordinals
        return numbered

    def _explain(self, sockets: list[Socket]) -> tuple[Socket, ...]:
        """Say why an owner is missing, where that can be known. A row that is new may have been opened
        between psutil's two scans, so it is not called ownerless before the next look."""
        listening = {s.laddr.port for s in sockets if s.status is Status.LISTEN}
        ownerless: set[str] = set()
        explained: list[Socket] = []
        for found in sockets:
            reason = None
            if not found.owners:
                ownerless.add(found.id)
                reason = _reason(found, listening, settled=found.id in self._seen_ownerless)
            explained.append(found if found.owner_unknown is reason else replace(found, owner_unknown=reason))
        self._seen_ownerless = ownerless
        self._sockets = dict(zip(self._sockets, explained, strict=True))
        return tuple(explained)


def _rows() -> tuple[list[_Row], tuple[str, ...]]:
    try:
        return _system_rows()
    except psutil.AccessDenied:
        return _rows_by_process()


def _system_rows() -> tuple[list[_Row], tuple[str, ...]]:
    return [
        _Row(c.family, c.type, tuple(c.laddr), tuple(c.raddr), c.status, ((c.pid, c.fd),) if c.pid else ())
        for c in psutil.net_connections("inet")
    ], ()


def _rows_by_process() -> tuple[list[_Row], tuple[str, ...]]:
    """Where the system call is refused as a whole (macOS without root): ask each process in turn. What
    several of them hold comes from each, and is one row here with all its holders."""
    held: defaultdict[tuple[Any, ...], list[tuple[int, int]]] = defaultdict(list)
    readable = 0
    for pid in psutil.pids():
        try:
            process = psutil.Process(pid)
            for c in process.net_connections("inet"):
                row = (c.family, c.type, tuple(c.laddr), tuple(c.raddr), c.status)
                held[row].append((pid, c.fd))
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue  # another user's process, or one that ended meanwhile
        readable += 1
    if not readable:
        raise SourceDeniedError("the system does not let this user read any process's sockets")
    rows = [_Row._make((*row, tuple(sorted(holders)))) for row, holders in held.items()]
    return rows, ("without root this system shows only your own processes' sockets",)


def _identity(row: _Row) -> str:
    protocol = "tcp" if row.type == socket.SOCK_STREAM else "udp"
    family = 4 if row.family == socket.AF_INET else 6
    remote = f">{row.raddr[0]}|{row.raddr[1]}" if row.raddr else ""
    return f"{protocol}{family}:{row.laddr[0]}|{row.laddr[1]}{remote}"


def _assign_ordinals(alike: set[_Holders], before: dict[_Holders, int]) -> dict[_Holders, int]:
    given = {holders: before[holders] for holders in alike if holders in before}
    free = [number for number in range(1, len(alike) + len(before) + 1) if number not in given.values()]
    return given | dict(zip(sorted(alike - given.keys()), free, strict=False))


def _socket(row: _Row, socket_id: str, owners: tuple[Owner, ...]) -> Socket:
    return Socket(
        id=socket_id,
        protocol=Protocol.TCP if row.type == socket.SOCK_STREAM else Protocol.UDP,
        family=Family.IPV4 if row.family == socket.AF_INET else Family.IPV6,
        status=_STATUSES.get(row.status, Status.NONE),
        laddr=Endpoint(unmap(row.laddr[0]), row.laddr[1]),
        raddr=Endpoint(unmap(row.raddr[0]), row.raddr[1]) if row.raddr else None,
        owners=owners,
    )


def _reason(found: Socket, listening: set[int], *, settled: bool) -> OwnerUnknown:
    if found.status in _KERNEL_HELD:
        return OwnerUnknown.KERNEL
    if not settled or not sees_every_process():
        return OwnerUnknown.UNKNOWN
    if found.status in _CLOSING:
        return OwnerUnknown.CLOSED_BY_PROCESS
    if found.status in {Status.ESTABLISHED, Status.CLOSE_WAIT} and found.laddr.port in listening:
        return OwnerUnknown.NOT_ACCEPTED
    return OwnerUnknown.NOT_FOUND


def _owner_limits(sockets: Iterable[Socket]) -> tuple[str, ...]:
    if sees_every_process() or not any(s.owner_unknown is OwnerUnknown.UNKNOWN for s in sockets):
        return ()
    return ("owners of other users' sockets cannot be read without root",)
