"""The screen without a terminal and without a clock: looks happen when a test says so.

A machine of which a test pulls the strings, a monitor that stands still, the app over both at a given
size, and what is on the screen as plain text.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from making import NOW, PORTS
from textual import events
from textual.app import App
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Input, Static

from loopmon.filter import parse_filter
from loopmon.findings import Judge
from loopmon.model import Change, Frame, Process, ProcessId, Scope, Socket
from loopmon.observe.observer import Observer
from loopmon.sources import Reading, Source, SourceError
from loopmon.sources.demo import DemoSource
from loopmon.tui import app as app_module
from loopmon.tui.app import LoopmonApp
from loopmon.tui.clients import Clients
from loopmon.tui.glyphs import Glyphs
from loopmon.tui.listeners import Listeners
from loopmon.tui.live_table import LiveTable
from loopmon.tui.process import ProcessPane

NARROW, MIDDLE, WIDE = (80, 24), (120, 36), (160, 45)
NAMES = {"/": "slash", "?": "question_mark", "!": "exclamation_mark"}


class Puppet:
    """A source that shows the sockets and processes it was given last; each reading is a second later."""

    name = "puppet"
    has_listener_lane = False

    def __init__(self, *sockets: Socket, processes: Iterable[Process] = ()) -> None:
        self.sockets = list(sockets)
        self.processes = {process.id: process for process in processes}
        self.limits: tuple[str, ...] = ()
        self._shown: dict[ProcessId, Process] = {}
        self.broken: str | None = None
        self._second = -1

    def read(self, focus: ProcessId | None = None) -> Reading:
        if self.broken is not None:
            raise SourceError(self.broken)
        self._second += 1
        if self._shown != self.processes:
            self._shown = dict(self.processes)
        return Reading(NOW + self._second, tuple(self.sockets), self.limits, self._shown, PORTS)

    def read_listeners(self, focus: ProcessId | None = None) -> None:
        raise NotImplementedError("there is no lane for listeners")

    def close(self) -> None:
        self.sockets.clear()


class StillMonitor:
    """Looks once when it starts and after that only when told. Remembers what the app asked of it."""

    def __init__(self, source: Source, on_frame: Callable[[Frame], None], scope: Scope | None = None) -> None:
        self._source = source
        self._on_frame = on_frame
        self._observer = Observer(source.name)
        self._judge = Judge()
        self._last: Frame | None = None
        self.scope = scope or Scope()
        self.focus: ProcessId | None = None
        self.away: list[bool] = []
        self.is_stopped = False

    @property
    def last(self) -> Frame:
        assert self._last is not None
        return self._last

    def start(self) -> None:
        self.tick()

    def stop(self) -> None:
        self.is_stopped = True
        self._source.close()

    def look_now(self) -> None:
        self.tick()

    def set_scope(self, scope: Scope) -> None:
        self.scope = scope
        self.tick()

    def set_focus(self, process: ProcessId | None) -> None:
        self.focus = process

    def set_away(self, away: bool) -> None:
        self.away.append(away)

    def hand_to(self, on_frame: Callable[[Frame], None]) -> None:
        """Give the frames to somebody else than the app."""
        self._on_frame = on_frame

    def tick(self) -> None:
        """Look once and hand the frame over, as the real monitor would from its thread."""
        snapshot = self._last.snapshot if self._last else None
        changes: tuple[Change, ...] = ()
        stale = None
        try:
            seen, changes = self._observer.observe(self._source.read(self.focus), self.scope, self.focus)
            snapshot = self._judge.judge(seen)
        except SourceError as error:
            stale = str(error)
        self._last = Frame(
            number=self._last.number + 1 if self._last else 1,
            snapshot=snapshot,
            changes=changes,
            stale=stale,
            interval_s=1.0,
            slowed=None,
            poll_s=0.0,
            cpu_percent=0.4,
        )
        self._on_frame(self._last)


@dataclass
class Stage:
    """The running app and the hands on it."""

    app: LoopmonApp
    pilot: Pilot[int]
    monitor: StillMonitor
    clock: SimpleNamespace
    """The app's idea of the time that has passed; ``now`` can be set."""

    @property
    def listeners(self) -> Listeners:
        return self.app.default_screen.query_one(Listeners)

    @property
    def clients(self) -> Clients:
        return self.app.default_screen.query_one(Clients)

    @property
    def pane(self) -> ProcessPane:
        return self.app.default_screen.query_one(ProcessPane)

    @property
    def header(self) -> str:
        return self.words("#header")

    @property
    def ticker(self) -> str:
        return self.words("#ticker").strip()

    @property
    def process(self) -> str:
        """What the process pane says, words that were wrapped in one line again."""
        return " ".join(self.words("#process-text").split())

    def is_on(self, widget: Widget) -> bool:
        """Whether the keys go there, and it can be seen."""
        return self.app.focused is widget and bool(widget.region)

    def words(self, selector: str) -> str:
        return str(self.app.default_screen.query_one(selector, Static).visual)

    async def press(self, *keys: str) -> None:
        """As ``Pilot.press`` does, which waits far longer."""
        for key in keys:
            self.app.post_message(events.Key(NAMES.get(key, key), key if len(key) == 1 else None))
            await self.pilot.pause()
        await self.pilot.pause()

    async def filter(self, text: str) -> None:
        """Open the filter line and paste, without leaving it."""
        await self.press("slash")
        self.app.query_one(Input).insert_text_at_cursor(text)
        await self.pilot.pause()

    async def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.monitor.tick()
            await self.pilot.pause()

    async def resize(self, width: int, height: int) -> None:
        await self.pilot.resize_terminal(width, height)
        await self.pilot.pause()


