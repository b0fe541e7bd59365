"""What a rule sees: the snapshot, a census of its connections, and what came before. Frozen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from loopmon.findings.census import Census
from loopmon.model import DELETED, Listener, PortClass, Process, ProcessId, Protocol, Snapshot, Socket


@dataclass(frozen=True, slots=True)
class Past:
    """What the looks before have left behind."""

    since: float = 0.0
    """When the first look was, in seconds since the epoch."""
    waiting: Mapping[str, str] = field(default_factory=dict)
    """The connections that nobody had accepted at the last look, each with its listener."""
    accepted_at: Mapping[str, float] = field(default_factory=dict)
    """By listener: when a connection that had been waiting was last seen to wait no more."""
    close_wait: frozenset[str] = frozenset()
    """The sockets in CLOSE_WAIT at the last look."""
    bound_at: Mapping[str, float] = field(default_factory=dict)
    """By socket: when it was first seen to be bound without listening."""
    holders: Mapping[str, Mapping[ProcessId, Process]] = field(default_factory=dict)
    """By listener: who holds it, and the last holders that ran another program, as they were then."""
    served: Mapping[int, str] = field(default_factory=dict)
    """TCP ports, but ephemeral ones, that have been listened on since the first look, and who did."""
    client_at: Mapping[str, float] = field(default_factory=dict)
    """By listener: when it last had a client."""


@dataclass(frozen=True, slots=True)
class Scene:
    snapshot: Snapshot
    census: Census
    past: Past

    @property
    def now(self) -> float:
        return self.snapshot.taken_at

    def accepted_at(self) -> Mapping[str, float]:
        """By listener, this look included. One that has gone was taken as well: a client that gives up leaves its
        connection in the queue."""
        waiting = {row.id for rows in self.census.waiting.values() for row in rows}
        taken = {listener: self.now for row, listener in self.past.waiting.items() if row not in waiting}
        return {**self.past.accepted_at, **taken}

    def every_listener(self) -> Iterator[Listener]:
        """Those out of scope as well: they answer all the same."""
        yield from self.snapshot.listeners
        yield from self.snapshot.out_of_scope

    def holders(self, found: Socket) -> list[Process]:
        """The processes that hold a socket, as far as they could be read; each once."""
        known = self.snapshot.processes
        identities = dict.fromkeys(owner.process for owner in found.owners)
        return [known[identity] for identity in identities if identity in known and known[identity].name]

    def top_holders(self, found: Socket) -> list[Process]:
        """Those of them that descend from no other one: masters without their workers."""
        holders = self.holders(found)
        identities = {process.id for process in holders}
        return [process for process in holders if not any(above.process in identities for above in process.parents)]


def remember(scene: Scene) -> Past:
    """The past of the next look."""
    past, now, snapshot = scene.past, scene.now, scene.snapshot
    listeners = list(scene.every_listener())
    accepted_at = scene.accepted_at()
    client_at = {
        row.id: now if row.connections or row.id in snapshot.rates else past.client_at.get(row.id, 0.0)
        for row in listeners
    }
    return replace(
        past,
        since=past.since or now,
        waiting={row.id: listener for listener, rows in scene.census.waiting.items() for row in rows},
        accepted_at={row.id: accepted_at[row.id] for row in listeners if row.id in accepted_at},
        close_wait=frozenset(found.id for each in scene.census.close_wait.values() for found in each),
        bound_at={found.id: past.bound_at.get(found.id, now) for found in snapshot.bound},
        holders={row.id: _holders(scene, row) for row in listeners},
        served=_served(scene, listeners),
        client_at=client_at,
    )


def _holders(scene: Scene, row: Listener) -> Mapping[ProcessId, Process]:
    """Of those that have let go only the programs that no holder runs now: workers that are replaced all day would
    fill the memory."""
    now = {process.id: process for process in scene.holders(row.socket)}
    programs = {_program(process) for process in now.values()}
    before = scene.past.holders.get(row.id, {})
    return {identity: process for identity, process in before.items() if _program(process) not in programs} | now


def _program(process: Process) -> str:
    return (process.exe or process.name).removesuffix(DELETED)


def _served(scene: Scene, listeners: list[Listener]) -> Mapping[int, str]:
    served = scene.past.served
    named = {
        row.laddr.port: holders[0].name
        for row in listeners
        if row.socket.protocol is Protocol.TCP
        and row.port_class is not PortClass.EPHEMERAL
        and (holders := scene.holders(row.socket))
    }
    return served if all(served.get(port) == name for port, name in named.items()) else {**served, **named}
