"""Made-up looks for the rules: a snapshot at a given second, judged, and what was found in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from making import EPHEMERAL, NOW, listener, process, socket
from making import snapshot as made

from loopmon.findings import Judge
from loopmon.model import (
    Connection,
    End,
    Endpoint,
    Finding,
    FindingId,
    OwnerBasis,
    OwnerUnknown,
    Process,
    Protocol,
    RoleBasis,
    Snapshot,
    Socket,
    Status,
)
from loopmon.ports import port_class

SERVER, CLIENT = 4312, 7001


def look(
    listeners: Iterable[Socket] = (),
    connections: Iterable[Connection] = (),
    processes: Iterable[Process] = (),
    *,
    after_s: float = 0.0,
    bound: Iterable[Socket] = (),
    out_of_scope: Iterable[Socket] = (),
) -> Snapshot:
    """Every holder is a plain process unless ``processes`` says otherwise."""
    sockets, rows, bound, hidden = tuple(listeners), tuple(connections), tuple(bound), tuple(out_of_scope)
    pids = {owner.process.pid for found in (*sockets, *bound, *hidden) for owner in found.owners}
    pids |= {owner.process.pid for each in rows for side in (each.client, each.server) for owner in side.owners}
    known = {each.id.pid: each for each in [*(process(pid) for pid in sorted(pids)), *processes]}
    return replace(
        made([listener(found) for found in sockets], rows, known.values()),
        taken_at=NOW + after_s,
        bound=bound,
        out_of_scope=tuple(listener(found) for found in hidden),
    )


def judged(*looks: Snapshot) -> tuple[Finding, ...]:
    """What is found at the last of these looks."""
    judge = Judge()
    findings: tuple[Finding, ...] = ()
    for each in looks:
        findings = judge.judge(each).findings
    return findings


def found(kind: FindingId, *looks: Snapshot) -> list[Finding]:
    return [finding for finding in judged(*looks) if finding.id is kind]


def one(kind: FindingId, *looks: Snapshot) -> Finding:
    findings = found(kind, *looks)
    assert len(findings) == 1, findings
    return findings[0]


def told(finding: Finding) -> str:
    return "\n".join((finding.title, *finding.evidence, finding.remedy))


def side(found: Socket | None, addr: Endpoint) -> End:
    owners = found.owners if found else ()
    basis = OwnerBasis.HOLDS if owners else OwnerBasis.UNKNOWN
    return End(addr, found, owners, basis, port_class(addr.port, EPHEMERAL))


def joined(
    client: Socket | None,
    server: Socket | None,
    listening: Socket | None = None,
    *,
    roles: RoleBasis | None = None,
    first_seen: float = NOW,
) -> Connection:
    """Of two sockets, one of which may be missing."""
    near = client.laddr if client else server.raddr if server else None
    far = server.laddr if server else client.raddr if client else None
    assert near is not None
    assert far is not None
    return Connection(
        id=f"tcp:{near.ip}|{near.port}-{far.ip}|{far.port}",
        protocol=Protocol.TCP,
        client=side(client, near),
        server=side(server, far),
        roles=roles or (RoleBasis.LISTENER if listening else RoleBasis.EPHEMERAL_RANGE),
        listener_id=listening.id if listening else None,
        first_seen=first_seen,
        seen_opening=False,
    )


def waiting(server: Socket, port: int, *, since_s: float | None, first_seen: float = NOW) -> Connection:
    """A client that nobody has accepted; ``since_s`` is when it was last heard of, from the first look on."""
    here = f"{server.laddr.ip}:{server.laddr.port}"
    client = socket(f"127.0.0.1:{port}", here, CLIENT)
    unaccepted = socket(here, f"127.0.0.1:{port}", unknown=OwnerUnknown.NOT_ACCEPTED)
    unaccepted = replace(unaccepted, heard_at=None if since_s is None else NOW + since_s)
    return joined(client, unaccepted, server, first_seen=first_seen)


def served(server: Socket, port: int) -> Connection:
    here = f"{server.laddr.ip}:{server.laddr.port}"
    accepted = socket(here, f"127.0.0.1:{port}", SERVER)
    return joined(socket(f"127.0.0.1:{port}", here, CLIENT), accepted, server)


def half_closed(port: int, pid: int, *, heard_s: float | None, server: str = "127.0.0.1:9000") -> Connection:
    """The server's end, of which the other side has closed."""
    held = socket(server, f"127.0.0.1:{port}", pid, status=Status.CLOSE_WAIT)
    return joined(None, replace(held, heard_at=None if heard_s is None else NOW + heard_s, recv_queue=1))


def with_queue(found: Socket, waits: int | None, backlog: int | None = None) -> Socket:
    return replace(found, recv_queue=waits, send_queue=backlog)


def in_state(pid: int, status: str | None) -> Process:
    """As psutil calls it."""
    return replace(process(pid), status=status)
