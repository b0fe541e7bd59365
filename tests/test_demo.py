"""The scripted machine: the same for the same seed, every kind of row, and always something that changes."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import quick

from loopmon.address import is_loopback
from loopmon.model import ChangeKind, Connection, Endpoint, Family, OwnerUnknown, Protocol, Scope, Snapshot, Status
from loopmon.observe import scope as scoping
from loopmon.observe.observer import Observer
from loopmon.sources import Reading, open_source
from loopmon.sources.demo import MAX_PEOPLE, VISIT_PERIOD_S, DemoSource

SECONDS = 240


def readings(count: int, seed: int = 7) -> list[Reading]:
    source = DemoSource(seed)
    return [source.read() for _ in range(count)]


@pytest.fixture(scope="module")
def machine() -> Snapshot:
    return Observer("demo").observe(DemoSource().read(), Scope(ipv6=True)).snapshot


def in_state(machine: Snapshot, *states: Status) -> list[Connection]:
    return [row for row in machine.connections if row.status in states]


@quick
@given(st.integers(), st.integers(1, 5))
def test_the_same_seed_shows_the_same_machine(seed: int, count: int) -> None:
    assert readings(count, seed) == readings(count, seed)


def test_another_seed_shows_other_short_clients() -> None:
    assert readings(30, seed=1) != readings(30, seed=2)


def test_each_reading_is_one_second_later_and_needs_nothing_of_this_system() -> None:
    seen = readings(5)
    assert {after.taken_at - before.taken_at for before, after in pairwise(seen)} == {1.0}
    assert all(reading.processes is not None and reading.ports is not None for reading in seen)


def test_an_unchanged_socket_is_the_same_object_in_the_next_reading() -> None:
    before, after = readings(2)
    known = {found: found for found in before.sockets}
    kept = [found for found in after.sockets if found in known]
    assert len(kept) > 40
    assert all(known[found] is found for found in kept)


@pytest.mark.parametrize("seed", [1, 7])
def test_every_reading_is_one_that_a_real_machine_could_give(seed: int) -> None:
    for reading in readings(SECONDS, seed):
        assert reading.processes is not None
        assert max(Counter(found.id for found in reading.sockets).values()) == 1
        assert sum(map(len, scoping.split(reading.sockets))) == len(reading.sockets)
        for found in reading.sockets:
            assert 0 < found.laddr.port < 65536
            assert found.owners or found.owner_unknown, found.id
            assert not (found.owners and found.owner_unknown), found.id
            assert all(owner.process in reading.processes for owner in found.owners)
            assert all(owner.process.create_time <= reading.taken_at for owner in found.owners)


def test_some_listeners_are_shared_by_several_processes_and_some_ports_by_several_sockets(machine: Snapshot) -> None:
    assert max(len({o.process for o in row.socket.owners}) for row in machine.listeners) > 1
    assert max(Counter((row.socket.protocol, row.laddr) for row in machine.listeners).values()) > 1


def test_listeners_are_bound_to_loopback_to_wildcards_and_to_both_families(machine: Snapshot) -> None:
    bound = {(row.laddr.ip, row.socket.v6only) for row in machine.listeners}
    assert bound >= {("127.0.0.1", None), ("0.0.0.0", None), ("::1", None), ("::", False), ("::", True)}
    assert {row.exposed for row in machine.listeners} == {True, False}
    assert {row.socket.family for row in machine.listeners} == set(Family)
    assert any(is_loopback(row.laddr.ip) and row.laddr.ip not in {"127.0.0.1", "::1"} for row in machine.listeners)


def test_there_is_udp_a_service_name_and_a_port_of_each_class_but_few(machine: Snapshot) -> None:
    assert {row.socket.protocol for row in machine.listeners} == set(Protocol)
    assert any(row.service for row in machine.listeners)
    assert {row.port_class.value for row in machine.listeners} >= {"registered", "ephemeral"}


def test_some_owners_are_unknown_for_each_reason_that_the_screen_explains(machine: Snapshot) -> None:
    sockets = [row.socket for row in machine.listeners]
    sockets += [end.socket for row in machine.connections for end in (row.client, row.server) if end.socket]
    assert {found.owner_unknown for found in sockets} >= {
        None,
        OwnerUnknown.OTHER_USER,
        OwnerUnknown.NOT_ACCEPTED,
        OwnerUnknown.KERNEL,
        OwnerUnknown.CLOSED_BY_PROCESS,
    }
    assert any(row.socket.owner_unknown is OwnerUnknown.OTHER_USER for row in machine.listeners)


def test_some_connections_wait_close_or_do_not_get_through(machine: Snapshot) -> None:
    assert in_state(machine, Status.ESTABLISHED)
    assert all(row.server.socket is None and not row.listener_id for row in in_state(machine, Status.SYN_SENT))
    assert in_state(machine, Status.SYN_SENT)
    waiting = in_state(machine, Status.TIME_WAIT)
    assert waiting
    assert all(row.server.socket is None and row.listener_id for row in waiting)
    server_states = {row.server.socket.status for row in machine.connections if row.server.socket}
    assert Status.CLOSE_WAIT in server_states


def test_one_connection_is_to_itself_and_one_is_not_accepted(machine: Snapshot) -> None:
    assert [row.client.addr for row in machine.connections if row.client.addr == row.server.addr] == [
        Endpoint("127.0.0.1", 45999)
    ]
    not_accepted = [
        row
        for row in machine.connections
        if row.server.socket and row.server.socket.owner_unknown is OwnerUnknown.NOT_ACCEPTED
    ]
    assert len(not_accepted) == 1
    assert not_accepted[0].client.owners


def test_ipv6_is_hidden_by_default_and_counted() -> None:
    snapshot = Observer("demo").observe(DemoSource().read(), Scope()).snapshot
    assert snapshot.hidden.ipv6_loopback == 3
    assert "::1" not in {row.laddr.ip for row in snapshot.listeners}


def test_over_minutes_listeners_and_connections_open_change_and_close() -> None:
    source, observer = DemoSource(), Observer("demo")
    seen = {
        (type(change.subject).__name__, change.kind)
        for _ in range(SECONDS)
        for change in observer.observe(source.read(), Scope()).changes
    }
    assert seen >= {
        ("Listener", ChangeKind.OPENED),
        ("Listener", ChangeKind.CLOSED),
        ("Connection", ChangeKind.OPENED),
        ("Connection", ChangeKind.STATUS),
        ("Connection", ChangeKind.CLOSED),
    }


def test_something_changes_at_least_every_minute() -> None:
    ids = [frozenset((found.id, found.status) for found in reading.sockets) for reading in readings(SECONDS)]
    for start in range(0, SECONDS, 60):
        assert len(set(ids[start : start + 60])) > 1


def test_it_does_not_grow_while_it_runs() -> None:
    seen = readings(1000)
    assert max(len(reading.sockets) for reading in seen[500:]) < 2 * max(len(r.sockets) for r in seen[:100])
    assert max(len(reading.processes or ()) for reading in seen) <= MAX_PEOPLE


def test_after_weeks_the_ports_are_still_ports() -> None:
    source = DemoSource()
    source._second = 20_000 * VISIT_PERIOD_S  # reading up to there would take minutes
    ports = {found.laddr.port for _ in range(VISIT_PERIOD_S) for found in source.read().sockets}
    assert 4000 in ports
    assert max(ports) <= 65535


def test_it_is_what_the_demo_option_opens() -> None:
    source = open_source(demo=True)
    assert source.name == "demo"
    assert source.read() == DemoSource().read()
    source.close()
