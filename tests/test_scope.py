"""Which sockets belong to loopback, and that what is left out is counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import connection, end, listener, listening, quick, socket

from loopmon.model import Connection, Listener, OwnerUnknown, Protocol, Scope, Socket, Status
from loopmon.observe import scope as scoping

DEFAULT, IPV6 = Scope(), Scope(ipv6=True)
BOUND, BOUND_IPV6 = Scope(bound_only=True), Scope(ipv6=True, bound_only=True)

scopes = st.builds(Scope, ipv6=st.booleans(), bound_only=st.booleans())
listeners = st.builds(
    lambda ip, port, v6only, unknown: listener(listening(f"{ip}:{port}", unknown=unknown, v6only=v6only)),
    st.sampled_from(["127.0.0.1", "127.9.9.9", "0.0.0.0", "[::]", "[::1]"]),
    st.integers(1, 65535),
    st.sampled_from([None, True, False]),
    st.sampled_from(OwnerUnknown),
)
connections = st.sampled_from(["127.0.0.1", "127.0.0.2", "[::1]"]).map(
    lambda ip: connection(end(f"{ip}:49342"), end(f"{ip}:3000"))
)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (listening("127.0.0.1:3000"), True),
        (socket("127.0.0.1:3000", status=Status.CLOSE), False),
        (socket("127.0.0.1:3000", "127.0.0.1:49342"), False),
        (listening("127.0.0.53:53", protocol=Protocol.UDP), True),
        (socket("127.0.0.1:40000", "127.0.0.53:53", protocol=Protocol.UDP), False),
    ],
)
def test_a_listener_is_tcp_in_listen_or_udp_that_is_not_connected(found: Socket, expected: bool) -> None:
    assert scoping.is_listener(found) is expected


@pytest.mark.parametrize(
    ("where", "v6only", "expected"),
    [
        ("127.0.0.1:3000", None, {DEFAULT, IPV6, BOUND, BOUND_IPV6}),
        ("127.255.255.254:3000", None, {DEFAULT, IPV6, BOUND, BOUND_IPV6}),
        ("0.0.0.0:3000", None, {DEFAULT, IPV6}),
        ("[::]:3000", False, {DEFAULT, IPV6}),
        ("[::]:3000", None, {DEFAULT, IPV6}),
        ("[::]:3000", True, {IPV6}),
        ("[::1]:3000", None, {IPV6, BOUND_IPV6}),
    ],
)
def test_a_listener_is_in_scope_when_a_client_can_reach_it(
    where: str, v6only: bool | None, expected: set[Scope]
) -> None:
    row = listener(listening(where, v6only=v6only))
    assert {s for s in (DEFAULT, IPV6, BOUND, BOUND_IPV6) if scoping.listener_in_scope(row, s)} == expected


@pytest.mark.parametrize(
    ("where", "reachable", "exposed"),
    [
        ("127.0.0.1:3000", True, False),
        ("[::1]:3000", True, False),
        ("0.0.0.0:3000", True, True),
        ("[::]:3000", True, True),
        ("192.168.1.5:3000", False, False),
        ("[fe80::1]:3000", False, False),
        ("[::ffff:127.0.0.1]:3000", True, False),
        ("[::ffff:10.0.0.1]:3000", False, False),
    ],
)
def test_only_a_wildcard_is_exposed_and_a_lan_address_is_not_loopback(
    where: str, reachable: bool, exposed: bool
) -> None:
    found = listening(where)
    assert scoping.split([found]) == (([found], [], []) if reachable else ([], [], []))
    assert scoping.is_exposed(found) is exposed


@pytest.mark.parametrize(
    ("laddr", "raddr", "expected"),
    [
        ("127.0.0.1:49342", "127.0.0.1:3000", True),
        ("127.0.0.1:49342", "127.0.0.53:53", True),
        ("[::1]:49342", "[::1]:3000", True),
        ("[::ffff:127.0.0.1]:3000", "[::ffff:127.0.0.1]:49342", True),
        ("127.0.0.1:49342", "10.0.0.1:3000", False),
        ("10.0.0.1:49342", "127.0.0.1:3000", False),
        ("127.0.0.1:49342", None, False),
    ],
)
def test_a_connection_is_loopback_when_both_its_ends_are(laddr: str, raddr: str | None, expected: bool) -> None:
    found = socket(laddr, raddr)
    assert scoping.split([found]).connected == ([found] if expected else [])
    assert scoping.split([found]).listening == []


def test_a_connection_on_ipv6_joins_with_that_scope_and_one_on_ipv4_is_always_in() -> None:
    ipv4, ipv6 = (connection(end(f"{ip}:49342"), end(f"{ip}:3000")) for ip in ("127.0.0.1", "[::1]"))
    assert all(scoping.connection_in_scope(ipv4, scope) for scope in (DEFAULT, IPV6, BOUND, BOUND_IPV6))
    assert not scoping.connection_in_scope(ipv6, DEFAULT)
    assert scoping.connection_in_scope(ipv6, IPV6)


def test_a_listener_is_on_loopback_whether_or_not_its_owner_is_known() -> None:
    for reason in OwnerUnknown:
        found = listening("127.0.0.1:9000", unknown=reason)
        assert scoping.split([found]) == ([found], [], [])


def test_a_socket_that_is_bound_but_neither_listens_nor_is_connected_is_no_row() -> None:
    found, elsewhere = (socket(f"{ip}:3000", status=Status.CLOSE) for ip in ("127.0.0.1", "10.0.0.1"))
    assert scoping.split([found, elsewhere]) == ([], [], [found])


@quick
@given(st.lists(listeners, max_size=8), st.lists(connections, max_size=8), scopes)
def test_every_row_is_either_in_scope_or_counted_as_hidden(
    every_listener: list[Listener], every_connection: list[Connection], scope: Scope
) -> None:
    shown = sum(scoping.listener_in_scope(row, scope) for row in every_listener)
    shown += sum(scoping.connection_in_scope(row, scope) for row in every_connection)
    hidden_connections = sum(not scoping.connection_in_scope(row, scope) for row in every_connection)
    hidden = scoping.hidden_by(scope, every_listener, hidden_connections)
    assert shown + hidden.ipv6_loopback + hidden.wildcard == len(every_listener) + len(every_connection)


def test_what_is_hidden_is_counted_by_its_reason() -> None:
    rows = [listener(listening(where)) for where in ("127.0.0.1:1", "0.0.0.0:2", "[::]:3", "[::1]:4")]
    rows.append(listener(listening("[::]:5", v6only=True)))
    counted = [scoping.hidden_by(scope, rows, 1) for scope in (DEFAULT, IPV6, BOUND, BOUND_IPV6)]
    assert [(hidden.ipv6_loopback, hidden.wildcard) for hidden in counted] == [(3, 0), (1, 0), (3, 2), (1, 3)]
