"""What is the matter with a port: the one cause that matters most, its evidence and what to do. Pure.

The order of the checks is the order in which one cause hides another: without a loopback interface nothing else
counts, a firewall comes before the server, a server before what would be in its way.
"""

from __future__ import annotations

from collections.abc import Callable

from loopmon import words
from loopmon.actions.probe import Outcome, Probe
from loopmon.clean import clean
from loopmon.firewall import blocks
from loopmon.model import Endpoint, FindingId, Listener
from loopmon.why.answer import Cause, Verdict
from loopmon.why.case import Case
from loopmon.why.target import Symptom, is_localhost

_TROUBLES = {
    FindingId.STOPPED: Cause.STOPPED,
    FindingId.INHERITED: Cause.INHERITED,
    FindingId.BACKLOG_FULL: Cause.BACKLOG_FULL,
    FindingId.NOT_ACCEPTING: Cause.NOT_ACCEPTING,
    FindingId.SHADOWED: Cause.SHADOWED,
    FindingId.LEFT_OVER: Cause.LEFT_OVER,
}
"""Of a listener, in the order in which they are said."""


def judge(case: Case) -> Verdict:
    checks: tuple[Callable[[Case], Verdict | None], ...] = (
        _loopback_down,
        _name,
        _other_family_first,
        _served,
        _served_unseen,
        _elsewhere,
        _bound,
        _client_port,
        _old_connections,
        _time_wait,
        _unseen,
    )
    for check in checks:
        verdict = check(case)
        if verdict is not None:
            return verdict
    return _nobody(case)


def _place(case: Case, ip: str | None = None) -> str:
    return words.endpoint(Endpoint(ip or case.addresses[0], case.port))


def _loopback_down(case: Case) -> Verdict | None:
    if case.machine is None or case.machine.loopback_up is not False:
        return None
    return Verdict(
        Cause.LOOPBACK_DOWN,
        "the loopback interface is down: nothing on this machine can be reached at 127.0.0.1",
        ("connections fail with 'network is unreachable', or time out where it was up before",),
        ("sudo ip link set lo up",),
    )


def _name(case: Case) -> Verdict | None:
    machine, host = case.machine, case.target.host
    named = host is not None and is_localhost(host)
    if machine is None or machine.localhost or not (named or case.target.symptom is Symptom.NAME):
        return None
    return Verdict(
        Cause.NAME,
        "localhost does not resolve here",
        (clean(machine.localhost_error or "the resolver gives no loopback address for it"),),
        ("add '127.0.0.1 localhost' to /etc/hosts", f"or say {_place(case, '127.0.0.1')} instead"),
    )


def _other_family_first(case: Case) -> Verdict | None:
    """``localhost`` is several addresses, and not every client tries them all."""
    if len(case.addresses) < 2 or case.answering(case.addresses[0]) or case.target.symptom is Symptom.IN_USE:
        return None
    served = next((ip for ip in case.addresses if case.answering(ip)), None)
    if served is None:
        return None
    row = case.answering(served)[0]
    first = case.addresses[0]
    return Verdict(
        Cause.OTHER_FAMILY,
        f"localhost is {words.address(first)} first, and {case.who(row)} listens on {words.listener_label(row)} only",
        (
            f"a client that tries only {words.address(first)} is refused; one that goes on to "
            f"{words.address(served)} is served",
        ),
        (f"say {_place(case, served)} instead of localhost", f"or let the server listen on {words.address(first)} too"),
    )


def _served(case: Case) -> Verdict | None:
    rows = case.answering(case.addresses[0])
    if not rows:
        return None
    row = rows[0]
    severe = set(_TROUBLES) - {FindingId.SHADOWED, FindingId.LEFT_OVER}
    return (
        # Of several that share the port each gets some of the clients.
        next(filter(None, (_in_trouble(case, each, severe) for each in rows)), None)
        or _firewall(case, row)
        or _exhausted(case, row)
        or _probed(case, row)
        or _in_trouble(case, row, {FindingId.SHADOWED, FindingId.LEFT_OVER})
        or _healthy(case, row)
    )


