"""Whatever is asked about whatever machine: there is an answer, it is clean, and it can be printed."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from making import any_text, quick
from test_findings_any_rows import snapshots

from loopmon.actions.bind import EVERYWHERE, Bind
from loopmon.actions.probe import Outcome, Probe
from loopmon.clean import clean
from loopmon.commands.explanation import document, text
from loopmon.findings import Judge
from loopmon.firewall import Firewall
from loopmon.machine import Machine
from loopmon.model import Endpoint, Snapshot
from loopmon.why.case import Case
from loopmon.why.explain import explain
from loopmon.why.target import Symptom, Target

words = st.none() | any_text
ports = st.sampled_from([80, 3000, 40000]) | st.integers(1, 65535)
hosts = (
    st.none() | any_text
    | st.sampled_from(["localhost", "a.localhost", "*", "::1", "[::1]", "::1%lo", "::", "0.0.0.0", "127.0.0.2",
                       "::ffff:127.0.0.1", "127.0.0.1.example.org", "192.0.2.1", "[", "1"])
)  # fmt: skip
targets = st.builds(
    Target,
    ports,
    hosts,
    st.none() | st.sampled_from(Symptom),
    any_text,
    st.lists(any_text, max_size=3).map(tuple),
    st.booleans(),
)
machines = st.builds(
    Machine,
    loopback_up=st.sampled_from([True, True, None, False]),
    has_ipv6_loopback=st.booleans(),
    reserved=st.sampled_from([(), ((3000, 3000),)]),
    unprivileged_start=st.none() | st.just(1024),
    localhost=st.sampled_from([("127.0.0.1",), ("::1", "127.0.0.1"), ("::1",), ()]),
    localhost_error=words,
    firewall=st.none() | st.builds(Firewall, st.none() | st.just({"nftables": []}), words),
)
probes = st.builds(
    Probe, st.just(Endpoint("127.0.0.1", 3000)), st.sampled_from(Outcome), st.floats(0, 5000), st.none(), words
)


def binds(port: int) -> st.SearchStrategy[tuple[Bind, ...]]:
    each = [
        st.builds(Bind, st.just(ip), st.just(port), st.booleans(), st.none() | st.booleans(), st.none(), words)
        for ip in EVERYWHERE
    ]
    return st.just(()) | st.tuples(*each)


@quick
@given(targets, snapshots(), st.none() | machines, st.none() | probes, words, st.data())
def test_there_is_always_an_answer(
    target: Target,
    seen: Snapshot,
    machine: Machine | None,
    made: Probe | None,
    formerly: str | None,
    data: st.DataObject,
) -> None:
    tried = data.draw(binds(target.port))
    case = Case(target, Judge().judge(seen), machine, tried, made, formerly)
    answer = explain(case)
    verdict = answer.verdict
    assert verdict.headline
    assert verdict.ok == (verdict.cause == "healthy")
    pieces = [verdict.headline, *verdict.evidence, *verdict.remedies]
    pieces += [line.text for section in answer.sections for line in section.lines]
    assert all(pieces)
    assert all(piece == clean(piece) for piece in pieces)
    shown = text(case, answer)
    assert clean(shown.replace("\n", " ")) == shown.replace("\n", " ")
    assert json.loads(json.dumps(document(case, answer)))["headline"] == verdict.headline
