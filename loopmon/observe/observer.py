"""One reading after another into snapshots and the changes between them.

Owns what must be remembered from look to look. Used by one thread at a time; does no timing of its own.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from loopmon.model import (
    Change,
    ChangeKind,
    Connection,
    Listener,
    Ports,
    Process,
    ProcessId,
    Rate,
    Scope,
    Snapshot,
    Socket,
    Status,
)
from loopmon.observe import scope as scoping
from loopmon.observe.changes import by_id, differences
from loopmon.observe.pairing import Brief, Pairing
from loopmon.observe.processes import ProcessTable
from loopmon.observe.traffic import Traffic
from loopmon.ports import port_class, system_ports
from loopmon.sources import Reading

MAX_BRIEF = 200
"""So many connections that lived and died between two looks become changes of their own; all are counted."""


class Observation(NamedTuple):
    snapshot: Snapshot
    changes: tuple[Change, ...]
    """Since the observation before; none in the first. Rows outside the scope do not count."""


class Observer:
    """Everything on ``::1`` is followed too, so that changing the scope opens and closes nothing."""

    def __init__(self, source_name: str, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` decides when the details of a process have become old."""
        self._source_name = source_name
        self._ports: Ports | None = None
        self._pairing: Pairing | None = None
        self._processes = ProcessTable(clock)
        self._sockets: tuple[Socket, ...] | None = None
        self._listening: list[Socket] = []
        self._bound: tuple[Socket, ...] = ()
        self._listeners: dict[str, Listener] = {}
        self._connections: dict[str, Connection] = {}
        self._joined: list[Connection] | None = None
        """What pairing gave last; the same list means that nothing has changed. None before the first look."""
        self._traffic = Traffic()
        self._rates: Mapping[str, Rate] = {}
        self._destroyed: list[Socket] = []
        """Not looked into yet."""
        self._lost = 0
        self._last_was_partial = False
        self._counts: Counter[str | None] = Counter()
        self._holders: set[ProcessId] = set()
        self._holders_of: list[Connection] | None = None
        self._narrowed: list[Connection] | None = None
        self._hidden_connections = 0
        self._last: Snapshot | None = None

    def observe(self, reading: Reading, scope: Scope, focus: ProcessId | None = None) -> Observation:
        """``focus`` is the process whose details are wanted fresh."""
        ports = self._ports = reading.ports or self._ports or system_ports()
        pairing = self._pairing = self._pairing or Pairing(ports.ephemeral)
        now = reading.taken_at
        if reading.sockets is not self._sockets or self._joined is None:
            self._sockets = reading.sockets
            self._listening, connected, bound = scoping.split(reading.sockets)
            self._bound = tuple(bound)
            joined = pairing.join(connected, self._listening, now)
        else:
            joined = self._joined
        connections = self._connections if joined is self._joined else by_id(joined)
        listeners = self._to_listeners(self._listening, joined, ports, now)
        self._destroyed += [found for found in reading.destroyed if scoping.is_loopback_connection(found)]
        self._lost = reading.notices_lost or (self._lost if self._last and self._last_was_partial else 0)
        self._last_was_partial = reading.partial
        brief = Brief([], [], [])
        if not reading.partial:
            # Only beside a whole table can be told which of them no look has seen.
            if self._joined is not None:
                brief = pairing.brief(self._destroyed, self._listening, now)
            self._destroyed = []
            self._rates = self._traffic.update(connections, brief, listeners, now)
        changes: list[Change] = []
        if self._joined is not None:
            changes += differences(self._listeners, listeners, now)
            if joined is not self._joined:
                changes += differences(self._connections, connections, now)
        for row in [row for row in brief.gone if _in_scope(row, scope)][:MAX_BRIEF]:
            changes += (Change(ChangeKind.OPENED, now, row), Change(ChangeKind.CLOSED, now, row))
        self._listeners, self._connections, self._joined = listeners, connections, joined
        processes = self._read_processes(reading, focus)
        snapshot = self._narrow(reading, scope, ports, processes)
        return Observation(snapshot, tuple(change for change in changes if _in_scope(change.subject, scope)))

    def _to_listeners(
        self, sockets: Iterable[Socket], joined: list[Connection], ports: Ports, now: float
    ) -> dict[str, Listener]:
        """In the order of address and port; unchanged ones are the same objects as before."""
        if joined is not self._joined:
            live = (row for row in joined if row.status is not Status.TIME_WAIT)
            self._counts = Counter(row.listener_id for row in live)
        listeners: dict[str, Listener] = {}
        for socket in sorted(sockets, key=lambda s: (s.laddr.port, s.laddr.ip, s.id)):
            old = self._listeners.get(socket.id)
            if old and _is_taken_over(old.socket, socket):
                old = None
            new = Listener(
                socket=socket,
                exposed=scoping.is_exposed(socket),
                port_class=port_class(socket.laddr.port, ports.ephemeral),
                service=ports.services.get((socket.laddr.port, socket.protocol)),
                connections=self._counts[socket.id],
                first_seen=old.first_seen if old else now,
                seen_opening=old.seen_opening if old else self._joined is not None,
            )
            listeners[socket.id] = old if old == new else new
        return listeners

    def _read_processes(self, reading: Reading, focus: ProcessId | None) -> Mapping[ProcessId, Process]:
        if reading.processes is not None:
            return reading.processes
        wanted = {owner.process for row in self._listeners.values() for owner in row.socket.owners}
        wanted |= {owner.process for found in self._bound for owner in found.owners}
        if self._joined is not self._holders_of:
            self._holders_of = self._joined
            self._holders = {
                owner.process for row in self._joined or () for end in (row.client, row.server) for owner in end.owners
            }
        processes = self._processes.read(wanted | self._holders, focus)
        if self._last and self._last.processes == processes:
            return self._last.processes
        return MappingProxyType(processes)

    def _narrow(self, reading: Reading, scope: Scope, ports: Ports, processes: Mapping[ProcessId, Process]) -> Snapshot:
        """Keep what is in scope and count the rest. A part in which nothing changed is the same tuple."""
        last = self._last
        every_listener = tuple(self._listeners.values())
        listeners = tuple(row for row in every_listener if scoping.listener_in_scope(row, scope))
        if last and last.scope == scope and self._narrowed is self._joined:
            connections, hidden_connections = last.connections, self._hidden_connections
            in_time_wait = last.in_time_wait
        else:
            every_connection = self._joined or []
            connections = tuple(row for row in every_connection if scoping.connection_in_scope(row, scope))
            hidden_connections = self._hidden_connections = len(every_connection) - len(connections)
            in_time_wait = sum(row.status is Status.TIME_WAIT for row in connections)
            self._narrowed = self._joined
        self._last = Snapshot(
            taken_at=reading.taken_at,
            source=self._source_name,
            scope=scope,
            ports=ports,
            listeners=last.listeners if last and last.listeners == listeners else listeners,
            connections=last.connections if last and last.connections == connections else connections,
            in_time_wait=in_time_wait,
            processes=processes,
            hidden=scoping.hidden_by(scope, every_listener, hidden_connections),
            limits=(*reading.limits, *_losses(self._lost)),
            out_of_scope=tuple(row for row in every_listener if not scoping.listener_in_scope(row, scope)),
            bound=self._bound,
            rates=self._rates,
        )
        return self._last


def _in_scope(row: Listener | Connection, scope: Scope) -> bool:
    if isinstance(row, Listener):
        return scoping.listener_in_scope(row, scope)
    return scoping.connection_in_scope(row, scope)


def _losses(notices_lost: int) -> Iterator[str]:
    if notices_lost:
        yield "events lost: more connections came and went than the kernel could tell of"


def _is_taken_over(old: Socket, new: Socket) -> bool:
    """The same address, but nobody who held it before: a source that knows addresses only calls that the
    same socket, and it is another server."""
    before, after = ({owner.process for owner in found.owners} for found in (old, new))
    return bool(before and after and not before & after)
