"""The table under the mouse: where one clicks is what is meant."""

from __future__ import annotations

from lone_table import ROOM, rows, table_of
from stage import lines

BORDER = 1
HEADER = 1


async def test_a_click_selects_the_row_that_is_there() -> None:
    async with table_of(rows(*range(10, 30))) as here:
        for place in (0, 3, ROOM - 1, 0):
            await here.pilot.click(here.table, offset=(5, BORDER + HEADER + place))
            assert here.table.cursor_key == str(10 + place)
        assert here.app.opened == []


async def test_a_click_selects_the_row_that_is_there_in_a_scrolled_table_too() -> None:
    async with table_of(rows(*range(200, 300))) as here:
        here.table.scroll_to(y=50, animate=False)
        await here.pilot.pause()
        await here.pilot.click(here.table, offset=(5, BORDER + HEADER + 2))
        assert here.table.cursor_key == "252"


async def test_a_double_click_opens_the_row() -> None:
    async with table_of(rows(*range(10, 30))) as here:
        await here.pilot.click(here.table, offset=(5, BORDER + HEADER + 2), times=2)
        assert here.app.opened == ["12"]


async def test_two_clicks_on_two_rows_open_neither() -> None:
    async with table_of(rows(*range(10, 30))) as here:
        await here.pilot.click(here.table, offset=(5, BORDER + HEADER + 2))
        await here.pilot.click(here.table, offset=(5, BORDER + HEADER + 4))
        assert here.app.opened == []
        assert here.table.cursor_key == "14"


async def test_a_click_on_a_title_sorts_and_a_second_one_turns_the_order_round() -> None:
    async with table_of(rows(*range(10, 30))) as here:
        cursor = here.table.cursor_key
        await here.pilot.click(here.table, offset=(BORDER + lines(here.table)[0].index("NUMBER") + 2, BORDER))
        assert "NUMBER▲" in lines(here.table)[0]
        await here.pilot.click(here.table, offset=(BORDER + lines(here.table)[0].index("NUMBER") + 2, BORDER))
        assert "NUMBER▼" in lines(here.table)[0]
        assert here.table.cursor_key == cursor


async def test_a_click_on_the_border_or_below_the_rows_changes_nothing() -> None:
    async with table_of(rows(10, 11)) as here:
        await here.pilot.press("down")
        before = lines(here.table)
        for offset in ((5, 0), (0, 3), (5, BORDER + HEADER + 2), (5, BORDER + HEADER + ROOM)):
            await here.pilot.click(here.table, offset=offset)
            assert lines(here.table) == before, offset


async def test_the_wheel_scrolls_and_leaves_the_cursor_on_its_row() -> None:
    async with table_of(rows(*range(200, 300))) as here:
        here.table.scroll_down(animate=False)
        await here.pilot.pause()
        assert here.top > 0
        assert "NAME" in lines(here.table)[0]
        assert here.table.cursor_key == "200"
