"""Connections and ports that are not let go. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from loopmon import words
from loopmon.clean import clean
from loopmon.findings.make import SYSTEM, inspect, on_row
from loopmon.findings.scene import Scene
from loopmon.model import Certainty, Connection, Finding, FindingId, PortClass, RoleBasis, Severity, Status

MANY_CLOSE_WAIT = 3
CLOSE_WAIT_S = 5.0
UNREAD_S = 5.0
"""A process that is only busy reads within this time, as a rule."""
BOUND_S = 0.9
NEARLY_ALL, ALL = 0.8, 0.98
"""Shares of the ephemeral ports."""


def close_wait(scene: Scene) -> Iterator[Finding]:
    """Many at two looks, each old: a program that closes late has few and young ones."""
    for identity, sockets in scene.census.close_wait.items():
        old = [
            found
            for found in sockets
            if found.id in scene.past.close_wait and found.heard_at and scene.now - found.heard_at >= CLOSE_WAIT_S
        ]
        if len(old) < MANY_CLOSE_WAIT:
            continue
        who = words.process_label(identity, scene.snapshot.processes)
        oldest_s = max(scene.now - found.heard_at for found in old if found.heard_at)
        yield Finding(
            FindingId.CLOSE_WAIT,
            Severity.WARNING,
            Certainty.CERTAIN,
            identity.subject,
            f"{who} does not close {words.count(len(old), 'connection')} that the other side has closed",
            (f"{len(old)} sockets in CLOSE_WAIT, the oldest for {words.duration(oldest_s)}",),
            f"restart it: a descriptor leaks for each; ss -tanp state close-wait | grep pid={identity.pid}",
        )


def not_reading(scene: Scene) -> Iterator[Finding]:
    for connection, end in scene.census.unread:
        found = end.socket
        if found is None or not found.recv_queue or found.active_at is None:
            continue
        still_s = scene.now - found.active_at
        if still_s < UNREAD_S:
            continue
        who = words.end_label(end, scene.snapshot.processes)
        yield on_row(
            connection,
            FindingId.NOT_READING,
            f"{who} does not read what it was sent",
            f"{words.byte_count(found.recv_queue)} bytes unread for {words.duration(still_s)}",
            remedy=f"see what {who} is doing: it is busy, stopped or stuck",
            certainty=Certainty.LIKELY,
        )


def port_exhaustion(scene: Scene) -> Iterator[Finding]:
    low, high = scene.snapshot.ports.ephemeral
    room = high - low + 1
    for to, used in scene.census.client_ports.items():
        if used < NEARLY_ALL * room:
            continue
        full = used >= ALL * room
        yield Finding(
            FindingId.PORT_EXHAUSTION,
            Severity.PROBLEM if full else Severity.WARNING,
            Certainty.CERTAIN,
            SYSTEM,
            f"client ports to {words.endpoint(to.server)} {'have run' if full else 'are running'} out",
            (
                f"{used} of {room} ports ({low} to {high}) are taken from {to.client_ip}, "
                "connections in TIME_WAIT included",
                "then connect() fails: cannot assign requested address",
            ),
            "keep connections open and use them again, or widen net.ipv4.ip_local_port_range",
            to.server,
        )


def bound_not_listening(scene: Scene) -> Iterator[Finding]:
    """For a while: every server is in this state for a moment before it listens."""
    for found in scene.snapshot.bound:
        if scene.now - scene.past.bound_at.get(found.id, scene.now) < BOUND_S:
            continue
        yield Finding(
            FindingId.BOUND_NOT_LISTENING,
            Severity.NOTE,
            Certainty.CERTAIN,
            SYSTEM,
            f"port {found.laddr.port} is taken by a socket that does not listen",
            (
                f"{words.owners_label(found, scene.snapshot.processes)} is bound to {words.endpoint(found.laddr)}: "
                "to connect there is refused, to listen there fails",
            ),
            f"kill {found.owners[0].process.pid}" if found.owners else inspect(found.laddr.port),
            found.laddr,
        )


def port_stolen(scene: Scene) -> Iterator[Finding]:
    """Connected to itself, or from a port that a server has had or that is well known."""
    listening = {row.laddr.port for row in scene.every_listener()}
    registered = scene.census.registered_clients
    lost = (registered[port] for port in scene.past.served if port in registered)
    for connection in (*scene.census.odd_clients, *lost):
        if connection.status is Status.TIME_WAIT:
            continue
        client = connection.client
        port = client.addr.port
        if client.addr == connection.server.addr:
            who = words.end_label(client, scene.snapshot.processes)
            yield on_row(
                connection,
                FindingId.PORT_STOLEN,
                f"{who} is connected to itself on port {port}",
                f"nothing listened on {words.endpoint(client.addr)}, and the kernel gave the client that very port",
                "as long as it is open, no server can have this port",
                remedy=_end(connection),
                severity=Severity.PROBLEM,
            )
        elif port not in listening and (reason := _wanted(scene, connection)):
            who = words.end_label(client, scene.snapshot.processes)
            yield on_row(
                connection,
                FindingId.PORT_STOLEN,
                f"{who} has port {port} as its client port",
                reason,
                "no server can have this port until the connection has ended",
                remedy=_end(connection),
                certainty=Certainty.LIKELY,
            )


def _wanted(scene: Scene, connection: Connection) -> str | None:
    """Why a server would want this port. Of ends that are told apart by guess nothing is said."""
    port = connection.client.addr.port
    if connection.roles not in {RoleBasis.LISTENER, RoleBasis.SEEN}:
        return None
    if port in scene.past.served:
        return f"{clean(scene.past.served[port])} listened there before"
    if connection.client.port_class is PortClass.WELL_KNOWN:
        return "it is a well-known port, kept for servers"
    return None


def _end(connection: Connection) -> str:
    owners = connection.client.owners
    return f"end the client: kill {owners[0].process.pid}" if owners else inspect(connection.client.addr.port)
