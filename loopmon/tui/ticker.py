"""The line above the footer: the last change, what the pause holds back, or what an action had to say."""

from __future__ import annotations

from datetime import datetime

from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from loopmon import words
from loopmon.clean import clean
from loopmon.model import Change, ChangeKind, Listener
from loopmon.tui.marks import is_news

NOTE_S = 4.0
"""How long an action's note stays before the last change shows again."""


class Ticker(Static):
    """One line; never wraps."""

    def __init__(self) -> None:
        super().__init__("", id="ticker", markup=False)
        self._last = ""
        self._held_back: int | None = None
        self._note = ""
        self._note_timer: Timer | None = None
        self._drawn = Content("")

    def tell(self, changes: tuple[Change, ...], processes: words.Processes) -> None:
        """Show the change that matters most among those of one frame: a listener's before a client's."""
        changes = tuple(filter(is_news, changes))
        if not changes:
            return
        change = max(changes, key=lambda c: (isinstance(c.subject, Listener), c.kind is not ChangeKind.STATUS))
        more = f"  (+{len(changes) - 1} more)" if len(changes) > 1 else ""
        at = datetime.fromtimestamp(change.at)
        self._last = f"{at:%H:%M:%S} {words.change_sentence(change, processes)}{more}"
        self._draw()

    def hold_back(self, changes: int | None) -> None:
        """While paused: how many changes are not on the screen. None: not paused."""
        self._held_back = changes
        self._draw()

    def note(self, text: str) -> None:
        """Say something about what was just done."""
        self._note = clean(text, 200)
        self._draw()
        if self._note_timer is not None:
            self._note_timer.stop()
        self._note_timer = self.set_timer(NOTE_S, self._forget_note)

    def _forget_note(self) -> None:
        self._note = ""
        self._draw()

    def _draw(self) -> None:
        if self._note:
            text = Content.styled(f" {self._note}", "bold")
        elif self._held_back is not None:
            held = words.count(self._held_back, "change")
            text = Content.styled(f" Paused. {held} since; p goes on.", "$text-warning")
        else:
            text = Content.styled(f" {self._last}", "$foreground 60%")
        if text != self._drawn:
            self._drawn = text
            self.update(text, layout=False)
