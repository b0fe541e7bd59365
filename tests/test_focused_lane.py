"""The drilled-down process's connections between two whole looks: what goes through them shows at once."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from queue import Queue

import psutil
import pytest
from talk import HOSTS, Begin, Talk, begin
from zoo import TIMEOUT_S, Zoo, wait_for

from loopmon.model import Frame, ProcessId, Socket, Status
from loopmon.observe import monitor as monitor_module
from loopmon.observe.monitor import Monitor
from loopmon.sources import sock_diag
from loopmon.sources.sock_diag import MAX_FOCUSED, SockDiagSource, SockDiagUnavailableError

if sys.platform != "linux":
    pytest.skip("sock_diag is Linux's", allow_module_level=True)

HOUR_S = 3600.0


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Iterator[SockDiagSource]:
    """However many sockets other tests have open."""
    monkeypatch.setattr(sock_diag, "MAX_AROUND", 1_000_000)
    try:
        opened = SockDiagSource(follow=False)
        opened.check()
    except SockDiagUnavailableError as error:
        pytest.skip(f"this kernel has no {error}")
    yield opened
    opened.close()


@pytest.fixture
def talk() -> Iterator[Begin]:
    with ExitStack() as stack:
        yield partial(begin, stack)


def myself() -> ProcessId:
    return ProcessId(os.getpid(), psutil.Process().create_time())


def figures(sockets: tuple[Socket, ...], ends: Talk) -> list[Socket]:
    """The client's end and the server's."""
    inodes = {found.inode: found for found in sockets}
    return [inodes[os.fstat(end.fileno()).st_ino] for end in ends]


def settle(source: SockDiagSource, focus: ProcessId | None) -> None:
    """Until the looks in between have nothing to tell."""
    wait_for(lambda: source.read(focus) and source.read_listeners(focus) is None, "a quiet moment")


@pytest.mark.parametrize("host", HOSTS)
def test_a_look_in_between_tells_what_has_gone_through_the_focused_processes_connections(
    host: str, talk: Begin, source: SockDiagSource
) -> None:
    ends = talk(host)
    settle(source, myself())
    before = figures(source.read(myself()).sockets, ends)
    for count in (1, 2):
        ends.client.sendall(b"x" * 5000)

        def arrived(count: int = count) -> list[Socket] | None:
            reading = source.read_listeners(myself())
            if reading is None:
                return None
            assert reading.partial
            rows = figures(reading.sockets, ends)
            done = (rows[0].bytes_sent, rows[1].bytes_received) == (5000 * count, 5000 * count)
            return rows if done else None

        after = wait_for(arrived, "the bytes to be counted")
        assert after is not None
        assert after[1].recv_queue == 5000 * count
        assert [row.id for row in after] == [row.id for row in before]
        assert [row.owners for row in after] == [row.owners for row in before]
    wait_for(lambda: source.read_listeners(myself()) is None, "nothing more to tell")
    assert figures(source.read(myself()).sockets, ends)[1].bytes_received == 10_000


def test_a_look_in_between_tells_another_state(talk: Begin, source: SockDiagSource) -> None:
    ends = talk()
    settle(source, myself())
    ends.client.shutdown(socket.SHUT_WR)

    def statuses() -> list[Status]:
        reading = source.read_listeners(myself())
        return [row.status for row in figures(reading.sockets, ends)] if reading else []

    wait_for(lambda: statuses() == [Status.FIN_WAIT2, Status.CLOSE_WAIT], "the half closed connection")


@pytest.mark.parametrize("focused", ["nobody", "another process", "too many"])
def test_otherwise_a_look_in_between_tells_nothing_of_connections(
    focused: str, talk: Begin, source: SockDiagSource, zoo: Zoo
) -> None:
    ends = talk()
    focus = None if focused == "nobody" else myself()
    if focused == "another process":
        pid = zoo.child().pid
        focus = ProcessId(pid, psutil.Process(pid).create_time())
    with ExitStack() as stack:
        for _ in range(MAX_FOCUSED if focused == "too many" else 0):
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind(("127.0.0.1", 0))
        settle(source, focus)
        before = figures(source.read(focus).sockets, ends)
        ends.client.sendall(b"unseen")
        reading = source.read_listeners(focus)
        # A listener of somebody else may have come or gone; the connections are as they were.
        assert reading is None or figures(reading.sockets, ends) == before
        wait_for(lambda: source.read_listeners(focus) is None, "nothing to tell")
        assert figures(source.read(focus).sockets, ends)[1].bytes_received == len(b"unseen")


def test_among_very_many_sockets_nothing_is_asked_in_between(
    talk: Begin, source: SockDiagSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = talk()
    monkeypatch.setattr(sock_diag, "MAX_AROUND", 1)
    settle(source, myself())
    before = figures(source.read(myself()).sockets, ends)
    ends.client.sendall(b"unseen")
    reading = source.read_listeners(myself())
    assert reading is None or figures(reading.sockets, ends) == before
    assert figures(source.read(myself()).sockets, ends)[1].bytes_received == len(b"unseen")


def test_a_connection_that_goes_in_between_stays_until_the_next_whole_look(talk: Begin, source: SockDiagSource) -> None:
    ends, other = talk(), talk()
    settle(source, myself())
    before = figures(source.read(myself()).sockets, ends)
    ends.reset()
    other.client.sendall(b"x")
    reading = wait_for(lambda: source.read_listeners(myself()), "the other connection's byte")
    assert reading is not None
    assert {row.id for row in before} <= {found.id for found in reading.sockets}
    assert not {row.id for row in before} & {found.id for found in source.read(myself()).sockets}


# Through the monitor


def test_bytes_of_the_focused_process_make_a_frame_before_the_interval_is_over(
    talk: Begin, source: SockDiagSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_module, "LISTENER_LANE_S", 0.01)
    ends = talk()
    frames: Queue[Frame] = Queue()
    monitor = Monitor(source, frames.put, interval_s=HOUR_S)
    monitor.set_focus(myself())
    monitor.start()
    try:
        started = time.monotonic()
        assert frames.get(timeout=TIMEOUT_S).number == 1
        for count in range(1, 4):
            ends.accepted.sendall(b"x" * 1000)
            while _answered(frames.get(timeout=TIMEOUT_S), ends) != 1000 * count:
                pass
        assert time.monotonic() - started < HOUR_S
    finally:
        monitor.stop()
        assert not monitor._thread.is_alive()


def _answered(frame: Frame, ends: Talk) -> int | None:
    """How much of it the client has received, as far as this frame says."""
    assert frame.snapshot is not None
    inode = os.fstat(ends.client.fileno()).st_ino
    found = [end.socket for row in frame.snapshot.connections for end in (row.client, row.server) if end.socket]
    (client,) = [each for each in found if each.inode == inode]
    return client.bytes_received
