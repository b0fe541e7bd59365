"""``loopmon ls --csv``: one header for all kinds of rows; what does not apply or is unknown is empty."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import IO

from loopmon.age import AgeBasis, listener_age, process_age
from loopmon.clean import clean
from loopmon.commands.selection import Selection
from loopmon.model import Connection, Listener, Owner, Process, Snapshot

COLUMNS = (
    "kind",
    "id",
    "protocol",
    "family",
    "status",
    "address",
    "port",
    "peer_address",
    "peer_port",
    "pid",
    "process",
    "peer_pid",
    "peer_process",
    "user",
    "project",
    "branch",
    "exposed",
    "connections",
    "owner_unknown",
    "age_s",
    "cmdline",
    "findings",
)
"""Of a connection, ``address`` to ``process`` are the client end and ``peer_`` is the server end."""


def write_csv(out: IO[str], snapshot: Snapshot, selection: Selection, *, processes: bool) -> None:
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for listener in selection.listeners or ():
        writer.writerow(_clean(_listener(listener, snapshot)))
    for connection in selection.connections or ():
        writer.writerow(_clean(_connection(connection, snapshot)))
    for process in (selection.processes or ()) if processes else ():
        writer.writerow(_clean(_process(process, snapshot)))


def _listener(listener: Listener, snapshot: Snapshot) -> Iterator[tuple[str, object]]:
    socket = listener.socket
    yield from (("kind", "listener"), ("id", listener.id), ("protocol", socket.protocol), ("family", socket.family))
    yield from (("status", socket.status), ("address", socket.laddr.ip), ("port", socket.laddr.port))
    yield from _holder(socket.owners, snapshot)
    yield from (("exposed", str(listener.exposed).lower()), ("connections", listener.connections))
    yield "owner_unknown", socket.owner_unknown
    yield "findings", _findings(listener.subject, snapshot)
    age = listener_age(listener, snapshot.taken_at)
    yield "age_s", None if age.basis is AgeBasis.AT_LEAST else round(age.seconds)


def _connection(connection: Connection, snapshot: Snapshot) -> Iterator[tuple[str, object]]:
    client, server = connection.client, connection.server
    yield from (("kind", "connection"), ("id", connection.id), ("protocol", connection.protocol))
    yield from (("status", connection.status), ("address", client.addr.ip), ("port", client.addr.port))
    yield from (("peer_address", server.addr.ip), ("peer_port", server.addr.port))
    yield from _holder(client.owners, snapshot)
    yield from ((f"peer_{key}", value) for key, value in _holder(server.owners, snapshot) if key in {"pid", "process"})
    yield "owner_unknown", client.socket.owner_unknown if client.socket else None
    yield "findings", _findings(connection.subject, snapshot)


def _process(process: Process, snapshot: Snapshot) -> Iterator[tuple[str, object]]:
    age_s = process_age(process.id, snapshot.taken_at)
    yield from (("kind", "process"), ("pid", process.id.pid), ("status", process.status))
    yield from _details(process)
    yield "age_s", None if age_s is None else round(age_s)
    yield "findings", _findings(process.id.subject, snapshot)


def _findings(subject: str, snapshot: Snapshot) -> str:
    """Their ids, with a space between."""
    return " ".join(found.id for found in snapshot.findings if found.subject == subject)


def _holder(owners: tuple[Owner, ...], snapshot: Snapshot) -> Iterator[tuple[str, object]]:
    """The first holder."""
    if not owners:
        return
    identity = owners[0].process
    yield "pid", identity.pid
    if identity in snapshot.processes:
        yield from _details(snapshot.processes[identity])


def _details(process: Process) -> Iterator[tuple[str, object]]:
    yield from (("process", process.name), ("user", process.user), ("project", process.project))
    yield from (("branch", process.branch), ("cmdline", " ".join(process.cmdline or ())))


def _clean(cells: Iterator[tuple[str, object]]) -> dict[str, str]:
    return {key: "" if value is None else clean(str(value)) for key, value in cells}
