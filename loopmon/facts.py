"""What a filter can ask of a row: the same facts for a listener, a connection and a process. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from loopmon import words
from loopmon.address import Address, matches
from loopmon.age import connection_age, listener_age, process_age
from loopmon.model import (
    Connection,
    Endpoint,
    Family,
    Finding,
    Listener,
    PortClass,
    Process,
    ProcessId,
    Protocol,
    Snapshot,
    Socket,
    Status,
)

Row = Listener | Connection | Process | Finding
"""A finding only where it belongs to no other row: about the system as a whole."""

FLAGS = {
    "exposed": "a listener that can be reached from outside this machine",
    "ephemeral": "a port from this system's ephemeral range",
    "listener": "a listener",
    "client": "a connection",
    "ipv6": "on an IPv6 socket",
    "unowned": "no process is known to hold it",
    "half": "only one end of the connection is in the table",
}


@dataclass(frozen=True)
class Facts:
    """Of one row, at the time of ``snapshot``."""

    row: Row
    snapshot: Snapshot
    endpoints: tuple[Endpoint, ...]
    sockets: tuple[Socket, ...]
    identities: tuple[ProcessId, ...]
    age_s: float | None

    @cached_property
    def processes(self) -> tuple[Process, ...]:
        known = self.snapshot.processes
        return tuple(known[identity] for identity in self.identities if identity in known)

    @cached_property
    def protocols(self) -> frozenset[Protocol]:
        return frozenset(found.protocol for found in self.sockets)

    def answers(self, wanted: Address) -> bool:
        """Whether one of the row's endpoints is the one that is asked for, or a wildcard that answers for it."""
        if isinstance(self.row, Connection | Finding):
            return any(matches(where, wanted) for where in self.endpoints)
        return any(matches(found.laddr, wanted) and _takes(found, wanted.ip) for found in self.sockets)

    @cached_property
    def flags(self) -> frozenset[str]:
        """Those of ``FLAGS`` that hold, and the ids of the row's findings."""
        if isinstance(self.row, Finding):
            return frozenset({self.row.id})
        flags = set(_own_flags(self.row))
        if any(found.family is Family.IPV6 for found in self.sockets):
            flags.add("ipv6")
        if not self.identities:
            flags.add("unowned")
        flags.update(finding.id for finding in self.snapshot.findings if finding.subject in self.subjects)
        return frozenset(flags)

    @cached_property
    def subjects(self) -> frozenset[str]:
        """What a finding about this row, or about a process in it, names as its subject."""
        if isinstance(self.row, Finding):
            return frozenset({self.row.subject})
        own = {self.row.subject} if not isinstance(self.row, Process) else set()
        return frozenset(own | {identity.subject for identity in self.identities})

    @cached_property
    def text(self) -> str:
        """Every word of the row, in lower case, for words that may match anywhere."""
        said = [f"{where.ip}:{where.port}" for where in self.endpoints]
        if not isinstance(self.row, Listener):
            said += [words.endpoint(where) for where in self.endpoints]
        said += [found.status for found in self.sockets if found.status is not Status.NONE]
        said += self.protocols
        if isinstance(self.row, Listener):
            said += [words.endpoint(self.row.laddr, self.row.socket.v6only), self.row.service or ""]
            said += [words.port(self.row), "exposed" if self.row.exposed else ""]
            said.append(words.owners_label(self.row.socket, self.snapshot.processes))
        elif isinstance(self.row, Finding):
            said += [self.row.id, self.row.title, *self.row.evidence]
        elif isinstance(self.row, Connection):
            said += [words.end_label(end, self.snapshot.processes) for end in (self.row.client, self.row.server)]
        for identity in self.identities:
            said.append(words.process_label(identity, self.snapshot.processes))
        for process in self.processes:
            said += [process.project or "", process.branch or "", process.user or ""]
            said.append(words.command_line(process))
        return "\n".join(said).lower()


def facts_of(row: Row, snapshot: Snapshot) -> Facts:
    now = snapshot.taken_at
    if isinstance(row, Listener):
        owners = _distinct(owner.process for owner in row.socket.owners)
        return Facts(row, snapshot, (row.laddr,), (row.socket,), owners, listener_age(row, now).seconds)
    if isinstance(row, Connection):
        ends = (row.client, row.server)
        sockets = tuple(end.socket for end in ends if end.socket)
        owners = _distinct(owner.process for end in ends for owner in end.owners)
        addresses = (row.client.addr, row.server.addr)
        return Facts(row, snapshot, addresses, sockets, owners, connection_age(row, now).seconds)
    if isinstance(row, Finding):
        return Facts(row, snapshot, (row.where,) if row.where else (), (), (), None)
    return Facts(row, snapshot, *_of_process(row, snapshot), (row.id,), process_age(row.id, now))


def _of_process(process: Process, snapshot: Snapshot) -> tuple[tuple[Endpoint, ...], tuple[Socket, ...]]:
    """The endpoints and sockets that the process holds itself."""
    held = [listener.socket for listener in snapshot.listeners]
    for connection in snapshot.connections:
        held += [end.socket for end in (connection.client, connection.server) if end.socket]
    own = tuple(s for s in held if any(owner.process == process.id for owner in s.owners))
    return tuple(s.laddr for s in own), own


def _takes(found: Socket, ip: str | None) -> bool:
    """Whether a socket bound to a wildcard takes this family: ``0.0.0.0`` IPv4 only, ``[::]`` both unless it is
    told otherwise."""
    if ip is None or ip == found.laddr.ip:
        return True
    return found.laddr.ip != "0.0.0.0" if ":" in ip else not found.v6only


def _own_flags(row: Row) -> Iterable[str]:
    if isinstance(row, Listener):
        yield "listener"
        if row.exposed:
            yield "exposed"
        if row.port_class is PortClass.EPHEMERAL:
            yield "ephemeral"
    elif isinstance(row, Connection):
        yield "client"
        if row.client.port_class is PortClass.EPHEMERAL:
            yield "ephemeral"
        if row.client.socket is None or row.server.socket is None:
            yield "half"


def _distinct(identities: Iterable[ProcessId]) -> tuple[ProcessId, ...]:
    return tuple(dict.fromkeys(identities))
