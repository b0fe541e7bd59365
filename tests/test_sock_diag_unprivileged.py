"""What another user is told of root's sockets by the kernel's dump: every row, and why there is no owner."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from test_unprivileged import NOBODY, Guest, listener_at
from zoo import Child, Held, Zoo, wait_for

PROBE = """
from loopmon.sources import SourceError, open_source
try:
    print(open_source(follow=False).name)
except SourceError as error:
    print(error)
"""

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="sock_diag is Linux's"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user"),
]


@pytest.fixture(scope="module")
def visitor() -> Guest:
    """By this Python, or by the system's where that user may not enter this one's folder."""
    for python in (sys.executable, "/usr/bin/python3"):
        found = Guest(python)
        try:
            probed = found.run("-c", PROBE)
        except OSError:
            continue
        if probed.returncode == 0:
            if probed.stdout != "sock_diag\n":
                pytest.skip(f"user {NOBODY} is not told by the kernel: {probed.stdout}")
            return found
    pytest.skip(f"user {NOBODY} may not read a Python that can import loopmon")


@pytest.fixture
def serving(zoo: Zoo) -> Child:
    """A process of root's."""
    return zoo.child()


@pytest.fixture
def calling(zoo: Zoo, visitor: Guest) -> Child:
    """A process of the visitor's."""
    if visitor.run("-c", f"open({os.fspath(Path(__file__).with_name('zoo.py'))!r})").returncode:
        pytest.skip(f"user {NOBODY} may not read the tests")
    return zoo.child(uid=NOBODY, python=visitor.python, cwd=Path("/"))


def connection_of(document: Any, client: Held) -> Any:
    (found,) = [each for each in document["connections"] if each["client"]["port"] == client.port]
    return found


def why(end: Any) -> tuple[list[int], str | None]:
    """The pids that hold an end, or the reason why nobody is named."""
    return [owner["pid"] for owner in end["owners"]], end["owner_unknown"]


def test_of_roots_sockets_every_row_is_there_with_the_reason_for_having_no_owner(
    zoo: Zoo, serving: Child, visitor: Guest
) -> None:
    server = serving.listen(backlog=9)
    client = zoo.child()
    served = client.connect("127.0.0.1", server.port)
    serving.accept(server)
    waiting = client.connect("127.0.0.1", server.port)
    wait_for(lambda: serving.is_called(server), "the server to be called")
    document = visitor.document()
    assert document["source"] == "sock_diag"
    listener = listener_at(document, server)
    assert why(listener) == ([], "other-user")
    assert (listener["uid"], listener["queue"], listener["backlog"], listener["connections"]) == (0, 1, 9, 2)
    connection = connection_of(document, served)
    assert why(connection["server"]) == why(connection["client"]) == ([], "other-user")
    connection = connection_of(document, waiting)
    assert why(connection["server"]) == ([], "not-accepted")
    assert why(connection["client"]) == ([], "other-user")
    assert any("users whose processes you may not read" in limit for limit in document["limits"])


def test_own_sockets_are_named_beside_those_of_root(serving: Child, calling: Child, visitor: Guest) -> None:
    server, own_server = serving.listen(), calling.listen()
    client = calling.connect("127.0.0.1", server.port)
    serving.accept(server)
    document = visitor.document()
    listener = listener_at(document, own_server)
    assert why(listener) == ([calling.pid], None)
    assert (listener["uid"], listener["owners"][0]["fd"]) == (NOBODY, own_server.fd)
    connection = connection_of(document, client)
    assert why(connection["client"]) == ([calling.pid], None)
    assert why(connection["server"]) == ([], "other-user")
    assert calling.pid in {process["pid"] for process in document["processes"]}
    assert serving.pid not in {process["pid"] for process in document["processes"]}


def test_an_own_server_knows_of_roots_client_that_waits(serving: Child, calling: Child, visitor: Guest) -> None:
    server = calling.listen()
    client = serving.connect("127.0.0.1", server.port)
    wait_for(lambda: calling.is_called(server), "the server to be called")
    document = visitor.document()
    assert listener_at(document, server)["queue"] == 1
    connection = connection_of(document, client)
    assert why(connection["server"]) == ([], "not-accepted")
    assert [owner["pid"] for owner in connection["server"]["known_owners"]] == [calling.pid]
    assert why(connection["client"]) == ([], "other-user")


def test_what_is_over_is_the_kernels_or_closed_for_anybody(serving: Child, visitor: Guest) -> None:
    server = serving.listen()
    over, half = (serving.connect("127.0.0.1", server.port) for _ in range(2))
    accepted, _ = (serving.accept(server) for _ in range(2))
    serving.close(over)
    serving.close(accepted)
    serving.close(half)

    def settled() -> Any:
        document = visitor.document()
        statuses = [connection_of(document, client)["client"]["status"] for client in (over, half)]
        return document if statuses == ["TIME_WAIT", "FIN_WAIT2"] else None

    document = wait_for(settled, "TIME_WAIT and FIN_WAIT2")
    assert why(connection_of(document, over)["client"]) == ([], "kernel")
    assert why(connection_of(document, half)["client"]) == ([], "closed-by-process")
