"""The dialog that stops what listens: first who and at what cost, then the stop, then the proof.

What is stopped is what was seen when the dialog opened, whatever the rows behind it do. All that touches the system
runs in a thread of its own.
"""

from __future__ import annotations

import signal
from contextlib import closing
from enum import Enum, auto
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from loopmon.actions.asker import read_descendants, who_asks
from loopmon.actions.defaults import KILL_TIMEOUT_S, TIMEOUT_S
from loopmon.actions.outcome import Outcome, conclude, write_down
from loopmon.actions.plan import Plan, Victim, make_plan
from loopmon.actions.preview import Part, preview
from loopmon.actions.stopping import Stopping
from loopmon.clean import clean
from loopmon.model import Listener, Process, Scope, Snapshot
from loopmon.observe.observer import Observer
from loopmon.sources import SourceChoice, SourceError, open_source
from loopmon.sources.demo import DemoSource
from loopmon.tui.freezing import Freezing
from loopmon.tui.glyphs import Glyphs
from loopmon.tui.keys import STOP_BINDINGS
from loopmon.tui.labelled import labelled

LABEL_WIDTH = 9
STYLES = {Part.REFUSED: "$text-error", Part.BETTER: "$text-warning", Part.STAYS: "$foreground 60%"}
NOT_HERE = "The demo's processes are not there, so they cannot be stopped."


class Stage(Enum):
    PLANNING = auto()
    REFUSED = auto()
    ASKING = auto()
    STOPPING = auto()
    STUBBORN = auto()
    """Some have not ended; KILL is offered."""
    DONE = auto()


HINTS = {
    Stage.PLANNING: "esc leaves",
    Stage.REFUSED: "esc leaves",
    Stage.ASKING: "y stops  esc leaves",
    Stage.STOPPING: "",
    Stage.STUBBORN: "k kills  esc leaves",
    Stage.DONE: "esc closes",
}


class StopScreen(Freezing):
    """Its result is shown in it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *STOP_BINDINGS,
        Binding("ctrl+c", "app.interrupt", "Interrupt", show=False, priority=True),
    ]

    def __init__(self, snapshot: Snapshot, listeners: list[Listener], chosen: Process | None, glyphs: Glyphs) -> None:
        """``chosen``: the process to stop, with or without a listener."""
        super().__init__(classes="-ascii" if glyphs.ascii_only else None)
        self._snapshot = snapshot
        self._listeners = listeners
        self._chosen = chosen
        self._stage = Stage.PLANNING
        self._plan: Plan | None = None
        self._stopping: Stopping | None = None

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="stop") as box:
            box.border_title = "Stop"
            yield Static("looking", markup=False, id="stop-text")
            yield Static("", markup=False, id="stop-news")

    def on_mount(self) -> None:
        self._enter(Stage.PLANNING)
        if self._snapshot.source == DemoSource.name:
            self.query_one("#stop-text", Static).update(NOT_HERE)
            self._enter(Stage.REFUSED)
        else:
            self._make_plan()

    def on_unmount(self) -> None:
        if self._stopping is not None:
            self._stopping.close()

    def on_resize(self) -> None:
        self._draw()

    def action_agree(self) -> None:
        if self._stage is Stage.ASKING and self._plan is not None:
            self._enter(Stage.STOPPING)
            self._stop(self._plan)

    def action_kill(self) -> None:
        if self._stage is Stage.STUBBORN and self._plan is not None and self._stopping is not None:
            self._enter(Stage.STOPPING)
            self._kill(self._plan, self._stopping)

    def action_leave(self) -> None:
        """Not in the middle of a stop: its proof takes some seconds."""
        if self._stage is Stage.STUBBORN and self._plan is not None and self._stopping is not None:
            write_down(self._plan, self._stopping, "survived", "left running")
        if self._stage is not Stage.STOPPING:
            self.dismiss()

    # In a thread of its own

    @work(thread=True, exclusive=True)
    def _make_plan(self) -> None:
        holders = {owner.process for row in self._listeners for owner in row.socket.owners}
        holders |= {self._chosen.id} if self._chosen else set()
        plan = make_plan(self._listeners, self._snapshot, read_descendants(holders), who_asks(), self._chosen)
        self.app.call_from_thread(self._propose, plan)

    @work(thread=True, exclusive=True)
    def _stop(self, plan: Plan) -> None:
        stopping = Stopping(plan)
        self.app.call_from_thread(self._keep, stopping)
        stopping.send(signal.SIGTERM)
        if stopping.wait(TIMEOUT_S, self._count_down) or stopping.refused:
            self._prove(plan, stopping)
        else:
            self.app.call_from_thread(self._offer_kill, stopping.remaining())

    @work(thread=True, exclusive=True)
    def _kill(self, plan: Plan, stopping: Stopping) -> None:
        stopping.send(signal.SIGKILL)
        stopping.wait(KILL_TIMEOUT_S, self._count_down)
        self._prove(plan, stopping)

    def _prove(self, plan: Plan, stopping: Stopping) -> None:
        try:
            with closing(open_source(SourceChoice.AUTO, follow=False)) as source:
                observer = Observer(source.name)
                outcome = conclude(
                    plan,
                    stopping,
                    lambda: observer.observe(source.read(), Scope(ipv6=True)).snapshot,
                    lambda left_s: self._progress(f"has ended; watching the port for {left_s:.0f} s more"),
                )
        except SourceError as error:
            outcome = Outcome("unknown", f"whether it is free cannot be seen: {error}", is_done=False)
        fault = write_down(plan, stopping, outcome.kind, outcome.words)
        self.app.call_from_thread(self._finish, outcome, fault)

    def _count_down(self, left: tuple[Victim, ...], left_s: float) -> None:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        self._progress(f"waiting for {left[0].label}{more} to end: {left_s:.0f} s")

    def _progress(self, text: str) -> None:
        self.app.call_from_thread(self._tell, text, "bold")

    # On the screen

    def _propose(self, plan: Plan) -> None:
        self._plan = plan
        self._draw()
        self._enter(Stage.ASKING if plan.is_possible else Stage.REFUSED)

    def _keep(self, stopping: Stopping) -> None:
        self._stopping = stopping

    def _offer_kill(self, left: tuple[Victim, ...]) -> None:
        names = ", ".join(victim.label for victim in left)
        self._tell(f"after {TIMEOUT_S:g} s still there: {names}\nKILL leaves it no chance to clean up", "$text-warning")
        self._enter(Stage.STUBBORN)

    def _finish(self, outcome: Outcome, fault: str | None) -> None:
        told = f"{outcome.words}\n{fault}" if fault else outcome.words
        self._tell(told, f"bold {'$text-success' if outcome.is_done else '$text-error'}")
        self._enter(Stage.DONE)

    def _enter(self, stage: Stage) -> None:
        self._stage = stage
        if self.is_mounted:
            self.query_one("#stop", VerticalScroll).border_subtitle = HINTS[stage]

    def _tell(self, text: str, style: str) -> None:
        if self.is_mounted:
            lines = (Content.styled(clean(line, 400), style) for line in text.splitlines())
            self.query_one("#stop-news", Static).update(Content("\n").join(lines))

    def _draw(self) -> None:
        if self._plan is None or not self.is_mounted:
            return
        width = self.query_one("#stop", VerticalScroll).scrollable_content_region.width
        lines, last = [], None
        for part, text in preview(self._plan):
            style = STYLES.get(part, "")
            body = Content.styled(text, style) if style else Content(text)
            lines.append((part.value if part is not last else "", body))
            last = part
        self.query_one("#stop-text", Static).update(labelled(lines, LABEL_WIDTH, width))
