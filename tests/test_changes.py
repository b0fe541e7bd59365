"""What differs between two looks: enough to get from one to the other, and nothing where nothing differs."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from making import NOW, both_ends, connection, end, listener, listening, owner, quick

from loopmon.model import Change, ChangeKind, Connection, End, Listener, OwnerBasis, Socket, Status
from loopmon.observe.changes import by_id, differences

CLIENT, SERVER = both_ends("127.0.0.1:49342", "127.0.0.1:3000")
PAIR = connection(end("127.0.0.1:49342", CLIENT), end("127.0.0.1:3000", SERVER))
API = listener(listening("127.0.0.1:3000", 4312))


def with_socket(row: Connection, found: Socket | None, basis: OwnerBasis | None = None, *pids: int) -> Connection:
    """The same connection with another client end."""
    return replace(row, client=end("127.0.0.1:49342", found, basis, *pids))


def kinds(before: Connection | Listener, after: Connection | Listener) -> list[ChangeKind]:
    if isinstance(before, Connection) and isinstance(after, Connection):
        return [change.kind for change in differences(by_id([before]), by_id([after]), NOW)]
    assert isinstance(before, Listener)
    assert isinstance(after, Listener)
    return [change.kind for change in differences(by_id([before]), by_id([after]), NOW)]


client_ends = st.builds(
    lambda status, pids, queue: end(
        "127.0.0.1:49342",
        replace(CLIENT, status=status, owners=tuple(owner(pid) for pid in sorted(pids)), recv_queue=queue),
    ),
    st.sampled_from([Status.ESTABLISHED, Status.FIN_WAIT2]),
    st.sets(st.integers(1, 3), max_size=2),
    st.integers(0, 1),
)
looks = st.dictionaries(
    st.sampled_from("abcd"), client_ends.map(lambda client: connection(client, PAIR.server)), max_size=4
).map(lambda rows: {key: replace(row, id=key) for key, row in rows.items()})
listener_looks = st.dictionaries(
    st.sampled_from("abcd"),
    st.sets(st.integers(1, 3), max_size=2).map(lambda pids: listener(listening("127.0.0.1:3000", *sorted(pids)))),
    max_size=4,
).map(lambda rows: {key: replace(row, socket=replace(row.socket, id=key)) for key, row in rows.items()})


def what_changes_speak_of(end: End) -> object:
    return end.socket and end.socket.status, {owner.process for owner in end.owners}


@quick
@given(looks, looks)
def test_a_look_with_its_changes_applied_is_the_next_look(
    before: dict[str, Connection], after: dict[str, Connection]
) -> None:
    applied: dict[str, Connection] = dict(before)
    for change in differences(before, after, NOW):
        assert isinstance(change.subject, Connection)
        if change.kind is ChangeKind.CLOSED:
            assert applied.pop(change.subject.id) is change.subject
        else:
            assert applied.get(change.subject.id) is change.before
            applied[change.subject.id] = change.subject
    assert applied.keys() == after.keys()
    for key, row in applied.items():
        assert what_changes_speak_of(row.client) == what_changes_speak_of(after[key].client)
    assert differences(applied, after, NOW) == []


@quick
@given(listener_looks, listener_looks)
def test_the_same_holds_for_listeners(before: dict[str, Listener], after: dict[str, Listener]) -> None:
    applied: dict[str, Listener] = dict(before)
    for change in differences(before, after, NOW):
        assert isinstance(change.subject, Listener)
        if change.kind is ChangeKind.CLOSED:
            del applied[change.subject.id]
        else:
            applied[change.subject.id] = change.subject
    assert applied.keys() == after.keys()
    for key, row in applied.items():
        told, true = row.socket.owners, after[key].socket.owners
        assert told == true or not (told and true)


@quick
@given(looks)
def test_a_look_does_not_differ_from_itself_or_from_an_equal_one(rows: dict[str, Connection]) -> None:
    assert differences(rows, rows, NOW) == []
    assert differences(rows, {key: replace(row) for key, row in rows.items()}, NOW) == []


@quick
@given(looks, looks)
def test_each_row_changes_once_and_closed_ones_come_first(
    before: dict[str, Connection], after: dict[str, Connection]
) -> None:
    changes = differences(before, after, NOW)
    ids = [change.subject.id for change in changes]
    assert len(set(ids)) == len(ids)
    closed = [change.kind is ChangeKind.CLOSED for change in changes]
    assert closed == sorted(closed, reverse=True)
    assert all(change.at == NOW for change in changes)


@quick
@given(looks, looks)
def test_what_opens_one_way_closes_the_other_way(before: dict[str, Connection], after: dict[str, Connection]) -> None:
    there, back = differences(before, after, NOW), differences(after, before, NOW)
    opened = {change.subject.id for change in there if change.kind is ChangeKind.OPENED}
    assert opened == {change.subject.id for change in back if change.kind is ChangeKind.CLOSED} == after.keys() - before


def test_opening_and_closing_name_the_row_as_it_is_and_as_it_was() -> None:
    assert differences({}, by_id([API]), NOW) == [Change(ChangeKind.OPENED, NOW, API)]
    assert differences(by_id([API]), {}, NOW) == [Change(ChangeKind.CLOSED, NOW, API)]


def test_a_change_of_state_keeps_what_was_before() -> None:
    closing = with_socket(PAIR, replace(CLIENT, status=Status.FIN_WAIT2))
    assert differences(by_id([PAIR]), by_id([closing]), NOW) == [Change(ChangeKind.STATUS, NOW, closing, PAIR)]


def test_an_owner_lost_because_the_state_changed_is_a_change_of_state_alone() -> None:
    waiting = with_socket(PAIR, replace(CLIENT, status=Status.TIME_WAIT, owners=()), OwnerBasis.HELD, 7001)
    assert kinds(PAIR, waiting) == [ChangeKind.STATUS]


def test_other_holders_at_either_end_are_a_change_of_owner() -> None:
    passed_on = replace(CLIENT, owners=(owner(9),))
    assert kinds(PAIR, with_socket(PAIR, passed_on)) == [ChangeKind.OWNER]
    forked = replace(SERVER, owners=(*SERVER.owners, owner(9)))
    assert kinds(PAIR, replace(PAIR, server=end("127.0.0.1:3000", forked))) == [ChangeKind.OWNER]


def test_a_listener_taken_over_by_another_process_is_a_change_of_owner() -> None:
    assert kinds(API, listener(listening("127.0.0.1:3000", 4313))) == [ChangeKind.OWNER]


def test_a_listener_whose_owner_is_not_seen_for_a_look_changes_no_hands() -> None:
    unseen = listener(replace(API.socket, owners=()))
    assert (kinds(API, unseen), kinds(unseen, API)) == ([], [])


def test_a_connection_whose_holder_is_not_seen_for_a_look_changes_no_hands() -> None:
    unseen = with_socket(PAIR, replace(CLIENT, owners=()), OwnerBasis.HELD, 7001)
    assert (kinds(PAIR, unseen), kinds(unseen, PAIR)) == ([], [])
    assert kinds(unseen, with_socket(PAIR, replace(CLIENT, owners=(owner(9),)))) == [ChangeKind.OWNER]


def test_another_descriptor_or_another_order_of_the_same_holders_is_no_change() -> None:
    two = listener(listening("127.0.0.1:3000", 1, 2))
    turned = listener(replace(two.socket, owners=(owner(2, fd=8), owner(1, fd=9))))
    assert kinds(two, turned) == []


def test_numbers_that_move_all_the_time_are_no_change() -> None:
    assert kinds(API, replace(API, connections=9, socket=replace(API.socket, recv_queue=3))) == []
    assert kinds(PAIR, with_socket(PAIR, replace(CLIENT, bytes_sent=1, recv_queue=5, rtt_us=9))) == []


def test_naming_the_listeners_holder_at_an_end_nobody_holds_changes_no_hands() -> None:
    ownerless = replace(CLIENT, owners=())
    nobody = with_socket(PAIR, ownerless)
    assert kinds(nobody, with_socket(PAIR, ownerless, OwnerBasis.LISTENS, 7001)) == []


def test_a_connection_that_is_accepted_gets_an_owner() -> None:
    waiting = with_socket(PAIR, replace(CLIENT, owners=()), OwnerBasis.LISTENS, 7001)
    assert kinds(waiting, PAIR) == [ChangeKind.OWNER]
