"""What the app shows when things change, stand still, or cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from making import listening, process
from stage import NARROW, Puppet, StillMonitor, line_of, on_stage, screen_text, shown

from loopmon.tui.ticker import Ticker

NODE = process(4312, "node")


class Alarm:
    def __init__(self, ring: Callable[[], None]) -> None:
        self.ring = ring

    def stop(self) -> None:
        self.ring = lambda: None


class Timers:
    """The ticker's timers, which ring when a test says so."""

    def __init__(self) -> None:
        self._set: list[Alarm] = []

    def set_timer(self, ticker: Ticker, delay: float, callback: Callable[[], None]) -> Alarm:
        self._set.append(Alarm(callback))
        return self._set[-1]

    def ring(self, *, until: int | None = None) -> None:
        """Those that were set first, in their order; all of them unless told otherwise."""
        for alarm in self._set[:until]:
            alarm.ring()
        del self._set[:until]


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Timers]:
    made = Timers()
    monkeypatch.setattr(Ticker, "set_timer", lambda *args: made.set_timer(*args))
    yield made


def server(*ports: int) -> Puppet:
    return Puppet(*(listening(f"127.0.0.1:{port}", 4312) for port in ports), processes=[NODE])


async def test_nothing_is_new_at_the_first_look() -> None:
    async with on_stage() as stage:
        assert "new" not in shown(stage.listeners)
        assert "new" not in shown(stage.clients)


async def test_a_new_row_is_marked_by_a_sign_and_a_word_for_some_seconds() -> None:
    source = server(3000)
    async with on_stage(source) as stage:
        source.sockets.append(listening("127.0.0.1:4000", 4312))
        await stage.tick()
        line = line_of(stage.listeners, "4000")
        assert line.startswith("+")
        assert line.rstrip().endswith("new")
        assert "+ node 4312 listens on 127.0.0.1:4000" in stage.ticker
        await stage.tick(5)
        line = line_of(stage.listeners, "4000")
        assert not line.startswith("+")
        assert line.rstrip().endswith("5s")


async def test_a_row_that_went_stays_for_some_seconds_with_sign_and_word_and_name() -> None:
    source = server(3000, 4000)
    async with on_stage(source) as stage:
        source.sockets.pop()
        await stage.tick()
        line = line_of(stage.listeners, "4000")
        assert line.startswith("-")
        assert line.rstrip().endswith("gone")
        assert "node 4312" in line
        assert "- node 4312 stopped listening on 127.0.0.1:4000" in stage.ticker
        assert "1 listener " in stage.header
        await stage.tick(3)
        assert "4000" in shown(stage.listeners)
        await stage.tick(2)
        assert "4000" not in shown(stage.listeners)


async def test_a_row_that_comes_back_is_one_row() -> None:
    source = server(3000, 4000)
    async with on_stage(source) as stage:
        source.sockets.pop()
        await stage.tick()
        source.sockets.append(listening("127.0.0.1:4000", 4312))
        await stage.tick()
        assert line_of(stage.listeners, "4000").startswith("+")


async def test_a_pause_holds_the_screen_still_while_looking_goes_on() -> None:
    source = server(3000)
    async with on_stage(source) as stage:
        await stage.press("p")
        assert "PAUSED" in stage.header
        source.sockets.append(listening("127.0.0.1:4000", 4312))
        await stage.tick()
        source.sockets.append(listening("127.0.0.1:5000", 4312))
        await stage.tick()
        assert "4000" not in shown(stage.listeners)
        assert "2 changes since" in stage.ticker
        assert stage.monitor.last.number == 3


async def test_going_on_after_a_pause_shows_what_is_now() -> None:
    source = server(3000, 3500)
    async with on_stage(source) as stage:
        await stage.press("p")
        source.sockets = [listening("127.0.0.1:3000", 4312), listening("127.0.0.1:4000", 4312)]
        await stage.tick(8)
        await stage.press("p")
        assert "4000" in shown(stage.listeners)
        assert "3500" not in shown(stage.listeners)
        assert "PAUSED" not in stage.header
        assert "Paused" not in stage.ticker


