"""The one table: rows by key, only the visible ones drawn, a cursor that stays on its row.

Knows nothing of sockets. A tick costs what changed plus what is visible: the lines in view are drawn anew
and only those that came out different are sent to the terminal.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from loopmon import words
from loopmon.clean import clean
from loopmon.tui.columns import GAP, Column, Fitted, Tone, fit
from loopmon.tui.cursor import follow
from loopmon.tui.glyphs import Glyphs
from loopmon.tui.keys import TABLE_BINDINGS

Row = TypeVar("Row")

MARK_WIDTH = 2
"""Cells in front of the first column: the row's mark and the cursor's."""
CURSOR = ">"
_PLACE = operator.itemgetter(0)


class LiveTable(ScrollView, Generic[Row], can_focus=True):
    """Give it columns once and rows as often as they change."""

    BINDINGS: ClassVar[list[BindingType]] = list(TABLE_BINDINGS)
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "live-table--header",
        "live-table--cursor",
        "live-table--empty",
        "live-table--gone",
        *(f"live-table--{tone}" for tone in Tone),
    }

    class Highlighted(Message):
        """The cursor is on another row, or that row was replaced."""

        def __init__(self, table: LiveTable[Any]) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> LiveTable[Any]:
            return self.table

    class Opened(Message):
        """Enter or a double click on a row."""

        def __init__(self, table: LiveTable[Any]) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> LiveTable[Any]:
            return self.table

    def __init__(
        self,
        columns: Sequence[Column[Row]],
        key: Callable[[Row], str],
        *,
        glyphs: Glyphs,
        mark: Callable[[Row], str] = lambda _row: "",
        is_gone: Callable[[Row], bool] = lambda _row: False,
        id: str | None = None,  # noqa: A002  Textual's own name for it
        sort_id: str | None = None,
    ) -> None:
        """``sort_id`` names the column that orders the rows at first; by default it is the first one."""
        super().__init__(id=id)
        self._columns = tuple(columns)
        self._key = key
        self._mark = mark
        self._is_gone = is_gone
        self._glyphs = glyphs
        self._given: list[Row] = []
        self._order: list[tuple[tuple[bool, Any, str], Row]] = []
        """Sorted: whether the value is None, the value and the key; the row."""
        self._order_is_stale = False
        self._keys: list[str] = []
        self._cursor = 0
        self._sort_id = sort_id or columns[0].id
        self._reverse = False
        self._fitted: list[Fitted] = []
        self._lines: dict[int, Strip] = {}
        self._styles: dict[tuple[Tone, bool, bool], Style] = {}
        self._blanks: dict[tuple[str, int], Strip] = {}
        """By text and width."""
        self.empty_text = ""

    # What is shown

    @property
    def rows(self) -> Sequence[Row]:
        """In the order of the screen."""
        return [row for _, row in self._order]

    @property
    def cursor_row(self) -> Row | None:
        return self._order[self._cursor][1] if self._order else None

    @property
    def cursor_key(self) -> str | None:
        return self._keys[self._cursor] if self._keys else None

    @property
    def column_ids(self) -> list[str]:
        return [column.id for column in self._columns]

    @property
    def sort_id(self) -> str:
        return self._sort_id

    def set_rows(self, rows: Iterable[Row]) -> None:
        """Show these rows, sorted; the cursor and the lines in view follow their keys."""
        given = list(rows)
        self._order_is_stale |= self._sort_column().volatile
        if given == self._given and self._order and not self._order_is_stale:
            self.repaint_changed()
            return
        self._given = given
        self._reorder(anew=self._order_is_stale)

    def _reorder(self, *, anew: bool = False) -> None:
        """Sort what was given. Rows that were there before keep their place in the list that is sorted, so
        that sorting costs little more than what is new, unless the order itself is another one (``anew``)."""
        self._order_is_stale = False
        column = self._sort_column()
        current = {id(row): row for row in self._given}
        order = [] if anew else [entry for entry in self._order if current.pop(id(entry[1]), None) is not None]
        for row in current.values():
            value = column.sort(row)
            place = (_none_last(value, self._reverse), 0 if value is None else value, self._key(row))
            order.append((place, row))
        order.sort(key=_PLACE, reverse=self._reverse)
        keys = [place[2] for place, _ in order]
        old_row, was_in_view = self.cursor_row, self._is_in_view(self._cursor)
        top = round(self.scroll_y)
        anchor = self._cursor if was_in_view else min(top, max(0, len(self._keys) - 1))
        moved = follow(self._keys, keys, anchor) - anchor
        self._cursor = follow(self._keys, keys, self._cursor)
        self._order, self._keys = order, keys
        self.virtual_size = Size(self._room.width, len(order) + 1)
        if top > 0 and moved:
            self.scroll_to(y=top + moved, animate=False, force=True)
        if was_in_view:
            self._keep_cursor_visible()
        self.repaint_changed()
        if self.cursor_row is not old_row:
            self.post_message(self.Highlighted(self))

    def set_subtitle(self, text: str) -> None:
        """On the lower border; may come from outside."""
        text = clean(text, 200)
        if str(self.border_subtitle or "") != text:
            self.border_subtitle = Content(text)

    def forget_order(self) -> None:
        """Sort everything anew with the next rows: what they are sorted by has changed outside them."""
        self._order_is_stale = True

    def set_columns(self, columns: Sequence[Column[Row]], sort_id: str) -> None:
        """Other columns; ``sort_id`` is one of them."""
        self._columns = tuple(columns)
        self._order_is_stale = True
        self._sort_id, self._reverse = sort_id, self._reverse and sort_id == self._sort_id
        self._fit()

    def move_to(self, key: str) -> bool:
        """Put the cursor on the row with that key; False where there is none."""
        if key not in self._keys:
            return False
        self._move(self._keys.index(key))
        return True

    def sort_by(self, column_id: str, *, reverse: bool = False) -> None:
        self._sort_id, self._reverse = column_id, reverse
        self._lines.clear()
        self._reorder(anew=True)
        self.refresh()

    def repaint_changed(self) -> None:
        """Draw the lines in view anew and refresh those that differ from what is on the terminal."""
        changed = []
        for y in range(self._room.height):
            line, shown = self._draw(y), self._lines.get(y)
            if line is not shown and line != shown:
                self._lines[y] = line
                changed.append(Region(0, y, self._room.width, 1))
        if changed:
            self.refresh(*changed)

    # Textual's side

    def render_line(self, y: int) -> Strip:
        line = self._lines.get(y)
        if line is None:
            line = self._lines[y] = self._draw(y)
        return line

    def on_resize(self) -> None:
        self._fit()
        self._keep_cursor_visible()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        self._lines.clear()
        super().watch_scroll_y(old_value, new_value)

    def notify_style_update(self) -> None:
        self._styles.clear()
        self._blanks.clear()
        self._lines.clear()
        super().notify_style_update()

    def on_focus(self) -> None:
        self.notify_style_update()

    def on_blur(self) -> None:
        self.notify_style_update()

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        if place is None:
            return
        if place.y == 0:
            self._sort_by_click(place.x)
            return
        index = place.y - 1 + round(self.scroll_y)
        if index < len(self._order):
            self._move(index)
            if event.chain == 2:
                self.action_open()

    def action_move(self, step: int) -> None:
        self._move(self._cursor + step)

    def action_page(self, pages: int) -> None:
        self._move(self._cursor + pages * max(1, self._room.height - 2))

    def action_first(self) -> None:
        self._move(0)

    def action_last(self) -> None:
        self._move(len(self._order) - 1)

    def action_open(self) -> None:
        if self._order:
            self.post_message(self.Opened(self))

    def action_sort_next(self) -> None:
        """By the next of the columns that are shown."""
        shown = [self._columns[fitted.column].id for fitted in self._fitted] or [self._sort_id]
        place = shown.index(self._sort_id) if self._sort_id in shown else -1
        self.sort_by(shown[(place + 1) % len(shown)])

    def action_sort_reverse(self) -> None:
        self.sort_by(self._sort_id, reverse=not self._reverse)

    # Inside

    @property
    def _room(self) -> Size:
        """Inside the border and beside the scroll bar."""
        return self.scrollable_content_region.size

    def _sort_column(self) -> Column[Row]:
        return next(column for column in self._columns if column.id == self._sort_id)

    def _fit(self) -> None:
        self._fitted = fit(self._columns, max(1, self._room.width - MARK_WIDTH - 1))
        self._lines.clear()
        self.refresh()

    def _move(self, index: int) -> None:
        if not self._order:
            return
        before, self._cursor = self._cursor, max(0, min(index, len(self._order) - 1))
        self._keep_cursor_visible()
        self.repaint_changed()
        if self._cursor != before:
            self.post_message(self.Highlighted(self))

    def _is_in_view(self, index: int) -> bool:
        """False for the cursor once the wheel has moved the view away from it."""
        top = round(self.scroll_y)
        return top <= index < top + max(1, self._room.height - 1)

    def _keep_cursor_visible(self) -> None:
        top, room = round(self.scroll_y), max(1, self._room.height - 1)
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False, force=True)
        elif self._cursor >= top + room:
            self.scroll_to(y=self._cursor - room + 1, animate=False, force=True)

    def _sort_by_click(self, x: int) -> None:
        left = MARK_WIDTH
        for fitted in self._fitted:
            if left <= x < left + fitted.width + GAP:
                column_id = self._columns[fitted.column].id
                self.sort_by(column_id, reverse=column_id == self._sort_id and not self._reverse)
                return
            left += fitted.width + GAP

    def _draw(self, y: int) -> Strip:
        width = self._room.width
        if y == 0:
            segments = list(self._header_segments())
            style = self.get_component_rich_style("live-table--header")
        else:
            index = y - 1 + round(self.scroll_y)
            if index < len(self._order):
                segments, style = self._row_segments(index)
            else:
                return self._blank(y)
        return Strip(segments).simplify().adjust_cell_length(width, style)

    def _blank(self, y: int) -> Strip:
        lines = self.empty_text.splitlines() if not self._order else []
        text = lines[y - 2] if 0 <= y - 2 < len(lines) else ""
        known = self._blanks.get((text, self._room.width))
        if known is None:
            style = self.get_component_rich_style("live-table--empty")
            known = Strip([Segment(f"  {text}", style)]).adjust_cell_length(self._room.width, style)
            self._blanks[text, self._room.width] = known
        return known

    def _header_segments(self) -> Iterable[Segment]:
        style = self.get_component_rich_style("live-table--header")
        yield Segment(" " * MARK_WIDTH, style)
        for fitted in self._fitted:
            column = self._columns[fitted.column]
            title = column.title
            if column.id == self._sort_id:
                title += self._glyphs.descending if self._reverse else self._glyphs.ascending
            yield Segment(self._crop(title, fitted.width, right=column.right) + " " * GAP, style)

    def _row_segments(self, index: int) -> tuple[list[Segment], Style]:
        row = self._order[index][1]
        is_cursor, is_gone = index == self._cursor, self._is_gone(row)
        plain = self._style(Tone.PLAIN, is_cursor, is_gone)
        mark = self._mark(row)[:1].ljust(1) + (CURSOR if is_cursor else " ")
        segments = [Segment(mark, self._style(Tone.STRONG, is_cursor, is_gone))]
        for fitted in self._fitted:
            column = self._columns[fitted.column]
            cell = column.cell(row)
            text = self._crop(cell.text, fitted.width, right=column.right, tail=cell.tail)
            segments.append(Segment(text, self._style(cell.tone, is_cursor, is_gone)))
            segments.append(Segment(" " * GAP, plain))
        return segments, plain

    def _style(self, tone: Tone, is_cursor: bool, is_gone: bool) -> Style:
        known = self._styles.get((tone, is_cursor, is_gone))
        if known is None:
            known = self.get_component_rich_style("live-table--gone" if is_gone else f"live-table--{tone}")
            if is_cursor:
                known += self.get_component_rich_style("live-table--cursor", partial=True)
            self._styles[tone, is_cursor, is_gone] = known
        return known

    def _crop(self, text: str, room: int, *, right: bool, tail: int = 0) -> str:
        """Exactly ``room`` cells; a cut is marked, and leaves the last ``tail`` characters if they fit."""
        if self._glyphs.ascii_only and not text.isascii():
            text = text.replace(words.AT_LEAST, ">").encode("ascii", "replace").decode("ascii")
        if cell_len(text) > room:
            end = self._glyphs.ellipsis + (text[len(text) - tail :] if tail else "")
            if cell_len(end) >= room:
                end = self._glyphs.ellipsis
            head = text[:room]
            while head and cell_len(head) > room - cell_len(end):
                head = head[:-1]
            text = head + end
        space = " " * (room - cell_len(text))
        return space + text if right else text + space


def _none_last(value: Any, reverse: bool) -> bool:
    """What sorts None after everything in either direction."""
    return (value is None) != reverse
