"""From pane to pane: opening a row, the other end of a connection, groups, TIME_WAIT and ::1."""

from __future__ import annotations

from making import both_ends, listening, process
from stage import MIDDLE, NARROW, Puppet, Stage, lines, on_stage, screen_text, shown

from loopmon.model import Connection, Status
from loopmon.tui.groups import Group


def port_under_cursor(stage: Stage) -> int | None:
    row = stage.listeners.cursor_row
    return row.laddr.port if row else None


def states(stage: Stage) -> set[Status]:
    return {row.status for row in stage.clients.rows if isinstance(row, Connection)}


async def test_enter_opens_the_process_over_the_whole_screen_and_escape_comes_back() -> None:
    for size in (NARROW, MIDDLE):
        async with on_stage(size=size) as stage:
            await stage.press("down", "enter")
            assert stage.pane.region.width == size[0]
            assert not stage.listeners.region
            assert "vite" in screen_text(stage.app)
            await stage.press("escape")
            assert stage.listeners.region
            assert stage.is_on(stage.listeners)
            assert port_under_cursor(stage) == 5173


async def test_the_open_process_is_kept_up_to_date() -> None:
    source = Puppet(listening("127.0.0.1:3000", 4312), processes=[process(4312, "node"), process(7001, "chrome")])
    async with on_stage(source, size=NARROW) as stage:
        await stage.press("enter")
        assert "chrome" not in stage.process
        source.sockets += both_ends("127.0.0.1:49342", "127.0.0.1:3000")
        await stage.tick()
        assert "chrome 7001 on :3000 ×1" in stage.process


async def test_a_process_that_is_open_stays_so_when_its_row_goes() -> None:
    async with on_stage(size=NARROW) as stage:
        await stage.tick(4)
        assert stage.listeners.move_to("tcp:127.0.0.1|4000")
        await stage.press("enter")
        await stage.tick(45)
        assert "http.server 4000" in stage.process


async def test_escape_from_an_opened_client_comes_back_to_the_clients() -> None:
    async with on_stage(size=NARROW) as stage:
        await stage.press("tab", "down", "enter")
        assert "127.0.0.1:49350 → 127.0.0.1:3000" in stage.process
        await stage.press("escape")
        assert stage.is_on(stage.clients)


async def test_escape_from_an_opened_group_comes_back_to_the_clients() -> None:
    async with on_stage(size=NARROW) as stage:
        await stage.press("g", "tab", "enter")
        assert "chrome" in stage.process
        await stage.press("escape")
        assert stage.is_on(stage.clients)


async def test_tab_goes_round_the_panes_that_are_there() -> None:
    async with on_stage() as stage:
        for pane in (stage.clients, stage.pane, stage.listeners):
            await stage.press("tab")
            assert stage.is_on(pane)
        await stage.press("shift+tab")
        assert stage.is_on(stage.pane)
        await stage.press("escape")
        assert stage.is_on(stage.listeners)
    async with on_stage(size=NARROW) as stage:
        await stage.press("tab", "tab")
        assert stage.is_on(stage.listeners)


async def test_f_goes_to_the_listener_that_serves_a_client_and_b_back() -> None:
    async with on_stage() as stage:
        assert stage.clients.move_to("tcp:127.0.0.1|5432-127.0.0.1|40126")
        await stage.press("tab", "f")
        assert stage.is_on(stage.listeners)
        assert port_under_cursor(stage) == 5432
        assert "postgres" in stage.process
        await stage.press("home", "b")
        assert stage.is_on(stage.clients)
        assert stage.clients.cursor_key == "tcp:127.0.0.1|5432-127.0.0.1|40126"


async def test_f_shows_the_server_process_where_its_listener_is_filtered_away() -> None:
    for size in (MIDDLE, NARROW):
        async with on_stage(size=size, wanted="proc:chrome") as stage:
            await stage.press("tab", "f")
            assert stage.pane.region, size
            assert "server.js --port 3000" in stage.process
            await stage.press("b")
            assert stage.is_on(stage.clients)
            assert stage.clients.region


async def test_f_says_when_nobody_is_known_at_the_other_end_and_b_when_there_is_no_way_back() -> None:
    near, _ = both_ends("127.0.0.1:49342", "127.0.0.1:3000")
    async with on_stage(Puppet(near)) as stage:
        await stage.press("tab", "f")
        assert "Nobody is known" in stage.ticker
        assert stage.is_on(stage.clients)
        await stage.press("b")
        assert "Nothing to go back to" in stage.ticker


async def test_f_is_offered_only_where_it_does_something() -> None:
    async with on_stage() as stage:
        assert not stage.app.check_action("other_end", ())
        await stage.press("tab")
        assert stage.app.check_action("other_end", ())


async def test_g_sums_the_clients_up_by_process_and_server() -> None:
    async with on_stage() as stage:
        single = len(stage.clients.rows)
        await stage.press("g")
        assert 0 < len(stage.clients.rows) < single
        assert sum(len(row.members) for row in stage.clients.rows if isinstance(row, Group)) == single
        assert "COUNT" in lines(stage.clients)[0]
        assert "chrome 7001" in next(line for line in lines(stage.clients) if "4 ESTABLISHED" in line)
        await stage.press("g")
        assert len(stage.clients.rows) == single
        assert "STATE" in lines(stage.clients)[0]


async def test_the_cursor_keeps_its_group_while_its_members_come_and_go() -> None:
    async with on_stage() as stage:
        await stage.press("g", "tab", "down", "down", "down")
        key = stage.clients.cursor_key
        await stage.tick(10)
        assert stage.clients.cursor_key == key


async def test_grouping_keeps_the_cursor_at_the_connection_it_was_on() -> None:
    key = "tcp:127.0.0.1|5432-127.0.0.1|40126"
    async with on_stage() as stage:
        assert stage.clients.move_to(key)
        await stage.press("g")
        row = stage.clients.cursor_row
        assert isinstance(row, Group)
        assert key in {member.id for member in row.members}
        await stage.press("g")
        connection = stage.clients.cursor_row
        assert isinstance(connection, Connection)
        assert connection.id in {member.id for member in row.members}


async def test_t_hides_what_is_over_and_shows_it_again() -> None:
    async with on_stage() as stage:
        everything = len(stage.clients.rows)
        assert Status.TIME_WAIT in states(stage)
        await stage.press("t")
        assert Status.TIME_WAIT not in states(stage)
        assert "hidden" in stage.ticker
        assert "TIME_WAIT" in str(stage.clients.border_subtitle)
        await stage.press("t")
        assert len(stage.clients.rows) == everything


async def test_6_shows_what_is_on_ipv6_loopback_and_hides_it_again() -> None:
    async with on_stage() as stage:
        assert "+3 on ::1" in stage.header
        assert "[::1]" not in shown(stage.listeners)
        await stage.press("6")
        assert "[::1]" in shown(stage.listeners)
        assert "psql 8300" in shown(stage.clients)
        assert "on ::1" not in stage.header
        assert "new" not in shown(stage.listeners)
        await stage.press("6")
        assert "[::1]" not in shown(stage.listeners)
        assert "gone" not in shown(stage.listeners)


async def test_a_filter_while_a_process_is_open_leads_back_to_the_table_it_narrowed() -> None:
    async with on_stage() as stage:
        await stage.press("enter")
        await stage.filter("port:5432")
        await stage.press("enter")
        focused = stage.app.focused
        assert focused is not None
        assert focused.region, "the focus is on something that is not on the screen"
