"""Which cause hides which: everything is wrong at once, then one thing after another is put right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cases import (
    BOUND,
    EXHAUSTED,
    MACHINE,
    ON_IPV6,
    SERVER_SOCKET,
    TAKEN,
    case,
    client_of,
    drops,
    finding,
    old_connection,
    over,
)

from loopmon.actions.probe import Outcome
from loopmon.model import FindingId
from loopmon.why.answer import Cause
from loopmon.why.verdict import judge


def test_one_cause_hides_the_next() -> None:
    troubles = [
        finding(kind)
        for kind in (FindingId.LEFT_OVER, FindingId.SHADOWED, FindingId.NOT_ACCEPTING, FindingId.BACKLOG_FULL)
    ] + [finding(FindingId.INHERITED), finding(FindingId.STOPPED), EXHAUSTED]
    wrong: dict[str, Any] = {
        "machine": replace(MACHINE, loopback_up=False, localhost=(), firewall=drops(3000)),
        "findings": troubles,
        "bound": [BOUND],
        "connections": [client_of("127.0.0.1:5432"), old_connection(), over()],
        "binds": TAKEN,
        "outcome": Outcome.CLOSED,
    }
    servers = [SERVER_SOCKET]
    seen: list[Cause] = []

    def look() -> None:
        seen.append(judge(case("localhost:3000", *servers, **wrong)).cause)

    def without(kind: FindingId) -> None:
        wrong["findings"] = [each for each in wrong["findings"] if each.id is not kind]

    look()
    wrong["machine"] = replace(wrong["machine"], loopback_up=True)
    look()
    wrong["machine"] = replace(wrong["machine"], localhost=("::1", "127.0.0.1"))
    look()
    wrong["machine"] = replace(wrong["machine"], localhost=("127.0.0.1",))
    look()
    for kind in (FindingId.STOPPED, FindingId.INHERITED, FindingId.BACKLOG_FULL, FindingId.NOT_ACCEPTING):
        without(kind)
        look()
    wrong["machine"] = MACHINE
    look()
    without(FindingId.PORT_EXHAUSTION)
    look()
    wrong["outcome"] = None
    look()
    for kind in (FindingId.SHADOWED, FindingId.LEFT_OVER):
        without(kind)
        look()
    servers[:] = [ON_IPV6]
    look()
    servers.clear()
    look()
    wrong["bound"] = []
    look()
    for _ in range(3):
        wrong["connections"] = wrong["connections"][1:]
        look()
    wrong["binds"] = ()
    look()
    assert seen == [
        Cause.LOOPBACK_DOWN, Cause.NAME, Cause.OTHER_FAMILY, Cause.STOPPED, Cause.INHERITED, Cause.BACKLOG_FULL,
        Cause.NOT_ACCEPTING, Cause.FIREWALL, Cause.EXHAUSTED, Cause.FAILS, Cause.SHADOWED, Cause.LEFT_OVER,
        Cause.HEALTHY, Cause.OTHER_FAMILY, Cause.BOUND, Cause.CLIENT_PORT, Cause.OLD_CONNECTION, Cause.TIME_WAIT,
        Cause.UNSEEN, Cause.NOBODY,
    ]  # fmt: skip
    assert set(seen) == set(Cause) - {Cause.OTHER_ADDRESS, Cause.SELF_CONNECTED}
