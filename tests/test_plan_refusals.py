"""Who is never signalled, why, and what can be typed instead."""

from __future__ import annotations

from dataclasses import replace

import pytest
from making import HOSTILE, listening, process
from plans import ASKER, ROOT, SERVER, below, pids, plan

from loopmon.actions.plan import Plan, Refusal, Self
from loopmon.actions.preview import Part, preview
from loopmon.clean import clean
from loopmon.model import OwnerUnknown, Protocol

ON_3000 = "127.0.0.1:3000"


def only_refusal(made: Plan) -> Refusal:
    assert not made.is_possible
    (refusal,) = made.refusals
    return refusal


@pytest.mark.parametrize(
    ("pid", "why"),
    [
        (0, "it runs this machine"),
        (1, "it runs this machine"),
        (ASKER.pid, "it is loopmon itself"),
        (40, "loopmon runs inside it"),
        (30, "loopmon runs inside it"),
    ],
)
@pytest.mark.parametrize("asker", [ASKER, ROOT])
def test_the_machine_and_loopmon_and_all_above_it_are_never_signalled(pid: int, why: str, asker: Self) -> None:
    refusal = only_refusal(plan(listening(ON_3000, pid), asker=asker))
    assert (refusal.who, refusal.why, refusal.is_permission) == (f"node {pid}", why, False)


def test_a_socket_that_systemd_holds_has_a_unit() -> None:
    refusal = only_refusal(plan(listening(ON_3000, 1), processes=[process(1, "systemd")]))
    assert refusal.command == "systemctl list-sockets names the unit to stop"


@pytest.mark.parametrize("reason", [OwnerUnknown.KERNEL, OwnerUnknown.NOT_FOUND])
def test_what_no_process_holds_cannot_be_stopped_by_anybody(reason: OwnerUnknown) -> None:
    refusal = only_refusal(plan(listening(ON_3000, unknown=reason), asker=ROOT))
    assert (refusal.who, refusal.command, refusal.is_permission) == (ON_3000, None, False)


@pytest.mark.parametrize("reason", [OwnerUnknown.OTHER_USER, OwnerUnknown.UNREADABLE_PROCESS, OwnerUnknown.UNKNOWN])
def test_an_owner_that_may_not_be_seen_needs_sudo(reason: OwnerUnknown) -> None:
    refusal = only_refusal(plan(listening(ON_3000, unknown=reason)))
    assert (refusal.command, refusal.is_permission) == ("sudo loopmon stop 3000", True)


def test_the_command_for_udp_is_about_udp() -> None:
    hidden = listening("127.0.0.1:5353", protocol=Protocol.UDP, unknown=OwnerUnknown.OTHER_USER)
    assert only_refusal(plan(hidden)).command == "sudo loopmon stop 5353/udp"


def test_another_users_process_needs_sudo_kill() -> None:
    refusal = only_refusal(plan(listening(ON_3000, SERVER), processes=[below(SERVER, user="root")]))
    assert refusal == Refusal("node 4312", "it belongs to root", "sudo kill 4312", is_permission=True)


def test_root_may_stop_another_users_process() -> None:
    made = plan(listening(ON_3000, SERVER), processes=[below(SERVER, user="bob")], asker=ROOT)
    assert made.is_possible


def test_docker_is_asked_for_its_ports() -> None:
    refusal = only_refusal(plan(listening(ON_3000, SERVER), processes=[process(SERVER, "docker-proxy")], asker=ROOT))
    assert refusal.command == "docker stop $(docker ps -q --filter publish=3000)"


def test_without_a_port_no_command_stops_every_container() -> None:
    refusal = only_refusal(plan(chosen=process(SERVER, "docker-proxy"), asker=ROOT))
    assert refusal.command is None


def test_one_refused_holder_is_enough_for_the_port_to_stay_taken() -> None:
    made = plan(listening(ON_3000, SERVER, 99), processes=[below(99, user="root")])
    assert pids(made) == [SERVER]
    assert not made.is_possible


def test_one_refused_listener_is_enough() -> None:
    assert not plan(listening(ON_3000, SERVER), listening("[::1]:3000")).is_possible


def test_the_same_refusal_is_told_once() -> None:
    twice = [listening(ON_3000, 40), listening("[::1]:3000", 40)]
    assert len(plan(*twice).refusals) == 1


def test_a_refused_child_survives_with_its_reason() -> None:
    children = {SERVER: [below(21, SERVER, user="root"), below(40, SERVER), below(22, SERVER)]}
    made = plan(listening(ON_3000, SERVER), children=children)
    assert pids(made) == [SERVER, 22]
    assert made.is_possible
    assert made.survivors == ("node 21: it belongs to root", "node 40: loopmon runs inside it")


def test_a_chosen_process_is_refused_like_any_other() -> None:
    assert only_refusal(plan(chosen=below(ASKER.pid))).why == "it is loopmon itself"


def test_the_preview_leads_with_what_is_refused_and_the_command() -> None:
    lines = preview(plan(listening(ON_3000, SERVER), processes=[below(SERVER, user="root")]))
    assert lines[:2] == [
        (Part.REFUSED, "node 4312 is not stopped: it belongs to root"),
        (Part.REFUSED, "  instead: sudo kill 4312"),
    ]
    assert Part.STOP not in dict(lines)


def test_a_hostile_user_is_harmless() -> None:
    evil = replace(process(SERVER, HOSTILE), user=HOSTILE)
    for _, line in preview(plan(listening(ON_3000, SERVER), processes=[evil])):
        assert line == clean(line)
