"""The app: takes the monitor's frames, hands them to the panes, and turns keys into what is shown.

Holds what the user chose to see. Looks at nothing itself: all it knows comes in frames.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, ClassVar, Protocol

from textual import events, on
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Static

from loopmon.exit_status import ExitStatus
from loopmon.filter import Filter
from loopmon.findings.kinds import KINDS
from loopmon.model import Connection, Frame, Listener, ProcessId, Scope
from loopmon.tui.clients import Clients, one
from loopmon.tui.filter_line import FilterLine
from loopmon.tui.glyphs import Glyphs
from loopmon.tui.header import Header
from loopmon.tui.help import HelpScreen
from loopmon.tui.keys import APP_BINDINGS, TABLE_BINDINGS
from loopmon.tui.listeners import Listeners
from loopmon.tui.live_table import LiveTable
from loopmon.tui.process import ProcessPane
from loopmon.tui.signals import Signals
from loopmon.tui.subject import Subject, renewed, subject_of
from loopmon.tui.ticker import Ticker
from loopmon.tui.tour import Tour, rows_of, worth_a_stop
from loopmon.tui.view import View

MIN_WIDTH, MIN_HEIGHT = 60, 15
WIDE = 120
SILENCE_S = 5.0
"""With no frame for three intervals and this long, the screen says that what it shows is old."""


class Looking(Protocol):
    """What the app needs of the monitor."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def look_now(self) -> None: ...
    def set_scope(self, scope: Scope) -> None: ...
    def set_focus(self, process: ProcessId | None) -> None: ...
    def set_away(self, away: bool) -> None: ...


class FrameReady(Message):
    """A frame from the monitor's thread."""

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self.frame = frame


class LoopmonApp(App[int]):
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
        super().__init__()
        self._glyphs = glyphs or Glyphs()
        self._scope = scope or Scope()
        self._view = View(wanted=wanted or Filter())
        self._monitor = make_monitor(self._hand_over)
        self._on_interrupt = on_interrupt
        self._signals = Signals(on_interrupt)
        self._latest: Frame | None = None
        self._frame_at = time.monotonic()
        self._paused = False
        self._held_back = 0
        self._subject: Subject | None = None
        self._followed: Listeners | Clients | None = None
        """The table whose cursor says what the process pane shows; None where that was chosen otherwise."""
        self._left: Listeners | Clients | None = None
        """The table to come back to from the process pane."""
        self._came_from: list[str] = []
        self._tour = Tour()
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
        yield Footer(show_command_palette=False)
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

    # The process pane

    @on(LiveTable.Highlighted)
    def _follow_cursor(self, message: LiveTable.Highlighted) -> None:
        if message.table is self._followed:
            self._show_subject()

    @on(events.DescendantFocus)
    def _follow_focus(self, event: events.DescendantFocus) -> None:
        if isinstance(event.widget, Listeners | Clients):
            self._followed = self._left = event.widget
            self._show_subject()
        self.refresh_bindings()

    @on(LiveTable.Opened)
    def _open(self, message: LiveTable.Opened) -> None:
        """What is opened stays, whatever becomes of its row."""
        self._subject = subject_of(message.table.cursor_row)
        self._followed = None
        self._zoom()

    @property
    def _shows_process(self) -> bool:
        return self.default_screen.has_class("-zoomed") or self.size.width >= WIDE

    def _zoom(self) -> None:
        self.default_screen.add_class("-zoomed")
        self._show_subject()
        self.query_one(ProcessPane).focus()
        self.refresh_bindings()

    def _unzoom(self) -> None:
        self.default_screen.remove_class("-zoomed")
        (self._left or self.query_one(Listeners)).focus()
        self.refresh_bindings()

    def _show_subject(self) -> None:
        if self._followed is not None:
            self._subject = subject_of(self._followed.cursor_row)
        elif self._subject is not None:
            self._subject = renewed(self._subject, self._view.snapshot)
        self._monitor.set_focus(self._subject.process if self._subject else None)
        if self._shows_process:
            self.query_one(ProcessPane).show(self._subject)

    def _tables(self) -> tuple[Listeners, Clients]:
        return self.query_one(Listeners), self.query_one(Clients)

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

    def action_other_end(self) -> None:
        """From a client to the listener that serves it; where that is not shown, to the server's process."""
        listeners, clients = self._tables()
        row = clients.cursor_row
        if row is None:
            return
        connection = one(row)
        if connection.listener_id and listeners.move_to(connection.listener_id):
            listeners.focus()
        elif connection.server.owners:
            self._followed = None
            self._subject = Subject(connection.server.owners[0].process, connection)
            self._show_subject()
            if not self._shows_process:
                self._zoom()
        else:
            self.query_one(Ticker).note("Nobody is known at the other end.")
            return
        self._came_from.append(row.id)

    def action_came_from(self) -> None:
        clients = self.query_one(Clients)
        while self._came_from:
            if clients.move_to(self._came_from.pop()):
                self.default_screen.remove_class("-zoomed")
                self._followed = clients
                clients.focus()
                self._show_subject()
                return
        self.query_one(Ticker).note("Nothing to go back to: f goes from a client to its server.")

    def action_next_finding(self) -> None:
        """To the row of the next finding, the worst first and round again; one about the system has none."""
        snapshot = self._view.snapshot
        found = worth_a_stop(snapshot.findings if snapshot else ())
        finding = self._tour.following(found)
        if snapshot is None or finding is None:
            self.query_one(Ticker).note("Nothing to look at.")
            return
        keys = rows_of(finding, snapshot)
        table = next((table for table in self._tables() if any(map(table.move_to, keys))), None)
        self.query_one(Ticker).note(f"{self._tour.place(found)}: {KINDS[finding.id].word}: {finding.title}")
        if table is not None:
            self._followed = table
            self.default_screen.remove_class("-zoomed")
            table.focus()
            self._show_subject()
        else:
            self._followed, self._subject = None, Subject(None, finding=finding)
            self._show_subject()
            if not self._shows_process:
                self._zoom()

    def action_why(self) -> None:
        row = self._subject.row if self._subject else None
        if row is None and isinstance(self.focused, Clients | Listeners) and self.focused.cursor_row is not None:
            row = one(self.focused.cursor_row) if isinstance(self.focused, Clients) else self.focused.cursor_row
        if row is None:
            self.query_one(Ticker).note("No row to explain: W asks for an address.")
        else:
            self._explain(row)

    def action_ask_why(self) -> None:
        self._explain(None)

    def _explain(self, row: Listener | Connection | None) -> None:
        from loopmon.tui.why import WhyScreen, target_of  # what it needs would make the start slower

        if self._view.snapshot is None:
            self.query_one(Ticker).note("Nothing is known yet.")
            return
        target = target_of(row) if row else None
        self.push_screen(WhyScreen(self._view.snapshot, target, self._glyphs, self._view.formerly))

    def action_group(self) -> None:
        self._view.grouped = not self._view.grouped
        self.query_one(Clients).set_grouped()

    def action_time_wait(self) -> None:
        self._view.time_wait = not self._view.time_wait
        self.query_one(Clients).show()
        self.query_one(Ticker).note(f"TIME_WAIT {'shown' if self._view.time_wait else 'hidden'}")

    def action_ipv6(self) -> None:
        self._scope = Scope(ipv6=not self._scope.ipv6, bound_only=self._scope.bound_only)
        self._monitor.set_scope(self._scope)
        self.query_one(Ticker).note(f"::1 {'shown' if self._scope.ipv6 else 'hidden'}")

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
                yield SystemCommand(binding.description, binding.tooltip, partial(self.run_action, binding.action))
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
