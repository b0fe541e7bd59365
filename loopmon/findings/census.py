"""One pass over all connections, for every rule that would need one of its own. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from loopmon.model import Connection, End, Endpoint, OwnerUnknown, PortClass, ProcessId, Socket, Status

_MAY_WAIT = frozenset({Status.ESTABLISHED, Status.CLOSE_WAIT})
_READABLE = frozenset({Status.ESTABLISHED, Status.FIN_WAIT1, Status.FIN_WAIT2})
"""In the other states the other side has closed: the kernel counts that as one byte more, and a program that keeps
a connection in store need not have noticed."""


@dataclass(frozen=True, slots=True)
class Destination:
    """What client ports are told apart by: the kernel may use one again for another destination."""

    client_ip: str
    server: Endpoint


@dataclass(frozen=True, slots=True)
class Census:
    waiting: Mapping[str, list[Connection]] = field(default_factory=dict)
    """By listener: the connections that nobody has accepted yet."""
    close_wait: Mapping[ProcessId, list[Socket]] = field(default_factory=dict)
    """By holder: the ends whose other side has closed."""
    unread: tuple[tuple[Connection, End], ...] = ()
    """Ends with a holder and bytes in the receive queue that are not the other side's farewell."""
    client_ports: Mapping[Destination, int] = field(default_factory=dict)
    """How many ephemeral ports are in use for one destination, those in TIME_WAIT included."""
    odd_clients: tuple[Connection, ...] = ()
    """Connected to themselves, or from a well-known port."""
    registered_clients: Mapping[int, Connection] = field(default_factory=dict)
    """By client port, of those that are neither ephemeral nor well-known; one of each."""


def take_census(connections: Iterable[Connection]) -> Census:
    """Written for speed: it runs over every connection whenever one of them has changed."""
    waiting: defaultdict[str, list[Connection]] = defaultdict(list)
    close_wait: defaultdict[ProcessId, list[Socket]] = defaultdict(list)
    unread: list[tuple[Connection, End]] = []
    odd: list[Connection] = []
    registered: dict[int, Connection] = {}
    ports: Counter[tuple[str, Endpoint]] = Counter()
    for connection in connections:
        client, server = connection.client, connection.server
        if client.port_class is PortClass.EPHEMERAL:
            if client.socket is not None:  # where only the server's end waits in TIME_WAIT, the port is free again
                ports[client.addr[0], server.addr] += 1
            if client.addr == server.addr:
                odd.append(connection)
        elif client.addr == server.addr or client.port_class is PortClass.WELL_KNOWN:
            odd.append(connection)
        else:
            registered[client.addr[1]] = connection
        for end in (client, server) if client.addr != server.addr else (client,):
            found = end.socket
            if found is None:
                continue
            if found.status is Status.CLOSE_WAIT and found.owners:
                close_wait[found.owners[0].process].append(found)
            if found.recv_queue and found.owners and (found.status in _READABLE or found.recv_queue > 1):
                unread.append((connection, end))
        accepting = server.socket
        if (
            accepting is not None
            and accepting.owner_unknown is OwnerUnknown.NOT_ACCEPTED
            and connection.listener_id is not None
            and accepting.status in _MAY_WAIT
        ):
            waiting[connection.listener_id].append(connection)
    destinations = {Destination(*key): count for key, count in ports.items()}
    return Census(waiting, close_wait, tuple(unread), destinations, tuple(odd), registered)
