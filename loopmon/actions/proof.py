"""Whether a port is free after a stop, found out by looking, for long enough to see a server that is started again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from loopmon import words
from loopmon.actions.bind import IN_USE, try_bind
from loopmon.actions.plan import Plan
from loopmon.address import LOCAL, WILDCARDS
from loopmon.clean import clean
from loopmon.holding import reaches
from loopmon.model import Listener, Process, ProcessId, Protocol, Snapshot, Socket, Status

WATCH_S = 2.0
"""So long a port must stay free: supervisors wait a second or two before they start a server again."""
TICK_S = 0.1


class Found(StrEnum):
    FREE = "free"
    SURVIVED = "survived"
    """Somebody who held it before still does."""
    CAME_BACK = "came-back"
    """Somebody new has it."""
    BLOCKED = "blocked"
    """Nobody listens, and yet it cannot be bound."""


@dataclass(frozen=True, slots=True)
class Proof:
    found: Found
    words: str

    @property
    def is_free(self) -> bool:
        return self.found is Found.FREE


def prove(
    plan: Plan,
    look: Callable[[], Snapshot],
    watch_s: float = WATCH_S,
    tell: Callable[[float], None] = lambda _left_s: None,
) -> Proof:
    """``look`` gives a fresh snapshot of everything on loopback; ``tell`` hears for how long it is still watched.
    Raises SourceError."""
    began = time.monotonic()
    before = {owner.process for row in plan.listeners for owner in row.socket.owners}
    while True:
        snapshot = look()
        holder = _holder(plan, snapshot)
        after_s = time.monotonic() - began
        if holder is not None:
            return _still_held(holder, before, snapshot, plan, after_s)
        if after_s >= watch_s:
            return _bindable(plan, snapshot)
        tell(watch_s - after_s)
        time.sleep(TICK_S)


def _holder(plan: Plan, snapshot: Snapshot) -> Listener | None:
    """A listener that has one of the addresses again, or still."""
    for wanted in plan.listeners:
        for row in (*snapshot.listeners, *snapshot.out_of_scope):
            same_port = row.laddr.port == wanted.laddr.port and row.socket.protocol is wanted.socket.protocol
            if same_port and _overlap(row, wanted):
                return row
    return None


def _overlap(one: Listener, other: Listener) -> bool:
    return any(reaches(one.socket, ip) and reaches(other.socket, ip) for ip in {*LOCAL, one.laddr.ip, other.laddr.ip})


def _still_held(row: Listener, before: set[ProcessId], snapshot: Snapshot, plan: Plan, after_s: float) -> Proof:
    who, where = words.owners_label(row.socket, snapshot.processes), words.listener_label(row)
    owners = [owner.process for owner in row.socket.owners]
    if row.id in plan.known or before & set(owners):
        return Proof(Found.SURVIVED, f"{where} is still held by {who}")
    process = snapshot.processes.get(owners[0]) if owners else None
    by = f", started again by {_starter(process, plan)}" if process and process.parents else ""
    return Proof(Found.CAME_BACK, f"{where} came back as {who} after {after_s:.1f} s{by}")


def _starter(process: Process, plan: Plan) -> str:
    above = process.parents[0]
    command = f"; stop it for good: {plan.supervisor.command}" if plan.supervisor and plan.supervisor.command else ""
    return f"{clean(above.name)} {above.process.pid}{command}"


def _bindable(plan: Plan, snapshot: Snapshot) -> Proof:
    places = [words.listener_label(row) for row in plan.listeners]
    reuse = False
    for row in plan.listeners:
        if row.socket.protocol is not Protocol.TCP:
            continue
        tried = try_bind(row.laddr.ip, row.laddr.port)
        if not tried.free and tried.code is not None and tried.reason == IN_USE:
            return Proof(Found.BLOCKED, f"{words.listener_label(row)} cannot be bound: {_blocker(row, plan, snapshot)}")
        reuse |= bool(tried.needs_reuse)
    free = f"{', '.join(dict.fromkeys(places))} {'is' if len(set(places)) == 1 else 'are'} free"
    if not reuse:
        return Proof(Found.FREE, free)
    left_over = _left_over(plan, snapshot) or "old connections still have it"
    return Proof(Found.FREE, f"{free} for servers that set SO_REUSEADDR, as most do; {left_over}")


def _blocker(wanted: Listener, plan: Plan, snapshot: Snapshot) -> str:
    """Who has the port without listening, as far as the table shows it."""
    for found in snapshot.bound:
        if found.laddr.port == wanted.laddr.port:
            who, where = words.owners_label(found, snapshot.processes), words.endpoint(found.laddr, found.v6only)
            return f"{who} holds {where} but does not listen"
    return _left_over(plan, snapshot) or "the port is in use"


def _keeps(found: Socket, wanted: Listener) -> bool:
    same_place = found.laddr.ip == wanted.laddr.ip or wanted.laddr.ip in WILDCARDS
    return found.laddr.port == wanted.laddr.port and same_place


def _left_over(plan: Plan, snapshot: Snapshot) -> str | None:
    """What old connections still have the port, and for how long."""
    ends = [
        found
        for row in snapshot.connections
        for end in (row.client, row.server)
        if (found := end.socket) and any(_keeps(found, wanted) for wanted in plan.listeners)
    ]
    waits = [found.expires_at - snapshot.taken_at for found in ends if found.expires_at is not None]
    waiting = sum(found.status is Status.TIME_WAIT for found in ends)
    if waiting and waits:
        return f"{words.count(waiting, 'old connection')} in TIME_WAIT for {words.duration(max(waits))} more"
    return f"{words.count(len(ends), 'old connection')} still open" if ends else None
