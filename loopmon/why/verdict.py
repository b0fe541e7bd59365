"""What is the matter with a port: the one cause that matters most, its evidence and what to do. Pure.

The order of the checks is the order in which one cause hides another: without a loopback interface nothing else
counts, a firewall comes before the server, a server before what would be in its way.
"""

from __future__ import annotations

from collections.abc import Callable

from loopmon import words
from loopmon.clean import clean
from loopmon.why.answer import Cause, Verdict
from loopmon.why.case import Case
from loopmon.why.served import served, served_unseen
from loopmon.why.target import Symptom, is_localhost
from loopmon.why.unserved import bound, client_port, elsewhere, nobody, old_connections, time_wait, unseen


def judge(case: Case) -> Verdict:
    checks: tuple[Callable[[Case], Verdict | None], ...] = (
        _loopback_down,
        _name,
        _other_family_first,
        served,
        served_unseen,
        elsewhere,
        bound,
        client_port,
        old_connections,
        time_wait,
        unseen,
    )
    for check in checks:
        verdict = check(case)
        if verdict is not None:
            return verdict
    return nobody(case)


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
        ("add '127.0.0.1 localhost' to /etc/hosts", f"or say {case.place('127.0.0.1')} instead"),
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
        (f"say {case.place(served)} instead of localhost", f"or let the server listen on {words.address(first)} too"),
    )
