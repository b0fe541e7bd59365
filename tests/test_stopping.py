"""A plan carried out: all are held before the first is signalled, and waited for."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from servers import Server, Servers, has_ended
from stops import Machine
from zoo import Zoo, wait_for

from loopmon.actions.asker import read_process
from loopmon.actions.plan import Plan, Victim
from loopmon.actions.stopping import Stopping
from loopmon.model import ProcessId

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the servers are found by inode, as only Linux can")

SHORT_S = 0.2


@pytest.fixture
def servers() -> Iterator[Servers]:
    with Servers() as started:
        yield started


def plan_for(*pids: int) -> Plan:
    """To stop them all, whatever they hold."""
    victims = []
    for pid in pids:
        process = read_process(pid)
        assert process is not None
        victims.append(Victim(process, "chosen"))
    return Plan((), tuple(victims), (), (), (), (), None)


def plan_of(server: Server) -> Plan:
    """As it is made for a port: of what is seen there."""
    with Machine() as machine:
        return machine.plan(server.port)


def pids(victims: tuple[Victim, ...]) -> list[int]:
    return [victim.process.id.pid for victim in victims]


def test_all_are_signalled_in_the_plans_order_and_end(zoo: Zoo) -> None:
    targets = [zoo.child().pid for _ in range(3)]
    with Stopping(plan_for(*targets)) as stopping:
        stopping.send(signal.SIGTERM)
        assert stopping.wait(60)
        assert stopping.remaining() == ()
        assert [(victim.process.id.pid, name) for victim, name in stopping.signalled] == [
            (pid, "SIGTERM") for pid in targets
        ]
        assert (stopping.lost, stopping.refused) == ([], [])


def test_of_a_pre_forking_server_the_master_comes_first_and_all_go(servers: Servers) -> None:
    server = servers.start("prefork")
    plan = plan_of(server)
    assert plan.victims[0].process.id.pid == server.pid
    assert len(plan.victims) == 4
    with Stopping(plan) as stopping:
        stopping.send(signal.SIGTERM)
        assert stopping.wait(60)
    assert all(has_ended(pid) for pid in pids(plan.victims))


def test_what_a_server_has_started_goes_with_it(servers: Servers) -> None:
    server = servers.start("lender")
    plan = plan_of(server)
    assert len(plan.victims) == 2
    with Stopping(plan) as stopping:
        stopping.send(signal.SIGTERM)
        assert stopping.wait(60)


def test_a_stopped_job_gets_cont_as_well_and_ends(servers: Servers) -> None:
    server = servers.start("serve")
    os.kill(server.pid, signal.SIGSTOP)
    wait_for(lambda: psutil.Process(server.pid).status() == psutil.STATUS_STOPPED, "a server that is stopped")
    with Stopping(plan_for(server.pid)) as stopping:
        stopping.send(signal.SIGTERM)
        assert stopping.wait(60)


def test_a_stopped_job_that_ignores_term_goes_on(servers: Servers) -> None:
    server = servers.start("stubborn")
    os.kill(server.pid, signal.SIGSTOP)
    job = psutil.Process(server.pid)
    wait_for(lambda: job.status() == psutil.STATUS_STOPPED, "a server that is stopped")
    with Stopping(plan_for(server.pid)) as stopping:
        stopping.send(signal.SIGTERM)
        assert not stopping.wait(SHORT_S)
        wait_for(lambda: job.status() != psutil.STATUS_STOPPED, "a server that goes on")


def test_one_that_ignores_term_remains_until_it_is_killed(servers: Servers, zoo: Zoo) -> None:
    stubborn, willing = servers.start("stubborn").pid, zoo.child().pid
    with Stopping(plan_for(willing, stubborn)) as stopping:
        stopping.send(signal.SIGTERM)
        wait_for(lambda: pids(stopping.remaining()) == [stubborn], "the end of the other one")
        assert not stopping.wait(SHORT_S)
        stopping.send(signal.SIGKILL)
        assert stopping.wait(60)
        assert [(victim.process.id.pid, name) for victim, name in stopping.signalled] == [
            (willing, "SIGTERM"),
            (stubborn, "SIGTERM"),
            (stubborn, "SIGKILL"),
        ]


def test_waiting_tells_who_is_left_and_counts_down(servers: Servers) -> None:
    server = servers.start("stubborn")
    told: list[tuple[list[int], float]] = []
    with Stopping(plan_for(server.pid)) as stopping:
        stopping.send(signal.SIGTERM)
        assert not stopping.wait(0.5, lambda left, left_s: told.append((pids(left), left_s)))
    assert len(told) > 1
    assert all(left == [server.pid] for left, _ in told)
    seconds = [left_s for _, left_s in told]
    assert seconds == sorted(seconds, reverse=True)
    assert 0 < seconds[-1] < seconds[0] <= 0.5


def test_nothing_is_told_when_all_have_ended(zoo: Zoo) -> None:
    child = zoo.child()
    with Stopping(plan_for(child.pid)) as stopping:
        child.stop()
        assert stopping.wait(0, lambda _left, _left_s: pytest.fail("there is nobody to wait for"))


def test_one_that_ended_after_the_preview_is_lost_and_the_others_go(zoo: Zoo) -> None:
    gone, there = zoo.child(), zoo.child()
    plan = plan_for(gone.pid, there.pid)
    gone.stop()
    with Stopping(plan) as stopping:
        assert [(victim.process.id.pid, why) for victim, why in stopping.lost] == [(gone.pid, "it has ended")]
        stopping.send(signal.SIGTERM)
        assert stopping.wait(60)
        assert [victim.process.id.pid for victim, _ in stopping.signalled] == [there.pid]


def test_one_that_ended_after_it_was_held_is_passed_over(zoo: Zoo) -> None:
    child = zoo.child()
    with Stopping(plan_for(child.pid)) as stopping:
        child.stop()
        stopping.send(signal.SIGTERM)
        assert (stopping.signalled, stopping.remaining()) == ([], ())


def test_a_stranger_with_the_number_lives(zoo: Zoo) -> None:
    stranger = zoo.child()
    plan = plan_for(stranger.pid)
    (victim,) = plan.victims
    once = replace(victim, process=replace(victim.process, id=ProcessId(stranger.pid, 1.0)))
    with Stopping(replace(plan, victims=(once,))) as stopping:
        assert [why for _, why in stopping.lost] == ["its number is another process's now"]
        stopping.send(signal.SIGKILL)
        assert stopping.wait(0)
    stranger.listen()


def test_all_are_held_before_the_first_is_signalled_and_let_go_at_the_end(zoo: Zoo) -> None:
    plan = plan_for(*(zoo.child().pid for _ in range(4)))
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Stopping(plan):
        assert len(list(Path("/proc/self/fd").iterdir())) == before + 4
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_may_not_be_signalled_is_named(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError

    child = zoo.child()
    with Stopping(plan_for(child.pid)) as stopping:
        monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
        stopping.send(signal.SIGTERM)
        assert pids(tuple(stopping.refused)) == [child.pid]
        assert stopping.signalled == []
    child.listen()


def test_without_pidfds_a_tree_goes_as_well(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    server = servers.start("prefork")
    with Stopping(plan_of(server)) as stopping:
        stopping.send(signal.SIGTERM)
        assert stopping.wait(60)
