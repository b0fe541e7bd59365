"""The one thread that looks: its frames, its timing and what it does when a look fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from queue import Queue

import pytest
from making import NOW, Script, Step, listening, reading

from loopmon.model import ChangeKind, Frame, Scope, Socket
from loopmon.observe.monitor import AWAY_FACTOR, CPU_LOOKS, MAX_SHARE, Monitor
from loopmon.sources import Reading, SourceError

PATIENCE_S = 20
HOUR_S = 3600.0
SIX = listening("[::1]:5432", 811)


class Gate:
    """A step that blocks until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> Reading:
        self.entered.set()
        assert self.opened.wait(PATIENCE_S)
        return reading(SIX)


class Clock:
    """Stands in for the ``time`` module: only the steps of a script move it."""

    def __init__(self) -> None:
        self.wall_s = self.cpu_s = 0.0

    def monotonic(self) -> float:
        return self.wall_s

    def process_time(self) -> float:
        return self.cpu_s

    def step(self, wall_s: float, cpu_s: float = 0.0) -> Step:
        def take() -> Reading:
            self.wall_s += wall_s
            self.cpu_s += cpu_s
            return reading(SIX)

        return take


class Watched:
    """A monitor whose frames can be taken one by one. An hour between looks: nothing comes by itself."""

    def __init__(self, source: Script, interval_s: float = HOUR_S) -> None:
        self.frames: Queue[Frame] = Queue()
        self.monitor = Monitor(source, self.frames.put, interval_s=interval_s)
        self.monitor.start()

    def next(self) -> Frame:
        return self.frames.get(timeout=PATIENCE_S)

    def shown(self) -> tuple[Scope, tuple[Socket, ...]]:
        snapshot = self.next().snapshot
        assert snapshot is not None
        return snapshot.scope, tuple(row.socket for row in snapshot.listeners)

    def look(self) -> Frame:
        self.monitor.look_now()
        return self.next()


Watch = Callable[..., Watched]


@pytest.fixture
def watch() -> Iterator[Watch]:
    started: list[Watched] = []

    def start(*steps: Step) -> Watched:
        started.append(Watched(Script(*steps)))
        return started[-1]

    yield start
    for watched in started:
        watched.monitor.stop()
    join_monitors()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("loopmon.observe.monitor.time", clock)
    return clock


def join_monitors() -> None:
    for thread in threading.enumerate():
        if thread.name == "loopmon-monitor":
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def steady() -> Reading:
    return reading(SIX)


def refused() -> Reading:
    raise SourceError("the kernel said no")


def broken() -> Reading:
    raise ZeroDivisionError("by accident")


def test_each_tick_is_one_read_and_one_frame_in_order() -> None:
    count = iter(range(10**6))
    source = Script(lambda: reading(taken_at=NOW + next(count)))
    watched = Watched(source, interval_s=1e-4)
    frames = [watched.next() for _ in range(25)]
    watched.monitor.stop()
    join_monitors()
    assert [frame.number for frame in frames] == list(range(1, 26))
    assert [frame.snapshot and frame.snapshot.taken_at for frame in frames] == [NOW + tick for tick in range(25)]
    assert not source.overlapped
    assert source.reads - 1 <= len(frames) + watched.frames.qsize() <= source.reads


def test_wishes_during_a_look_are_one_more_look_and_no_second_at_the_same_time() -> None:
    gate = Gate()
    source = Script(gate, steady)
    watched = Watched(source)
    assert gate.entered.wait(PATIENCE_S)
    watched.monitor.look_now()
    watched.monitor.set_scope(Scope(ipv6=True))
    gate.opened.set()
    watched.next()
    assert watched.shown() == (Scope(ipv6=True), (SIX,))
    watched.monitor.stop()
    join_monitors()
    assert source.reads == 2
    assert not source.overlapped


def test_stopping_ends_the_thread_in_the_midst_of_a_long_wait_and_closes_the_source() -> None:
    source = Script(steady)
    watched = Watched(source)
    watched.next()
    watched.monitor.stop()
    join_monitors()
    assert source.closed.wait(PATIENCE_S)
    assert watched.frames.empty()


def test_stopping_gives_up_on_a_read_that_blocks_and_the_source_is_closed_after_it_without_a_frame() -> None:
    gate = Gate()
    source = Script(gate)
    watched = Watched(source)
    assert gate.entered.wait(PATIENCE_S)
    watched.monitor.stop()
    assert not source.closed.is_set(), "closed under a read"
    gate.opened.set()
    join_monitors()
    assert watched.frames.empty()
    assert source.reads == 1
    assert source.closed.is_set(), "left open"


