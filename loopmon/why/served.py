"""What is the matter with a port that is served at the address that was asked for. Pure."""

from __future__ import annotations

from loopmon import words
from loopmon.actions.probe import Outcome
from loopmon.clean import clean
from loopmon.firewall import blocks
from loopmon.model import Endpoint, FindingId, Listener
from loopmon.why.answer import Cause, Verdict
from loopmon.why.case import Case
from loopmon.why.target import Symptom

_TROUBLES = {
    FindingId.STOPPED: Cause.STOPPED,
    FindingId.INHERITED: Cause.INHERITED,
    FindingId.BACKLOG_FULL: Cause.BACKLOG_FULL,
    FindingId.NOT_ACCEPTING: Cause.NOT_ACCEPTING,
    FindingId.SHADOWED: Cause.SHADOWED,
    FindingId.LEFT_OVER: Cause.LEFT_OVER,
}
"""Of a listener, in the order in which they are said."""


def served(case: Case) -> Verdict | None:
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
            f"a firewall rule keeps clients from {case.place()}",
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
            f"a firewall {kind} connections to {case.place()}, as far as can be inferred",
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
        case.made,
        (f"see what {words.owners_label(row.socket, case.snapshot.processes)} is doing",),
    )


def _healthy(case: Case, row: Listener) -> Verdict:
    evidence = [f"{words.count(row.connections, 'client')} connected"]
    if row.socket.recv_queue is not None and row.socket.send_queue is not None and not case.target.is_udp:
        evidence.append(f"{row.socket.recv_queue} of {row.socket.send_queue} places in its queue taken")
    if case.probe is not None:
        evidence += case.made
    elif not row.socket.owners:
        evidence.append(words.OWNER_UNKNOWN_SENTENCE[row.socket.owner_unknown] if row.socket.owner_unknown else "")
    remedies: tuple[str, ...] = ()
    if case.target.symptom is Symptom.IN_USE:
        remedies = (stop_or_choose(case, row),)
    elif case.target.symptom is not None:
        remedies = (f"the trouble seems to be over: try again, or loopmon why {case.place()} --probe",)
    return Verdict(
        Cause.HEALTHY,
        f"{case.who(row)} listens on {words.listener_label(row)}; nothing wrong is seen",
        tuple(filter(None, evidence)),
        remedies,
        ok=True,
    )


def served_unseen(case: Case) -> Verdict | None:
    """A connection was accepted, and nothing that can be seen listens: rules may send it elsewhere."""
    accepted = {Outcome.TAKEN, Outcome.NOT_TAKEN, Outcome.CONNECTED, Outcome.CLOSED, Outcome.RESET}
    if case.probe is None or case.probe.outcome not in accepted:
        return None
    return Verdict(
        Cause.UNSEEN,
        f"{case.place()} accepts connections, and no server that can be seen here listens there",
        case.made,
        ("look again: it may have started just now", "look where containers and virtual machines forward ports"),
    )


def stop_or_choose(case: Case, row: Listener) -> str:
    return f"it is taken by {case.who(row)}: stop that, or choose another port"
