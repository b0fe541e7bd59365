"""The rules about clients that are not served: whom they accuse, whom they do not, and the figures they name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from looks import SERVER, found, in_state, judged, look, one, served, waiting, with_queue
from making import listening, process

from loopmon.findings.judge import Judge
from loopmon.model import Certainty, FindingId, Protocol, Severity

HERE = listening("127.0.0.1:3000", SERVER)
INSIDE = listening("127.0.0.1:3000", SERVER, SERVER + 1)


# stopped


@pytest.mark.parametrize("status", ["stopped", "tracing-stop"])
def test_a_stopped_server_is_told_with_its_waiting_clients_and_how_to_go_on(status: str) -> None:
    finding = one(FindingId.STOPPED, look([with_queue(HERE, 2, 5)], processes=[in_state(SERVER, status)]))
    assert (finding.severity, finding.certainty) == (Severity.PROBLEM, Certainty.CERTAIN)
    assert finding.subject == f"listener:{HERE.id}"
    assert "2 clients waiting" in finding.evidence
    assert f"kill -CONT {SERVER}" in finding.remedy


@pytest.mark.parametrize("status", ["running", "sleeping", "zombie", None])
def test_a_server_in_any_other_state_is_not_stopped(status: str | None) -> None:
    assert not found(FindingId.STOPPED, look([HERE], processes=[in_state(SERVER, status)]))


def test_as_long_as_one_holder_runs_nothing_is_stopped() -> None:
    processes = [in_state(SERVER, "stopped"), in_state(SERVER + 1, "sleeping")]
    assert not found(FindingId.STOPPED, look([INSIDE], processes=processes))
    assert found(FindingId.STOPPED, look([INSIDE], processes=[in_state(p, "stopped") for p in (SERVER, SERVER + 1)]))


# not-accepting


def test_clients_that_wait_at_two_looks_are_told_with_the_oldest_wait_and_the_backlog() -> None:
    server = with_queue(HERE, 3, 5)
    clients = [waiting(HERE, port, since_s=since) for port, since in ((40000, -11.5), (40001, -2), (40002, 0))]
    finding = one(FindingId.NOT_ACCEPTING, look([server], clients), look([server], clients, after_s=1))
    assert (finding.severity, finding.certainty) == (Severity.PROBLEM, Certainty.LIKELY)
    assert finding.evidence == ("3 clients wait to be accepted, the oldest for 12s; backlog 5",)


def test_one_look_accuses_nobody_of_not_accepting() -> None:
    judge = Judge()
    snapshot = judge.judge(look([HERE], [waiting(HERE, 40000, since_s=-60)]))
    assert not snapshot.findings
    assert judge.wants_another_look


def test_clients_that_have_only_come_are_not_waiting_in_vain() -> None:
    clients = [waiting(HERE, 40000, since_s=-0.5)]
    assert not found(FindingId.NOT_ACCEPTING, look([HERE], clients), look([HERE], clients, after_s=1))


def test_other_clients_at_each_look_are_a_server_that_serves() -> None:
    looks = [look([HERE], [waiting(HERE, 40000 + n, since_s=n - 3)], after_s=n) for n in range(6)]
    assert not found(FindingId.NOT_ACCEPTING, *looks)


def test_a_busy_server_that_takes_one_after_the_other_is_not_accused_at_any_look() -> None:
    """The queue is long, and each waits for long; yet one is taken at every look, at the second one too."""
    queue = [waiting(HERE, 40000 + n, since_s=-10) for n in range(8)]
    for last in range(2, 8):
        looks = []
        for n in range(last):
            taken = [served(HERE, 40000 + number) for number in range(n)]
            looks.append(look([HERE], [*taken, *queue[n:]], after_s=n))
        assert not found(FindingId.NOT_ACCEPTING, *looks)


def test_clients_that_were_taken_and_are_gone_altogether_count_as_taken() -> None:
    queue = [waiting(HERE, 40000 + n, since_s=-10) for n in range(8)]
    looks = [look([HERE], queue[n:], after_s=n) for n in range(5)]
    assert not found(FindingId.NOT_ACCEPTING, *looks)


def test_a_server_that_takes_nobody_any_more_is_accused_in_the_end() -> None:
    queue = [waiting(HERE, 40000 + n, since_s=0) for n in range(3)]
    looks = [look([HERE], queue, after_s=0), look([HERE], queue[1:], after_s=1)]
    assert not found(FindingId.NOT_ACCEPTING, *looks, look([HERE], queue[1:], after_s=2.5))
    assert found(FindingId.NOT_ACCEPTING, *looks, look([HERE], queue[1:], after_s=3.5))


def test_a_client_that_goes_on_sending_has_waited_since_it_was_first_seen() -> None:
    looks = [look([HERE], [waiting(HERE, 40000, since_s=n)], after_s=n) for n in range(5)]
    assert "the oldest for 4s" in one(FindingId.NOT_ACCEPTING, *looks).evidence[0]


def test_a_server_that_is_busy_is_said_to_be() -> None:
    busy = replace(process(SERVER), cpu_percent=97.0)
    clients = [waiting(HERE, 40000, since_s=-5)]
    looks = [look([HERE], clients, [busy], after_s=n) for n in range(2)]
    assert f"node {SERVER} is busy: 97 % of a core" in one(FindingId.NOT_ACCEPTING, *looks).evidence


# backlog-full


@pytest.mark.parametrize(("waits", "backlog", "is_full"), [(2, 1, True), (1, 0, True), (1, 1, False), (0, 0, False)])
def test_a_queue_is_full_when_more_wait_than_the_backlog(waits: int, backlog: int, is_full: bool) -> None:
    findings = found(FindingId.BACKLOG_FULL, look([with_queue(HERE, waits, backlog)]))
    assert bool(findings) is is_full
    for finding in findings:
        assert f"{waits} client" in finding.evidence[0]
        assert f"backlog {backlog}" in finding.evidence[0]
        assert finding.severity is Severity.PROBLEM


def test_unread_datagrams_are_no_clients_in_a_queue() -> None:
    udp = with_queue(listening("127.0.0.1:3000", SERVER, protocol=Protocol.UDP), 4096, 0)
    assert not found(FindingId.BACKLOG_FULL, look([udp]))


# healthy


def test_of_a_healthy_server_nothing_is_found() -> None:
    server = with_queue(HERE, 0, 128)
    processes = [replace(process(SERVER), status="sleeping", cwd="/home/a", exe="/usr/bin/node")]
    looks = [look([server], [served(server, 40000)], processes, after_s=n) for n in range(5)]
    assert not judged(*looks)
