"""The table's cursor: it belongs to a row, not to a line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from lone_table import ROOM, Row, Shown, rows, table_of
from making import quick
from stage import lines

keys = st.lists(st.sampled_from([chr(letter) + "0" for letter in range(ord("a"), ord("z") + 1)]), unique=True)
steps = st.lists(st.one_of(keys, st.sampled_from(["name", "-name", "number", "-number"]), st.integers(-30, 30)))


def apply(here: Shown, step: list[str] | str | int) -> None:
    """New rows, another order, or the cursor somewhere else."""
    if isinstance(step, list):
        here.table.set_rows([Row(key, key, -ord(key[0])) for key in step])
    elif isinstance(step, str):
        here.table.sort_by(step.removeprefix("-"), reverse=step.startswith("-"))
    else:
        here.table.action_move(step)


async def test_it_stays_on_its_row_through_arrivals_departures_and_sorts_and_is_always_in_view() -> None:
    async with table_of([]) as here:

        @quick
        @given(steps)
        def check(taken: list[list[str] | str | int]) -> None:
            for step in taken:
                before = here.table.cursor_key
                apply(here, step)
                present = [row.key for row in here.table.rows]
                if not isinstance(step, int) and before in present:
                    assert here.table.cursor_key == before
                assert (here.table.cursor_key in present) == bool(present)
                if present:
                    assert here.top <= present.index(str(here.table.cursor_key)) < here.top + ROOM

        check()


async def test_one_line_and_only_one_has_the_cursors_sign() -> None:
    async with table_of(rows(*range(10, 30))) as here:
        await here.pilot.press("down", "down")
        signed = [line for line in lines(here.table) if line.startswith(" >")]
        assert len(signed) == 1
        assert "12" in signed[0]


async def test_its_line_stays_where_it_is_while_rows_come_and_go_above_a_scrolled_view() -> None:
    async with table_of(rows(*range(200, 300))) as here:
        here.table.move_to("250")
        await here.pilot.pause()
        line = here.y_of("250")
        here.table.set_rows(rows(*range(190, 300)))
        await here.pilot.pause()
        assert here.y_of("250") == line
        here.table.set_rows(rows(*range(230, 300)))
        await here.pilot.pause()
        assert here.y_of("250") == line


async def test_what_was_scrolled_to_stays_in_view_when_rows_come_and_go_elsewhere() -> None:
    """The wheel moves the view, not the cursor; the next look must not take the view back."""
    async with table_of(rows(*range(200, 300))) as here:
        here.table.scroll_to(y=50, animate=False)
        await here.pilot.pause()
        assert here.y_of("250") == 1
        here.table.set_rows(rows(*range(200, 299)))
        await here.pilot.pause()
        assert here.y_of("250") == 1
        assert here.table.cursor_key == "200"


async def test_the_next_key_brings_a_cursor_that_is_out_of_view_back() -> None:
    async with table_of(rows(*range(200, 300))) as here:
        here.table.scroll_to(y=50, animate=False)
        await here.pilot.pause()
        await here.pilot.press("down")
        assert here.table.cursor_key == "201"
        assert here.y_of("201") > 0


async def test_keys_move_it_by_rows_by_pages_and_to_the_ends() -> None:
    async with table_of(rows(*range(200, 300))) as here:
        for key, expected in (
            *(("down", "201"), ("j", "202"), ("up", "201"), ("k", "200"), ("up", "200")),
            *(("end", "299"), ("down", "299"), ("home", "200"), ("G", "299"), ("home", "200")),
        ):
            await here.pilot.press(key)
            assert here.table.cursor_key == expected, key
        await here.pilot.press("pagedown")
        page = int(str(here.table.cursor_key)) - 200
        assert ROOM // 2 < page <= ROOM
        await here.pilot.press("pagedown", "pageup")
        assert here.table.cursor_key == str(200 + page)


async def test_keys_do_nothing_where_there_are_no_rows() -> None:
    async with table_of([]) as here:
        await here.pilot.press("down", "up", "pagedown", "end", "home", "enter", "s", "S")
        assert here.table.cursor_key is None
        assert here.table.cursor_row is None
        assert here.app.opened == []


async def test_enter_opens_its_row() -> None:
    async with table_of(rows(1, 2)) as here:
        await here.pilot.press("down", "enter")
        assert here.app.opened == ["2"]


async def test_move_to_says_whether_there_is_such_a_row() -> None:
    async with table_of(rows(1, 2)) as here:
        assert here.table.move_to("2")
        assert not here.table.move_to("3")
        assert here.table.cursor_key == "2"


async def test_it_is_in_view_after_the_table_became_lower() -> None:
    async with table_of(rows(*range(10, 40))) as here:
        await here.pilot.press("pagedown")
        key = str(here.table.cursor_key)
        here.table.styles.height = 6
        await here.pilot.pause()
        assert here.y_of(key) > 0
