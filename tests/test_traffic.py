"""How much goes through each connection and each listener, from the counters of two looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import NOW, both_ends, connection, end, listener, listening, quick

from loopmon.model import Connection, Listener, Rate
from loopmon.observe.pairing import Brief
from loopmon.observe.traffic import HISTORY_S, MIN_STEP_S, Traffic, bytes_of

API = listener(listening("127.0.0.1:3000", 4312))
WEB = listener(listening("127.0.0.1:5173", 4401))
NOTHING = Brief([], [], [])


def link(
    port: int,
    up: int | None = None,
    down: int | None = None,
    *,
    to: Listener | None = API,
    seen_opening: bool = True,
) -> Connection:
    """From ``port`` to the listener, with what its client end has counted: bytes to the server and back."""
    client, server = f"127.0.0.1:{port}", f"127.0.0.1:{to.laddr.port if to else 9}"
    near, far = both_ends(client, server)
    near = replace(near, bytes_sent=up, bytes_received=down)
    row = connection(end(client, near), end(server, far), listener_id=to.id if to else None)
    return replace(row, seen_opening=seen_opening)


class Looks:
    """Traffic that is shown the connections of one look after another, a second apart."""

    def __init__(self, *listeners: Listener) -> None:
        self.listeners = {row.id: row for row in listeners or (API,)}
        self.now = NOW
        self._traffic = Traffic()

    def at(self, *rows: Connection, after_s: float = 1.0, brief: Brief = NOTHING) -> Mapping[str, Rate]:
        self.now += after_s
        after = {row.id: row for row in rows}
        return self._traffic.update(after, brief, self.listeners, self.now)


def test_the_first_look_tells_no_rate() -> None:
    assert Looks().at(link(49342, 5000, 100)) == {}


def test_a_connection_s_rate_is_what_went_either_way_by_the_time_between_the_looks() -> None:
    looks = Looks()
    looks.at(link(49342, 1000, 50))
    assert looks.at(link(49342, 3000, 150), after_s=2)[link(49342).id] == Rate(1050.0)


def test_a_listener_s_rate_adds_up_its_connections() -> None:
    looks = Looks(API, WEB)
    looks.at(link(1, 0, 0), link(2, 0, 0), link(3, 0, 0, to=WEB))
    rates = looks.at(link(1, 100, 10), link(2, 200, 20), link(3, 5, 0, to=WEB))
    assert rates[API.id].bytes_per_s == 330.0
    assert rates[WEB.id].bytes_per_s == 5.0


def test_an_idle_connection_and_an_idle_listener_have_no_rate() -> None:
    looks = Looks(API, WEB)
    idle = link(49342, 7000, 7000)
    looks.at(idle)
    assert looks.at(idle) == {}
    assert looks.at(link(49342, 7000, 7000)) == {}, "the same numbers in another object"


def test_a_connection_seen_opening_brings_all_it_has_carried_and_counts_as_new() -> None:
    looks = Looks()
    looks.at()
    rates = looks.at(link(1, 400, 0), link(2, 0, 100), after_s=2)
    assert rates[link(1).id].bytes_per_s == 200.0
    assert (rates[API.id].bytes_per_s, rates[API.id].connections_per_s) == (250.0, 1.0)


def test_a_connection_that_was_not_seen_opening_is_neither_new_nor_traffic() -> None:
    looks = Looks()
    looks.at()
    assert looks.at(link(1, 10**9, 10**9, seen_opening=False)) == {}


def test_a_new_connection_without_any_bytes_counts_only_as_new() -> None:
    looks = Looks()
    looks.at()
    assert looks.at(link(1, 0, 0)) == {API.id: Rate(0.0, 1.0, (0.0,))}


def test_a_brief_connection_brings_its_bytes_and_counts_as_new_at_its_listener_alone() -> None:
    looks = Looks()
    looks.at()
    rates = looks.at(brief=Brief([link(1, 30, 70), link(2, 100, 0)], [], []), after_s=2)
    assert rates == {API.id: Rate(100.0, 1.0, (100.0,))}


def test_a_brief_connection_whose_end_remains_brings_its_bytes_and_is_counted_once() -> None:
    looks = Looks()
    looks.at()
    rates = looks.at(link(1), brief=Brief([], [link(1, 30, 70)], []))
    assert (rates[API.id].bytes_per_s, rates[API.id].connections_per_s) == (100.0, 1.0)


@pytest.mark.parametrize("later", [(10, 10), (0, 0), (None, None), (400, None)], ids=str)
def test_counters_that_shrink_give_no_rate_and_never_a_negative_one(later: tuple[int | None, int | None]) -> None:
    looks = Looks()
    looks.at(link(1, 500, 500), link(2, 0, 0))
    rates = looks.at(link(1, *later), link(2, 20, 0))
    assert link(1).id not in rates
    assert rates[API.id].bytes_per_s == 20.0, "what another connection brings is not taken away either"


def test_counters_that_nobody_keeps_say_nothing() -> None:
    looks = Looks()
    silent = link(1)
    looks.at(silent)
    assert looks.at(replace(silent, first_seen=NOW - 9)) == {}


def test_a_connection_without_a_listener_has_a_rate_of_its_own() -> None:
    looks = Looks()
    looks.at(link(1, 0, 0, to=None))
    assert looks.at(link(1, 8, 0, to=None)) == {link(1, to=None).id: Rate(8.0)}


def test_bytes_are_told_by_the_end_that_sent_them_else_by_the_one_that_received_them() -> None:
    near, far = both_ends("127.0.0.1:49342", "127.0.0.1:3000")
    far = replace(far, bytes_sent=9, bytes_received=4)
    server = end("127.0.0.1:3000", far)
    counts = replace(near, bytes_sent=5, bytes_received=10)
    assert bytes_of(connection(end("127.0.0.1:49342", counts), server)) == (5, 9)
    assert bytes_of(connection(end("127.0.0.1:49342", near), server)) == (4, 9)
    assert bytes_of(connection(end("127.0.0.1:49342"), server)) == (4, 9)
    assert bytes_of(connection(end("127.0.0.1:49342"), end("127.0.0.1:3000"))) == (None, None)
    assert bytes_of(connection(end("127.0.0.1:49342", replace(counts, bytes_sent=0)), server)) == (0, 9)


def test_a_listener_keeps_the_history_of_its_looks_the_latest_last() -> None:
    looks = Looks()
    looks.at(link(1, 0, 0))
    for total in (10, 30, 60):
        rates = looks.at(link(1, total, 0))
    assert rates[API.id].history == (10.0, 20.0, 30.0)
    assert rates[link(1).id].history == ()


def test_a_listener_that_has_become_idle_is_told_as_long_as_the_last_minute_had_traffic() -> None:
    looks = Looks()
    looks.at(link(1, 0, 0))
    looks.at(link(1, 600, 0))
    for second in range(HISTORY_S - 1):
        rates = looks.at(link(1, 600, 0))
        assert rates[API.id].bytes_per_s == 0.0
        assert len(rates[API.id].history) == second + 2
    assert looks.at(link(1, 600, 0)) == {}, "a minute later"


@pytest.mark.parametrize(("step_s", "looks_a_minute"), [(0.5, 120), (1.0, 60), (10.0, 6), (90.0, 1)])
def test_the_history_is_of_the_last_minute_however_often_one_looks(step_s: float, looks_a_minute: int) -> None:
    looks = Looks()
    rates: Mapping[str, Rate] = {}
    for total in range(1, 150):
        rates = looks.at(link(1, total, 0), after_s=step_s)
    assert len(rates[API.id].history) == looks_a_minute


def test_a_listener_that_has_gone_is_forgotten_with_its_history() -> None:
    looks = Looks()
    looks.at(link(1, 0, 0))
    looks.at(link(1, 99, 0))
    looks.listeners = {}
    assert looks.at() == {}
    looks.listeners = {API.id: API}
    assert looks.at(link(2, 5, 0))[API.id].history == (5.0,)


@pytest.mark.parametrize("step_s", [0.0, MIN_STEP_S / 2], ids=["same time", "almost"])
def test_two_looks_at_nearly_the_same_time_keep_the_last_rates(step_s: float) -> None:
    looks = Looks()
    looks.at(link(1, 0, 0))
    before = looks.at(link(1, 100, 0))
    assert before
    assert looks.at(link(1, 10**6, 0), after_s=step_s) == before
    after_s = 1.0 - step_s
    rates = looks.at(link(1, 10**6 + 50, 0), after_s=after_s)
    assert rates[link(1).id].bytes_per_s == pytest.approx(10**6 - 50), "what the look between brought is not lost"


def test_a_clock_that_was_set_back_tells_no_rate_and_begins_anew() -> None:
    looks = Looks()
    looks.at(link(1, 0, 0))
    before = looks.at(link(1, 100, 0))
    assert looks.at(link(1, 10**6, 0), after_s=-3600) == before
    assert looks.at(link(1, 10**6 + 50, 0))[API.id].history == (50.0,)


def test_what_goes_through_a_connection_after_its_last_look_counts_for_its_listener() -> None:
    looks = Looks()
    looks.at(link(1, 0, 0))
    rates = looks.at(brief=Brief([], [], [link(1, 10, 10**9)]))
    assert rates[API.id].bytes_per_s == 10**9 + 10
    assert rates[API.id].connections_per_s == 0


def test_rates_once_told_are_not_changed_by_later_looks() -> None:
    looks = Looks()
    looks.at(link(1, 0, 0))
    told = looks.at(link(1, 10, 0))
    kept = dict(told)
    looks.at(link(1, 90, 0))
    assert told == kept


counters = st.one_of(st.none(), st.integers(0, 2**63))


@quick
@given(st.lists(st.tuples(counters, counters, counters, counters), min_size=1, max_size=8))
def test_no_counters_whatever_give_a_negative_rate(totals: list[tuple[int | None, ...]]) -> None:
    looks = Looks()
    for up, down, up_too, down_too in totals:
        for rate in looks.at(link(1, up, down), link(2, up_too, down_too)).values():
            assert rate.bytes_per_s >= 0
            assert rate.connections_per_s >= 0
            assert all(past >= 0 for past in rate.history)
