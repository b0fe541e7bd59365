"""Both ends of each connection, joined: complete, whatever the order of the rows, and steady from look to look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import EPHEMERAL, NOW, at, both_ends, listening, quick, socket

from loopmon.model import (
    Connection,
    Endpoint,
    OwnerBasis,
    OwnerUnknown,
    PortClass,
    Protocol,
    RoleBasis,
    Socket,
    Status,
)
from loopmon.observe.pairing import ListenerIndex, Pairing

API = listening("127.0.0.1:3000", 4312)
CLIENT, SERVER = both_ends("127.0.0.1:49342", "127.0.0.1:3000")
TURNED = both_ends("127.0.0.1:3000", "127.0.0.1:49342")  # the server is on the ephemeral port

addresses = st.sampled_from(["127.0.0.1:80", "127.0.0.1:49342", "127.0.0.2:49342", "[::1]:80"])
bound = st.sampled_from(["127.0.0.1:80", "0.0.0.0:80", "[::]:80", "[::]:49342", "0.0.0.0:49342"])
pids = st.lists(st.integers(1, 3), max_size=2, unique=True)
protocols = st.sampled_from([Protocol.TCP, Protocol.TCP, Protocol.UDP])
connected = st.builds(
    lambda near, far, protocol, pids: socket(near, far, *pids, protocol=protocol), addresses, addresses, protocols, pids
)
listeners = st.builds(
    lambda where, pids, v6only: listening(where, *pids, v6only=v6only), bound, pids, st.sampled_from([None, True])
)


def numbered(sockets: list[Socket]) -> list[Socket]:
    """Several sockets can have the same addresses; their ids differ."""
    return [replace(found, id=f"s{number}") for number, found in enumerate(sockets)]


sockets = st.lists(connected, max_size=12).map(numbered)
listening_sockets = st.lists(listeners, max_size=4).map(numbered)


def one(found: Sequence[Connection]) -> Connection:
    assert len(found) == 1
    return found[0]


@quick
@given(sockets)
def test_every_socket_is_at_its_own_end_of_exactly_one_connection(every: list[Socket]) -> None:
    joined = Pairing(EPHEMERAL).join(every, [], NOW)
    placed = Counter(s.id for c in joined for s in {c.client.socket, c.server.socket} if s)
    assert placed == Counter(found.id for found in every)
    for row in joined:
        for end, other in ((row.client, row.server), (row.server, row.client)):
            if end.socket:
                assert (end.socket.laddr, end.socket.raddr) == (end.addr, other.addr)
                assert end.socket.protocol is row.protocol
    assert len({row.id for row in joined}) == len(joined)


@quick
@given(sockets)
def test_no_end_is_left_alone_where_its_other_half_is_there(every: list[Socket]) -> None:
    halves = [row for row in Pairing(EPHEMERAL).join(every, [], NOW) if not (row.client.socket and row.server.socket)]
    sides = {(row.protocol, s.laddr, s.raddr) for row in halves for s in (row.client.socket, row.server.socket) if s}
    assert not {(protocol, raddr, laddr) for protocol, laddr, raddr in sides if laddr != raddr} & sides


@quick
@given(sockets, sockets, listening_sockets, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_never_matters(
    first: list[Socket], second: list[Socket], servers: list[Socket], random: Random
) -> None:
    def shuffled(rows: list[Socket]) -> list[Socket]:
        rows = list(rows)
        random.shuffle(rows)
        return rows

    straight, mixed = Pairing(EPHEMERAL), Pairing(EPHEMERAL)
    for rows, at_this_look in ((first, servers), (second, servers[:1]), (first, [])):
        expected = straight.join(rows, at_this_look, NOW)
        assert mixed.join(shuffled(rows), shuffled(at_this_look), NOW) == expected


@quick
@given(sockets, listening_sockets)
def test_an_unchanged_machine_gives_the_same_list_and_an_equal_one_the_same_objects(
    every: list[Socket], servers: list[Socket]
) -> None:
    joining = Pairing(EPHEMERAL)
    before = joining.join(every, servers, NOW)
    assert joining.join(every, servers, NOW + 1) is before
    equal = joining.join([replace(found) for found in every], servers, NOW + 2)
    assert [id(row) for row in equal] == [id(row) for row in before]


@quick
@given(sockets, listening_sockets, st.lists(st.randoms(use_true_random=False), max_size=6))
def test_after_any_looks_the_pairs_are_those_of_one_look_alone(
    every: list[Socket], servers: list[Socket], looks: list[Random]
) -> None:
    joining = Pairing(EPHEMERAL)
    for random in looks:
        rows = [found for found in every if random.random() < 0.6]
        there = [found for found in servers if random.random() < 0.6]
        seen = joining.join(rows, there, NOW)
        alone = Pairing(EPHEMERAL).join(rows, there, NOW)
        endpoints = [row.id.partition("~")[0] for row in seen]  # a later one between the same endpoints says so
        assert endpoints == [row.id for row in alone] == sorted(row.id for row in alone)
        for row, fresh in zip(seen, alone, strict=True):
            assert {row.client.socket, row.server.socket} == {fresh.client.socket, fresh.server.socket}
            if fresh.roles is RoleBasis.LISTENER:
                assert (row.roles, row.server.addr) == (fresh.roles, fresh.server.addr)
                assert row.listener_id == fresh.listener_id


@quick
@given(sockets, sockets)
def test_what_a_connection_was_never_loses_its_identity_or_first_look(first: list[Socket], more: list[Socket]) -> None:
    joining = Pairing(EPHEMERAL)
    before = {row.id: row for row in joining.join(first, [], NOW)}
    kept = first + [replace(found, id=f"t{found.id}") for found in more]
    after = {row.id: row for row in joining.join(kept, [], NOW + 1)}
    assert before.keys() <= after.keys()
    for name, row in after.items():
        assert (row.first_seen, row.seen_opening) == ((NOW, False) if name in before else (NOW + 1, True))


@quick
@given(listening_sockets, st.sampled_from(["127.0.0.1:80", "127.0.0.2:49342"]).map(at))
def test_a_v6only_wildcard_never_answers_for_ipv4(servers: list[Socket], where: Endpoint) -> None:
    found = ListenerIndex(servers).at(Protocol.TCP, where)
    if found:
        assert found.laddr.port == where.port
        assert found.laddr.ip in {where.ip, "0.0.0.0", "::"}
        assert not found.v6only or found.laddr.ip != "::"


def test_both_ends_are_joined_with_the_listener_at_the_server_end() -> None:
    row = one(Pairing(EPHEMERAL).join([SERVER, CLIENT], [API], NOW))
    assert (row.client.socket, row.server.socket, row.listener_id) == (CLIENT, SERVER, API.id)
    assert (row.client.port_class, row.server.port_class) == (PortClass.EPHEMERAL, PortClass.REGISTERED)
    assert (row.client.basis, row.server.basis) == (OwnerBasis.HOLDS, OwnerBasis.HOLDS)


def test_the_end_with_a_listener_is_the_server_even_on_an_ephemeral_port() -> None:
    row = one(Pairing(EPHEMERAL).join(TURNED, [listening("0.0.0.0:49342", 1)], NOW))
    assert (row.server.addr.port, row.roles) == (49342, RoleBasis.LISTENER)


def test_a_server_stays_the_server_after_its_listener_has_closed() -> None:
    joining = Pairing(EPHEMERAL)
    joining.join(TURNED, [listening("127.0.0.1:49342", 1)], NOW)
    for _ in range(2):
        row = one(joining.join(TURNED, [], NOW))
        assert (row.server.addr.port, row.roles, row.listener_id) == (49342, RoleBasis.SEEN, None)


def test_a_server_stays_the_server_whatever_listened_on_the_clients_port_since() -> None:
    joining = Pairing(EPHEMERAL)
    servers = [listening("127.0.0.1:49342", 1), listening("127.0.0.1:3000", 2)]
    seen = [one(joining.join(TURNED, there, NOW)).server.addr.port for there in (servers[:1], servers, [])]
    assert seen == [49342] * 3


def test_another_listener_coming_leaves_a_connection_the_same_object() -> None:
    joining = Pairing(EPHEMERAL)
    before = one(joining.join([CLIENT, SERVER], [API], NOW))
    assert one(joining.join([CLIENT, SERVER], [API, listening("127.0.0.1:9", 1)], NOW)) is before


def test_a_new_connection_to_a_port_that_was_listened_on_before_is_to_that_server() -> None:
    joining = Pairing(EPHEMERAL)
    joining.join([], [listening("0.0.0.0:49342", 1)], NOW)
    row = one(joining.join(TURNED, [], NOW))
    assert (row.server.addr.port, row.roles) == (49342, RoleBasis.SEEN)


def test_without_any_listener_the_ephemeral_port_is_the_clients() -> None:
    row = one(Pairing(EPHEMERAL).join(both_ends("127.0.0.1:49342", "127.0.0.1:65000"), [], NOW))
    assert (row.client.addr.port, row.roles) == (49342, RoleBasis.EPHEMERAL_RANGE)


def test_with_nothing_to_tell_them_apart_the_lower_port_is_guessed_to_serve() -> None:
    row = one(Pairing(EPHEMERAL).join(both_ends("127.0.0.1:40001", "127.0.0.1:40000"), [], NOW))
    assert (row.server.addr.port, row.roles) == (40000, RoleBasis.GUESS)


def test_a_connection_to_oneself_has_one_socket_at_both_its_ends() -> None:
    itself = socket("127.0.0.1:45999", "127.0.0.1:45999", 5300)
    row = one(Pairing(EPHEMERAL).join([itself], [], NOW))
    assert row.client.socket is row.server.socket is itself


@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        (["0.0.0.0:3000", "127.0.0.1:3000"], "127.0.0.1"),
        (["[::]:3000", "0.0.0.0:3000"], "0.0.0.0"),
        (["[::]:3000", "127.0.0.2:3000"], "::"),
        (["[::1]:3000", "127.0.0.1:3001"], None),
    ],
)
def test_the_most_exact_listener_answers(bound: list[str], expected: str | None) -> None:
    index = ListenerIndex([listening(where, 1, id=f"l{number}") for number, where in enumerate(bound)])
    found = index.at(Protocol.TCP, at("127.0.0.1:3000"))
    assert (found.laddr.ip if found else None) == expected


def test_of_several_sockets_on_one_port_the_one_with_the_same_holder_answers_else_always_the_same() -> None:
    shared = [listening("127.0.0.1:3000", pid, id=f"l{pid}") for pid in (3, 1, 2)]
    for pid, expected in ((2, "l2"), (9, "l1")):
        worker = socket("127.0.0.1:3000", "127.0.0.1:49342", pid)
        assert one(Pairing(EPHEMERAL).join([worker], shared, NOW)).listener_id == expected


def test_an_end_that_is_not_accepted_is_shown_with_the_listeners_holder() -> None:
    waiting = replace(SERVER, owners=(), owner_unknown=OwnerUnknown.NOT_ACCEPTED)
    row = one(Pairing(EPHEMERAL).join([CLIENT, waiting], [API], NOW))
    assert (row.server.socket, row.server.owners, row.server.basis) == (waiting, API.owners, OwnerBasis.LISTENS)


def test_a_client_in_time_wait_is_still_known_by_who_held_it() -> None:
    joining = Pairing(EPHEMERAL)
    joining.join([CLIENT, SERVER], [API], NOW)
    waiting = replace(CLIENT, status=Status.TIME_WAIT, owners=(), owner_unknown=OwnerUnknown.KERNEL)
    row = one(joining.join([waiting], [API], NOW))
    assert (row.client.socket, row.client.owners, row.client.basis) == (waiting, CLIENT.owners, OwnerBasis.HELD)
    assert (row.server.socket, row.server.owners, row.server.basis) == (None, SERVER.owners, OwnerBasis.HELD)


@pytest.mark.parametrize("status", [Status.SYN_SENT, Status.SYN_RECV, Status.ESTABLISHED])
def test_what_lives_again_after_time_wait_is_another_connection_that_inherits_nothing(status: Status) -> None:
    joining = Pairing(EPHEMERAL)
    waiting = replace(CLIENT, status=Status.TIME_WAIT, owners=(), owner_unknown=OwnerUnknown.KERNEL)
    alive = replace(CLIENT, status=status, owners=(), owner_unknown=OwnerUnknown.UNKNOWN)
    lives = [[CLIENT, SERVER], [waiting], [alive], [replace(alive, recv_queue=1)], [waiting], [alive]]
    rows = [one(joining.join(sockets, [], NOW + second)) for second, sockets in enumerate(lives)]
    ids = [row.id for row in rows]
    assert [ids.index(row.id) for row in rows] == [0, 0, 2, 2, 2, 5]
    assert [row.first_seen - NOW for row in rows] == [0, 0, 2, 2, 2, 5]
    assert [row.seen_opening for row in rows] == [False, False, True, True, True, True]
    assert [row.client.basis for row in rows[1:3]] == [OwnerBasis.HELD, OwnerBasis.UNKNOWN]
    assert (rows[2].client.owners, rows[2].server.owners) == ((), ())


def test_sockets_with_other_ids_at_both_ends_are_another_connection_and_at_one_end_the_same() -> None:
    joining = Pairing(EPHEMERAL)
    looks = [("a", "b"), ("a", "c"), ("d", "c"), ("e", "f"), ("e", "f")]
    pairs = [
        [replace(CLIENT, id=near), replace(SERVER, id=far, owners=SERVER.owners[: number == 0])]
        for number, (near, far) in enumerate(looks)
    ]
    rows = [one(joining.join(pair, [], NOW + second)) for second, pair in enumerate(pairs)]
    ids = [row.id for row in rows]
    assert [ids.index(row.id) for row in rows] == [0, 0, 0, 3, 3]
    assert [row.first_seen - NOW for row in rows] == [0, 0, 0, 3, 3]
    assert [row.server.owners for row in rows] == [SERVER.owners] * 3 + [()] * 2


def test_only_the_last_former_listeners_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loopmon.observe.pairing.MAX_FORMER_LISTENERS", 2)
    joining = Pairing(EPHEMERAL)
    for port in (50001, 50002):
        joining.join([], [listening("127.0.0.1:50000"), listening(f"127.0.0.1:{port}")], NOW)
    ends = [both_ends(f"127.0.0.1:{port - 50000 + 80}", f"127.0.0.1:{port}") for port in (50000, 50001, 50002)]
    roles = {row.roles: row for row in joining.join([found for pair in ends for found in pair], [], NOW)}
    assert roles[RoleBasis.EPHEMERAL_RANGE].client.addr.port == 50001
    assert roles.keys() == {RoleBasis.SEEN, RoleBasis.EPHEMERAL_RANGE}
