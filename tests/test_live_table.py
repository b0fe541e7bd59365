"""What the table draws: only what is in view, only what changed, exactly as wide as there is room."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from lone_table import ROOM, Row, rows, table_of
from making import any_text, quick
from rich.cells import cell_len
from stage import line_of, lines, shown

from loopmon.clean import clean
from loopmon.tui.glyphs import ASCII


async def test_only_the_rows_in_view_are_drawn() -> None:
    async with table_of(rows(*range(100, 400))) as here:
        here.table.drawn.clear()
        here.table.set_rows(rows(*range(100, 399)))
        await here.pilot.pause()
        assert set(here.table.drawn) == {str(number) for number in range(100, 100 + ROOM)}


async def test_a_look_at_which_nothing_changed_sends_nothing_to_the_terminal() -> None:
    async with table_of(rows(*range(10, 30))) as here:
        here.table.sent.clear()
        here.table.set_rows(rows(*range(10, 30)))
        assert here.table.sent == []


async def test_a_row_that_changed_is_the_only_line_sent() -> None:
    async with table_of(rows(*range(10, 30))) as here:
        here.table.sent.clear()
        here.table.set_rows([row._replace(number=-7) if row.key == "12" else row for row in here.table.rows])
        assert [(region.y, region.height) for region in here.table.sent if region] == [(3, 1)]
        assert None not in here.table.sent


async def test_a_row_out_of_view_that_changed_sends_nothing() -> None:
    async with table_of(rows(*range(10, 60))) as here:
        here.table.sent.clear()
        here.table.set_rows([row._replace(number=-7) if row.key == "50" else row for row in here.table.rows])
        assert here.table.sent == []


async def test_moving_the_cursor_sends_the_two_lines_it_left_and_reached() -> None:
    async with table_of(rows(*range(10, 30))) as here:
        here.table.sent.clear()
        here.table.action_move(1)
        assert [region.y for region in here.table.sent if region] == [1, 2]
        assert None not in here.table.sent


async def test_without_rows_it_says_why() -> None:
    async with table_of([]) as here:
        here.table.empty_text = "Nothing here.\nCome back later."
        here.table.set_rows([])
        assert "Nothing here." in shown(here.table)
        assert "Come back later." in shown(here.table)
        here.table.set_rows(rows(1))
        assert "Nothing" not in shown(here.table)


async def test_every_line_is_exactly_as_wide_as_the_room_whatever_the_names_are() -> None:
    async with table_of([]) as here:
        width = here.table.scrollable_content_region.width

        @quick
        @given(st.lists(any_text, min_size=1, max_size=4))
        def check(names: list[str]) -> None:
            here.table.set_rows([Row(str(number), clean(name), 7) for number, name in enumerate(names)])
            drawn = [here.table.render_line(y) for y in range(ROOM + 1)]
            column = drawn[0].text.index("NUMBER") + len("NUMBER")
            for strip in drawn:
                assert strip.cell_length == cell_len(strip.text) == width
            for strip in drawn[1 : len(names) + 1]:
                assert cell_len(strip.text.rstrip()) == column
                assert strip.text.rstrip().endswith(" 7")

        check()


async def test_what_terminals_draw_wide_or_not_at_all_does_not_push_the_next_column() -> None:
    names = (
        "漢字" * 20,
        "🙂" * 30,
        "한국어",
        "e\u0301" * 40,
        "ก็" * 12,
        "नि" * 12,
        "👍🏽 hi",
        "☰ menu",
        "\u1112\u1161\u11ab",
    )
    async with table_of([Row(name, clean(name), 7) for name in names]) as here:
        drawn = lines(here.table)
        column = drawn[0].index("NUMBER") + len("NUMBER")
        assert {line.strip()[:4]: cell_len(line[: line.rindex("7") + 1]) for line in drawn[1 : len(names) + 1]} == {
            line.strip()[:4]: column for line in drawn[1 : len(names) + 1]
        }


async def test_a_cut_is_marked() -> None:
    async with table_of([Row("long", "x" * 200)]) as here:
        assert "xxx…  " in line_of(here.table, "xxx")


async def test_what_looks_like_markup_is_shown_as_it_is() -> None:
    names = ("[bold]x[/bold]", "[/]", "[link=x]y", "a [red", "$error", "\\[x]")
    async with table_of([Row(name, name) for name in names]) as here:
        for name in names:
            assert f"{name} " in shown(here.table)


async def test_with_ascii_signs_nothing_else_is_drawn() -> None:
    async with table_of([Row("a", "café 漢字 → naïve name that is far too long for it")], ASCII) as here:
        assert all(line.isascii() for line in lines(here.table))
        assert "caf?" in shown(here.table)


async def test_the_title_of_the_sorted_column_has_the_arrow() -> None:
    async with table_of(rows(1, 2)) as here:
        assert "NAME▲" in lines(here.table)[0]
        await here.pilot.press("S")
        assert "NAME▼" in lines(here.table)[0]
        await here.pilot.press("s")
        assert "NUMBER▲" in lines(here.table)[0]
        assert "NAME▲" not in lines(here.table)[0]


async def test_none_sorts_last_in_either_direction() -> None:
    async with table_of([Row("a", "a", None), Row("b", "b", 2), Row("c", "c", 1)]) as here:
        here.table.sort_by("number")
        assert [row.key for row in here.table.rows] == ["c", "b", "a"]
        here.table.sort_by("number", reverse=True)
        assert [row.key for row in here.table.rows] == ["b", "c", "a"]


async def test_equals_keep_one_order_however_they_come() -> None:
    async with table_of([]) as here:
        for keys in ("bac", "cba"):
            here.table.set_rows([Row(key, "same") for key in keys])
            assert [row.key for row in here.table.rows] == ["a", "b", "c"]


async def test_a_row_takes_its_new_place_when_what_it_is_sorted_by_changes() -> None:
    async with table_of([Row("a", "a"), Row("b", "b")]) as here:
        here.table.set_rows([Row("a", "z"), Row("b", "b")])
        assert [row.key for row in here.table.rows] == ["b", "a"]


async def test_a_table_made_narrower_keeps_the_columns_that_fit_and_its_width() -> None:
    async with table_of(rows(1, 2)) as here:
        here.table.styles.width = 16
        await here.pilot.pause()
        width = here.table.scrollable_content_region.width
        assert [cell_len(line) for line in lines(here.table)] == [width] * (ROOM + 1)
        assert "NAME" in lines(here.table)[0]
        assert "NUMBER" not in lines(here.table)[0]
