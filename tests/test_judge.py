"""Findings from look to look: when they appear, how long they stay, their order; and what no rule may do."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from looks import CLIENT, SERVER, half_closed, joined, judged, look, one, served, told, waiting, with_queue
from making import HOSTILE, NOW, listening, process, process_id, socket

from loopmon.clean import clean
from loopmon.findings import Judge
from loopmon.findings.judge import LINGER_LOOKS
from loopmon.findings.kinds import KINDS
from loopmon.model import (
    Ancestor,
    FindingId,
    OwnerUnknown,
    Process,
    Severity,
    Snapshot,
    Socket,
    Status,
    Ties,
)

HERE = listening("127.0.0.1:3000", SERVER)
CALM = look([HERE])
STOPPED = look([HERE], processes=[replace(process(SERVER), status="stopped")])


def ids(snapshot: Snapshot) -> list[FindingId]:
    return [finding.id for finding in snapshot.findings]


# From look to look


def test_a_finding_appears_stays_and_clears_after_it_has_been_missed_for_a_look() -> None:
    judge = Judge()
    assert not ids(judge.judge(CALM))
    for _ in range(5):
        assert ids(judge.judge(STOPPED)) == [FindingId.STOPPED]
    for _ in range(LINGER_LOOKS):
        assert ids(judge.judge(CALM)) == [FindingId.STOPPED]
    assert not ids(judge.judge(CALM))


def test_what_comes_and_goes_from_look_to_look_does_not_flicker() -> None:
    judge = Judge()
    seen = [ids(judge.judge(STOPPED if n % 2 == 0 else CALM)) for n in range(8)]
    assert seen == [[FindingId.STOPPED]] * 8


def test_a_finding_goes_with_its_listener() -> None:
    judge = Judge()
    judge.judge(STOPPED)
    assert not ids(judge.judge(look()))


def test_findings_about_the_system_all_stay_for_the_look_they_are_missed_at() -> None:
    bound = [socket(f"127.0.0.1:{port}", None, SERVER, status=Status.CLOSE) for port in (3000, 3001)]
    judge = Judge()
    for after in range(2):
        found = judge.judge(look(bound=bound, after_s=after))
    assert ids(found) == [FindingId.BOUND_NOT_LISTENING] * 2
    assert ids(judge.judge(look(after_s=2))) == [FindingId.BOUND_NOT_LISTENING] * 2
    assert not ids(judge.judge(look(after_s=3)))


def test_where_nothing_has_changed_the_findings_are_the_same_tuple() -> None:
    judge = Judge()
    first = judge.judge(STOPPED)
    second = judge.judge(replace(STOPPED, taken_at=NOW + 1))
    assert first.findings
    assert second.findings is first.findings
    assert judge.judge(CALM).findings is first.findings, "it lingers as it was"


def test_the_rest_of_the_snapshot_is_untouched() -> None:
    after = Judge().judge(STOPPED)
    assert all(getattr(after, f.name) is getattr(STOPPED, f.name) for f in fields(Snapshot) if f.name != "findings")


def test_a_finding_that_gets_worse_takes_the_place_of_the_one_before() -> None:
    judge = Judge()
    for waits in (2, 3):
        snapshot = judge.judge(look([with_queue(HERE, waits, 1)]))
        assert [finding.evidence for finding in snapshot.findings] == [
            (f"{waits} clients wait to be accepted; backlog 1",)
        ]


@pytest.mark.parametrize(
    ("snapshot", "wanted"),
    [
        pytest.param(CALM, False, id="nothing is the matter"),
        pytest.param(look([HERE], [waiting(HERE, 40000, since_s=0)]), True, id="a client waits"),
        pytest.param(look(bound=[socket("127.0.0.1:1", None, 5, status=Status.CLOSE)]), True, id="a port is bound"),
        pytest.param(look(connections=[half_closed(40000 + n, 5, heard_s=0) for n in range(3)]), True, id="a leak"),
        pytest.param(look(connections=[half_closed(40000, 5, heard_s=0)]), False, id="one half-closed connection"),
        pytest.param(STOPPED, False, id="what one look tells"),
    ],
)
def test_another_look_is_wanted_only_where_one_cannot_tell(snapshot: Snapshot, wanted: bool) -> None:
    judge = Judge()
    judge.judge(snapshot)
    assert judge.wants_another_look is wanted


# Order


def test_the_worst_comes_first_then_the_order_of_the_kinds_then_the_subject() -> None:
    exposed = listening("0.0.0.0:5000", 20)
    stopped = [listening(f"127.0.0.1:{port}", SERVER) for port in (3001, 3000)]
    processes = [replace(process(SERVER), status="stopped"), replace(process(20), cwd="/tmp/x (deleted)")]
    findings = judged(look([exposed, with_queue(stopped[0], 9, 1), stopped[1]], processes=processes))
    assert [(finding.severity, finding.id, finding.subject) for finding in findings] == [
        (Severity.PROBLEM, FindingId.STOPPED, "listener:tcp:127.0.0.1:3000"),
        (Severity.PROBLEM, FindingId.STOPPED, "listener:tcp:127.0.0.1:3001"),
        (Severity.PROBLEM, FindingId.BACKLOG_FULL, "listener:tcp:127.0.0.1:3001"),
        (Severity.WARNING, FindingId.LEFT_OVER, "listener:tcp:0.0.0.0:5000"),
        (Severity.NOTE, FindingId.EXPOSED, "listener:tcp:0.0.0.0:5000"),
    ]


def test_every_kind_of_finding_is_declared() -> None:
    assert list(KINDS) == list(FindingId)


# Text from outside


def hostile_looks() -> list[Snapshot]:
    """One of each kind that names a process, a path or a number, every text of it hostile."""
    gone = f"/tmp/{HOSTILE} (deleted)"
    ties = Ties(4100, True, True, (f"/dev/pts/{HOSTILE} (deleted)",) * 3, f"/{HOSTILE}", None)
    bad = [
        replace(process(pid, HOSTILE), cwd=gone, exe=gone, ties=ties, cpu_percent=99.0, parents=above)
        for pid, above in ((SERVER, (Ancestor(process_id(1), HOSTILE),)), (CLIENT, ()), (5, ()))
    ]
    bad[2] = replace(bad[2], status="stopped")
    listeners = [
        with_queue(HERE, 9, 1),
        listening("[::1]:3000", 5),
        listening("0.0.0.0:4000", SERVER, CLIENT),
        listening("127.0.0.1:5000", 5),
    ]
    clients = [
        waiting(HERE, 40000, since_s=-60),
        *(half_closed(41000 + n, 5, heard_s=-60) for n in range(3)),
        joined(*[socket("127.0.0.1:42000", "127.0.0.1:42000", CLIENT)] * 2),
    ]
    bound = [socket("127.0.0.1:6000", None, 5, status=Status.CLOSE)]
    snapshot = look(listeners, clients, bad, bound=bound)
    return [replace(snapshot, taken_at=NOW + n) for n in range(2)]


def test_whatever_a_process_calls_itself_findings_are_clean() -> None:
    findings = judged(*hostile_looks())
    assert {finding.id for finding in findings} >= {
        FindingId.LEFT_OVER,
        FindingId.STOPPED,
        FindingId.NOT_ACCEPTING,
        FindingId.BACKLOG_FULL,
        FindingId.SHADOWED,
        FindingId.SHARED,
        FindingId.CLOSE_WAIT,
        FindingId.BOUND_NOT_LISTENING,
        FindingId.PORT_STOLEN,
    }
    for finding in findings:
        for text in (finding.title, *finding.evidence, finding.remedy):
            assert clean(text) == text


def test_a_hostile_server_that_has_gone_is_clean_in_what_it_leaves() -> None:
    both = listening("127.0.0.1:3000", SERVER, 5)
    alone = replace(both, owners=both.owners[1:])
    server, heir = process(SERVER, HOSTILE), process(5, f"{HOSTILE}heir")
    finding = one(FindingId.INHERITED, look([both], processes=[server, heir]), look([alone], processes=[heir]))
    assert clean(told(finding)) == told(finding).replace("\n", " ")


# What no rule may do


def blind() -> Snapshot:
    """As a source that counts nothing and may look into no process tells it."""
    nobody = [Process(id=process_id(pid), name="") for pid in (SERVER, CLIENT)]
    clients = [
        waiting(HERE, 40000, since_s=None),
        served(HERE, 40001),
        *(half_closed(n, 5, heard_s=None) for n in range(41000, 41009)),
    ]
    bare = [
        replace(
            each,
            client=replace(each.client, socket=_bare(each.client.socket)),
            server=replace(each.server, socket=_bare(each.server.socket)),
        )
        for each in clients
    ]
    return look([HERE, listening("127.0.0.1:3001", unknown=OwnerUnknown.UNKNOWN)], bare, nobody)


def _bare(found: Socket | None) -> Socket | None:
    return found and replace(found, recv_queue=None, send_queue=None, active_at=None, heard_at=None)


def test_of_what_is_not_known_nothing_is_found() -> None:
    assert not judged(*(replace(blind(), taken_at=NOW + 60 * n) for n in range(3)))


def test_workers_that_are_replaced_all_day_leave_nothing_behind() -> None:
    judge, kept = Judge(), set[int]()
    for turn in range(50):
        pids = (10, 100 + turn)
        held = [listening("127.0.0.1:3000", *pids, id="tcp:one")]
        judge.judge(look(held, processes=[process(pid, "gunicorn") for pid in pids], after_s=turn))
        kept.add(sum(len(holders) for holders in judge._past.holders.values()))
    assert kept == {2}