def _in_trouble(case: Case, row: Listener, kinds: set[FindingId]) -> Verdict | None:
    for kind, cause in _TROUBLES.items():
        found = case.finding(row, kind) if kind in kinds else None
        if found is not None:
            return Verdict(
                cause,
                f"{case.who(row)} listens on {words.listener_label(row)}, and {_clause(found.title, case, row)}",
                found.evidence,
                (found.remedy,),
            )
    return None


def _clause(title: str, case: Case, row: Listener) -> str:
    """The finding's title without the name that has just been said."""
    label = words.owners_label(row.socket, case.snapshot.processes)
    return title.removeprefix(f"{label.split(' +')[0]} ")


def _firewall(case: Case, row: Listener) -> Verdict | None:
    """By its rules where they may be read; else by inference from what a client was told."""
    ip = case.addresses[0]
    firewall = case.machine.firewall if case.machine else None
    rules = blocks(firewall.ruleset, case.port, ip, case.protocol) if firewall and firewall.ruleset else ()
    knows_queue = row.socket.recv_queue is not None
    room = " with room in its queue" if knows_queue and not case.target.is_udp else ""
    said = f"{case.who(row)} listens on {words.listener_label(row)}{room}"
    if rules:
        return Verdict(
            Cause.FIREWALL,
            f"a firewall rule keeps clients from {_place(case)}",
            (*map(clean, rules), said),
            ("sudo nft -a list ruleset shows the rule; remove it, or allow the port",),
        )
    outcome = case.probe.outcome if case.probe else None
    if outcome is Outcome.TIMED_OUT and not knows_queue:
        return None  # a full queue looks the same
    if outcome in {Outcome.TIMED_OUT, Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.NOT_PERMITTED}:
        unread = f"; {firewall.unreadable}" if firewall and firewall.unreadable else ""
        kind = "drops" if outcome is Outcome.TIMED_OUT else "rejects"
        return Verdict(
            Cause.FIREWALL,
            f"a firewall {kind} connections to {_place(case)}, as far as can be inferred",
            (f"a connection just made: {outcome}", f"yet {said}", f"the rules were not seen to say so{clean(unread)}"),
            ("sudo nft list ruleset", "sudo iptables -S"),
        )
    return None


def _exhausted(case: Case, row: Listener) -> Verdict | None:
    where = {row.laddr, Endpoint(case.addresses[0], case.port)}
    exhausted = (found for found in case.snapshot.findings if found.id is FindingId.PORT_EXHAUSTION)
    found = next((found for found in exhausted if found.where in where), None)
    return Verdict(Cause.EXHAUSTED, found.title, found.evidence, (found.remedy,)) if found else None


def _probed(case: Case, row: Listener) -> Verdict | None:
    """A connection that was made shows what the table cannot."""
    probe = case.probe
    if probe is None or probe.outcome in {Outcome.TAKEN, Outcome.CONNECTED}:
        return None
    told = {
        Outcome.NOT_TAKEN: (Cause.NOT_ACCEPTING, "accepts no connection: the kernel keeps them waiting"),
        Outcome.CLOSED: (Cause.FAILS, "closes a connection at once: a forwarder whose own server is gone does that"),
        Outcome.RESET: (Cause.FAILS, "resets a connection at once: a forwarder whose own server refuses does that"),
        Outcome.NO_PORTS: (Cause.EXHAUSTED, "cannot be reached: no client port is left for it"),
        Outcome.TIMED_OUT: (Cause.FAILS, "does not answer: its queue is full, or a firewall drops what is sent"),
    }.get(probe.outcome, (Cause.FAILS, f"could not be reached: {clean(probe.error or str(probe.outcome))}"))
    return Verdict(
        told[0],
        f"{case.who(row)} listens on {words.listener_label(row)}, but {told[1]}",
        (_made(probe),),
        (f"see what {words.owners_label(row.socket, case.snapshot.processes)} is doing",),
    )


