"""Builders of sockets, rows and snapshots that the tests share. Everything has a plain default."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from loopmon.address import parse_address
from loopmon.model import (
    Connection,
    End,
    Endpoint,
    Family,
    Finding,
    Hidden,
    Listener,
    Owner,
    OwnerBasis,
    OwnerUnknown,
    PortClass,
    Ports,
    Process,
    ProcessId,
    Protocol,
    RoleBasis,
    Scope,
    Snapshot,
    Socket,
    Status,
)
from loopmon.observe.scope import is_exposed
from loopmon.ports import port_class
from loopmon.sources import Reading

NOW = 1_767_355_384.0
"""2026-01-02 at 12:03:04 UTC."""
EPHEMERAL = (32768, 60999)
PORTS = Ports(EPHEMERAL, {(5432, Protocol.TCP): "postgresql", (5353, Protocol.UDP): "mdns"})

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Enough examples to find a mistake, few enough for a slow machine."""

Step = Callable[[], Reading]
"""What one read of a scripted source does."""

HOSTILE = "evil\x1b[31m\x00\n\u202e\u200b\ud800[red]"
"""A name with an escape sequence, a NUL, a line end, an override, an invisible character and a surrogate."""


def at(text: str) -> Endpoint:
    """``127.0.0.1:3000``, ``[::1]:3000``, ``0.0.0.0:3000``, ``[::]:3000``."""
    ip, port = parse_address(text)
    assert ip is not None
    assert port is not None
    return Endpoint(ip, port)


def owner(pid: int, fd: int = 3) -> Owner:
    return Owner(process_id(pid), fd)


def process_id(pid: int) -> ProcessId:
    return ProcessId(pid, NOW - 3600 - pid / 1000)


def process(pid: int, name: str = "node", *, cmdline: tuple[str, ...] | None = None) -> Process:
    return Process(id=process_id(pid), name=name, cmdline=cmdline)


def socket(
    laddr: str,
    raddr: str | None = None,
    *pids: int,
    id: str | None = None,  # noqa: A002  the field's own name
    status: Status = Status.ESTABLISHED,
    protocol: Protocol = Protocol.TCP,
    unknown: OwnerUnknown | None = None,
    v6only: bool | None = None,
) -> Socket:
    near = at(laddr)
    return Socket(
        id=id or f"{protocol}:{laddr}" + (f">{raddr}" if raddr else ""),
        protocol=protocol,
        family=Family.IPV6 if ":" in near.ip else Family.IPV4,
        status=status,
        laddr=near,
        raddr=at(raddr) if raddr else None,
        owners=tuple(owner(pid) for pid in pids),
        owner_unknown=None if pids else unknown or OwnerUnknown.UNKNOWN,
        v6only=v6only,
    )


def listening(
    laddr: str,
    *pids: int,
    id: str | None = None,  # noqa: A002  the field's own name
    protocol: Protocol = Protocol.TCP,
    unknown: OwnerUnknown | None = None,
    v6only: bool | None = None,
) -> Socket:
    status = Status.LISTEN if protocol is Protocol.TCP else Status.NONE
    return socket(laddr, None, *pids, id=id, status=status, protocol=protocol, unknown=unknown, v6only=v6only)


def both_ends(client: str, server: str, client_pid: int = 7001, server_pid: int = 4312) -> tuple[Socket, Socket]:
    """An established connection as the source reports it: one socket for each end."""
    return socket(client, server, client_pid), socket(server, client, server_pid)


def listener(found: Socket, connections: int = 0, *, first_seen: float = NOW, seen_opening: bool = False) -> Listener:
    return Listener(
        socket=found,
        exposed=is_exposed(found),
        port_class=port_class(found.laddr.port, EPHEMERAL),
        service=PORTS.services.get((found.laddr.port, found.protocol)),
        connections=connections,
        first_seen=first_seen,
        seen_opening=seen_opening,
    )


def end(addr: str, found: Socket | None = None, basis: OwnerBasis | None = None, *pids: int) -> End:
    """``pids`` are for an end whose owners are known otherwise than by holding ``found``."""
    owners = tuple(owner(pid) for pid in pids) or (found.owners if found else ())
    where = at(addr)
    known_by = basis or (OwnerBasis.HOLDS if owners else OwnerBasis.UNKNOWN)
    return End(where, found, owners, known_by, PortClass.EPHEMERAL)


def connection(
    client: End, server: End, *, first_seen: float = NOW, seen_opening: bool = False, listener_id: str | None = None
) -> Connection:
    return Connection(
        id=f"tcp:{client.addr.ip}|{client.addr.port}-{server.addr.ip}|{server.addr.port}",
        protocol=Protocol.TCP,
        client=client,
        server=server,
        roles=RoleBasis.LISTENER if listener_id else RoleBasis.GUESS,
        listener_id=listener_id,
        first_seen=first_seen,
        seen_opening=seen_opening,
    )


def snapshot(
    listeners: Iterable[Listener] = (),
    connections: Iterable[Connection] = (),
    processes: Iterable[Process] = (),
    findings: Iterable[Finding] = (),
) -> Snapshot:
    rows = tuple(connections)
    return Snapshot(
        taken_at=NOW,
        source="made",
        scope=Scope(),
        ports=PORTS,
        listeners=tuple(listeners),
        connections=rows,
        in_time_wait=sum(row.status is Status.TIME_WAIT for row in rows),
        processes={process.id: process for process in processes},
        hidden=Hidden(),
        limits=(),
        findings=tuple(findings),
    )


def reading(*sockets: Socket, taken_at: float = NOW, limits: tuple[str, ...] = ()) -> Reading:
    """It knows its processes and ports itself, so nothing is asked of this system."""
    held = {owner.process for found in sockets for owner in found.owners}
    processes = {identity: Process(id=identity, name="node") for identity in held}
    return Reading(taken_at, sockets, limits, processes, PORTS)


class Script:
    """A source that does one step a read, the last one again and again. It notes who looks when."""

    name = "script"
    has_listener_lane = False

    def __init__(self, *steps: Step) -> None:
        self._steps = list(steps)
        self._inside = 0
        self.reads = 0
        self.overlapped = False
        self.closed = threading.Event()

    def read(self, focus: ProcessId | None = None) -> Reading:
        self._inside += 1
        self.overlapped |= self._inside > 1
        step = self._steps[min(self.reads, len(self._steps) - 1)]
        self.reads += 1
        try:
            return step()
        finally:
            self._inside -= 1

    def read_listeners(self, focus: ProcessId | None = None) -> Reading | None:
        return None

    def close(self) -> None:
        self.closed.set()


any_text = st.text(st.characters(codec=None), max_size=60)
"""Every code point, lone surrogates too."""
