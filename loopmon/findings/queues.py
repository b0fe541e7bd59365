"""Listeners whose clients are not served: stopped, not accepting, full. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from loopmon import words
from loopmon.findings.make import inspect, label, on_row
from loopmon.findings.scene import Scene
from loopmon.model import Certainty, Connection, Finding, FindingId, Listener, Process, Protocol, Severity

MIN_WAIT_S = 2.0
"""A server that is only busy takes its clients within this time, as a rule."""
STOPPED = frozenset({"stopped", "tracing-stop"})
"""As psutil calls the states T and t."""


def stopped(scene: Scene) -> Iterator[Finding]:
    """As long as one holder runs, it can accept."""
    for row in scene.snapshot.listeners:
        holders = scene.holders(row.socket)
        if _is_stopped(holders):
            top = (scene.top_holders(row.socket) or holders)[0]
            waiting = row.socket.recv_queue if row.socket.protocol is Protocol.TCP else 0
            yield on_row(
                row,
                FindingId.STOPPED,
                f"{label(top)} is stopped: clients connect and wait",
                "its state is T, as after Ctrl-Z; the kernel goes on accepting for it until the backlog is full",
                *([f"{words.count(waiting, 'client')} waiting"] if waiting else []),
                remedy=f"{'fg in its terminal, or ' if top.tty else ''}kill -CONT {top.id.pid}",
                severity=Severity.PROBLEM,
            )


def not_accepting(scene: Scene) -> Iterator[Finding]:
    """The same clients wait at two looks, and nobody was taken in between."""
    accepted_at = scene.accepted_at()
    for row in scene.snapshot.listeners:
        if _is_stopped(scene.holders(row.socket)):
            continue  # that is the reason, and said already
        waiting = scene.census.waiting.get(row.id, [])
        again = [connection for connection in waiting if connection.id in scene.past.waiting]
        oldest_s = max((waited_s(connection, scene.now) for connection in again), default=0.0)
        quiet_s = scene.now - accepted_at.get(row.id, 0.0)
        if oldest_s < MIN_WAIT_S or quiet_s < MIN_WAIT_S:
            continue
        backlog = f"; backlog {row.socket.send_queue}" if row.socket.send_queue is not None else ""
        yield on_row(
            row,
            FindingId.NOT_ACCEPTING,
            "nobody takes its clients",
            f"{_wait(len(waiting))} to be accepted, the oldest for {words.duration(oldest_s)}{backlog}",
            *_holders_state(scene, row),
            remedy=_look_into(scene, row),
            severity=Severity.PROBLEM,
            certainty=Certainty.LIKELY,
        )


def _is_stopped(holders: list[Process]) -> bool:
    return bool(holders) and all(process.status in STOPPED for process in holders)


def backlog_full(scene: Scene) -> Iterator[Finding]:
    for row in scene.snapshot.listeners:
        waiting, backlog = row.socket.recv_queue, row.socket.send_queue
        if row.socket.protocol is Protocol.TCP and waiting is not None and backlog is not None and waiting > backlog:
            yield on_row(
                row,
                FindingId.BACKLOG_FULL,
                "its queue is full: further clients will time out",
                f"{_wait(waiting)} to be accepted; backlog {backlog}",
                remedy=_look_into(scene, row),
                severity=Severity.PROBLEM,
            )


def waited_s(connection: Connection, now: float) -> float:
    """Since its handshake; at least since it was first seen, where it has sent something in the meantime."""
    heard_at = connection.server.socket.heard_at if connection.server.socket else None
    return now - min(heard_at, connection.first_seen) if heard_at is not None else 0.0


def _wait(clients: int) -> str:
    return f"{words.count(clients, 'client')} {'waits' if clients == 1 else 'wait'}"


def _holders_state(scene: Scene, row: Listener) -> Iterator[str]:
    holders = scene.top_holders(row.socket)
    if holders and holders[0].cpu_percent is not None and holders[0].cpu_percent >= 50:
        yield f"{label(holders[0])} is busy: {holders[0].cpu_percent:.0f} % of a core"


def _look_into(scene: Scene, row: Listener) -> str:
    holders = scene.top_holders(row.socket)
    return f"see what {label(holders[0])} is doing, or restart it" if holders else inspect(row.laddr.port)
