"""The app: takes the monitor's frames, hands them to the panes, and turns keys into what is shown.

Holds what the user chose to see. Looks at nothing itself: all it knows comes in frames.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult, SystemCommand
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from loopmon.exit_status import ExitStatus
from loopmon.filter import Filter
from loopmon.model import Frame, Scope
from loopmon.tui.clients import Clients
from loopmon.tui.filter_line import FilterLine
from loopmon.tui.freezing import Freezing
from loopmon.tui.glyphs import Glyphs
from loopmon.tui.header import Header
from loopmon.tui.help import HelpScreen
from loopmon.tui.key_line import KeyLine
from loopmon.tui.keys import APP_BINDINGS, TABLE_BINDINGS
from loopmon.tui.listeners import Listeners
from loopmon.tui.live_table import LiveTable
from loopmon.tui.looking import Looking
from loopmon.tui.process import ProcessPane
from loopmon.tui.row_keys import ROW_ACTIONS, RowKeys
from loopmon.tui.signals import Signals
from loopmon.tui.ticker import Ticker
from loopmon.tui.view import View
from loopmon.tui.walk import WIDE

MIN_WIDTH, MIN_HEIGHT = 60, 15
SILENCE_S = 5.0
"""With no frame for three intervals and this long, the screen says that what it shows is old."""


class FrameReady(Message):
    """A frame from the monitor's thread."""

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self.frame = frame


