"""How many short connections there were, to the last one, and that it is said when some notices were lost."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
from collections.abc import Iterator

import pytest
from namespace import RefusedError, inside
from test_short_connections import ANSWER, ASKED, BY_CLIENT, BY_SERVER, RESET, Server, Watch
from zoo import TIMEOUT_S, wait_for

from loopmon.model import ChangeKind, Scope
from loopmon.observe.observer import MAX_BRIEF, Observer
from loopmon.sources import destroyed
from loopmon.sources.destroyed import Destroyed
from loopmon.sources.sock_diag import SockDiagSource

if sys.platform != "linux":
    pytest.skip("sock_diag is Linux's", allow_module_level=True)

MANY = 200
"""No more than become changes of their own."""
TINY = 1
"""Bytes; the kernel makes its least of it, which holds a few notices."""
LOST = "events lost: more connections came and went than the kernel could tell of"


def count_them(who: str) -> dict[str, float | list[str]]:
    """Makes so many connections and looks only when they are over."""
    source = SockDiagSource()
    if source._destroyed is None or not source._destroyed.is_subscribed:
        raise RefusedError("this kernel gives no notice of sockets that go")
    with Server() as server:
        watch = Watch(source, server.port)
        client = server.call(MANY, who)
        assert client.wait(TIMEOUT_S) == 0
        wait_for(lambda: watch.look() and watch.opened > MANY - 0.5, "all to be counted")
        for _ in range(3):
            watch.look()  # nothing comes to it later
        source.close()
        kinds = [change.kind for change in watch.changes]
        return {"opened": watch.opened, "moved": watch.moved, "lost": watch.lost, "kinds": list(kinds)}


@pytest.mark.parametrize("who", [RESET, BY_SERVER, BY_CLIENT], ids=["reset", "by the server", "by the client"])
def test_each_of_two_hundred_counts_once_with_all_its_bytes(who: str) -> None:
    """In a network of its own, so that what is left in TIME_WAIT is in nobody's way."""
    seen = inside(count_them, who)
    assert seen["lost"] == 0
    assert seen["opened"] == pytest.approx(MANY, abs=0.01)
    assert seen["moved"] == pytest.approx(MANY * (ASKED + ANSWER), abs=0.01)
    assert MANY <= MAX_BRIEF
    assert seen["kinds"].count(ChangeKind.OPENED) == MANY
    assert seen["kinds"].count(ChangeKind.CLOSED) == (MANY if who == RESET else 0)


class Deaf:
    """A notice reader that does not come to read until it is let."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.let = threading.Event()
        receive = Destroyed._receive

        def wait_first(reader: Destroyed, netlink: socket.socket) -> None:
            assert self.let.wait(TIMEOUT_S)
            receive(reader, netlink)

        patch.setattr(Destroyed, "_receive", wait_first)


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> Deaf:
    monkeypatch.setattr(destroyed, "BUFFER_BYTES", TINY)
    return Deaf(monkeypatch)


@pytest.fixture
def source() -> Iterator[SockDiagSource]:
    opened = SockDiagSource()
    if opened._destroyed is None or not opened._destroyed.is_subscribed:
        opened.close()
        pytest.skip("this kernel gives no notice of sockets that go")
    yield opened
    opened.close()


def test_what_does_not_fit_into_the_kernels_buffer_is_told_as_lost(deaf: Deaf, source: SockDiagSource) -> None:
    observer = Observer(source.name)
    with Server() as server:
        assert LOST not in observer.observe(source.read(), Scope()).snapshot.limits
        client = server.call(MANY, RESET)
        assert client.wait(TIMEOUT_S) == 0
        deaf.let.set()
        reading = wait_for(lambda: (found := source.read()).notices_lost and found, "the loss to be told")
        assert reading
        assert LOST in observer.observe(reading, Scope()).snapshot.limits
        partial = source.read_listeners()
        assert partial is None or LOST in observer.observe(partial, Scope()).snapshot.limits

        def is_over() -> bool:
            """The next whole look without a loss."""
            again = source.read()
            return not again.notices_lost and LOST not in observer.observe(again, Scope()).snapshot.limits

        wait_for(is_over, "the warning to go")


class Overflown(socket.socket):
    """One end of a pair, which says once that something did not fit."""

    told = False

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        if not self.told:
            self.told = True
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        return super().recv(size, flags)


def test_each_refusal_for_want_of_room_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    overflown = Overflown(fileno=near.detach())
    monkeypatch.setattr(destroyed, "_subscribe", lambda: overflown)
    with far:
        source = SockDiagSource()
        assert source.read().notices_lost == 0
        far.send(b"too short to be a message")
        assert wait_for(lambda: source.read().notices_lost, "the loss") == 1
        assert source.read().notices_lost == 0
        source.close()
        wait_for(lambda: overflown.fileno() == -1, "its reader to end")


def test_what_waits_too_long_to_be_taken_is_lost_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destroyed, "MAX_WAITING", 3)
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    monkeypatch.setattr(destroyed, "_subscribe", lambda: near)
    with far:
        notices = Destroyed()
        for _ in range(5):
            far.send(b"no message")
        wait_for(lambda: notices._lost == 2, "the fourth and the fifth to be dropped")
        assert notices.take() == ([], 2)
        assert notices.take() == ([], 0)
        notices.close()
        wait_for(lambda: near.fileno() == -1, "its reader to end")
