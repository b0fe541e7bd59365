"""One live table in an app of its own, and what it asks of the terminal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import NamedTuple, Self

from stage import lines
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.pilot import Pilot

from loopmon.tui.columns import Cell, Column
from loopmon.tui.glyphs import Glyphs
from loopmon.tui.live_table import LiveTable

ROOM = 11
"""Rows that fit below the header."""


class Row(NamedTuple):
    key: str
    name: str
    number: int | None = 0


class WatchedTable(LiveTable[Row]):
    """Remembers which rows it was asked to draw and which of its lines it wanted sent; None is all of them."""

    def __init__(self, glyphs: Glyphs) -> None:
        self.drawn: list[str] = []
        self.sent: list[Region | None] = []
        super().__init__(
            [
                Column("name", "NAME", self._cell, lambda row: row.name, width=12, grow=1),
                Column(
                    "number", "NUMBER", lambda row: Cell(str(row.number)), lambda row: row.number, width=8, right=True
                ),
            ],
            key=lambda row: row.key,
            glyphs=glyphs,
        )

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        self.sent += regions or (None,)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def _cell(self, row: Row) -> Cell:
        self.drawn.append(row.key)
        return Cell(row.name)


class TableApp(App[None]):
    CSS = """LiveTable {
        border: round white; width: 50; height: 14;
        overflow-x: hidden; scrollbar-gutter: stable; scrollbar-size-vertical: 1;
    }"""

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__()
        self.table = WatchedTable(glyphs)
        self.opened: list[str | None] = []

    def compose(self) -> ComposeResult:
        yield self.table

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        self.opened.append(event.table.cursor_key)


class Shown(NamedTuple):
    app: TableApp
    table: WatchedTable
    pilot: Pilot[None]

    def y_of(self, key: str) -> int:
        """The line of the table, counted from its header, that shows the row with this key; -1 for none."""
        return next((y for y, line in enumerate(lines(self.table)) if f"{key} " in line[2:]), -1)

    @property
    def top(self) -> int:
        return round(self.table.scroll_y)


def rows(*keys: str | int) -> list[Row]:
    """Their keys are their names, so they are sorted by them."""
    return [Row(str(key), str(key)) for key in keys]


@asynccontextmanager
async def table_of(given: Iterable[Row], glyphs: Glyphs | None = None) -> AsyncIterator[Shown]:
    app = TableApp(glyphs or Glyphs())
    async with app.run_test(size=(60, 20)) as pilot:
        app.table.focus()
        app.table.set_rows(given)
        await pilot.pause()
        yield Shown(app, app.table, pilot)
