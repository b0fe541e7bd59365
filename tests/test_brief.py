"""Connections that lived and died between two looks: what the kernel says of sockets that no look has seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from making import EPHEMERAL, NOW, both_ends, listening, process_id, reading, socket

from loopmon.model import ChangeKind, Connection, OwnerBasis, Rate, RoleBasis, Scope, Socket, Status
from loopmon.observe.observer import MAX_BRIEF, Observation, Observer
from loopmon.observe.pairing import Brief, Pairing

API = listening("127.0.0.1:3000", 4312)
WEB = listening("0.0.0.0:5173", 4401)
SIX = listening("[::1]:5432", 811)
BOTH = [ChangeKind.OPENED, ChangeKind.CLOSED]


def over(client: str, server: str, up: int = 0, down: int = 0, *, mark: str = "") -> tuple[Socket, Socket]:
    """Both ends of a connection as the kernel tells of them when they have gone: nobody holds them."""
    near, far = both_ends(client, server)
    last = Status.CLOSE
    return (
        replace(near, id=near.id + mark, status=last, owners=(), bytes_sent=up, bytes_received=down),
        replace(far, id=far.id + mark, status=last, owners=(), bytes_sent=down, bytes_received=up),
    )


def call(port: int, up: int = 0, down: int = 0, *, mark: str = "") -> tuple[Socket, Socket]:
    """One from ``port`` to the API."""
    return over(f"127.0.0.1:{port}", "127.0.0.1:3000", up, down, mark=mark)


class Looks:
    """An observer that is shown one machine after another, a second apart."""

    def __init__(self, *sockets: Socket, scope: Scope | None = None) -> None:
        self.scope = scope or Scope()
        self.now = NOW
        self.sockets = sockets or (API,)
        self.observer = Observer("made")
        self.at()

    def at(
        self,
        *more: Socket,
        destroyed: Iterable[Socket] = (),
        partial: bool = False,
        lost: int = 0,
        after_s: float = 1.0,
    ) -> Observation:
        self.now += after_s
        seen = reading(*self.sockets, *more, taken_at=self.now)
        told = replace(seen, destroyed=tuple(destroyed), partial=partial, notices_lost=lost)
        return self.observer.observe(told, self.scope)


def brief_of(destroyed: Iterable[Socket], *listeners: Socket) -> Brief:
    pairing = Pairing(EPHEMERAL)
    pairing.join([], listeners, NOW)
    return pairing.brief(destroyed, listeners, NOW + 1)


def kinds(observation: Observation) -> list[ChangeKind]:
    return [change.kind for change in observation.changes]


def api_rate(observation: Observation) -> Rate:
    return observation.snapshot.rates.get(API.id, Rate(0.0))


def test_two_ends_that_no_look_has_seen_are_one_connection() -> None:
    brief = brief_of(call(49342, 30, 70), API)
    assert brief.remain == []
    [row] = brief.gone
    assert (row.client.addr.port, row.server.addr.port) == (49342, 3000)
    assert row.client.socket is not None
    assert row.server.socket is not None
    assert (row.client.socket.bytes_sent, row.server.socket.bytes_sent) == (30, 70)


def test_its_server_is_named_by_the_listener_and_its_client_by_nobody() -> None:
    [row] = brief_of(call(49342), API, WEB).gone
    assert (row.roles, row.listener_id) == (RoleBasis.LISTENER, API.id)
    assert (row.server.basis, [owner.process for owner in row.server.owners]) == (
        OwnerBasis.LISTENS,
        [process_id(4312)],
    )
    assert (row.client.basis, row.client.owners) == (OwnerBasis.UNKNOWN, ())


def test_which_end_told_first_does_not_matter() -> None:
    near, far = call(49342)
    [one], [other] = brief_of([near, far], API).gone, brief_of([far, near], API).gone
    assert (one.client, one.server) == (other.client, other.server)


@pytest.mark.parametrize("end", [0, 1], ids=["client", "server"])
def test_one_end_alone_is_a_connection_too(end: int) -> None:
    [row] = brief_of([call(49342)[end]], API).gone
    assert (row.client.addr.port, row.server.addr.port) == (49342, 3000)
    assert (row.client.socket is None, row.server.socket is None) == (end == 1, end == 0)


def test_without_a_listener_the_ephemeral_range_tells_the_ends_apart() -> None:
    [row] = brief_of(call(49342)).gone
    assert (row.server.addr.port, row.roles, row.listener_id) == (3000, RoleBasis.EPHEMERAL_RANGE, None)


def test_each_pair_of_ports_is_a_connection_of_its_own_with_an_id_of_its_own() -> None:
    rows = brief_of([*call(49342), *call(49343), *over("127.0.0.1:49342", "127.0.0.1:5173")], API, WEB).gone
    assert len({row.id for row in rows}) == 3
    assert sorted((row.client.addr.port, row.server.addr.port) for row in rows) == [
        (49342, 3000),
        (49342, 5173),
        (49343, 3000),
    ]


def test_no_sockets_are_no_connections() -> None:
    assert brief_of((), API) == Brief([], [], [])


def test_a_brief_connection_has_opened_and_closed_and_is_not_in_the_snapshot() -> None:
    looks = Looks()
    seen = looks.at(destroyed=call(49342))
    assert kinds(seen) == BOTH
    assert seen.snapshot.connections == ()
    opened, closed = seen.changes
    assert opened.subject is closed.subject
    assert isinstance(opened.subject, Connection)
    assert opened.subject.seen_opening
    assert (opened.at, closed.at, opened.subject.first_seen) == (looks.now, looks.now, looks.now)


def test_it_is_told_once() -> None:
    looks = Looks()
    looks.at(destroyed=call(49342))
    after = looks.at()
    assert after.changes == ()
    assert api_rate(after).connections_per_s == 0


def test_two_calls_from_one_port_in_two_looks_have_two_ids() -> None:
    looks = Looks()
    first = looks.at(destroyed=call(49342, mark="a"))
    second = looks.at(destroyed=call(49342, mark="b"))
    assert kinds(second) == BOTH
    assert first.changes[0].subject.id != second.changes[0].subject.id


def test_what_was_destroyed_before_the_first_look_is_not_told() -> None:
    observer = Observer("made")
    first = observer.observe(replace(reading(API), destroyed=call(49342)), Scope())
    assert first.changes == ()
    assert observer.observe(reading(API, taken_at=NOW + 1), Scope()).snapshot.rates == {}


def test_sockets_of_a_connection_that_a_look_has_seen_are_not_told_again() -> None:
    looks = Looks()
    looks.at(*both_ends("127.0.0.1:49342", "127.0.0.1:3000"))
    seen = looks.at(destroyed=call(49342))
    assert kinds(seen) == [ChangeKind.CLOSED]
    assert api_rate(seen).connections_per_s == 0


def test_one_end_that_was_seen_is_enough() -> None:
    looks = Looks()
    near, _ = both_ends("127.0.0.1:49342", "127.0.0.1:3000")
    looks.at(near)
    assert kinds(looks.at(destroyed=call(49342))) == [ChangeKind.CLOSED]


def test_an_end_that_remains_in_time_wait_is_told_by_the_table_alone() -> None:
    looks = Looks()
    rest = socket("127.0.0.1:49342", "127.0.0.1:3000", id="rest", status=Status.TIME_WAIT)
    seen = looks.at(rest, destroyed=call(49342, 30, 70))
    assert kinds(seen) == [ChangeKind.OPENED]
    assert [row.status for row in seen.snapshot.connections] == [Status.TIME_WAIT]
    assert (api_rate(seen).connections_per_s, api_rate(seen).bytes_per_s) == (1.0, 100.0)
    assert kinds(looks.at()) == [ChangeKind.CLOSED], "when the kernel has forgotten it"


def test_a_connection_that_was_seen_and_now_waits_is_neither_new_nor_brief() -> None:
    """The kernel calls it by the same name in TIME_WAIT, once a look has asked for that name."""
    looks = Looks()
    near, far = both_ends("127.0.0.1:49342", "127.0.0.1:3000")
    looks.at(near, far)
    seen = looks.at(replace(near, status=Status.TIME_WAIT, owners=()), destroyed=call(49342))
    assert kinds(seen) == [ChangeKind.STATUS]
    assert api_rate(seen).connections_per_s == 0


@pytest.mark.parametrize(("ipv6", "expected"), [(False, []), (True, BOTH)])
def test_what_is_outside_the_scope_is_not_told(ipv6: bool, expected: list[ChangeKind]) -> None:
    looks = Looks(SIX, scope=Scope(ipv6=ipv6))
    assert kinds(looks.at(destroyed=over("[::1]:40500", "[::1]:5432"))) == expected


def test_what_has_nothing_to_do_with_loopback_is_not_told() -> None:
    elsewhere = replace(call(49342)[0], raddr=None), *over("10.0.0.1:49342", "10.0.0.2:443")
    half = over("127.0.0.1:49342", "10.0.0.2:3000")
    seen = Looks().at(destroyed=(*elsewhere, *half))
    assert seen.changes == ()
    assert seen.snapshot.rates == {}


def test_of_very_many_some_are_told_and_all_are_counted() -> None:
    looks = Looks()
    number = MAX_BRIEF * 3
    gone = [found for port in range(40000, 40000 + number) for found in call(port, 1, 1)]
    seen = looks.at(destroyed=gone, after_s=2)
    assert kinds(seen) == BOTH * MAX_BRIEF
    assert len({change.subject.id for change in seen.changes}) == MAX_BRIEF
    assert (api_rate(seen).connections_per_s, api_rate(seen).bytes_per_s) == (number / 2, float(number))


def test_notices_that_the_kernel_had_to_drop_are_a_limit_as_long_as_they_are() -> None:
    looks = Looks()
    assert looks.at().snapshot.limits == ()
    [sentence] = looks.at(lost=7).snapshot.limits
    assert sentence.startswith("events lost: ")
    assert looks.at().snapshot.limits == ()


def test_a_dropped_notice_comes_after_the_source_s_own_limits() -> None:
    told = replace(reading(API, limits=("half blind",)), notices_lost=1)
    first, second = Observer("made").observe(told, Scope()).snapshot.limits
    assert first == "half blind"
    assert "lost" in second


def test_what_a_look_at_the_listeners_alone_hears_of_is_counted_by_the_next_whole_look() -> None:
    looks = Looks()
    glance = looks.at(destroyed=call(49342, 30, 70), partial=True, after_s=0.5)
    assert glance.snapshot.rates == {}
    whole = looks.at(destroyed=call(49343, 100, 0), after_s=0.5)
    assert kinds(glance) + kinds(whole) == BOTH * 2
    assert (api_rate(whole).connections_per_s, api_rate(whole).bytes_per_s) == (2.0, 200.0)
    assert api_rate(looks.at()).connections_per_s == 0, "counted once"


def test_a_look_at_the_listeners_alone_leaves_the_rates_as_they_were() -> None:
    looks = Looks()
    whole = looks.at(destroyed=call(49342, 30, 70))
    glance = looks.at(listening("127.0.0.1:8000", 9), partial=True, after_s=0.25)
    assert len(glance.snapshot.listeners) == 2
    assert glance.snapshot.rates == whole.snapshot.rates


def test_a_brief_connection_to_a_listener_that_came_with_it_belongs_to_that_listener() -> None:
    looks = Looks(WEB)
    seen = looks.at(API, destroyed=call(49342))
    assert kinds(seen) == [ChangeKind.OPENED, *BOTH]
    assert api_rate(seen).connections_per_s == 1.0