def staged_app(
    source: Source | None = None,
    *,
    wanted: str = "",
    scope: Scope | None = None,
    glyphs: Glyphs | None = None,
    theme: str | None = None,
) -> tuple[LoopmonApp, StillMonitor]:
    """The app over ``source`` (the demo), not yet running."""
    machine = source or DemoSource()
    monitors: list[StillMonitor] = []

    def make_monitor(on_frame: Callable[[Frame], None]) -> StillMonitor:
        monitors.append(StillMonitor(machine, on_frame, scope))
        return monitors[0]

    app = LoopmonApp(make_monitor, scope=scope, wanted=parse_filter(wanted), glyphs=glyphs, theme=theme)
    return app, monitors[0]


@contextmanager
def still_clock() -> Iterator[SimpleNamespace]:
    """For the app no time passes but what the test lets pass, and nothing happens by itself."""
    clock = SimpleNamespace(now=0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
        patch.setattr(LoopmonApp, "set_interval", lambda *_args: None)
        yield clock


@asynccontextmanager
async def on_stage(
    source: Source | None = None,
    *,
    size: tuple[int, int] = WIDE,
    wanted: str = "",
    scope: Scope | None = None,
    glyphs: Glyphs | None = None,
    theme: str | None = None,
) -> AsyncIterator[Stage]:
    """The running app after its first look."""
    with still_clock() as clock:
        app, monitor = staged_app(source, wanted=wanted, scope=scope, glyphs=glyphs, theme=theme)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            app.query_one(Input).cursor_blink = False
            yield Stage(app, pilot, monitor, clock)


def lines(table: LiveTable[Any]) -> list[str]:
    """What the table draws, line by line, its header first, as wide as it is drawn."""
    return [table.render_line(y).text for y in range(table.scrollable_content_region.height)]


def shown(table: LiveTable[Any]) -> str:
    """The table's lines as one text, without the empty ones."""
    return "\n".join(line.rstrip() for line in lines(table) if line.strip())


def line_of(table: LiveTable[Any], text: str) -> str:
    """The one line below the header that has ``text`` in it."""
    found = [line for line in lines(table)[1:] if text in line]
    assert len(found) == 1, f"{text!r} is in {len(found)} lines of\n{shown(table)}"
    return found[0]


def screen_text(app: App[Any]) -> str:
    """The whole terminal, line by line."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())
