"""The app over the demo: what stands in the panes, and a cursor that belongs to the user."""

from __future__ import annotations

import asyncio

from making import both_ends, listening, process
from stage import MIDDLE, NARROW, WIDE, Puppet, line_of, lines, on_stage, screen_text, shown

from loopmon.model import Connection, Listener

CHROME, NODE, POSTGRES = process(7001, "chrome"), process(4312, "node"), process(811, "postgres")


def puppet(*ports: int) -> Puppet:
    """A server on each of these ports, and one client of each."""
    source = Puppet(processes=[CHROME, NODE])
    show(source, *ports)
    return source


def show(source: Puppet, *ports: int) -> None:
    source.sockets = [listening(f"127.0.0.1:{port}", 4312) for port in ports]
    for port in ports:
        source.sockets += both_ends(f"127.0.0.1:{40000 + port}", f"127.0.0.1:{port}")


async def test_every_listener_and_every_connection_has_its_line() -> None:
    async with on_stage() as stage:
        seen = stage.monitor.last.snapshot
        assert seen is not None
        assert {row.id for row in stage.listeners.rows} == {row.id for row in seen.listeners}
        assert {row.id for row in stage.clients.rows} == {row.id for row in seen.connections}
        line = line_of(stage.listeners, "3000")
        assert all(words in line for words in ("127.0.0.1", "node 4312", "api", "2h"))
        line = line_of(stage.clients, "49342")
        assert all(words in line for words in ("chrome 7001", "node 4312 :3000", "ESTABLISHED"))


async def test_every_line_of_the_screen_is_as_wide_as_the_terminal() -> None:
    for size in (WIDE, NARROW, (60, 15), (119, 24)):
        async with on_stage(size=size) as stage:
            assert [len(line) for line in screen_text(stage.app).splitlines()] == [size[0]] * size[1]


async def test_the_facts_that_matter_most_are_there_at_80x24() -> None:
    async with on_stage(size=NARROW) as stage:
        text = screen_text(stage.app)
        for words in (
            "3000",
            "node 4312",
            "api",
            "* exposed",
            "49342",
            "chrome 7001",
            "node 4312 :3000",
            "ESTABLISHED",
        ):
            assert words in text, words
        assert "listeners" in text.splitlines()[0]
        assert "q Quit" in text.splitlines()[-1]


async def test_a_wide_terminal_shows_the_process_of_the_row_under_the_cursor() -> None:
    async with on_stage() as stage:
        assert "node server.js --port 3000" in stage.process
        assert "node 4312 · api · feat/login" in str(stage.pane.border_title)
        await stage.press("down")
        assert "vite" in stage.process
        assert "node 4401" in str(stage.pane.border_title)
        await stage.press("tab")
        assert "127.0.0.1:49342 → 127.0.0.1:3000" in stage.process


async def test_the_monitor_is_told_whose_details_are_looked_at() -> None:
    async with on_stage() as stage:
        row = stage.listeners.cursor_row
        assert row is not None
        assert stage.monitor.focus == row.socket.owners[0].process
        await stage.press("tab")
        client = stage.clients.cursor_row
        assert isinstance(client, Connection)
        assert stage.monitor.focus == client.client.owners[0].process


async def test_the_cursor_stays_on_its_row_while_rows_come_and_go() -> None:
    source = puppet(3000, 4000, 5000)
    async with on_stage(source) as stage:
        await stage.press("down")
        for ports in ((3000, 3500, 4000, 5000), (4000, 5000), (4000,), (3000, 4000, 6000)):
            show(source, *ports)
            await stage.tick()
            row = stage.listeners.cursor_row
            assert isinstance(row, Listener)
            assert row.laddr.port == 4000
        await stage.tick(10)
        assert "> " in line_of(stage.listeners, " 4000 ")


