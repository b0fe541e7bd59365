"""The plain tables of ``loopmon ls``: aligned, never coloured, never truncated."""

from __future__ import annotations

from collections.abc import Iterable

from loopmon import words
from loopmon.age import listener_age, process_age
from loopmon.clean import clean
from loopmon.commands.selection import Selection
from loopmon.findings.kinds import KINDS
from loopmon.model import Connection, FindingId, Listener, Process, Snapshot

Cells = tuple[str, ...]

LISTENER_TITLES = (
    "PORT",
    "ADDRESS",
    "PROCESS",
    "PROJECT",
    "BRANCH",
    "CLIENTS",
    "AGE",
    "EXPOSED",
    "FINDINGS",
    "COMMAND",
)
CONNECTION_TITLES = ("FROM", "PROCESS", "TO", "PROCESS", "STATE", "FINDINGS")
PROCESS_TITLES = ("PID", "PROCESS", "USER", "PROJECT", "BRANCH", "STATUS", "AGE", "COMMAND")
RIGHT_ALIGNED = frozenset({"PORT", "CLIENTS", "AGE", "PID"})


def tables(snapshot: Snapshot, selection: Selection, *, processes: bool) -> str:
    """The parts that have rows, each under its titles, with an empty line between."""
    parts: list[str] = []
    if selection.listeners:
        parts.append(_table(LISTENER_TITLES, (_listener(row, snapshot) for row in selection.listeners)))
    if selection.connections:
        parts.append(_table(CONNECTION_TITLES, (_connection(row, snapshot) for row in selection.connections)))
    if selection.processes and processes:
        parts.append(_table(PROCESS_TITLES, (_process(row, snapshot) for row in selection.processes)))
    return "\n".join(parts)


def _table(titles: Cells, rows: Iterable[Cells]) -> str:
    lines = [titles, *rows]
    widths = [max(words.width(line[column]) for line in lines) for column in range(len(titles))]
    return "".join(_line(titles, line, widths) for line in lines)


def _line(titles: Cells, cells: Cells, widths: list[int]) -> str:
    padded = []
    for title, cell, width in zip(titles, cells, widths, strict=True):
        space = " " * (width - words.width(cell))
        padded.append(space + cell if title in RIGHT_ALIGNED else cell + space)
    return "  ".join(padded).rstrip() + "\n"


def _listener(listener: Listener, snapshot: Snapshot) -> Cells:
    owners = [owner.process for owner in listener.socket.owners]
    holder = next((snapshot.processes[owner] for owner in owners if owner in snapshot.processes), None)
    return (
        words.port(listener),
        words.address(listener.laddr.ip, listener.socket.v6only),
        words.owners_label(listener.socket, snapshot.processes),
        words.project_of(owners, snapshot.processes),
        clean(holder.branch or "") if holder else "",
        str(listener.connections),
        words.age(listener_age(listener, snapshot.taken_at)),
        "exposed" if listener.exposed else "",
        _look_at(listener.subject, snapshot),
        words.command_line(holder) if holder else "",
    )


def _connection(connection: Connection, snapshot: Snapshot) -> Cells:
    client, server = connection.client, connection.server
    return (
        words.endpoint(client.addr),
        words.end_label(client, snapshot.processes),
        words.endpoint(server.addr),
        words.end_label(server, snapshot.processes),
        words.state(connection),
        _look_at(connection.subject, snapshot),
    )


def _look_at(subject: str, snapshot: Snapshot) -> str:
    """What was found, in words; that it is exposed stands in a column of its own."""
    found = [each for each in snapshot.findings if each.subject == subject and each.id is not FindingId.EXPOSED]
    return ", ".join(KINDS[each.id].word for each in found)


def _process(process: Process, snapshot: Snapshot) -> Cells:
    age_s = process_age(process.id, snapshot.taken_at)
    return (
        str(process.id.pid),
        clean(process.name),
        clean(process.user or ""),
        clean(process.project or ""),
        clean(process.branch or ""),
        process.status or "",
        "" if age_s is None else words.duration(age_s),
        words.command_line(process),
    )