class LoopmonApp(RowKeys):
    """The live monitor. Its result is the exit status."""

    CSS_PATH = "app.tcss"
    TITLE = "loopmon"
    BINDINGS: ClassVar[list[BindingType]] = list(APP_BINDINGS)
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012  as Textual declares it
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        make_monitor: Callable[[Callable[[Frame], None]], Looking],
        *,
        scope: Scope | None = None,
        wanted: Filter | None = None,
        glyphs: Glyphs | None = None,
        theme: str | None = None,
        on_interrupt: Callable[[], None] = lambda: None,
    ) -> None:
        """``on_interrupt`` is called when leaving at once begins."""
        super().__init__(View(wanted=wanted or Filter()), glyphs or Glyphs())
        self._scope = scope or Scope()
        self._monitor = make_monitor(self._hand_over)
        self._on_interrupt = on_interrupt
        self._signals = Signals(on_interrupt)
        self._latest: Frame | None = None
        self._frame_at = time.monotonic()
        self._paused = False
        self._held_back = 0
        if theme is not None:
            self.theme = theme

    def compose(self) -> ComposeResult:
        yield Header()
        with Horizontal(id="panes"):
            with Vertical(id="tables"):
                yield Listeners(self._view, self._glyphs)
                yield Clients(self._view, self._glyphs)
            yield ProcessPane(self._view, self._glyphs)
        yield FilterLine(self._view.wanted.text)
        yield Ticker()
        yield KeyLine()
        yield Static("", id="too-small", markup=False)

    def on_mount(self) -> None:
        self._signals.catch(asyncio.get_running_loop(), self.action_interrupt)
        self.default_screen.set_class(self._glyphs.ascii_only, "-ascii")
        self.query_one(Listeners).focus()
        self._show_header()
        self.set_interval(SILENCE_S, self._show_header)
        self._monitor.start()

    def on_unmount(self) -> None:
        self._monitor.stop()
        self._signals.release()

    # Frames

    def _hand_over(self, frame: Frame) -> None:
        """Called in the monitor's thread; ``post_message`` is safe there."""
        self.post_message(FrameReady(frame))

    @on(FrameReady)
    def _take_frame(self, message: FrameReady) -> None:
        frame = message.frame
        rescoped = (
            self._latest
            and self._latest.snapshot
            and frame.snapshot
            and (self._latest.snapshot.scope != frame.snapshot.scope)
        )
        self._latest, self._frame_at = frame, time.monotonic()
        if any(isinstance(screen, Freezing) for screen in self.screen_stack):
            return
        if self._paused and not rescoped:
            self._held_back += len(frame.changes)
            self.query_one(Ticker).hold_back(self._held_back)
            self._show_header()
            return
        if rescoped:
            self._view.marks.clear()
            self._held_back = 0
            self.query_one(Ticker).hold_back(0 if self._paused else None)
        self._show_frame(frame)

    def _thaw(self, _result: None) -> None:
        if self._latest is not None and not self._paused:
            self._view.marks.clear()
            self._show_frame(self._latest)

    def _show_frame(self, frame: Frame) -> None:
        if self._view.take(frame):
            for table in self._tables():
                table.forget_order()
        if frame.snapshot is not None:
            self.query_one(Ticker).tell(frame.changes, frame.snapshot.processes)
        self._show_rows()
        self._show_header()

    def _show_rows(self) -> None:
        with self.batch_update():
            self.query_one(Listeners).show()
            self.query_one(Clients).show()
            self._show_subject()

    def _show_header(self) -> None:
        silent_s = time.monotonic() - self._frame_at
        due_s = max(SILENCE_S, 3 * self._latest.interval_s) if self._latest else SILENCE_S
        self.query_one(Header).show(self._latest, paused=self._paused, silent_s=silent_s if silent_s > due_s else None)

    # Keys

    def action_filter(self) -> None:
        self.default_screen.remove_class("-zoomed")
        self.query_one(FilterLine).open()
        self.refresh_bindings()

    @on(FilterLine.Changed)
    def _filter(self, message: FilterLine.Changed) -> None:
        self._view.set_filter(message.wanted)
        self._show_rows()
        self.refresh_bindings()

    @on(FilterLine.Done)
    def _leave_filter(self) -> None:
        listeners, clients = self._tables()
        target = clients if clients.rows and not listeners.rows else self._left or listeners
        self.default_screen.set_focus(target)
        self.query_one(FilterLine).close()
        self.refresh_bindings()

    def action_back_out(self) -> None:
        line = self.query_one(FilterLine)
        if line.is_open:
            line.action_drop()
        elif self.default_screen.has_class("-zoomed"):
            self._unzoom()
        elif isinstance(self.focused, ProcessPane):
            (self._left or self.query_one(Listeners)).focus()
        elif self._view.wanted:
            line.clear()

    def action_group(self) -> None:
        self._view.grouped = not self._view.grouped
        self.query_one(Clients).set_grouped()

    def action_time_wait(self) -> None:
        self._view.time_wait = not self._view.time_wait
        self.query_one(Clients).show()
        self.note(f"TIME_WAIT {'shown' if self._view.time_wait else 'hidden'}")

    def action_ipv6(self) -> None:
        self._scope = Scope(ipv6=not self._scope.ipv6, bound_only=self._scope.bound_only)
        self._monitor.set_scope(self._scope)
        self.note(f"::1 {'shown' if self._scope.ipv6 else 'hidden'}")

    def action_pause(self) -> None:
        self._paused = not self._paused
        self._held_back = 0
        self.query_one(Ticker).hold_back(0 if self._paused else None)
        if not self._paused and self._latest:
            self._view.marks.clear()
            self._show_frame(self._latest)
        self._show_header()

    def action_look(self) -> None:
        self._monitor.look_now()

    def action_help(self) -> None:
        self.push_screen(HelpScreen(self._glyphs))

    async def action_quit(self) -> None:
        self.exit(ExitStatus.OK)

    def action_interrupt(self) -> None:
        self._on_interrupt()
        self.exit(ExitStatus.INTERRUPTED)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does something now; the footer shows only those that do."""
        if action == "other_end":
            return isinstance(self.focused, Clients)
        if action == "back_out":
            is_open = self.default_screen.has_class("-zoomed") or self.query_one(FilterLine).is_open
            return is_open or isinstance(self.focused, ProcessPane) or bool(self._view.wanted)
        return True

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette: every key of the app by its name, and the themes."""
        yield SystemCommand("Theme", "choose other colours", self.action_change_theme)
        for binding in APP_BINDINGS:
            if binding.action not in {"command_palette", "back_out", "interrupt"}:
                reason = self.why_not(binding.action) if binding.action in ROW_ACTIONS else None
                meaning = f"not now: {reason}" if reason else binding.tooltip
                yield SystemCommand(binding.description, meaning, partial(self.run_action, binding.action))
        if isinstance(table := screen.focused, LiveTable):
            for binding in TABLE_BINDINGS:
                run = partial(self.run_action, binding.action, table)
                yield SystemCommand(binding.description, binding.tooltip, run)

    # The terminal

    def watch_theme(self, name: str) -> None:
        """Without colours an ANSI theme would be black on black."""
        theme = self.available_themes[name]
        if self.no_color and theme.ansi:
            self.theme = "textual-dark" if theme.dark else "textual-light"

    def on_resize(self, event: events.Resize) -> None:
        width, height = event.size
        too_small = width < MIN_WIDTH or height < MIN_HEIGHT
        self.default_screen.set_class(too_small, "-too-small")
        self.query_one("#too-small", Static).update(
            f"This terminal is {width}x{height}.\nloopmon needs {MIN_WIDTH}x{MIN_HEIGHT}."
        )
        if width < WIDE and isinstance(self.focused, ProcessPane) and not self.default_screen.has_class("-zoomed"):
            (self._left or self.query_one(Listeners)).focus()
        self.call_after_refresh(self._show_subject)

    def on_app_focus(self) -> None:
        self._monitor.set_away(False)

    def on_app_blur(self) -> None:
        self._monitor.set_away(True)
