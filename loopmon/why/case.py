"""Everything that is known about one port, gathered before it is explained. Frozen; asks nothing itself."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from loopmon import words
from loopmon.actions.bind import Bind
from loopmon.actions.probe import Probe
from loopmon.address import WILDCARDS, is_loopback, unmap
from loopmon.holding import reaches, servers
from loopmon.machine import Machine
from loopmon.model import Connection, Endpoint, Finding, FindingId, Listener, Protocol, Snapshot, Status
from loopmon.why.target import Target, is_localhost


@dataclass(frozen=True)
class Case:
    target: Target
    snapshot: Snapshot
    """Of everything on loopback, IPv6 as well, with findings."""
    machine: Machine | None = None
    """None: it was not asked, as the snapshot is of another machine."""
    binds: tuple[Bind, ...] = ()
    probe: Probe | None = None
    formerly: str | None = None
    """Who had the port a moment ago, as far as somebody looked."""

    @property
    def port(self) -> int:
        return self.target.port

    @property
    def protocol(self) -> Protocol:
        return Protocol.UDP if self.target.is_udp else Protocol.TCP

    @cached_property
    def addresses(self) -> tuple[str, ...]:
        """The loopback addresses that a client would try, in its order."""
        host = self.target.host
        if host is not None and is_localhost(host):
            return (self.machine.localhost if self.machine else ()) or ("127.0.0.1",)
        return (_loopback(host) or "127.0.0.1",)

    def place(self, ip: str | None = None) -> str:
        """The port at an address, by default at the one that was asked for."""
        return words.endpoint(Endpoint(ip or self.addresses[0], self.port))

    @property
    def made(self) -> tuple[str, ...]:
        """What became of the connection that was made, if one was."""
        if self.probe is None:
            return ()
        return (f"a connection just made from here: {self.probe.outcome}, after {self.probe.took_ms:.1f} ms",)

    @property
    def names_another_machine(self) -> bool:
        """The host is neither loopback nor a wildcard; what is explained then is this machine's own port."""
        host = (self.target.host or "").strip("[]")
        return bool(host) and host not in {*WILDCARDS, "*"} and not is_localhost(host) and _loopback(host) is None

    @cached_property
    def listeners(self) -> tuple[Listener, ...]:
        """On this port, whatever their address."""
        return tuple(
            row
            for row in (*self.snapshot.listeners, *self.snapshot.out_of_scope)
            if row.laddr.port == self.port and row.socket.protocol is self.protocol
        )

    def answering(self, ip: str) -> tuple[Listener, ...]:
        """The listeners that get a client's connection to this address; several share the port."""
        if self.protocol is Protocol.UDP:
            return tuple(row for row in self.listeners if reaches(row.socket, ip))
        chosen = {found.id for found in servers((row.socket for row in self.listeners), Endpoint(ip, self.port))}
        return tuple(row for row in self.listeners if row.id in chosen)

    @cached_property
    def as_client(self) -> tuple[Connection, ...]:
        """Live connections whose client has this port."""
        return tuple(row for row in self._live() if row.client.addr.port == self.port)

    @cached_property
    def as_server(self) -> tuple[Connection, ...]:
        """Live connections whose server has this port."""
        return tuple(row for row in self._live() if row.server.addr.port == self.port)

    @cached_property
    def in_time_wait(self) -> tuple[Connection, ...]:
        return tuple(
            row
            for row in self._connections()
            if row.status is Status.TIME_WAIT and self.port in {row.client.addr.port, row.server.addr.port}
        )

    @cached_property
    def bound(self) -> tuple[str, ...]:
        """Who is bound to the port without listening, and where."""
        return tuple(
            f"{words.owners_label(found, self.snapshot.processes)} on {words.endpoint(found.laddr, found.v6only)}"
            for found in self.snapshot.bound
            if found.laddr.port == self.port and found.protocol is self.protocol
        )

    def findings(self, row: Listener | Connection) -> Iterator[Finding]:
        subject = row.subject
        return (found for found in self.snapshot.findings if found.subject == subject)

    def finding(self, row: Listener | Connection, kind: FindingId) -> Finding | None:
        return next((found for found in self.findings(row) if found.id is kind), None)

    def who(self, row: Listener) -> str:
        """``node 4312 (api)``."""
        label = words.owners_label(row.socket, self.snapshot.processes)
        project = words.project_of((owner.process for owner in row.socket.owners), self.snapshot.processes)
        return f"{label} ({project})" if project else label

    def _live(self) -> Iterator[Connection]:
        return (row for row in self._connections() if row.status is not Status.TIME_WAIT)

    def _connections(self) -> Iterator[Connection]:
        return (row for row in self.snapshot.connections if row.protocol is self.protocol)


def _loopback(host: str | None) -> str | None:
    """The loopback address that ``host`` is, however it is written; None where it is something else."""
    try:
        ip = unmap(str(ipaddress.ip_address(host or "")))
    except ValueError:
        return None
    return ip if is_loopback(ip) else None
