"""Asks every rule at every look, and keeps what they need to know of the looks before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from loopmon.findings import connections, holders, left_over, queues, reach
from loopmon.findings.census import Census, take_census
from loopmon.findings.kinds import weight
from loopmon.findings.make import SYSTEM
from loopmon.findings.scene import Past, Scene, remember
from loopmon.model import Connection, Finding, Snapshot

RULES: tuple[Callable[[Scene], Iterable[Finding]], ...] = (
    left_over.left_over,
    queues.stopped,
    queues.not_accepting,
    queues.backlog_full,
    holders.inherited,
    holders.unseen_owner,
    holders.shared,
    reach.exposed,
    reach.shadowed,
    connections.close_wait,
    connections.not_reading,
    connections.port_exhaustion,
    connections.bound_not_listening,
    connections.port_stolen,
)
LINGER_LOOKS = 1
"""A finding that is not there at one look stays for that one: it does not flicker."""


class Judge:
    """Used by one thread at a time."""

    def __init__(self) -> None:
        self._past = Past()
        self._census = Census()
        self._counted: tuple[Connection, ...] | None = None
        self._missed: dict[tuple[str, str], int] = {}
        self._found: tuple[Finding, ...] = ()
        self.wants_another_look = False
        """Whether a rule that needs two looks would say more after another one, a second later."""

    def judge(self, snapshot: Snapshot) -> Snapshot:
        """The same snapshot with what is worth looking at in it, the worst first."""
        if snapshot.connections is not self._counted:
            self._counted, self._census = snapshot.connections, take_census(snapshot.connections)
        scene = Scene(snapshot, self._census, self._past)
        found = [finding for rule in RULES for finding in rule(scene)]
        self.wants_another_look = _is_suspicious(scene)
        self._past = remember(scene)
        return replace(snapshot, findings=self._steady(found, snapshot))

    def _steady(self, found: list[Finding], snapshot: Snapshot) -> tuple[Finding, ...]:
        """With those of the last look that may be back at the next; the same tuple where nothing has changed."""
        now = {(finding.id, finding.subject) for finding in found}
        there = _subjects(snapshot)
        missed: dict[tuple[str, str], int] = {}
        for finding in self._found:
            key = (finding.id, finding.subject)
            if key in now:
                continue
            looks = self._missed.get(key, 0) + 1
            if looks <= LINGER_LOOKS and finding.subject in there:
                missed[key] = looks
                found.append(finding)
        self._missed = missed
        ordered = tuple(sorted(found, key=lambda finding: (*weight(finding), finding.subject)))
        if ordered != self._found:
            self._found = ordered
        return self._found


def _is_suspicious(scene: Scene) -> bool:
    census = scene.census
    return bool(
        scene.snapshot.bound
        or census.waiting
        or any(len(sockets) >= connections.MANY_CLOSE_WAIT for sockets in census.close_wait.values())
    )


def _subjects(snapshot: Snapshot) -> set[str]:
    """Of listeners, processes and the system; a connection that has gone takes its finding along."""
    return (
        {row.subject for row in snapshot.listeners} | {identity.subject for identity in snapshot.processes} | {SYSTEM}
    )
