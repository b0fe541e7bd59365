"""Connections that are never answered: in a network of its own, behind a rule that drops their packets."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from namespace import drop, inside
from zoo import wait_for

from loopmon.model import Connection, Endpoint, OwnerBasis, OwnerUnknown, RoleBasis, Scope, Socket, Status
from loopmon.observe.observer import Observer
from loopmon.sources.sock_diag import WALK_EVERY, SockDiagSource
from loopmon.sources.sockstat import SockStat

if sys.platform != "linux":
    pytest.skip("network namespaces are Linux's", allow_module_level=True)

PORT = 4444
ROWS = ("status", "laddr", "raddr", "owner_unknown", "send_queue", "recv_queue", "bytes_sent", "bytes_received")


@contextmanager
def calling(host: str, *, served: bool) -> Iterator[tuple[socket.socket, SockDiagSource]]:
    """A client that has begun to connect to the port, and a source in the same network."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as stack:
        if served:
            server = stack.enter_context(socket.socket(family))
            server.bind((host, PORT))
            server.listen()
        client = stack.enter_context(socket.socket(family))
        client.setblocking(False)
        client.connect_ex((host, PORT))
        source = SockDiagSource(follow=False)
        stack.callback(source.close)
        yield client, source


def told(found: Socket | None) -> dict[str, Any] | None:
    """What is expected of a row, in words that JSON has."""
    if found is None:
        return None
    row = {name: getattr(found, name) for name in ROWS}
    return {**row, "owners": [(owner.process.pid == os.getpid(), owner.fd) for owner in found.owners]}


def pair(source: SockDiagSource) -> Connection:
    observer = Observer(source.name)
    (connection,) = observer.observe(source.read(), Scope(ipv6=True)).snapshot.connections
    return connection


def call_behind_the_rule(host: str, served: bool) -> dict[str, Any]:
    drop(f"tcp dport {PORT}")
    with calling(host, served=served) as (client, source):
        connection = pair(source)
        return {
            "client": told(connection.client.socket),
            "server": told(connection.server.socket),
            "called": connection.server.addr,
            "calling": client.getsockname()[:2],
            "fd": client.fileno(),
            "status": connection.status,
            "roles": connection.roles,
            "basis": connection.server.basis,
            "holds": [owner.process.pid == os.getpid() for owner in connection.server.owners],
        }


@pytest.mark.parametrize("served", [True, False], ids=["with a server", "without one"])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1"])
def test_a_call_that_is_dropped_waits_in_syn_sent_and_its_server_end_has_no_socket(host: str, served: bool) -> None:
    seen = inside(call_behind_the_rule, host, served)
    client = seen["client"]
    assert client.pop("owners") == [[True, seen["fd"]]]
    assert client == {
        "status": Status.SYN_SENT,
        "laddr": seen["calling"],
        "raddr": [host, PORT],
        "owner_unknown": None,
        "send_queue": 1,  # the SYN itself
        "recv_queue": 0,
        "bytes_sent": 0,
        "bytes_received": 0,
    }
    assert seen["server"] is None
    assert seen["called"] == list(Endpoint(host, PORT))
    assert seen["status"] == Status.SYN_SENT
    assert seen["roles"] == (RoleBasis.LISTENER if served else RoleBasis.EPHEMERAL_RANGE)
    assert seen["basis"] == (OwnerBasis.LISTENS if served else OwnerBasis.UNKNOWN)
    assert seen["holds"] == ([True] if served else [])


def call_without_hearing_the_answer(host: str) -> dict[str, Any]:
    drop(f"tcp sport {PORT}")
    with calling(host, served=True) as (client, source):
        connection = pair(source)
        return {
            "client": told(connection.client.socket),
            "server": told(connection.server.socket),
            "fd": client.fileno(),
        }


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_where_the_answer_is_dropped_the_server_end_is_the_kernels(host: str) -> None:
    seen = inside(call_without_hearing_the_answer, host)
    assert (seen["client"]["status"], seen["client"]["owners"]) == (Status.SYN_SENT, [[True, seen["fd"]]])
    server = seen["server"]
    assert (server["status"], server["owners"]) == (Status.SYN_RECV, [])
    assert server["owner_unknown"] == OwnerUnknown.KERNEL


def hang_up_without_hearing_the_answer(host: str) -> list[list[Status]]:
    """What a source that asks for every table sees of connections, and what one that leaves out empty ones sees."""
    drop(f"tcp sport {PORT}")
    with calling(host, served=True) as (client, source), TemporaryDirectory() as nothing:
        full = SockDiagSource(follow=False)
        full._stat = SockStat(nothing)

        def connected(of: SockDiagSource) -> list[Status]:
            return [found.status for found in of.read().sockets if found.raddr is not None]

        wait_for(lambda: Status.SYN_RECV in connected(full), "the call to reach the server")
        client.close()
        wait_for(lambda: connected(full) == [Status.SYN_RECV], "the caller to be gone")
        looks = [connected(source) for _ in range(WALK_EVERY + 1)]
        seen = [looks[-1], connected(full)]
        full.close()
        return seen


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_half_made_connection_whose_caller_has_hung_up_is_still_seen(host: str) -> None:
    seen, expected = inside(hang_up_without_hearing_the_answer, host)
    assert seen == expected == [Status.SYN_RECV]
