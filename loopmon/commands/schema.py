"""A snapshot as JSON-ready values: schema 1. Keys may be added, never renamed or dropped.

What is unknown is None, never left out. Text stays as it was read: JSON's own escapes make it harmless.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from loopmon.clean import REPLACEMENT
from loopmon.commands.selection import Selection
from loopmon.model import Connection, End, Finding, Listener, Owner, OwnerUnknown, Process, Snapshot, Socket
from loopmon.observe.traffic import bytes_of

SCHEMA = 1


def document(snapshot: Snapshot, selection: Selection) -> dict[str, Any]:
    """A part that was not asked for is None."""
    scope, hidden = snapshot.scope, snapshot.hidden
    return {
        "schema": SCHEMA,
        "taken_at": datetime.fromtimestamp(snapshot.taken_at, UTC).isoformat(timespec="milliseconds"),
        "source": snapshot.source,
        "scope": {
            "network": "127.0.0.0/8",
            "ipv6": scope.ipv6,
            "bound_only": scope.bound_only,
            "hidden": {"ipv6_loopback": hidden.ipv6_loopback, "wildcard": hidden.wildcard},
        },
        "ephemeral_range": list(snapshot.ports.ephemeral),
        "limits": list(snapshot.limits),
        "listeners": _each(_listener, selection.listeners, snapshot),
        "connections": _each(_connection, selection.connections, snapshot),
        "processes": _each(_process, selection.processes, snapshot),
        "findings": [_finding(finding) for finding in selection.findings],
    }


def _each(build: Any, rows: Iterable[Any] | None, snapshot: Snapshot) -> list[dict[str, Any]] | None:
    return None if rows is None else [build(row, snapshot) for row in rows]


def _listener(listener: Listener, snapshot: Snapshot) -> dict[str, Any]:
    socket = listener.socket
    return {
        "id": listener.id,
        "protocol": socket.protocol,
        "family": socket.family,
        "address": socket.laddr.ip,
        "port": socket.laddr.port,
        "service": listener.service,
        "port_class": listener.port_class,
        "exposed": listener.exposed,
        "v6only": socket.v6only,
        "inode": socket.inode,
        "uid": socket.uid,
        "user": _user(socket.owners, snapshot),
        "owners": _owners(socket.owners, snapshot),
        "owner_unknown": _owner_unknown(socket),
        "queue": socket.recv_queue,
        "backlog": socket.send_queue,
        "connections": listener.connections,
        "findings": _findings_on(listener.subject, snapshot),
    }


def _connection(connection: Connection, snapshot: Snapshot) -> dict[str, Any]:
    client, server = connection.client.socket, connection.server.socket
    to_server, to_client = bytes_of(connection)
    rtt_us = _first_known(client.rtt_us if client else None, server.rtt_us if server else None)
    retransmits = [found.retransmits for found in {client, server} if found and found.retransmits is not None]
    return {
        "id": connection.id,
        "protocol": connection.protocol,
        "status": connection.status,
        "roles": connection.roles,
        "listener_id": connection.listener_id,
        "client": _end(connection.client, snapshot),
        "server": _end(connection.server, snapshot),
        "bytes_to_server": to_server,
        "bytes_to_client": to_client,
        "rtt_ms": None if rtt_us is None else rtt_us / 1000,
        "retransmits": sum(retransmits) if retransmits else None,
        "findings": _findings_on(connection.subject, snapshot),
    }


def _end(end: End, snapshot: Snapshot) -> dict[str, Any]:
    """``owners`` are those that hold the socket now; ``known_owners`` also names former holders and,
    by ``owners_basis``, the listener's."""
    socket = end.socket
    return {
        "address": end.addr.ip,
        "port": end.addr.port,
        "port_class": end.port_class,
        "status": socket.status if socket else None,
        "family": socket.family if socket else None,
        "inode": socket.inode if socket else None,
        "uid": socket.uid if socket else None,
        "user": _user(socket.owners if socket else (), snapshot),
        "owners": _owners(socket.owners if socket else (), snapshot),
        "owner_unknown": _owner_unknown(socket),
        "known_owners": _owners(end.owners, snapshot),
        "owners_basis": end.basis,
        "recv_queue": socket.recv_queue if socket else None,
        "send_queue": socket.send_queue if socket else None,
    }


def _process(process: Process, snapshot: Snapshot) -> dict[str, Any]:
    return {
        "pid": process.id.pid,
        "create_time": process.id.create_time or None,
        "name": _text(process.name) or None,
        "cmdline": None if process.cmdline is None else [_text(word) for word in process.cmdline],
        "exe": _text(process.exe),
        "cwd": _text(process.cwd),
        "project": _text(process.project),
        "project_path": _text(process.project_path),
        "branch": _text(process.branch),
        "user": _text(process.user),
        "status": process.status,
        "ppid": process.ppid,
        "parents": [{"pid": above.process.pid, "name": _text(above.name) or None} for above in process.parents],
        "tty": process.tty,
        "rss_bytes": process.rss_bytes,
        "cpu_percent": process.cpu_percent,
        "findings": _findings_on(process.id.subject, snapshot),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "severity": finding.severity,
        "certainty": finding.certainty,
        "subject": finding.subject,
        "title": _text(finding.title),
        "evidence": [_text(line) for line in finding.evidence],
        "remedy": _text(finding.remedy),
    }


def _owners(owners: tuple[Owner, ...], snapshot: Snapshot) -> list[dict[str, Any]]:
    listed = []
    for identity, fd in owners:
        process = snapshot.processes.get(identity)
        listed.append(
            {
                "pid": identity.pid,
                "create_time": identity.create_time or None,
                "name": _text(process.name) if process and process.name else None,
                "fd": fd if fd >= 0 else None,
            }
        )
    return listed


def _user(owners: tuple[Owner, ...], snapshot: Snapshot) -> str | None:
    users = (snapshot.processes[o.process].user for o in owners if o.process in snapshot.processes)
    return _text(next(users, None))


def _findings_on(subject: str, snapshot: Snapshot) -> list[str]:
    return [finding.id for finding in snapshot.findings if finding.subject == subject]


def _first_known(*numbers: int | None) -> int | None:
    return next((number for number in numbers if number is not None), None)


def _owner_unknown(socket: Socket | None) -> OwnerUnknown | None:
    """Null only with owners. An end that is not in the table has none that could be found."""
    if socket is None:
        return OwnerUnknown.NOT_FOUND
    return None if socket.owners else socket.owner_unknown or OwnerUnknown.UNKNOWN


def _text(text: str | None) -> str | None:
    """Lone surrogates stand for bytes that are not UTF-8; JSON readers refuse them."""
    if text is None or text.isascii():
        return text
    return "".join(REPLACEMENT if "\ud800" <= character <= "\udfff" else character for character in text)
