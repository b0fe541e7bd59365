"""One reading after another into snapshots and the changes between them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from making import NOW, PORTS, both_ends, listening, owner, reading, socket

from loopmon.model import (
    ChangeKind,
    Connection,
    Listener,
    OwnerUnknown,
    PortClass,
    ProcessId,
    Protocol,
    Scope,
    Snapshot,
    Socket,
    Status,
)
from loopmon.observe.observer import Observation, Observer
from loopmon.sources.demo import DemoSource

API = listening("127.0.0.1:3000", 4312)
WEB = listening("0.0.0.0:5173", 4401)
SIX = listening("[::1]:5432", 811)
CLIENT, SERVER = both_ends("127.0.0.1:49342", "127.0.0.1:3000")
CLIENT6, SERVER6 = both_ends("[::1]:40500", "[::1]:5432")


class Looks:
    """An observer that is shown one machine after another, a second apart."""

    def __init__(self, scope: Scope | None = None) -> None:
        self.scope = scope or Scope()
        self.now = NOW
        self.observer = Observer("made")

    def at(self, *sockets: Socket) -> Observation:
        observation = self.observer.observe(reading(*sockets, taken_at=self.now), self.scope)
        self.now += 1
        return observation


def said(observation: Observation) -> list[tuple[ChangeKind, str]]:
    return [(change.kind, change.subject.id) for change in observation.changes]


def only_listener(snapshot: Snapshot) -> Listener:
    assert len(snapshot.listeners) == 1
    return snapshot.listeners[0]


def only_connection(snapshot: Snapshot) -> Connection:
    assert len(snapshot.connections) == 1
    return snapshot.connections[0]


def test_the_first_look_finds_rows_but_no_changes_and_saw_none_of_them_open() -> None:
    first = Looks().at(API, CLIENT, SERVER)
    assert said(first) == []
    assert only_listener(first.snapshot).seen_opening is False
    assert only_connection(first.snapshot).seen_opening is False
    assert only_connection(first.snapshot).listener_id == API.id


def test_what_appears_later_was_seen_opening_and_when() -> None:
    looks = Looks()
    looks.at()
    second = looks.at(API, CLIENT, SERVER)
    connection = only_connection(second.snapshot)
    assert said(second) == [(ChangeKind.OPENED, API.id), (ChangeKind.OPENED, connection.id)]
    assert [change.at for change in second.changes] == [NOW + 1, NOW + 1]
    assert (connection.seen_opening, connection.first_seen) == (True, NOW + 1)
    third = looks.at(API, CLIENT, SERVER).snapshot
    assert (only_listener(third).seen_opening, only_listener(third).first_seen) == (True, NOW + 1)


def test_what_goes_is_closed_and_what_comes_back_is_new() -> None:
    looks = Looks()
    looks.at(API)
    assert said(looks.at()) == [(ChangeKind.CLOSED, API.id)]
    again = looks.at(API)
    assert said(again) == [(ChangeKind.OPENED, API.id)]
    assert only_listener(again.snapshot).first_seen == NOW + 2


def test_the_state_and_the_owners_of_rows_change() -> None:
    looks = Looks()
    connection = only_connection(looks.at(API, CLIENT, SERVER).snapshot)
    waiting = replace(CLIENT, status=Status.TIME_WAIT, owners=(), owner_unknown=OwnerUnknown.KERNEL)
    assert said(looks.at(API, waiting)) == [(ChangeKind.STATUS, connection.id)]
    assert said(looks.at(replace(API, owners=(owner(9),)), waiting)) == [(ChangeKind.OWNER, API.id)]


def test_a_server_that_was_restarted_at_its_address_is_as_old_as_its_restart() -> None:
    looks = Looks()
    looks.at(API)
    restarted = replace(API, owners=(owner(9),))
    taken_over = looks.at(restarted)
    assert said(taken_over) == [(ChangeKind.OWNER, API.id)]
    for look in (taken_over, looks.at(restarted)):
        row = only_listener(look.snapshot)
        assert (row.first_seen, row.seen_opening) == (NOW + 1, True)


def test_a_server_that_keeps_one_of_its_holders_is_as_old_as_before() -> None:
    looks = Looks()
    for owners in ((owner(1),), (owner(1), owner(2)), (owner(2),), (), (owner(2),)):
        row = only_listener(looks.at(replace(API, owners=owners)).snapshot)
        assert (row.first_seen, row.seen_opening) == (NOW, False)


def test_an_owner_that_is_not_seen_for_one_look_is_not_told() -> None:
    looks = Looks()
    looks.at(API, CLIENT, SERVER)
    unseen = [replace(found, owners=(), owner_unknown=OwnerUnknown.UNKNOWN) for found in (API, CLIENT, SERVER)]
    assert said(looks.at(*unseen)) == []
    assert said(looks.at(API, CLIENT, SERVER)) == []


def test_a_connection_that_takes_the_place_of_one_in_time_wait_opens_as_that_one_closes() -> None:
    looks = Looks()
    waiting = replace(CLIENT, status=Status.TIME_WAIT, owners=(), owner_unknown=OwnerUnknown.KERNEL)
    old = only_connection(looks.at(API, waiting).snapshot)
    again = looks.at(API, CLIENT, SERVER)
    new = only_connection(again.snapshot)
    assert said(again) == [(ChangeKind.CLOSED, old.id), (ChangeKind.OPENED, new.id)]
    assert (new.first_seen, new.seen_opening) == (NOW + 1, True)


def test_a_part_in_which_nothing_changed_is_the_same_tuple() -> None:
    looks = Looks()
    first = looks.at(API, CLIENT, SERVER).snapshot
    second = looks.at(API, CLIENT, SERVER)
    assert said(second) == []
    assert second.snapshot.listeners is first.listeners
    assert second.snapshot.connections is first.connections
    assert second.snapshot.taken_at == NOW + 1


def test_a_part_is_the_same_tuple_whatever_changes_outside_the_scope() -> None:
    looks = Looks()
    first = looks.at(API, SIX, CLIENT, SERVER, CLIENT6, SERVER6).snapshot
    second = looks.at(API, SIX, CLIENT, SERVER, replace(CLIENT6, recv_queue=1), SERVER6).snapshot
    third = looks.at(API, CLIENT, SERVER).snapshot
    for later in (second, third):
        assert later.connections is first.connections
        assert later.listeners is first.listeners
    assert [look.hidden.ipv6_loopback for look in (first, second, third)] == [2, 2, 0]


def test_a_row_that_changed_leaves_the_others_the_same_objects() -> None:
    looks = Looks()
    first = looks.at(API, WEB, CLIENT, SERVER).snapshot
    second = looks.at(API, replace(WEB, recv_queue=1), CLIENT, SERVER)
    assert said(second) == []
    before, after = ({row.id: row for row in look.listeners} for look in (first, second.snapshot))
    assert after[API.id] is before[API.id]
    assert after[WEB.id].socket.recv_queue == 1
    assert second.snapshot.connections is first.connections


def test_changing_the_scope_opens_and_closes_nothing() -> None:
    looks = Looks()
    narrow = looks.at(API, WEB, SIX, CLIENT6, SERVER6)
    looks.scope = Scope(ipv6=True)
    wide = looks.at(API, WEB, SIX, CLIENT6, SERVER6)
    looks.scope = Scope(bound_only=True)
    bound = looks.at(API, WEB, SIX, CLIENT6, SERVER6)
    assert [said(look) for look in (narrow, wide, bound)] == [[], [], []]
    counts = [(len(look.snapshot.listeners), len(look.snapshot.connections)) for look in (narrow, wide, bound)]
    assert counts == [(2, 0), (3, 1), (1, 0)]
    hidden = [(look.snapshot.hidden.ipv6_loopback, look.snapshot.hidden.wildcard) for look in (narrow, wide, bound)]
    assert hidden == [(2, 0), (0, 0), (2, 1)]
    assert not any(row.seen_opening for row in wide.snapshot.listeners)
    assert not any(row.seen_opening for row in wide.snapshot.connections)


def test_what_happens_outside_the_scope_is_not_told() -> None:
    looks = Looks()
    looks.at()
    assert said(looks.at(SIX, CLIENT6, SERVER6)) == []
    assert said(looks.at()) == []


def test_sockets_that_are_not_on_loopback_are_no_rows_and_are_not_counted_as_hidden() -> None:
    lan = listening("192.168.1.5:8000", 1)
    out = socket("192.168.1.5:40000", "93.184.216.34:443", 1)
    mixed = socket("127.0.0.1:40000", "10.0.0.1:443", 1)
    snapshot = Looks(Scope(ipv6=True)).at(lan, out, mixed).snapshot
    assert (snapshot.listeners, snapshot.connections) == ((), ())
    assert (snapshot.hidden.ipv6_loopback, snapshot.hidden.wildcard) == (0, 0)


@pytest.mark.parametrize("reason", list(OwnerUnknown))
def test_a_row_without_owner_is_there_with_its_reason(reason: OwnerUnknown) -> None:
    ownerless = listening("127.0.0.1:9000", unknown=reason)
    client = socket("127.0.0.1:49342", "127.0.0.1:9000", unknown=reason)
    snapshot = Looks().at(ownerless, client).snapshot
    assert only_listener(snapshot).socket.owner_unknown is reason
    end = only_connection(snapshot).client
    assert end.socket is not None
    assert end.socket.owner_unknown is reason


def test_a_listener_counts_its_connections_but_not_those_in_time_wait() -> None:
    others = both_ends("127.0.0.1:49350", "127.0.0.1:3000")
    waiting = socket("127.0.0.1:49366", "127.0.0.1:3000", status=Status.TIME_WAIT)
    elsewhere = both_ends("127.0.0.1:49402", "127.0.0.1:3001")
    snapshot = Looks().at(API, CLIENT, SERVER, *others, waiting, *elsewhere).snapshot
    assert only_listener(snapshot).connections == 2
    assert (len(snapshot.connections), snapshot.in_time_wait) == (4, 1)


def test_listeners_come_by_port_then_address() -> None:
    rows = [listening(where, 1) for where in ("127.0.0.2:80", "127.0.0.1:8080", "127.0.0.1:443", "127.0.0.1:80")]
    listeners = Looks().at(*rows).snapshot.listeners
    assert [(row.laddr.port, row.laddr.ip) for row in listeners] == sorted((s.laddr.port, s.laddr.ip) for s in rows)


def test_ports_are_named_and_classed_as_the_source_says() -> None:
    postgres = listening("127.0.0.1:5432", 811)
    mdns = listening("0.0.0.0:5353", 7001, protocol=Protocol.UDP)
    not_mdns = listening("0.0.0.0:5353", 7001)
    high = listening("127.0.0.1:40000", 1)
    rows = {row.id: row for row in Looks().at(postgres, mdns, not_mdns, high).snapshot.listeners}
    assert [rows[s.id].service for s in (postgres, mdns, not_mdns, high)] == ["postgresql", "mdns", None, None]
    assert rows[high.id].port_class is PortClass.EPHEMERAL
    assert rows[mdns.id].exposed
    assert not rows[postgres.id].exposed


def test_a_snapshot_says_what_was_looked_at_and_what_could_not_be_seen() -> None:
    scope = Scope(ipv6=True)
    snapshot = Observer("made").observe(reading(API, limits=("owners of others",)), scope).snapshot
    assert (snapshot.source, snapshot.scope, snapshot.ports, snapshot.taken_at) == ("made", scope, PORTS, NOW)
    assert snapshot.limits == ("owners of others",)
    assert snapshot.processes.keys() == {ProcessId(4312, API.owners[0].process.create_time)}


@pytest.mark.parametrize("scope", [Scope(), Scope(ipv6=True), Scope(bound_only=True)])
def test_over_minutes_of_a_busy_machine_the_changes_lead_from_each_snapshot_to_the_next(scope: Scope) -> None:
    source, observer = DemoSource(), Observer("demo")
    rows: dict[str, Listener | Connection] = {}
    for second in range(120):
        snapshot, changes = observer.observe(source.read(), scope)
        there: list[Listener | Connection] = [*snapshot.listeners, *snapshot.connections]
        if second:
            for change in changes:
                if change.kind is ChangeKind.CLOSED:
                    del rows[change.subject.id]
                else:
                    assert (change.subject.id in rows) == (change.kind is not ChangeKind.OPENED)
                    rows[change.subject.id] = change.subject
            assert rows.keys() == {row.id for row in there}
        rows = {row.id: row for row in there}


def test_what_was_seen_before_changes_no_row_and_no_count() -> None:
    source, observer = DemoSource(), Observer("demo")
    scopes = (Scope(), Scope(), Scope(ipv6=True), Scope(bound_only=True))
    for second in range(60):
        seen, scope = source.read(), scopes[second % len(scopes)]
        known, fresh = observer.observe(seen, scope).snapshot, Observer("demo").observe(seen, scope).snapshot
        assert [(row.id, row.connections) for row in known.listeners] == [
            (row.id, row.connections) for row in fresh.listeners
        ]
        assert [(row.id, row.status) for row in known.connections] == [
            (row.id, row.status) for row in fresh.connections
        ]
        assert (known.hidden, known.in_time_wait) == (fresh.hidden, fresh.in_time_wait)