async def test_the_cursor_goes_to_the_next_row_only_once_its_own_is_no_longer_shown() -> None:
    source = puppet(3000, 4000, 5000)
    async with on_stage(source) as stage:
        await stage.press("down")
        show(source, 3000, 5000)
        await stage.tick()
        assert "gone" in line_of(stage.listeners, " 4000 ")
        assert "> " in line_of(stage.listeners, " 4000 ")
        await stage.tick(6)
        assert "4000" not in shown(stage.listeners)
        assert "> " in line_of(stage.listeners, " 5000 ")


async def test_the_cursor_keeps_its_row_when_the_order_changes() -> None:
    async with on_stage() as stage:
        await stage.press("down", "down", "down")
        key = stage.listeners.cursor_key
        for pressed in ("s", "s", "S", "s", "S", "s", "s", "s", "S"):
            await stage.press(pressed)
            assert stage.listeners.cursor_key == key


async def test_s_sorts_by_the_columns_in_turn_and_shift_s_turns_the_order_round() -> None:
    async with on_stage() as stage:
        ports = [row.laddr.port for row in stage.listeners.rows]
        assert ports == sorted(ports)
        await stage.press("S")
        assert [row.laddr.port for row in stage.listeners.rows] == ports[::-1]
        titles = []
        for _ in range(9):
            await stage.press("s")
            titles.append(lines(stage.listeners)[0].partition("▲")[0].split()[-1])
        assert titles == ["ADDRESS", "PROCESS", "AT", "PROJECT", "CLIENTS", "QUEUE", "RATE", "AGE", "PORT"]


async def test_a_name_that_becomes_known_later_takes_its_place_in_the_order() -> None:
    source = Puppet(listening("127.0.0.1:3000", 4312), listening("127.0.0.1:4000", 811), processes=[POSTGRES])
    async with on_stage(source) as stage:
        stage.listeners.sort_by("process")
        await stage.tick()
        assert [row.laddr.port for row in stage.listeners.rows] == [3000, 4000]
        source.processes[NODE.id] = process(4312, "zope")
        await stage.tick()
        assert "zope 4312" in line_of(stage.listeners, "3000")
        assert [row.laddr.port for row in stage.listeners.rows] == [4000, 3000]


async def test_clients_come_in_the_order_of_their_server_and_what_is_over_comes_last() -> None:
    async with on_stage() as stage:
        rows = [row for row in stage.clients.rows if isinstance(row, Connection)]
        alive = [row for row in rows if row.status != "TIME_WAIT"]
        assert rows[: len(alive)] == alive
        assert [row.server.addr.port for row in alive] == sorted(row.server.addr.port for row in alive)


async def test_r_looks_at_once() -> None:
    async with on_stage() as stage:
        before = stage.monitor.last.number
        await stage.press("r")
        assert stage.monitor.last.number == before + 1


async def test_leaving_stops_the_monitor() -> None:
    async with on_stage() as stage:
        await stage.press("q")
    assert stage.monitor.is_stopped
    assert stage.app.return_value == 0


async def test_ctrl_c_leaves_as_interrupted() -> None:
    async with on_stage() as stage:
        await stage.press("ctrl+c")
    assert stage.app.return_value == 130


async def test_hundreds_of_looks_at_the_demo_leave_the_screen_whole() -> None:
    async with on_stage(size=MIDDLE) as stage:
        for number in range(120):
            stage.monitor.tick()
            if number % 40 == 0:
                await stage.pilot.pause()
        await stage.pilot.pause()
        assert {len(line) for line in screen_text(stage.app).splitlines()} == {MIDDLE[0]}
        assert "live" in stage.header


async def test_looks_that_come_in_while_it_leaves_do_no_harm() -> None:
    """The monitor's thread knows nothing of panes that are being taken down."""

    async def look_on() -> None:
        while not stage.monitor.is_stopped:
            stage.monitor.tick()
            await asyncio.sleep(0.001)

    async with on_stage(size=NARROW) as stage:
        looking = asyncio.create_task(look_on())
        await stage.press("q")
    await looking
    assert stage.app.return_value == 0
