"""Why a port is not served at the address that was asked for, and what has it instead. Pure."""

from __future__ import annotations

from loopmon import words
from loopmon.actions.bind import IN_USE
from loopmon.actions.probe import Outcome
from loopmon.clean import clean
from loopmon.model import FindingId
from loopmon.why.answer import Cause, Verdict
from loopmon.why.case import Case
from loopmon.why.served import stop_or_choose
from loopmon.why.target import Symptom


def elsewhere(case: Case) -> Verdict | None:
    """The port is served, but not at the address that was asked for."""
    if not case.listeners:
        return None
    row, ip = case.listeners[0], case.addresses[0]
    other_family = (":" in row.laddr.ip) != (":" in ip)
    only = " (IPv6 only)" if row.laddr.ip == "::" and row.socket.v6only else ""
    reachable = row.laddr.ip if not row.exposed else ("::1" if ":" in row.laddr.ip else "127.0.0.1")
    return Verdict(
        Cause.OTHER_FAMILY if other_family else Cause.OTHER_ADDRESS,
        f"nobody answers at {case.place()}: {case.who(row)} listens on {words.listener_label(row)}{only}",
        (f"a client that says {words.address(ip)} is refused; {case.place(reachable)} is served",),
        (stop_or_choose(case, row),)
        if case.target.symptom is Symptom.IN_USE
        else (f"say {case.place(reachable)}", f"or let the server listen on {words.address(ip)}"),
    )


def bound(case: Case) -> Verdict | None:
    if not case.bound:
        return None
    return Verdict(
        Cause.BOUND,
        f"nobody listens on port {case.port}: {case.bound[0]} is bound to it and does not listen",
        ("to connect is refused, and to bind it again fails",),
        (f"end it, if it can be missed: {case.bound[0].split(' on ')[0]}",),
    )


def client_port(case: Case) -> Verdict | None:
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
            f"or keep it for one: sudo sysctl net.ipv4.ip_local_reserved_ports={_reserved(case)}",
        )
    return ("for a server choose another port, or end that connection",)


def _reserved(case: Case) -> str:
    """With those that are reserved already: the setting replaces them."""
    ranges = case.machine.reserved if case.machine else ()
    kept = [str(first) if first == last else f"{first}-{last}" for first, last in ranges]
    return ",".join([*kept, str(case.port)])


def old_connections(case: Case) -> Verdict | None:
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


def time_wait(case: Case) -> Verdict | None:
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


def unseen(case: Case) -> Verdict | None:
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


def nobody(case: Case) -> Verdict:
    formerly = f"{clean(case.formerly)} had it a moment ago" if case.formerly else None
    outcome = case.probe.outcome if case.probe else Outcome.REFUSED
    is_refused = outcome in {Outcome.REFUSED, Outcome.SELF}
    return Verdict(
        Cause.NOBODY,
        f"nobody listens on port {case.port}: to connect there is refused"
        if is_refused
        else f"nobody listens on port {case.port}, and a connection is not even refused: {outcome}",
        ((formerly,) if formerly else ()) + case.made,
        (_start(case),),
    )


def _start(case: Case) -> str:
    if case.target.symptom is Symptom.IN_USE:
        return "whoever had it has let it go: start the server again"
    return f"start the server; loopmon wait {case.port} returns when it accepts"
