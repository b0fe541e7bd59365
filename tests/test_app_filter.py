"""The filter line: it narrows as one types, says what is wrong, and keeps or drops."""

from __future__ import annotations

import pytest
from stage import NARROW, Puppet, Stage, on_stage, screen_text, shown
from textual.widgets import Input

from loopmon.model import Scope
from loopmon.tui.filter_line import FilterLine


def ports(stage: Stage) -> list[int]:
    return [row.laddr.port for row in stage.listeners.rows]


def is_open(stage: Stage) -> bool:
    return stage.app.query_one(FilterLine).display


async def test_it_narrows_both_tables_as_one_types() -> None:
    async with on_stage() as stage:
        everything = ports(stage)
        await stage.press("slash", "n", "o")
        some = ports(stage)
        await stage.press("d", "e")
        assert ports(stage) == [3000, 5173]
        assert len(everything) > len(some) >= 2
        assert "chrome" in shown(stage.clients)
        assert "psql" not in shown(stage.clients)
        assert "2 of 13" in str(stage.listeners.border_subtitle)


async def test_keys_that_mean_something_elsewhere_are_letters_here() -> None:
    async with on_stage() as stage:
        await stage.press("slash", *"qpg6?/")
        assert stage.app.query_one(Input).value == "qpg6?/"
        assert stage.app.is_running
        assert "PAUSED" not in stage.header


async def test_enter_keeps_the_filter_and_goes_back_to_the_table() -> None:
    async with on_stage() as stage:
        await stage.filter("port:5432")
        await stage.press("enter")
        assert stage.is_on(stage.listeners)
        assert ports(stage) == [5432]
        await stage.tick(3)
        assert ports(stage) == [5432]
        assert "1 of " in str(stage.listeners.border_subtitle)


async def test_enter_goes_to_the_clients_where_only_they_match() -> None:
    async with on_stage() as stage:
        await stage.filter("127.0.0.1:49342")
        await stage.press("enter")
        assert stage.is_on(stage.clients)
        assert "chrome 7001" in shown(stage.clients)


async def test_escape_drops_the_filter_while_one_types() -> None:
    async with on_stage() as stage:
        everything = ports(stage)
        await stage.filter("node")
        await stage.press("escape")
        assert ports(stage) == everything
        assert not is_open(stage)
        assert stage.is_on(stage.listeners)


async def test_escape_drops_a_filter_that_was_kept() -> None:
    async with on_stage() as stage:
        everything = ports(stage)
        await stage.filter("node")
        await stage.press("enter", "escape")
        assert ports(stage) == everything
        assert not is_open(stage)


async def test_slash_goes_on_with_the_filter_that_is_there() -> None:
    async with on_stage(wanted="node") as stage:
        assert ports(stage) == [3000, 5173]
        await stage.filter(" vite")
        assert ports(stage) == [5173]


@pytest.mark.parametrize(
    ("text", "column", "word"),
    [
        ("node port:x", 11, "'x'"),
        ("nope:1", 1, "nope"),
        ("age>soon", 5, "soon"),
        ('a "b', 3, "quote"),
        ("state:x", 7, "'x'"),
    ],
)
async def test_a_filter_that_does_not_parse_says_where(text: str, column: int, word: str) -> None:
    async with on_stage() as stage:
        await stage.filter(text)
        error = stage.words("#filter-error")
        assert f"column {column}" in error
        assert word in error
        assert f"column {column}" in screen_text(stage.app)


async def test_while_it_does_not_parse_the_last_one_that_did_stands_and_enter_does_not_leave() -> None:
    async with on_stage() as stage:
        await stage.filter("port:5432")
        await stage.press("x")
        assert ports(stage) == [5432]
        await stage.press("enter")
        assert is_open(stage)
        assert isinstance(stage.app.focused, Input)
        await stage.press("backspace", "enter")
        assert stage.words("#filter-error") == ""
        assert not is_open(stage)
        assert ports(stage) == [5432]


async def test_an_error_leaves_room_to_type_at_80_columns() -> None:
    async with on_stage(size=NARROW) as stage:
        await stage.filter("nope:1")
        assert stage.app.query_one(Input).size.width >= 20
        assert "column 1" in screen_text(stage.app)


async def test_nothing_that_matches_is_said_with_the_way_out() -> None:
    async with on_stage() as stage:
        await stage.filter("zebra")
        await stage.press("enter")
        assert "No listener matches the filter." in shown(stage.listeners)
        assert "No connection matches the filter." in shown(stage.clients)
        assert "escape" in shown(stage.listeners)


async def test_rows_that_come_later_are_filtered_too() -> None:
    async with on_stage(wanted="port:4000") as stage:
        assert ports(stage) == []
        await stage.tick(3)
        assert ports(stage) == [4000]


async def test_the_count_of_matches_never_exceeds_the_count_of_all() -> None:
    async with on_stage(wanted="-zebra") as stage:
        for _ in range(32):
            stage.monitor.tick()
        for _ in range(3):
            await stage.tick()
            shown_rows, _, everything = str(stage.listeners.border_subtitle).partition(" · ")[0].partition(" of ")
            assert int(shown_rows) <= int(everything)


async def test_a_row_keeps_the_cursor_through_a_filter_and_back() -> None:
    async with on_stage() as stage:
        assert stage.listeners.move_to("tcp:127.0.0.1|5432")
        await stage.filter("postgres")
        await stage.press("enter")
        assert stage.listeners.cursor_key == "tcp:127.0.0.1|5432"
        await stage.press("escape")
        assert stage.listeners.cursor_key == "tcp:127.0.0.1|5432"


async def test_clicking_into_a_table_and_escape_leave_no_empty_filter_line_behind() -> None:
    async with on_stage() as stage:
        await stage.filter("node")
        await stage.pilot.click(stage.listeners, offset=(10, 3))
        await stage.press("escape")
        assert len(ports(stage)) > 2
        assert not is_open(stage)


async def test_a_filter_line_with_a_mistake_in_it_can_be_left_by_click_and_escape() -> None:
    async with on_stage() as stage:
        await stage.filter("port:x")
        await stage.pilot.click(stage.listeners, offset=(10, 3))
        await stage.press("escape")
        assert not is_open(stage)


async def test_a_filter_from_the_command_line_is_there_from_the_first_frame() -> None:
    async with on_stage(wanted="port:3000") as stage:
        assert ports(stage) == [3000]
        assert all(row.server.addr.port == 3000 for row in stage.clients.rows if hasattr(row, "server"))


async def test_nothing_to_filter_is_not_called_no_match() -> None:
    async with on_stage(Puppet(), scope=Scope(ipv6=True)) as stage:
        assert "Nothing listens" in shown(stage.listeners)
        assert "filter" not in shown(stage.listeners)
