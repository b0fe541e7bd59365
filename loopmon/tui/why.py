"""The screen that explains a port: the answer of ``loopmon why`` for a row, or for what is typed or pasted.

What it asks of the system it asks in a thread of its own; a connection is made on its own key only.
"""

from __future__ import annotations

from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from loopmon.clean import clean
from loopmon.model import Connection, Listener, Protocol, Snapshot
from loopmon.tui.glyphs import Glyphs
from loopmon.tui.keys import WHY_BINDINGS
from loopmon.tui.labelled import labelled
from loopmon.why.answer import Answer, Weight
from loopmon.why.case import Case
from loopmon.why.explain import explain
from loopmon.why.inquiry import connect, inquire
from loopmon.why.target import Target, TargetError, parse_target

LABEL_WIDTH = 9
STYLES = {
    Weight.GOOD: "$text-success",
    Weight.PLAIN: "",
    Weight.DIM: "$foreground 60%",
    Weight.WARNING: "$text-warning",
    Weight.BAD: "$text-error",
}
HINT = "3000, 127.0.0.1:49342, localhost:5173, a URL, or a pasted error message"


def target_of(row: Listener | Connection) -> Target:
    """Of a listener its own address, of a connection its server's."""
    where = row.laddr if isinstance(row, Listener) else row.server.addr
    protocol = row.socket.protocol if isinstance(row, Listener) else row.protocol
    is_wildcard = isinstance(row, Listener) and row.exposed
    host = None if is_wildcard else where.ip
    return Target(where.port, host, None, quoted=str(where.port), is_udp=protocol is Protocol.UDP)


class WhyScreen(ModalScreen[None]):
    """Escape leaves it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *WHY_BINDINGS,
        Binding("ctrl+c", "app.interrupt", "Interrupt", show=False, priority=True),
    ]

    def __init__(self, snapshot: Snapshot, target: Target | None, glyphs: Glyphs, formerly: dict[int, str]) -> None:
        """Without a target it asks for one. ``formerly``: who let go of a port lately."""
        super().__init__(classes="-ascii" if glyphs.ascii_only else None)
        self._snapshot = snapshot
        self._target = target
        self._glyphs = glyphs
        self._formerly = formerly
        self._case: Case | None = None

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="why") as box:
            box.border_title = "Why"
            box.border_subtitle = "esc closes"
            if self._target is None:
                yield Input(placeholder=HINT, compact=True, id="why-input")
            yield Static("", id="why-text", markup=False)

    def on_mount(self) -> None:
        if self._target is not None:
            self._begin(self._target)
        else:
            self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        try:
            self._begin(parse_target(event.value))
        except TargetError as error:
            self._say(Content.styled(clean(str(error)), "$text-error"))
            return
        self.query_one("#why", VerticalScroll).focus()

    def action_probe(self) -> None:
        if self._case is not None and self._case.machine is not None:
            self._say(Content("connecting once"))
            self._connect(self._case)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A p that is typed into the line is a letter."""
        return action != "probe" or not isinstance(self.focused, Input)

    def _begin(self, target: Target) -> None:
        self._say(Content("looking"))
        self._inquire(target)

    @work(thread=True, exclusive=True)
    def _inquire(self, target: Target) -> None:
        case = inquire(target, self._snapshot, self._formerly.get(target.port))
        self.app.call_from_thread(self._show, case)

    @work(thread=True, exclusive=True)
    def _connect(self, case: Case) -> None:
        self.app.call_from_thread(self._show, connect(case))

    def _show(self, case: Case) -> None:
        self._case = case
        host = case.target.host
        self.query_one("#why", VerticalScroll).border_title = Content(clean(f"Why {host or ''}:{case.port}", 80))
        if case.machine is not None:
            self.query_one("#why", VerticalScroll).border_subtitle = "p makes one connection  esc closes"
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        if self._case is not None:
            width = self.query_one("#why", VerticalScroll).scrollable_content_region.width
            self._say(drawn(explain(self._case), self._glyphs, width))

    def _say(self, text: Content) -> None:
        if self.is_mounted:
            self.query_one("#why-text", Static).update(text)


def drawn(answer: Answer, glyphs: Glyphs, width: int) -> Content:
    """The verdict and what to do first; then each part under its label."""
    verdict = answer.verdict
    parts = [Content.styled(verdict.headline, f"bold {STYLES[Weight.GOOD if verdict.ok else Weight.WARNING]}")]
    parts += [Content(f"{glyphs.dot} {line}") for line in verdict.evidence]
    parts += [Content.styled(f"{glyphs.to} {line}", "bold") for line in verdict.remedies]
    lines: list[tuple[str, Content]] = []
    for section in answer.sections:
        lines.append(("", Content("")))
        for number, line in enumerate(section.lines):
            style = STYLES[line.weight]
            body = Content.styled(line.text, style) if style else Content(line.text)
            lines.append((section.title if number == 0 else "", body))
    return Content("\n").join([*parts, labelled(lines, LABEL_WIDTH, width)])
