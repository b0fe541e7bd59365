"""``loopmon why --probe``: one real connection, and not one without it."""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from whys import pasted, told_words, why, why_until
from zoo import TIMEOUT_S, Zoo, run_loopmon

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the server's end")


class Door:
    """A server that counts who comes in."""

    def __init__(self) -> None:
        self.port = 0
        self.clients = 0


@contextmanager
def serving(then: Callable[[socket.socket], object]) -> Iterator[Door]:
    """Does something to each client, and keeps all of them until the test is over."""
    door = Door()

    def serve() -> None:
        kept = []
        while True:
            client, _ = server.accept()
            if over.is_set():
                client.close()
                break
            door.clients += 1
            kept.append(client)
            then(client)
        for client in kept:
            client.close()

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(TIMEOUT_S)
        door.port = server.getsockname()[1]
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield door
        finally:
            over.set()
            socket.create_connection(("127.0.0.1", door.port)).close()
            thread.join()


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_a_connection_that_is_taken_is_proof() -> None:
    with serving(lambda _: None) as door:
        told = why_until("healthy", str(door.port), "--probe")
        assert told["probe"]["outcome"] == "taken"
    assert 0 < told["probe"]["took_ms"] < TIMEOUT_S * 1000
    assert "a connection just made from here: taken, after " in told_words(told)


def test_one_connection_is_made_and_no_more() -> None:
    with serving(lambda _: None) as door:
        why(str(door.port), "--probe")
        assert door.clients == 1


def test_a_connection_that_nobody_takes_is_told(zoo: Zoo) -> None:
    child = zoo.child()
    server = child.listen()
    told = why(str(server.port), "--probe")
    assert (told["cause"], told["probe"]["outcome"]) == ("not-accepting", "not-taken")
    assert "accepts no connection: the kernel keeps them waiting" in told["headline"]
    assert child.is_called(server)


@pytest.mark.parametrize(
    ("then", "outcome"), [(lambda client: client.shutdown(socket.SHUT_RDWR), "closed"), (reset, "reset")]
)
def test_a_connection_that_is_ended_at_once_is_told(then: Any, outcome: str) -> None:
    with serving(then) as door:
        told = why_until("probe-failed", str(door.port), "--probe")
    assert told["probe"]["outcome"] == outcome
    assert "connection at once: a forwarder" in told["headline"]


def test_a_connection_that_is_refused_is_told(zoo: Zoo) -> None:
    child = zoo.child()
    server = child.listen()
    child.close(server)
    told = why(str(server.port), "--probe")
    assert (told["cause"], told["probe"]["outcome"]) == ("nobody-listens", "refused")


def test_the_address_that_was_asked_for_is_tried(zoo: Zoo) -> None:
    port = zoo.child().listen("::1").port
    assert why(f"[::1]:{port}", "--probe")["probe"]["outcome"] == "not-taken"
    assert why(f"127.0.0.1:{port}", "--probe")["probe"]["outcome"] == "refused"


def test_psutil_accuses_no_firewall_of_a_full_queue(zoo: Zoo) -> None:
    server = zoo.child().listen(backlog=0)
    zoo.child().connect("127.0.0.1", server.port)
    told = why("--source", "psutil", str(server.port), "--probe")
    assert (told["cause"], told["probe"]["outcome"]) == ("probe-failed", "timed-out")
    assert "its queue is full, or a firewall drops what is sent" in told["headline"]


# Without it


@pytest.mark.parametrize("form", ["argument", "stdin", "text", "psutil"])
def test_looking_touches_nothing(form: str) -> None:
    """A connection would stay in the queue even if it were closed at once: nobody takes it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        line = f"connect ECONNREFUSED 127.0.0.1:{port}"
        if form == "argument":
            assert why(str(port))["probe"] is None
        elif form == "stdin":
            assert json.loads(pasted(line, "--json").stdout)["probe"] is None
        elif form == "text":
            assert run_loopmon("why", line).returncode == 0
        else:
            assert why("--source", "psutil", line)["probe"] is None
        with pytest.raises(BlockingIOError):
            server.accept()


def test_looking_leaves_the_clients_as_they_were() -> None:
    with serving(lambda _: None) as door, socket.create_connection(("127.0.0.1", door.port)) as client:
        client.settimeout(TIMEOUT_S)
        for _ in range(2):
            told = why_until("healthy", str(door.port))
            assert told["evidence"][0] == "1 client connected"
        assert door.clients == 1
        client.sendall(b"still there")
