"""Who holds a listener, where that is not simply its server. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from loopmon import words
from loopmon.findings.kin import SHELLS, are_related, is_same_program
from loopmon.findings.make import inspect, label, on_row
from loopmon.findings.scene import Scene
from loopmon.model import (
    Certainty,
    Finding,
    FindingId,
    Listener,
    OwnerUnknown,
    Process,
    Protocol,
    Severity,
)

NEVER_SERVES = SHELLS | frozenset(
    {"sleep", "cat", "tail", "head", "less", "more", "grep", "tee", "watch", "vi", "vim", "nano", "mpv", "xdg-open"}
    | {"make", "git", "sudo", "su"}
)
"""Programs that never listen on a port of their own."""


def inherited(scene: Scene) -> Iterator[Finding]:
    """The server has gone, and another program that it started still has its socket."""
    for row in scene.snapshot.listeners:
        holders = scene.holders(row.socket)
        if not holders:
            continue
        now = {process.id for process in holders}
        servers = [
            process
            for process in scene.past.holders.get(row.id, {}).values()
            if process.id not in now and not any(is_same_program(process, each) for each in holders)
        ]
        if servers:
            evidence = f"{label(servers[0])} had it before and has let it go; {_names(holders)} started with it open"
        elif all(process.name in NEVER_SERVES for process in holders):
            evidence = f"{_names(holders)} is no server: it was started by one, with its socket open"
        else:
            continue
        yield on_row(
            row,
            FindingId.INHERITED,
            f"held by {label(holders[0])}, which is not its server",
            evidence,
            "nobody will accept here, and the port stays taken until the holder ends",
            remedy=f"kill {holders[0].id.pid}, if it can be missed",
            severity=Severity.PROBLEM,
            certainty=Certainty.LIKELY,
        )


def unseen_owner(scene: Scene) -> Iterator[Finding]:
    """Nobody in the process table, or a process that is there in name only: its main thread has ended."""
    for row in scene.snapshot.listeners:
        undead = [process for process in scene.holders(row.socket) if process.status == "zombie"]
        if undead:
            yield on_row(
                row,
                FindingId.UNSEEN_OWNER,
                f"held by a thread of {label(undead[0])}, whose main thread has ended",
                "it shows as a zombie without descriptors, yet a thread of it still serves",
                remedy=f"kill -KILL {undead[0].id.pid} ends all its threads",
            )
        elif not row.socket.owners and row.socket.owner_unknown is OwnerUnknown.NOT_FOUND:
            yield on_row(
                row,
                FindingId.UNSEEN_OWNER,
                "no process that can be seen holds it",
                "every process was searched: it is the kernel's own, in another container, or on its way between two",
                remedy=f"rpcinfo -p, wg show, or {inspect(row.laddr.port)} outside of this container",
                severity=Severity.NOTE,
            )


def shared(scene: Scene) -> Iterator[Finding]:
    """A pre-forking server's own workers are only noted; strangers on one port take each other's clients."""
    rows = [row for row in scene.snapshot.listeners if row.socket.protocol is Protocol.TCP]
    by_place: dict[object, list[Listener]] = {}
    for row in rows:
        by_place.setdefault((row.laddr, row.socket.family), []).append(row)
    for siblings in by_place.values():
        for row in siblings:
            holders = scene.holders(row.socket)
            others = [each for sibling in siblings if sibling is not row for each in scene.holders(sibling.socket)]
            if len(siblings) > 1:
                strangers = [process for process in others if not any(are_related(process, each) for each in holders)]
                yield on_row(
                    row,
                    FindingId.SHARED,
                    f"{len(siblings)} sockets share this port",
                    f"each gets a part of the connections (SO_REUSEPORT); also held by {_names(others) or 'others'}",
                    remedy=f"stop the one that is not meant: {inspect(row.laddr.port)} lists them",
                    severity=Severity.WARNING if strangers and holders else Severity.NOTE,
                )
            elif len(holders) > 1:
                yield on_row(
                    row,
                    FindingId.SHARED,
                    f"{len(holders)} processes share this socket",
                    f"any of them may accept: {_names(holders)}",
                    remedy="to stop it, stop the master first: enter shows who that is",
                    severity=Severity.NOTE,
                )


def _names(processes: list[Process]) -> str:
    named = [label(process) for process in processes[:4]]
    more = f" and {words.count(len(processes) - 4, 'other')}" if len(processes) > 4 else ""
    return ", ".join(named) + more
