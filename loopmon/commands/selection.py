"""Which rows of a snapshot a one-shot command speaks of. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from loopmon.facts import facts_of
from loopmon.filter import Filter
from loopmon.findings.make import SYSTEM
from loopmon.model import Connection, Finding, Listener, Process, ProcessId, Snapshot


@dataclass(frozen=True, slots=True)
class Parts:
    """The part switches; none given means listeners and clients."""

    listeners: bool = False
    clients: bool = False
    processes: bool = False
    findings: bool = False

    @property
    def chosen(self) -> bool:
        return self.listeners or self.clients or self.processes or self.findings


@dataclass(frozen=True, slots=True)
class Selection:
    """A part that was not asked for is None."""

    listeners: tuple[Listener, ...] | None
    connections: tuple[Connection, ...] | None
    processes: tuple[Process, ...] | None
    findings: tuple[Finding, ...] = ()
    """Those about the rows that match, whichever parts were asked for."""

    def __bool__(self) -> bool:
        return bool(self.listeners or self.connections or self.processes)


def select(snapshot: Snapshot, wanted: Filter, parts: Parts) -> Selection:
    """Filter the asked-for parts. Processes asked for by name are matched by the filter themselves;
    without a part switch they are those that the selected rows name."""
    everything = not parts.chosen
    findings = _findings(snapshot, wanted)
    listeners = connections = None
    if everything or parts.listeners:
        listeners = tuple(row for row in snapshot.listeners if wanted.matches(row, snapshot))
    if everything or parts.clients:
        connections = tuple(row for row in snapshot.connections if wanted.matches(row, snapshot))
    if everything:
        named = _named(listeners or (), connections or ())
        return Selection(listeners, connections, _processes(snapshot, named), findings)
    processes = None
    if parts.processes:
        holding = _processes(snapshot, _named(snapshot.listeners, snapshot.connections))
        processes = tuple(process for process in holding if wanted.matches(process, snapshot))
    return Selection(listeners, connections, processes, findings)


def _findings(snapshot: Snapshot, wanted: Filter) -> tuple[Finding, ...]:
    """Those about a row that matches, and those about the system as a whole that match themselves."""
    if not wanted or not snapshot.findings:
        return snapshot.findings
    rows: tuple[Listener | Connection, ...] = (*snapshot.listeners, *snapshot.connections)
    subjects = {
        subject for row in rows if wanted.matches(row, snapshot) for subject in facts_of(row, snapshot).subjects
    }
    return tuple(
        found
        for found in snapshot.findings
        if (wanted.matches(found, snapshot) if found.subject == SYSTEM else found.subject in subjects)
    )


def _named(listeners: Iterable[Listener], connections: Iterable[Connection]) -> set[ProcessId]:
    named = {owner.process for listener in listeners for owner in listener.socket.owners}
    for connection in connections:
        named.update(owner.process for end in (connection.client, connection.server) for owner in end.owners)
    return named


def _processes(snapshot: Snapshot, named: set[ProcessId]) -> tuple[Process, ...]:
    return tuple(snapshot.processes[identity] for identity in sorted(named) if identity in snapshot.processes)
