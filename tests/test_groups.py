"""Connections summed up by client process and server."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from making import connection, end, quick, socket

from loopmon.model import Connection, OwnerUnknown, Status
from loopmon.tui.groups import group


def between(
    port: int,
    server_port: int = 3000,
    *pids: int,
    status: Status = Status.ESTABLISHED,
    unknown: OwnerUnknown | None = None,
    listener_id: str | None = None,
) -> Connection:
    near, far = f"127.0.0.1:{port}", f"127.0.0.1:{server_port}"
    client = socket(near, far, *pids, status=status, unknown=unknown)
    return connection(end(near, client), end(far, socket(far, near, 4312)), listener_id=listener_id)


@st.composite
def connections(draw: st.DrawFn) -> list[Connection]:
    ports = draw(st.lists(st.integers(40000, 40100), unique=True, max_size=30))
    states = st.sampled_from([Status.ESTABLISHED, Status.TIME_WAIT, Status.CLOSE_WAIT])
    pids = st.sampled_from([(), (7001,), (7002,), (7001, 7002)])
    servers = st.sampled_from([3000, 5432])
    return [between(port, draw(servers), *draw(pids), status=draw(states)) for port in ports]


@quick
@given(connections())
def test_every_connection_is_in_exactly_one_group(made: list[Connection]) -> None:
    groups = group(made)
    members = [member.id for one in groups for member in one.members]
    assert Counter(members) == Counter(row.id for row in made)
    assert len({one.id for one in groups}) == len(groups)


@quick
@given(connections())
def test_the_states_of_a_group_count_its_members_the_commonest_first(made: list[Connection]) -> None:
    for one in group(made):
        assert sum(one.states.values()) == len(one.members)
        assert list(one.states.values()) == sorted(one.states.values(), reverse=True)


@quick
@given(connections())
def test_a_group_has_the_same_id_in_whatever_order_its_members_come(made: list[Connection]) -> None:
    turned = list(reversed(made))
    assert {one.id for one in group(made)} == {one.id for one in group(turned)}


def test_one_process_with_two_servers_is_two_groups() -> None:
    assert len(group([between(1, 3000, 7001), between(2, 5432, 7001), between(3, 3000, 7001)])) == 2


def test_two_processes_with_one_server_are_two_groups() -> None:
    assert len(group([between(1, 3000, 7001), between(2, 3000, 7002)])) == 2


def test_the_listener_tells_servers_apart_that_share_an_address() -> None:
    one, other = between(1, 3000, 7001, listener_id="a"), between(2, 3000, 7001, listener_id="b")
    assert len(group([one, other])) == 2


def test_clients_without_an_owner_are_together_by_the_reason() -> None:
    nobody = [between(1, unknown=OwnerUnknown.KERNEL), between(2, unknown=OwnerUnknown.KERNEL)]
    assert len(group([*nobody, between(3, unknown=OwnerUnknown.OTHER_USER)])) == 2
