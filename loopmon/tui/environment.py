"""The screen that shows a process's environment and open files. Secrets are masked until asked for."""

from __future__ import annotations

from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static
from textual.worker import get_current_worker

from loopmon import words
from loopmon.clean import clean
from loopmon.masking import masked
from loopmon.model import ProcessId
from loopmon.observe.environment import Environment, read_environment
from loopmon.tui.glyphs import Glyphs
from loopmon.tui.keys import ENVIRONMENT_BINDINGS
from loopmon.tui.labelled import labelled

LONGEST_VALUE = 2_000
MOST_SHOWN = 1_000
"""Of variables and of files each."""
FD_WIDTH = 7
HEADING = "$text-accent bold"
DIM = "$foreground 60%"


class EnvironmentScreen(ModalScreen[None]):
    """Escape leaves it. Read once, when it is opened."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *ENVIRONMENT_BINDINGS,
        Binding("ctrl+c", "app.interrupt", "Interrupt", show=False, priority=True),
    ]

    def __init__(self, name: str, identity: ProcessId, glyphs: Glyphs) -> None:
        super().__init__(classes="-ascii" if glyphs.ascii_only else None)
        self._name = name
        self._identity = identity
        self._glyphs = glyphs
        self._found: Environment | None = None
        self._is_open = False
        """Whether secrets are shown."""

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="environment") as box:
            box.border_title = Content(f"{self._name} {self._glyphs.dot} environment")
            yield Static("reading", id="environment-text", markup=False)

    def on_mount(self) -> None:
        self._read()
        self._show_help()

    def on_resize(self) -> None:
        self._draw()

    def action_secrets(self) -> None:
        self._is_open = not self._is_open
        self._show_help()
        self._draw()

    @work(thread=True, exclusive=True)
    def _read(self) -> None:
        found = read_environment(self._identity)
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._take, found)

    def _take(self, found: Environment) -> None:
        self._found = found
        self._draw()

    def _show_help(self) -> None:
        box = self.query_one("#environment", VerticalScroll)
        box.border_subtitle = f"s {'masks' if self._is_open else 'shows'} secrets  esc closes"

    def _draw(self) -> None:
        if self._found is not None and self.is_mounted:
            width = self.query_one("#environment", VerticalScroll).scrollable_content_region.width
            mask = None if self._is_open else self._glyphs.mask
            self.query_one("#environment-text", Static).update(drawn(self._found, mask, width))


def drawn(found: Environment, mask: str | None, width: int) -> Content:
    """``mask`` stands for each secret; None shows them."""
    return Content("\n").join([*_variables(found, mask, width), Content(""), *_files(found, width)])


def _variables(found: Environment, mask: str | None, width: int) -> list[Content]:
    if isinstance(found.variables, str):
        return [_heading("Variables", found.variables)]
    lines: list[tuple[str, Content]] = []
    for name, value in found.variables[:MOST_SHOWN]:
        shown = value if mask is None else masked(name, value, mask)
        lines.append(("", Content.assemble((clean(name, 200), "bold"), "=", clean(shown, LONGEST_VALUE))))
    heading = _heading("Variables", f"{len(found.variables)}, as they were when the program was started")
    return [heading, labelled(lines, 0, width), *_left_out(len(found.variables))]


def _files(found: Environment, width: int) -> list[Content]:
    if isinstance(found.files, str):
        return [_heading("Open files", found.files)]
    lines = [
        (str(fd) if fd >= 0 else "", Content(clean(target, LONGEST_VALUE))) for fd, target in found.files[:MOST_SHOWN]
    ]
    others = ", ".join(words.count(number, clean(kind, 20)) for kind, number in found.others)
    heading = _heading("Open files", f"{len(found.files)}{f'; also {others}' if others else ''}")
    return [heading, labelled(lines, FD_WIDTH, width), *_left_out(len(found.files))]


def _heading(title: str, said: str) -> Content:
    return Content.assemble((title, HEADING), (f": {said}", DIM))


def _left_out(number: int) -> list[Content]:
    return [Content.styled(f"and {number - MOST_SHOWN} more", DIM)] if number > MOST_SHOWN else []
