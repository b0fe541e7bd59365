"""The screen that follows what a process writes to files. Reads in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import closing
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Log
from textual.worker import get_current_worker

from loopmon.clean import clean
from loopmon.observe.output import Output
from loopmon.observe.tail import Line, Tail
from loopmon.tui.glyphs import Glyphs
from loopmon.tui.keys import OUTPUT_BINDINGS

EVERY_S = 0.5
KEPT_LINES = 2_000


class LinesRead(Message):
    """From the reading thread: what is new in the file that is shown as number ``number``."""

    def __init__(self, number: int, lines: list[Line]) -> None:
        super().__init__()
        self.number = number
        self.lines = lines


class OutputScreen(ModalScreen[None]):
    """Escape leaves it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "next_file", "Next file", id="next-file", priority=True, show=False),
        *(binding for binding in OUTPUT_BINDINGS if binding.key != "tab"),
        Binding("ctrl+c", "app.interrupt", "Interrupt", show=False, priority=True),
    ]

    def __init__(self, name: str, files: Sequence[Output], glyphs: Glyphs) -> None:
        super().__init__(classes="-ascii" if glyphs.ascii_only else None)
        self._name = name
        self._files = files
        self._glyphs = glyphs
        self._number = 0
        self._held = threading.Event()
        """Set while the file is not followed."""

    def compose(self) -> ComposeResult:
        with Vertical(id="output"):
            yield Log(max_lines=KEPT_LINES, id="output-log")

    def on_mount(self) -> None:
        self.query_one(Log).focus()
        self._begin()

    def action_follow(self) -> None:
        if self._held.is_set():
            self._held.clear()
            self.query_one(Log).scroll_end(animate=False)
        else:
            self._held.set()
        self._show_title()

    def action_next_file(self) -> None:
        if len(self._files) > 1:
            self._number += 1
            self._begin()

    def _begin(self) -> None:
        self._held.clear()
        self.query_one(Log).clear()
        self._show_title()
        self._follow(self._number)

    def _show_title(self) -> None:
        box = self.query_one("#output", Vertical)
        place = self._number % len(self._files)
        shown = self._files[place]
        box.border_title = Content(clean(f"{self._name} {self._glyphs.dot} {shown.name} {shown.shown}", 200))
        several = f"{place + 1} of {len(self._files)}, tab: next  " if len(self._files) > 1 else ""
        following = "not followed, f goes on" if self._held.is_set() else "f stops following"
        box.border_subtitle = f"{several}{following}  esc closes"

    @on(LinesRead)
    def _take(self, message: LinesRead) -> None:
        """The log itself does not draw again where old lines went for as many new ones."""
        if message.number == self._number:
            self.query_one(Log).write_lines(map(_drawn, message.lines)).refresh()

    @work(thread=True, exclusive=True)
    def _follow(self, number: int) -> None:
        worker = get_current_worker()
        try:
            with closing(Tail(self._files[number % len(self._files)].path)) as tail:
                while not worker.is_cancelled:
                    if not self._held.is_set() and (lines := tail.read()):
                        self.post_message(LinesRead(number, lines))
                    worker.cancelled_event.wait(EVERY_S)
        except OSError as error:
            reason = clean(f"the file could not be read: {error.strerror or error}", 200)
            self.post_message(LinesRead(number, [Line(reason, is_notice=True)]))


def _drawn(line: Line) -> str:
    """An empty text would not be a line to the log."""
    return f"--- {line.text} ---" if line.is_notice else line.text or " "
