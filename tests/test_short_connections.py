"""Connections too short for any look: each is counted all the same, or it is said that some were lost."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Self

import pytest
from zoo import TIMEOUT_S, wait_for

from loopmon.model import Change, ChangeKind, Connection, Scope, Snapshot, Status
from loopmon.observe.observer import MAX_BRIEF, Observer
from loopmon.observe.traffic import MIN_STEP_S
from loopmon.sources.sock_diag import SockDiagSource, SockDiagUnavailableError

if sys.platform != "linux":
    pytest.skip("sock_diag is Linux's", allow_module_level=True)

MANY = 10_000
FEW = 300
LEFT_OVER = 50
"""Of the kind that leaves a connection in TIME_WAIT behind."""
ANSWER = 5
SERVER = f"""
import socket
server = socket.create_server(("127.0.0.1", 0), backlog=512)
print(server.getsockname()[1], flush=True)
while True:
    accepted, _ = server.accept()
    ends = accepted.recv(1) == b"s"
    accepted.sendall(b"x" * {ANSWER})
    try:
        ends or accepted.recv(1)
    except ConnectionResetError:
        pass
    accepted.close()
"""
ASKED = 1
CLIENT = """
import socket, struct, sys, time
port, count, who, life = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode(), float(sys.argv[4])
for turn in range(count):
    own = (f"127.{1 + (turn >> 16)}.{turn >> 8 & 255}.{turn & 255}", 0)
    client = socket.create_connection(("127.0.0.1", port), source_address=own)
    client.send(who)
    while who == b"s" and client.recv(99): pass
    who == b"s" or client.recv(99)
    if life: time.sleep(life)
    if who == b"r": client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
"""
RESET, BY_SERVER, BY_CLIENT = "r", "s", "c"
"""Who ends a connection: the client with a reset, which leaves nothing behind, or one of them in good order.
Each client has an address of its own, so that no number is used twice."""


class Server:
    """A child that accepts, answers and closes."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", SERVER], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        self.pid = self._process.pid
        self.port = int(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def call(self, count: int, who: str, life_s: float = 0) -> subprocess.Popen[bytes]:
        """A child that makes so many connections, one after the other."""
        arguments = [str(self.port), str(count), who, str(life_s)]
        return subprocess.Popen([sys.executable, "-S", "-c", CLIENT, *arguments], start_new_session=True)


class Watch:
    """Looks, and adds up what is said of one server."""

    def __init__(self, source: SockDiagSource, port: int) -> None:
        self._source, self._port = source, port
        self._observer = Observer(source.name)
        self._at = 0.0
        self.opened, self.moved, self.lost = 0.0, 0.0, 0
        self.changes: list[Change] = []
        self.limits: set[str] = set()
        self.look()

    def look(self) -> Snapshot:
        wait_for(lambda: time.time() - self._at > 2 * MIN_STEP_S, "enough time for a rate")
        reading = self._source.read()
        snapshot, changes = self._observer.observe(reading, Scope())
        step_s, self._at = reading.taken_at - self._at, reading.taken_at
        (listener,) = [found for found in snapshot.listeners if found.laddr.port == self._port]
        rate = snapshot.rates.get(listener.id)
        if rate is not None:
            self.opened += rate.connections_per_s * step_s
            self.moved += rate.bytes_per_s * step_s
        self.lost += reading.notices_lost
        self.limits |= set(snapshot.limits)
        self.changes += [
            each
            for each in changes
            if isinstance(each.subject, Connection) and each.subject.server.addr.port == self._port
        ]
        return snapshot

    def follow(self, client: subprocess.Popen[bytes]) -> None:
        """Look again and again until the client has ended, and once more."""
        try:
            wait_for(lambda: self.look() and client.poll() is not None, "the client to end")
        finally:
            client.kill()
            client.wait(TIMEOUT_S)
        assert client.returncode == 0
        self.look()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as started:
        yield started


@pytest.fixture
def watch(server: Server) -> Iterator[Watch]:
    try:
        source = SockDiagSource()
    except SockDiagUnavailableError as error:
        pytest.skip(f"this kernel has no {error}")
    if source._destroyed is None or not source._destroyed.is_subscribed:
        source.close()
        pytest.skip("this kernel gives no notice of sockets that go")
    yield Watch(source, server.port)
    source.close()


def test_ten_thousand_short_connections_are_all_counted_or_the_loss_is_told(server: Server, watch: Watch) -> None:
    watch.follow(server.call(MANY, RESET))
    wait_for(lambda: watch.look() and (watch.lost or watch.opened > MANY - 0.5), "all to be counted")
    few = MANY / 1000
    """A look that catches a connection half set up or half torn down can count its two ends apart."""
    if watch.lost:
        assert any(limit.startswith("events lost") for limit in watch.limits)
        assert watch.opened <= MANY + few
    else:
        assert watch.opened == pytest.approx(MANY, abs=few)


@pytest.mark.parametrize("who", [BY_SERVER, BY_CLIENT])
def test_of_a_burst_what_is_left_in_time_wait_counts_once(server: Server, watch: Watch, who: str) -> None:
    assert server.call(LEFT_OVER, who).wait(TIMEOUT_S) == 0
    wait_for(lambda: watch.look() and watch.opened > LEFT_OVER - 0.5, "all to be counted")
    assert watch.opened == pytest.approx(LEFT_OVER, abs=0.5)
    assert {change.kind for change in watch.changes} == {ChangeKind.OPENED}
    assert len(watch.changes) == LEFT_OVER


def test_of_a_burst_between_two_looks_all_count_with_their_bytes_and_some_are_changes(
    server: Server, watch: Watch
) -> None:
    assert server.call(FEW, RESET).wait(TIMEOUT_S) == 0
    wait_for(lambda: watch.look() and watch.opened > FEW - 0.5, "all to be counted")
    assert watch.opened == pytest.approx(FEW, abs=0.5)
    assert watch.moved == pytest.approx(FEW * (ASKED + ANSWER), abs=0.5)
    assert [change.kind for change in watch.changes] == [ChangeKind.OPENED, ChangeKind.CLOSED] * MAX_BRIEF


@pytest.mark.parametrize("who", [RESET, BY_SERVER, BY_CLIENT])
def test_one_of_three_milliseconds_is_seen_to_come_and_the_servers_process_is_named(
    server: Server, watch: Watch, who: str
) -> None:
    assert server.call(1, who, 0.003).wait(TIMEOUT_S) == 0
    wait_for(lambda: watch.look() and watch.changes, "the connection")
    opened, *_ = watch.changes
    assert isinstance(opened.subject, Connection)
    assert opened.kind is ChangeKind.OPENED
    assert opened.subject.seen_opening
    assert [owner.process.pid for owner in opened.subject.server.owners] == [server.pid]
    if who == RESET:
        assert [change.kind for change in watch.changes] == [ChangeKind.OPENED, ChangeKind.CLOSED]
        assert watch.changes[1].subject == opened.subject
    else:
        assert opened.subject.status is Status.TIME_WAIT
    wait_for(lambda: watch.look() and watch.opened > 0.5, "it to be counted")
    assert watch.opened == pytest.approx(1, abs=0.01)