def _healthy(case: Case, row: Listener) -> Verdict:
    evidence = [f"{words.count(row.connections, 'client')} connected"]
    if row.socket.recv_queue is not None and row.socket.send_queue is not None and not case.target.is_udp:
        evidence.append(f"{row.socket.recv_queue} of {row.socket.send_queue} places in its queue taken")
    if case.probe is not None:
        evidence.append(_made(case.probe))
    elif not row.socket.owners:
        evidence.append(words.OWNER_UNKNOWN_SENTENCE[row.socket.owner_unknown] if row.socket.owner_unknown else "")
    remedies: tuple[str, ...] = ()
    if case.target.symptom is Symptom.IN_USE:
        remedies = (_stop_or_choose(case, row),)
    elif case.target.symptom is not None:
        remedies = (f"the trouble seems to be over: try again, or loopmon why {_place(case)} --probe",)
    return Verdict(
        Cause.HEALTHY,
        f"{case.who(row)} listens on {words.listener_label(row)}; nothing wrong is seen",
        tuple(filter(None, evidence)),
        remedies,
        ok=True,
    )


def _served_unseen(case: Case) -> Verdict | None:
    """A connection was accepted, and nothing that can be seen listens: rules may send it elsewhere."""
    accepted = {Outcome.TAKEN, Outcome.NOT_TAKEN, Outcome.CONNECTED, Outcome.CLOSED, Outcome.RESET}
    if case.probe is None or case.probe.outcome not in accepted:
        return None
    return Verdict(
        Cause.UNSEEN,
        f"{_place(case)} accepts connections, and no server that can be seen here listens there",
        (_made(case.probe),),
        ("look again: it may have started just now", "look where containers and virtual machines forward ports"),
    )


def _stop_or_choose(case: Case, row: Listener) -> str:
    return f"it is taken by {case.who(row)}: stop that, or choose another port"


def _made(probe: Probe) -> str:
    return f"a connection just made from here: {probe.outcome}, after {probe.took_ms:.1f} ms"


def _elsewhere(case: Case) -> Verdict | None:
    """The port is served, but not at the address that was asked for."""
    if not case.listeners:
        return None
    row, ip = case.listeners[0], case.addresses[0]
    other_family = (":" in row.laddr.ip) != (":" in ip)
    only = " (IPv6 only)" if row.laddr.ip == "::" and row.socket.v6only else ""
    reachable = row.laddr.ip if not row.exposed else ("::1" if ":" in row.laddr.ip else "127.0.0.1")
    return Verdict(
        Cause.OTHER_FAMILY if other_family else Cause.OTHER_ADDRESS,
        f"nobody answers at {_place(case)}: {case.who(row)} listens on {words.listener_label(row)}{only}",
        (f"a client that says {words.address(ip)} is refused; {_place(case, reachable)} is served",),
        (_stop_or_choose(case, row),)
        if case.target.symptom is Symptom.IN_USE
        else (f"say {_place(case, reachable)}", f"or let the server listen on {words.address(ip)}"),
    )


def _bound(case: Case) -> Verdict | None:
    if not case.bound:
        return None
    return Verdict(
        Cause.BOUND,
        f"nobody listens on port {case.port}: {case.bound[0]} is bound to it and does not listen",
        ("to connect is refused, and to bind it again fails",),
        (f"end it, if it can be missed: {case.bound[0].split(' on ')[0]}",),
    )


