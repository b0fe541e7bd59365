"""The process pane: draws what ``drill_down`` says of the subject under the cursor."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from loopmon.model import ProcessId, Snapshot
from loopmon.tui.columns import Tone
from loopmon.tui.drill_down import Line, dealings_of, describe, title_of
from loopmon.tui.glyphs import Glyphs
from loopmon.tui.labelled import labelled
from loopmon.tui.subject import Subject
from loopmon.tui.view import View

STYLES = {
    Tone.PLAIN: "",
    Tone.STRONG: "bold",
    Tone.DIM: "$foreground 60%",
    Tone.GOOD: "$text-success",
    Tone.WARNING: "$text-warning",
    Tone.BAD: "$text-error",
}
LABEL_WIDTH = 12
NOTHING = "Move to a row: this pane says whose it is, where it runs and whom it talks to."


class ProcessPane(VerticalScroll, can_focus=True):
    """Redraws only when its words have changed."""

    def __init__(self, view: View, glyphs: Glyphs) -> None:
        super().__init__(id="process")
        self._view = view
        self._glyphs = glyphs
        self._shown: list[Line] = []
        self._width = 0
        self._height = -1
        self._dealings: list[Line] = []
        self._dealings_seen: tuple[object, ...] = (None,) * 4
        self.border_title = "Process"

    def compose(self) -> ComposeResult:
        yield Static(NOTHING, markup=False, id="process-text")

    def show(self, subject: Subject | None) -> None:
        snapshot = self._view.snapshot
        if subject is None or snapshot is None:
            lines, title = [], "Process"
        else:
            lines = describe(subject, snapshot, self._glyphs, self._dealings_of(subject.process, snapshot))
            title = title_of(subject, snapshot, self._glyphs)
        if str(self.border_title) != title:
            self.border_title = Content(title)  # as it is: a title may hold what looks like markup
        self._draw(lines)

    def on_resize(self) -> None:
        self._draw(self._shown)

    def _draw(self, lines: list[Line]) -> None:
        """The layout is done again only for another number of lines."""
        width = self.size.width
        if lines == self._shown and width == self._width:
            return
        self._shown, self._width = lines, width
        content = self._content(lines) if lines else Content(NOTHING)
        height = content.plain.count("\n")
        self.query_one("#process-text", Static).update(content, layout=height != self._height)
        self._height = height

    def _dealings_of(self, identity: ProcessId | None, snapshot: Snapshot) -> list[Line]:
        """Worked out again only when something they depend on is another object."""
        seen = (identity, snapshot.listeners, snapshot.connections, snapshot.processes)
        if any(now is not before for now, before in zip(seen, self._dealings_seen, strict=True)):
            self._dealings_seen = seen
            self._dealings = list(dealings_of(identity, snapshot, self._glyphs)) if identity else []
        return self._dealings

    def _content(self, lines: list[Line]) -> Content:
        width = self.scrollable_content_region.width
        return labelled(((line.label, _styled(line)) for line in lines), LABEL_WIDTH, width)


def _styled(line: Line) -> Content:
    return Content(line.text) if line.tone is Tone.PLAIN else Content(line.text).stylize(STYLES[line.tone])
