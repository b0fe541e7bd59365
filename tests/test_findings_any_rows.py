"""Whatever is in the table, in whatever mixture: no rule fails, and none speaks of what is not there."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from hypothesis import given
from hypothesis import strategies as st
from looks import joined, look, told
from making import NOW, any_text, process_id, quick, socket

from loopmon.clean import clean
from loopmon.findings import Judge
from loopmon.findings.kinds import weight
from loopmon.model import Ancestor, Connection, OwnerUnknown, Process, Snapshot, Socket, Status, Ties

pids = st.integers(1, 6)
places = st.builds(
    "{}:{}".format,
    st.sampled_from(["127.0.0.1", "127.0.0.2", "0.0.0.0", "[::1]", "[::]"]),
    st.sampled_from([80, 3000, 40000]),
)
figures = st.none() | st.integers(0, 5000)
moments = st.none() | st.floats(NOW - 1e5, NOW + 10)
yes_no = st.none() | st.booleans()
paths = st.none() | st.sampled_from(["/a", "/a (deleted)"]) | any_text


@st.composite
def processes(draw: st.DrawFn) -> list[Process]:
    def ties() -> Ties:
        streams = draw(st.none() | st.tuples(any_text, st.sampled_from(["/dev/pts/1 (deleted)", "pipe:[3]"])))
        return Ties(draw(st.none() | pids), draw(yes_no), draw(yes_no), streams, draw(paths), draw(paths))

    return [
        Process(
            id=process_id(pid),
            name=draw(any_text | st.sampled_from(["sleep", "node"])),
            cmdline=draw(st.none() | st.tuples(any_text)),
            exe=draw(paths),
            cwd=draw(paths),
            status=draw(st.none() | st.sampled_from(["stopped", "zombie", "running"])),
            ppid=draw(st.none() | pids),
            parents=tuple(Ancestor(process_id(above), draw(any_text)) for above in draw(st.lists(pids, max_size=2))),
            cpu_percent=draw(st.none() | st.floats(0, 800)),
            ties=ties(),
        )
        for pid in draw(st.sets(pids))
    ]


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    serial = count()

    def any_socket(*, connected: bool, status: Status) -> Socket:
        held = draw(st.lists(pids, max_size=3))
        made = socket(
            draw(places),
            draw(places) if connected else None,
            *held,
            id=f"s{next(serial)}",
            status=status,
            unknown=draw(st.sampled_from(OwnerUnknown)),
        )
        return replace(
            made, recv_queue=draw(figures), send_queue=draw(figures), active_at=draw(moments), heard_at=draw(moments)
        )

    def any_connection(listeners: list[Socket]) -> Connection:
        client, server = (any_socket(connected=True, status=draw(st.sampled_from(Status))) for _ in range(2))
        listener = draw(st.none() | st.sampled_from(listeners)) if listeners else None
        client_end = client if draw(st.booleans()) else None
        server_end = draw(st.sampled_from([server, client])) if client_end is None or draw(st.booleans()) else None
        return replace(joined(client_end, server_end, listener), id=f"c{next(serial)}")

    listeners = [any_socket(connected=False, status=Status.LISTEN) for _ in range(draw(st.integers(0, 4)))]
    connections = [any_connection(listeners) for _ in range(draw(st.integers(0, 6)))]
    bound = [any_socket(connected=False, status=Status.CLOSE) for _ in range(draw(st.integers(0, 2)))]
    return look(listeners, connections, draw(processes()), bound=bound, after_s=draw(st.floats(0, 1e5)))


@quick
@given(st.lists(snapshots(), min_size=1, max_size=4))
def test_no_mixture_of_rows_upsets_a_rule_and_every_subject_is_there(looks: list[Snapshot]) -> None:
    judge = Judge()
    for each in looks:
        findings = judge.judge(each).findings
        subjects = {f"listener:{row.id}" for row in each.listeners} | {
            f"connection:{row.id}" for row in each.connections
        }
        subjects |= {f"process:{identity.pid}" for identity in each.processes} | {"system"}
        assert {finding.subject for finding in findings} <= subjects
        assert [*findings] == sorted(findings, key=lambda finding: (*weight(finding), finding.subject))
        for finding in findings:
            assert finding.title and finding.evidence and finding.remedy
            assert clean(told(finding).replace("\n", " ")) == told(finding).replace("\n", " ")