def _client_port(case: Case) -> Verdict | None:
    if not case.as_client:
        return None
    row = case.as_client[0]
    client, server = (words.end_label(end, case.snapshot.processes) for end in (row.client, row.server))
    to = words.endpoint(row.server.addr)
    if row.client.addr == row.server.addr:
        found = case.finding(row, FindingId.PORT_STOLEN)
        return Verdict(
            Cause.SELF_CONNECTED,
            f"nobody listens on port {case.port}: {client} is connected to itself there",
            found.evidence if found else (),
            (found.remedy,) if found else (),
        )
    more = len(case.as_client) - 1
    return Verdict(
        Cause.CLIENT_PORT,
        f"port {case.port} is the client port of {client}, for its connection to {server} at {to}",
        (
            f"{words.endpoint(row.client.addr)} to {to} is {words.state(row)}",
            *([f"and {words.count(more, 'more connection')} from this port"] if more else []),
            "nobody listens there: to connect is refused, and a server that wants the port is told that it is in use",
        ),
        _give_up_client(case),
    )


def _give_up_client(case: Case) -> tuple[str, ...]:
    low, high = case.snapshot.ports.ephemeral
    if low <= case.port <= high:
        return (
            f"for a server choose a port outside {low}-{high}",
            f"or keep it for one: sudo sysctl net.ipv4.ip_local_reserved_ports={case.port}",
        )
    return ("for a server choose another port, or end that connection",)


def _old_connections(case: Case) -> Verdict | None:
    if not case.as_server:
        return None
    row, rows = case.as_server[0], len(case.as_server)
    server = words.end_label(row.server, case.snapshot.processes)
    return Verdict(
        Cause.OLD_CONNECTION,
        f"nobody listens on port {case.port} any more; "
        f"{words.count(rows, 'connection')} of its former server {'is' if rows == 1 else 'are'} still open",
        (
            f"{words.endpoint(row.server.addr)} ({server}) to {words.endpoint(row.client.addr)}: {words.state(row)}",
            "a new server needs SO_REUSEADDR to have the port meanwhile, and the old one must have set it too",
        ),
        ("end the process at either end, or wait until they have closed",),
    )


def _time_wait(case: Case) -> Verdict | None:
    if not case.in_time_wait:
        return None
    ends = [
        end.socket.expires_at
        for row in case.in_time_wait
        for end in (row.client, row.server)
        if end.socket and end.socket.expires_at is not None
    ]
    left = f" for {words.duration(max(ends) - case.snapshot.taken_at)} more" if ends else ", for at most a minute"
    rows = len(case.in_time_wait)
    row = case.in_time_wait[0]
    return Verdict(
        Cause.TIME_WAIT,
        f"nobody listens on port {case.port}; {words.count(rows, 'old connection')} in TIME_WAIT{left}",
        (
            f"{words.endpoint(row.client.addr)} to {words.endpoint(row.server.addr)} is over, and still has its ports",
            "a server that does not set SO_REUSEADDR is told that the address is in use",
        ),
        ("set SO_REUSEADDR in the server, as most do, or wait",),
    )


def _unseen(case: Case) -> Verdict | None:
    """It cannot be bound, and nothing that can be seen has it."""
    taken = [bind for bind in case.binds if not bind.free and bind.ip == "127.0.0.1" and bind.reason == IN_USE]
    if not taken:
        return None
    return Verdict(
        Cause.UNSEEN,
        f"port {case.port} is in use, and nothing that can be seen here has it",
        ("it cannot be bound, yet no socket of this network namespace shows it",),
        ("look for it where containers and virtual machines forward ports",),
    )


IN_USE = "the port is in use"


def _nobody(case: Case) -> Verdict:
    formerly = f"{clean(case.formerly)} had it a moment ago" if case.formerly else None
    outcome = case.probe.outcome if case.probe else Outcome.REFUSED
    is_refused = outcome in {Outcome.REFUSED, Outcome.SELF}
    return Verdict(
        Cause.NOBODY,
        f"nobody listens on port {case.port}: to connect there is refused"
        if is_refused
        else f"nobody listens on port {case.port}, and a connection is not even refused: {outcome}",
        tuple(filter(None, (formerly, _made(case.probe) if case.probe else None))),
        (_start(case),),
    )


def _start(case: Case) -> str:
    if case.target.symptom is Symptom.IN_USE:
        return "whoever had it has let it go: start the server again"
    return f"start the server; loopmon wait {case.port} returns when it accepts"
