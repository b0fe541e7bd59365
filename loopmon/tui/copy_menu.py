"""The list of what can be copied of a row. Chooses; copies nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from loopmon.clean import clean
from loopmon.copying import Copyable
from loopmon.tui.glyphs import Glyphs

TITLE_WIDTH = 16
LONGEST_SHOWN = 400


class CopyMenu(ModalScreen[Copyable | None]):
    """Enter or a click chooses, escape leaves it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Close", key_display="esc"),
        Binding("j", "move('down')", "Down", show=False),
        Binding("k", "move('up')", "Up", show=False),
        Binding("ctrl+c", "app.interrupt", "Interrupt", show=False, priority=True),
    ]

    def __init__(self, entries: Sequence[Copyable], glyphs: Glyphs) -> None:
        super().__init__(classes="-ascii" if glyphs.ascii_only else None)
        self._entries = entries

    def compose(self) -> ComposeResult:
        with Vertical(id="copy") as box:
            box.border_title = "Copy"
            box.border_subtitle = "enter copies  esc closes"
            yield OptionList(*(Option(_prompt(entry)) for entry in self._entries), id="copy-list", markup=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self._entries[event.option_index])

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_move(self, where: str) -> None:
        shown = self.query_one(OptionList)
        if where == "down":
            shown.action_cursor_down()
        else:
            shown.action_cursor_up()


def _prompt(entry: Copyable) -> Content:
    return Content.assemble((entry.title.ljust(TITLE_WIDTH), "bold"), clean(entry.text, LONGEST_SHOWN))