def test_a_monitor_that_never_started_can_be_stopped_and_reads_nothing() -> None:
    source = Script(steady)
    Monitor(source, Queue[Frame]().put).stop()
    assert source.reads == 0


def test_a_quick_poll_leaves_the_interval_as_it_was_asked_for(watch: Watch, clock: Clock) -> None:
    frame = watch(clock.step(HOUR_S / MAX_SHARE)).next()
    assert (frame.interval_s, frame.slowed, frame.poll_s) == (HOUR_S, None, HOUR_S / MAX_SHARE)


def test_polls_that_take_more_than_their_share_stretch_the_interval_and_say_so(watch: Watch, clock: Clock) -> None:
    watched = watch(clock.step(1000), clock.step(2000), clock.step(1))
    frames = [watched.next(), watched.look()]
    assert [frame.interval_s for frame in frames] == [1000 * MAX_SHARE, 1000 * MAX_SHARE]
    assert [frame.slowed for frame in frames] == ["a look takes 1000000 ms"] * 2
    recovered = watched.look()
    assert (recovered.interval_s, recovered.slowed) == (HOUR_S, None)


def test_one_slow_poll_among_quick_ones_changes_nothing(watch: Watch, clock: Clock) -> None:
    watched = watch(clock.step(1), clock.step(5000), clock.step(5000), clock.step(5000))
    frames = [watched.next(), watched.look(), watched.look(), watched.look()]
    assert [frame.slowed is None for frame in frames] == [True, True, True, False]


def test_its_own_share_of_a_core_is_measured_over_some_looks(watch: Watch, clock: Clock) -> None:
    """The first frame tells it at once, later ones as the average over some looks."""
    watched = watch(clock.step(2, cpu_s=0.1), *(clock.step(4, cpu_s=0.1) for _ in range(CPU_LOOKS)))
    shares = [watched.next().cpu_percent, *(watched.look().cpu_percent for _ in range(CPU_LOOKS))]
    assert shares[:-2] == pytest.approx([5.0] * (CPU_LOOKS - 1))
    assert shares[-1] == pytest.approx(2.5)


def test_while_nobody_looks_it_slows_down_and_looks_at_once_when_somebody_does(watch: Watch) -> None:
    watched = watch(steady)
    watched.next()
    watched.monitor.set_away(True)
    away = watched.look()
    assert (away.interval_s, away.slowed) == (HOUR_S * AWAY_FACTOR, "nobody is looking")
    watched.monitor.set_away(False)
    back = watched.next()
    assert (back.interval_s, back.slowed) == (HOUR_S, None)


def test_another_scope_is_looked_at_at_once(watch: Watch) -> None:
    watched = watch(steady)
    assert watched.shown() == (Scope(), ())
    watched.monitor.set_scope(Scope(ipv6=True))
    assert watched.shown() == (Scope(ipv6=True), (SIX,))


def test_a_source_that_fails_keeps_the_last_snapshot_with_the_reason_and_recovers(watch: Watch) -> None:
    api = listening("127.0.0.1:3000", 4312)
    watched = watch(steady, refused, refused, lambda: reading(api))
    good, stale, still = watched.next(), watched.look(), watched.look()
    assert good.stale is None
    for frame in (stale, still):
        assert frame.snapshot is good.snapshot
        assert (frame.stale, frame.changes) == ("the kernel said no", ())
    recovered = watched.look()
    assert recovered.stale is None
    assert [(change.kind, change.subject.id) for change in recovered.changes] == [(ChangeKind.OPENED, api.id)]
    assert recovered.number == 4


def test_a_source_that_fails_from_the_start_gives_a_reason_but_no_snapshot(watch: Watch) -> None:
    first = watch(refused).next()
    assert (first.number, first.snapshot, first.stale) == (1, None, "the kernel said no")


def test_a_fault_of_its_own_is_logged_and_told_and_the_looks_go_on(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    watched = watch(steady, broken, steady)
    good = watched.next()
    with caplog.at_level(logging.ERROR):
        faulty = watched.look()
    assert faulty.snapshot is good.snapshot
    assert faulty.stale == "internal error: ZeroDivisionError: by accident"
    assert [record.exc_info is not None for record in caplog.records] == [True]
    assert watched.look().stale is None
