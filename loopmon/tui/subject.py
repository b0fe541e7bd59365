"""What is drilled into. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from loopmon.model import Connection, Finding, Listener, ProcessId, Snapshot
from loopmon.tui.groups import Group


@dataclass(frozen=True, slots=True)
class Subject:
    """A process, the row that led to it, or both; or what was found about the system as a whole."""

    process: ProcessId | None
    row: Listener | Connection | None = None
    finding: Finding | None = None


def subject_of(row: object) -> Subject | None:
    """Of a row of either table."""
    if isinstance(row, Listener):
        owners = row.socket.owners
        return Subject(owners[0].process if owners else None, row)
    if isinstance(row, Group):
        client = client_process(row.first)
        return Subject(client, None if client else row.first)
    return Subject(client_process(row), row) if isinstance(row, Connection) else None


def client_process(row: Connection) -> ProcessId | None:
    owners = row.client.owners
    return owners[0].process if owners else None


def renewed(subject: Subject, snapshot: Snapshot | None) -> Subject:
    """The same subject with its row as it is now."""
    if subject.row is None or snapshot is None:
        return subject
    rows: tuple[Listener | Connection, ...] = (*snapshot.listeners, *snapshot.connections)
    return replace(subject, row=next((row for row in rows if row.id == subject.row.id), subject.row))


def findings_on(subject: Subject, snapshot: Snapshot) -> list[Finding]:
    """About its row, its process, and the other listeners that the process holds; the worst first."""
    wanted = {subject.process.subject} if subject.process else set()
    if subject.row is not None:
        wanted.add(subject.row.subject)
    elif subject.process is not None:
        wanted |= {
            row.subject
            for row in snapshot.listeners
            if any(owner.process == subject.process for owner in row.socket.owners)
        }
    return [found for found in snapshot.findings if found.subject in wanted]
