"""Listeners are looked at between the looks at everything, where the source makes that cheap."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from queue import Empty, Queue, SimpleQueue

import pytest
from making import listening, reading

from loopmon.model import ChangeKind, Frame, ProcessId, Socket
from loopmon.observe import monitor as monitor_module
from loopmon.observe.monitor import Monitor
from loopmon.sources import Reading, SourceError

PATIENCE_S = 20
HOUR_S = 3600.0
LANE_S = 0.005
API, WEB = listening("127.0.0.1:3000", 4312), listening("127.0.0.1:5173", 4401)
ENOUGH = 5
"""So many looks at the listeners show that they go on."""


class Lane:
    """A source that counts the looks at the listeners; a test gives it what the next one does."""

    name = "lane"

    def __init__(self, *, has_listener_lane: bool = True) -> None:
        self.has_listener_lane = has_listener_lane
        self.sockets: tuple[Socket, ...] = (API,)
        self.broken = False
        self.looks: Queue[None] = Queue()
        self.glances = 0
        self.glanced = threading.Semaphore(0)
        self.steps: SimpleQueue[Callable[[], Reading]] = SimpleQueue()
        self.closed = threading.Event()

    def read(self, focus: ProcessId | None = None) -> Reading:
        self.looks.put(None)
        if self.broken:
            raise SourceError("the kernel said no")
        return reading(*self.sockets)

    def read_listeners(self, focus: ProcessId | None = None) -> Reading | None:
        self.glances += 1
        try:
            return self.steps.get_nowait()()
        except Empty:
            return None
        finally:
            self.glanced.release()

    def close(self) -> None:
        self.closed.set()

    def wait_for_glances(self, number: int = ENOUGH) -> None:
        for _ in range(number):
            assert self.glanced.acquire(timeout=PATIENCE_S)

    def brings(self, *sockets: Socket) -> None:
        """The next look at the listeners finds these."""
        self.steps.put(lambda: replace(reading(*sockets), partial=True))

    def fails(self, error: Exception) -> None:
        def fail() -> Reading:
            raise error

        self.steps.put(fail)


class Watched:
    """A monitor whose frames can be taken one by one."""

    def __init__(self, source: Lane, interval_s: float = HOUR_S) -> None:
        self.source = source
        self.frames: Queue[Frame] = Queue()
        self.monitor = Monitor(source, self.frames.put, interval_s=interval_s)

    def next(self) -> Frame:
        return self.frames.get(timeout=PATIENCE_S)

    def listening(self, frame: Frame) -> list[int]:
        assert frame.snapshot is not None
        return [row.laddr.port for row in frame.snapshot.listeners]


Watch = Callable[..., Watched]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    monkeypatch.setattr(monitor_module, "LISTENER_LANE_S", LANE_S)
    started: list[Watched] = []

    def start(source: Lane | None = None, interval_s: float = HOUR_S, *, away: bool = False) -> Watched:
        watched = Watched(source or Lane(), interval_s)
        started.append(watched)
        if away:
            watched.monitor.set_away(True)
        watched.monitor.start()
        return watched

    yield start
    for watched in started:
        watched.monitor.stop()
        assert watched.source.closed.wait(PATIENCE_S)


def test_a_listener_that_comes_within_the_interval_makes_a_frame_at_once(watch: Watch) -> None:
    watched = watch()
    first = watched.next()
    watched.source.brings(API, WEB)
    frame = watched.next()
    assert frame.number == first.number + 1
    assert watched.listening(frame) == [3000, 5173]
    assert [(change.kind, change.subject.id) for change in frame.changes] == [(ChangeKind.OPENED, WEB.id)]
    assert watched.source.looks.qsize() == 1, "nothing but the listeners was looked at again"


def test_a_listener_that_goes_within_the_interval_makes_a_frame_at_once(watch: Watch) -> None:
    watched = watch()
    watched.next()
    watched.source.brings()
    frame = watched.next()
    assert watched.listening(frame) == []
    assert [change.kind for change in frame.changes] == [ChangeKind.CLOSED]


def test_one_frame_follows_another_within_one_interval(watch: Watch) -> None:
    watched = watch()
    watched.next()
    for number in range(2, 6):
        watched.source.brings(*([API, WEB] if number % 2 else [API]))
        assert watched.next().number == number
    assert watched.source.looks.qsize() == 1


def test_where_no_listener_comes_or_goes_no_frame_is_made(watch: Watch) -> None:
    watched = watch()
    watched.next()
    watched.source.wait_for_glances()
    with pytest.raises(Empty):
        watched.frames.get_nowait()


def test_a_source_without_a_lane_is_never_asked_for_its_listeners(watch: Watch) -> None:
    watched = watch(Lane(has_listener_lane=False), interval_s=LANE_S * 4)
    for _ in range(ENOUGH):
        watched.next()
    assert watched.source.glances == 0


def test_nobody_is_asked_while_nobody_looks(watch: Watch) -> None:
    watched = watch(interval_s=LANE_S, away=True)
    for _ in range(ENOUGH):
        watched.next()
    assert watched.source.glances == 0


def test_listeners_are_looked_at_again_when_somebody_is_back(watch: Watch) -> None:
    watched = watch(away=True)
    watched.next()
    watched.monitor.set_away(False)
    watched.next()
    watched.source.wait_for_glances()


def test_listeners_are_not_looked_at_while_the_last_look_has_failed(watch: Watch) -> None:
    source = Lane()
    source.broken = True
    watched = watch(source, interval_s=LANE_S * 4)
    for _ in range(ENOUGH):
        assert watched.next().stale == "the kernel said no"
    assert source.glances == 0


def test_an_interval_shorter_than_the_lane_leaves_no_room_for_it(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_module, "LISTENER_LANE_S", HOUR_S)
    watched = watch(interval_s=LANE_S)
    for _ in range(ENOUGH):
        watched.next()
    assert watched.source.glances == 0


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SourceError("no more of this"), "no more of this"),
        (ZeroDivisionError("by accident"), "internal error: ZeroDivisionError: by accident"),
    ],
    ids=["refused", "broken"],
)
def test_a_look_at_the_listeners_that_fails_is_told_and_the_next_look_mends_it(
    watch: Watch, error: Exception, words: str
) -> None:
    watched = watch()
    first = watched.next()
    watched.source.fails(error)
    failed = watched.next()
    assert failed.stale == words
    assert failed.snapshot is first.snapshot
    assert failed.changes == ()
    glances = watched.source.glances
    watched.monitor.look_now()
    assert watched.next().stale is None
    watched.source.wait_for_glances(glances + 1)


def test_a_frame_of_listeners_alone_keeps_the_interval_and_the_cost_of_the_last_whole_look(watch: Watch) -> None:
    watched = watch(interval_s=HOUR_S)
    first = watched.next()
    watched.source.brings(API, WEB)
    frame = watched.next()
    assert (frame.interval_s, frame.cpu_percent) == (first.interval_s, first.cpu_percent)
    assert first.interval_s == HOUR_S


def test_the_whole_look_comes_when_it_is_due_however_many_looks_at_listeners_there_were(watch: Watch) -> None:
    watched = watch(interval_s=LANE_S * 8)
    for _ in range(3):
        watched.next()
    assert watched.source.looks.qsize() >= 3


def test_looking_now_does_not_wait_for_the_lane(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_module, "LISTENER_LANE_S", HOUR_S / 2)
    watched = watch()
    watched.next()
    watched.monitor.look_now()
    assert watched.next().number == 2


def test_stopping_does_not_wait_for_the_lane(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_module, "LISTENER_LANE_S", HOUR_S / 2)
    watched = watch()
    watched.next()
    started = time.monotonic()
    watched.monitor.stop()
    assert watched.source.closed.wait(PATIENCE_S)
    assert time.monotonic() - started < PATIENCE_S / 2
    assert watched.source.glances == 0


def test_a_look_at_the_listeners_that_is_under_way_when_it_stops_makes_no_frame(watch: Watch) -> None:
    watched = watch()
    watched.next()
    entered, opened = threading.Event(), threading.Event()

    def slowly() -> Reading:
        entered.set()
        assert opened.wait(PATIENCE_S)
        return replace(reading(API, WEB), partial=True)

    watched.source.steps.put(slowly)
    assert entered.wait(PATIENCE_S)
    watched.monitor.stop()
    opened.set()
    assert watched.source.closed.wait(PATIENCE_S)
    assert watched.frames.empty()
