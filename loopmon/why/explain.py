"""The whole answer: the verdict first, then what the number is, who answers, how a connection could fail, and
whether the port can be bound. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from loopmon import words
from loopmon.actions.bind import Bind
from loopmon.actions.probe import Outcome, Probe
from loopmon.address import LOCAL
from loopmon.clean import clean
from loopmon.firewall import blocks
from loopmon.holding import why_not_free
from loopmon.model import Endpoint, FindingId, Listener, PortClass, Socket
from loopmon.ports import port_class
from loopmon.why.answer import Answer, Line, Section, Weight
from loopmon.why.case import Case
from loopmon.why.verdict import judge

_CLASSES = {
    PortClass.WELL_KNOWN: "a well-known port (IANA: 0-1023)",
    PortClass.REGISTERED: "a registered port (IANA: 1024-49151)",
    PortClass.DYNAMIC: "a dynamic port (IANA: 49152-65535)",
}
_OUTCOMES = {
    Outcome.TAKEN: "accepted, and taken by the server",
    Outcome.NOT_TAKEN: "accepted by the kernel, but no process takes it",
    Outcome.CONNECTED: "accepted; whether a process took it cannot be told",
    Outcome.CLOSED: "accepted, and closed by the server at once",
    Outcome.RESET: "accepted, and reset by the server at once",
    Outcome.REFUSED: "refused",
    Outcome.TIMED_OUT: "timed out",
    Outcome.SELF: "connected to itself: nobody listens there",
    Outcome.UNREACHABLE: "unreachable",
    Outcome.NOT_PERMITTED: "not permitted",
    Outcome.NO_PORTS: "no client port is left for it",
    Outcome.FAILED: "could not be made",
}
_QUEUE_TROUBLES = (FindingId.STOPPED, FindingId.BACKLOG_FULL, FindingId.NOT_ACCEPTING)


def explain(case: Case) -> Answer:
    sections = [Section("PROBE", (_probed(case.probe),))] if case.probe else []
    sections += [
        Section("NUMBER", tuple(_number(case))),
        Section("ANSWERS", tuple(_answers(case))),
        Section("FAILS", tuple(_failures(case))),
    ]
    if case.binds:
        sections.append(Section("BIND", tuple(_bindable(bind, case) for bind in case.binds)))
    return Answer(judge(case), tuple(sections))


def _probed(probe: Probe) -> Line:
    """What became of the connection that was asked for."""
    good = probe.outcome in {Outcome.TAKEN, Outcome.CONNECTED}
    said = f"{_OUTCOMES[probe.outcome]}, after {probe.took_ms:.1f} ms"
    return Line(f"{said} ({clean(probe.error)})" if probe.error else said, Weight.GOOD if good else Weight.BAD)


def _number(case: Case) -> Iterator[Line]:
    low, high = case.snapshot.ports.ephemeral
    kind = port_class(case.port, case.snapshot.ports.ephemeral)
    if kind is PortClass.EPHEMERAL:
        yield Line(f"inside this system's ephemeral range {low}-{high}: given to clients that ask for any port")
    else:
        yield Line(f"{_CLASSES[kind]}, outside of this system's ephemeral range {low}-{high}")
    if case.names_another_machine:
        elsewhere = clean(case.target.host or "", 80)
        yield Line(f"{elsewhere} is not a loopback address: this is about 127.0.0.1 on this machine", Weight.WARNING)
    service = case.snapshot.ports.services.get((case.port, case.protocol))
    if service:
        yield Line(f"{clean(service)} by name in this system's list of services")
    if case.machine and any(first <= case.port <= last for first, last in case.machine.reserved):
        yield Line("reserved (net.ipv4.ip_local_reserved_ports): the kernel gives it to no client")
    uses = list(_uses(case))
    if uses:
        yield Line(f"in use: {'; '.join(uses)}")
    else:
        formerly = f"; {clean(case.formerly)} had it a moment ago" if case.formerly else ""
        yield Line(f"in use by nobody on loopback{formerly}", Weight.DIM)


def _uses(case: Case) -> Iterator[str]:
    for row in case.listeners[:4]:
        yield f"{case.who(row)} listens on {words.listener_label(row)}"
    for connection in case.as_client[:2]:
        processes = case.snapshot.processes
        yield (
            f"{words.end_label(connection.client, processes)} is a client from it, of "
            f"{words.end_label(connection.server, processes)} at {words.endpoint(connection.server.addr)}"
        )
    if case.as_server:
        yield f"{words.count(len(case.as_server), 'connection')} served"
    if case.in_time_wait:
        yield f"{len(case.in_time_wait)} in TIME_WAIT"
    for holder in case.bound[:2]:
        yield f"{holder} is bound and does not listen"


def _answers(case: Case) -> Iterator[Line]:
    for ip in dict.fromkeys((*LOCAL, *case.addresses)):
        rows = case.answering(ip)
        label = f"{words.address(ip):<10} "
        if rows:
            more = f" and {words.count(len(rows) - 1, 'more socket')}" if len(rows) > 1 else ""
            yield Line(f"{label}{case.who(rows[0])}, on {words.listener_label(rows[0])}{more}", Weight.GOOD)
        elif ip == "::1" and case.machine and not case.machine.has_ipv6_loopback:
            yield Line(f"{label}unreachable: this machine has no IPv6 on loopback", Weight.DIM)
        else:
            asked = ip in case.addresses
            yield Line(f"{label}refused: nobody listens there", Weight.WARNING if asked else Weight.DIM)
    if case.machine:
        order = ", then ".join(words.address(ip) for ip in case.machine.localhost)
        yield Line(f"{'localhost':<10} is {order}" if order else "localhost  does not resolve", Weight.DIM)
    exposed = next((row for row in case.listeners if row.exposed), None)
    if exposed:
        yield Line(f"{'outside':<10} can reach {words.listener_label(exposed)} too", Weight.DIM)
    yield from _shadows(case)


def _shadows(case: Case) -> Iterator[Line]:
    if any(case.finding(row, FindingId.SHADOWED) for row in case.listeners):
        yield Line("different servers: which one answers localhost depends on the client", Weight.WARNING)
    for row in case.listeners:
        if row.laddr.ip == "::" and row.socket.v6only:
            yield Line(f"{case.who(row)} takes IPv6 only (V6ONLY): 127.0.0.1 does not reach it", Weight.DIM)


def _failures(case: Case) -> Iterator[Line]:
    """The five kinds, each with what speaks for or against it."""
    row = next(iter(case.answering(case.addresses[0])), None)
    ip = words.address(case.addresses[0])
    if row is None:
        yield _line("refused", f"yes: nobody listens on {ip}", Weight.BAD)
    else:
        yield _line("refused", f"no: {case.who(row)} listens on {ip}", Weight.GOOD)
        if not case.target.is_udp:
            yield _queue(case, row)
    if case.machine:
        error = case.machine.localhost_error
        yield (
            _line("name", f"yes: {clean(error)}", Weight.BAD)
            if error
            else _line("name", "no: localhost resolves", Weight.GOOD)
        )
    yield _in_use(case)
    yield from _by_firewall(case)


def _queue(case: Case, row: Listener) -> Line:
    trouble = next((found for kind in _QUEUE_TROUBLES if (found := case.finding(row, kind))), None)
    if trouble:
        return _line("timeout", f"yes: {trouble.title}", Weight.BAD)
    waiting, backlog = row.socket.recv_queue, row.socket.send_queue
    if waiting is None or backlog is None:
        return _line("timeout", "cannot be told: this source knows no queues", Weight.DIM)
    return _line("timeout", f"no: its queue has room, {waiting} of {backlog} taken", Weight.GOOD)


def _in_use(case: Case) -> Line:
    taken = [bind for bind in case.binds if not bind.free]
    if not case.binds:
        return _line("in use", "was not tried", Weight.DIM)
    if not taken:
        return _line("in use", "no: a server can bind it on every address", Weight.GOOD)
    where = ", ".join(words.address(bind.ip) if bind.ip != "::" else "[::]" for bind in taken)
    return _line("in use", f"a server that binds {where} fails", Weight.WARNING)


def _by_firewall(case: Case) -> Iterator[Line]:
    firewall = case.machine.firewall if case.machine else None
    if firewall is None:
        return
    if firewall.ruleset is None:
        yield _line("firewall", f"cannot be told: {clean(firewall.unreadable or '')}; --probe shows it", Weight.DIM)
        return
    rules = blocks(firewall.ruleset, case.port, case.addresses[0], case.protocol)
    if rules:
        yield _line("firewall", f"yes: {clean(rules[0])}", Weight.BAD)
    else:
        yield _line("firewall", "no rule that is understood concerns it", Weight.GOOD)


def _line(kind: str, text: str, weight: Weight) -> Line:
    return Line(f"{kind:<9} {text}", weight)


def _bindable(bind: Bind, case: Case) -> Line:
    label = f"{'[::]' if bind.ip == '::' else bind.ip:<10} "
    if bind.free:
        old = ", if it sets SO_REUSEADDR as most servers do" if bind.needs_reuse else ""
        return Line(f"{label}yes{old}", Weight.GOOD)
    blocker = why_not_free(_sockets(case), Endpoint(bind.ip, bind.port), case.snapshot.processes)
    why = blocker.words if blocker else clean(bind.reason or "")
    return Line(f"{label}no: {why}", Weight.WARNING)


def _sockets(case: Case) -> Iterator[Socket]:
    yield from (row.socket for row in case.listeners)
    yield from (found for found in case.snapshot.bound if found.laddr.port == case.port)
    for connection in (*case.as_client, *case.as_server, *case.in_time_wait):
        yield from (end.socket for end in (connection.client, connection.server) if end.socket)
