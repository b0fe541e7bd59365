"""The filter line: filters as it is typed, and says where a filter does not parse."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Label, Static

from loopmon.clean import clean
from loopmon.filter import Filter, FilterError, parse_filter

HINT = "words, port:3000, proc:node, user:me, state:listen, is:exposed, age>1h, -word"


KEYS_HINT = "enter keeps  esc drops"


class FilterLine(Horizontal):
    """Enter keeps the filter, escape drops it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "drop", "Drop", show=False)]

    class Changed(Message):
        """A filter that parses was typed."""

        def __init__(self, wanted: Filter) -> None:
            super().__init__()
            self.wanted = wanted

    class Done(Message):
        """Typing is over; the last filter that parsed stands."""

    def __init__(self, text: str) -> None:
        super().__init__(id="filter-line")
        self._text = text

    def compose(self) -> ComposeResult:
        yield Label("/", id="filter-sign")
        yield Input(self._text, placeholder=HINT, compact=True, id="filter-input", select_on_focus=False)
        yield Static(KEYS_HINT, id="filter-keys", markup=False)
        yield Static("", id="filter-error", markup=False)

    @property
    def is_open(self) -> bool:
        return self.has_class("-open")

    def open(self) -> None:
        self.add_class("-open")
        self.query_one(Input).focus()

    def clear(self) -> None:
        """Drop the filter without opening the line."""
        self.query_one(Input).value = ""

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if (harmless := clean(event.value)) != event.value:
            event.input.value = harmless  # pasted; comes back here
            return
        error = self.query_one("#filter-error", Static)
        try:
            wanted = parse_filter(event.value)
        except FilterError as problem:
            error.update(f"column {problem.column}: {problem.reason}")
            self.add_class("-bad")
            return
        error.update("")
        self.remove_class("-bad")
        self.post_message(self.Changed(wanted))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if not self.has_class("-bad"):
            self.post_message(self.Done())

    def action_drop(self) -> None:
        self.clear()
        self.post_message(self.Done())

    def close(self) -> None:
        """Once the focus is elsewhere: hidden with the focus in it, it would swallow the next key."""
        self.remove_class("-open")
