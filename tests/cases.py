"""Made-up cases for ``loopmon why``: a healthy machine with a server on port 3000, and what can be wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from looks import SERVER, joined, look, with_queue
from making import NOW, listening, socket

from loopmon.actions.bind import EVERYWHERE, Bind
from loopmon.actions.probe import Outcome, Probe
from loopmon.firewall import Firewall
from loopmon.machine import Machine
from loopmon.model import (
    Certainty,
    Connection,
    Endpoint,
    Finding,
    FindingId,
    Process,
    Severity,
    Snapshot,
    Socket,
    Status,
)
from loopmon.why.answer import Answer, Verdict
from loopmon.why.case import Case
from loopmon.why.explain import explain
from loopmon.why.target import parse_target
from loopmon.why.verdict import judge

NO_RULES: dict[str, Any] = {"nftables": []}
READ = Firewall(NO_RULES, None)
UNREAD = Firewall(None, "the rules may not be read without root")
MACHINE = Machine(
    loopback_up=True,
    has_ipv6_loopback=True,
    reserved=(),
    unprivileged_start=1024,
    localhost=("127.0.0.1",),
    localhost_error=None,
    firewall=READ,
)
FREE = tuple(Bind(ip, 3000, free=True, needs_reuse=False) for ip in EVERYWHERE)
TAKEN = tuple(Bind(ip, 3000, free=False, code=98, reason="the port is in use") for ip in EVERYWHERE)
SERVER_SOCKET = with_queue(listening("127.0.0.1:3000", SERVER), 0, 511)
BOUND = socket("127.0.0.1:3000", None, 4312, status=Status.CLOSE)
ON_IPV6 = with_queue(listening("[::1]:3000", SERVER), 0, 511)


def case(
    what: str = "3000",
    *sockets: Socket,
    connections: Iterable[Connection] = (),
    processes: Iterable[Process] = (),
    bound: Iterable[Socket] = (),
    findings: Iterable[Finding] = (),
    machine: Machine | None = MACHINE,
    binds: tuple[Bind, ...] = FREE,
    outcome: Outcome | None = None,
    error: str | None = None,
    formerly: str | None = None,
) -> Case:
    """``sockets`` listen. Servers on ::1 are where the default scope has them: outside."""
    inside = [each for each in sockets if each.laddr.ip != "::1"]
    outside = [each for each in sockets if each.laddr.ip == "::1"]
    snapshot: Snapshot = replace(
        look(inside, connections, processes, bound=bound, out_of_scope=outside), findings=tuple(findings)
    )
    target = parse_target(what)
    probe = Probe(Endpoint("127.0.0.1", target.port), outcome, 0.25, error=error) if outcome else None
    return Case(target, snapshot, machine, binds, probe, formerly)


def verdict(what: str = "3000", *sockets: Socket, **more: Any) -> Verdict:
    return judge(case(what, *sockets, **more))


def answer(what: str = "3000", *sockets: Socket, **more: Any) -> Answer:
    return explain(case(what, *sockets, **more))


def said(found: Verdict) -> str:
    return "\n".join((found.headline, *found.evidence, *found.remedies))


def section(found: Answer, title: str) -> str:
    (lines,) = [each.lines for each in found.sections if each.title == title]
    return "\n".join(line.text for line in lines)


def finding(
    kind: FindingId, subject: str = f"listener:{SERVER_SOCKET.id}", title: str = "has it", *evidence: str
) -> Finding:
    return Finding(kind, Severity.WARNING, Certainty.CERTAIN, subject, title, evidence or ("seen",), "undo it")


EXHAUSTED = replace(
    finding(FindingId.PORT_EXHAUSTION, "system", "client ports to 127.0.0.1:3000 have run out", "all taken"),
    where=Endpoint("127.0.0.1", 3000),
)


def drops(port: int, family: str = "inet", protocol: str = "tcp") -> Firewall:
    """A rule that drops what comes in for the port."""
    match = {"op": "==", "left": {"payload": {"protocol": protocol, "field": "dport"}}, "right": port}
    place = {"family": family, "table": "filter"}
    base = {**place, "name": "input", "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}
    rule = {**place, "chain": "input", "expr": [{"match": match}, {"drop": None}]}
    return Firewall({"nftables": [{"chain": base}, {"rule": rule}]}, None)


def client_of(server: str, port: int = 3000) -> Connection:
    """An established one, from that port."""
    return joined(socket(f"127.0.0.1:{port}", server, 7001), socket(server, f"127.0.0.1:{port}", 811))


def old_connection() -> Connection:
    """Of a server on port 3000 that does not listen any more."""
    return joined(socket("127.0.0.1:40000", "127.0.0.1:3000", 7001), socket("127.0.0.1:3000", "127.0.0.1:40000", 4312))


def over(left_s: float | None = 42.0) -> Connection:
    """In TIME_WAIT at the end of the former server."""
    rest = socket("127.0.0.1:3000", "127.0.0.1:40001", status=Status.TIME_WAIT)
    return joined(None, replace(rest, expires_at=None if left_s is None else NOW + left_s))


def to_itself() -> Connection:
    own = socket("127.0.0.1:3000", "127.0.0.1:3000", 5300)
    return joined(own, own)