async def test_one_can_filter_and_move_in_what_is_held_still() -> None:
    async with on_stage() as stage:
        await stage.press("p", "down")
        assert "vite" in stage.process
        await stage.filter("port:5432")
        await stage.tick(5)
        assert [row.laddr.port for row in stage.listeners.rows] == [5432]


async def test_another_scope_during_a_pause_starts_the_count_anew(timers: Timers) -> None:
    """What is asked for is shown, and with it everything that was held back."""
    source = server(3000)
    async with on_stage(source) as stage:
        await stage.press("p")
        source.sockets.append(listening("127.0.0.1:4000", 4312))
        await stage.tick()
        await stage.press("6")
        assert "4000" in shown(stage.listeners)
        source.sockets.append(listening("127.0.0.1:5000", 4312))
        await stage.tick()
        timers.ring()
        assert "1 change since" in stage.ticker


async def test_a_look_that_fails_keeps_the_last_good_rows_and_says_why() -> None:
    source = server(3000)
    async with on_stage(source) as stage:
        source.broken = "psutil could not read the sockets: [Errno 24] Too many open files"
        await stage.tick(3)
        assert "STALE psutil could not read the sockets: [Errno 24]" in stage.header
        assert "node 4312" in line_of(stage.listeners, "3000")
        assert "gone" not in shown(stage.listeners)
        source.broken = None
        await stage.tick()
        assert "STALE" not in stage.header
        assert "live" in stage.header


async def test_a_first_look_that_fails_is_not_called_an_empty_machine() -> None:
    source = server(3000)
    source.broken = "psutil could not read the sockets: no"
    async with on_stage(source, size=NARROW) as stage:
        assert "STALE psutil could not read the sockets: no" in stage.header
        assert "Nothing listens" not in shown(stage.listeners)
        assert "No connections" not in shown(stage.clients)
        await stage.press("down", "tab", "enter", "escape", "g", "t", "f", "b")
        source.broken = None
        await stage.tick()
        assert "node 4312" in line_of(stage.listeners, "3000")


async def test_a_monitor_that_says_nothing_for_long_is_stale_too() -> None:
    async with on_stage() as stage:
        stage.clock.now += 12.0
        stage.app._show_header()
        await stage.pilot.pause()
        assert "STALE no answer for 12s" in stage.header
        await stage.tick()
        assert "live" in stage.header


async def test_before_the_first_look_has_ended_it_says_that_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StillMonitor, "start", lambda _monitor: None)
    async with on_stage(size=NARROW) as stage:
        assert "reading the sockets" in stage.header
        assert "Nothing listens" not in shown(stage.listeners)
        await stage.press("down", "tab", "enter", "escape", "p", "p", "g", "f")
        await stage.tick()
        assert "node 4312" in line_of(stage.listeners, "3000")


async def test_an_empty_machine_says_what_to_do_and_shows_no_cursor() -> None:
    async with on_stage(Puppet()) as stage:
        assert "Nothing listens on loopback." in shown(stage.listeners)
        assert "python3 -m http.server" in shown(stage.listeners)
        assert "No connections on loopback." in shown(stage.clients)
        assert "0 listeners" in stage.header
        await stage.press("enter", "tab", "enter", "f")
        assert ">" not in shown(stage.clients)


async def test_what_could_not_be_seen_is_said() -> None:
    source = server(3000)
    source.limits = ("owners of other users' sockets cannot be read without root",)
    async with on_stage(source) as stage:
        assert "cannot be read without root" in screen_text(stage.app)


async def test_a_note_makes_room_for_the_last_change_again(timers: Timers) -> None:
    source = server(3000)
    async with on_stage(source) as stage:
        source.sockets.append(listening("127.0.0.1:4000", 4312))
        await stage.tick()
        await stage.press("t")
        assert "TIME_WAIT hidden" in stage.ticker
        timers.ring()
        assert "listens on 127.0.0.1:4000" in stage.ticker


async def test_a_note_stays_for_its_whole_time_when_another_one_came_just_before_it(timers: Timers) -> None:
    async with on_stage() as stage:
        await stage.press("t", "t")
        assert "TIME_WAIT shown" in stage.ticker
        timers.ring(until=1)
        assert "TIME_WAIT shown" in stage.ticker
