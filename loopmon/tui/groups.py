"""Connections summed up by client process and server. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from loopmon.model import Connection, End, Status


@dataclass(frozen=True, slots=True)
class Group:
    """All connections from one client process to one server."""

    id: str
    members: tuple[Connection, ...]

    @property
    def first(self) -> Connection:
        return self.members[0]

    @property
    def states(self) -> dict[Status, int]:
        """How many are in which state, the commonest first."""
        return dict(Counter(member.status for member in self.members).most_common())


def group(connections: Iterable[Connection]) -> list[Group]:
    members: defaultdict[str, list[Connection]] = defaultdict(list)
    for connection in connections:
        members[_group_id(connection)].append(connection)
    return [Group(group_id, tuple(rows)) for group_id, rows in members.items()]


def _group_id(connection: Connection) -> str:
    server = connection.listener_id or f"{connection.server.addr.ip}|{connection.server.addr.port}"
    return f"group:{_who(connection.client)}>{server}"


def _who(client: End) -> str:
    """The first owner; clients without one are together by the reason."""
    if client.owners:
        return f"{client.owners[0].process.pid}@{client.owners[0].process.create_time}"
    return str(client.socket.owner_unknown) if client.socket else "missing"
