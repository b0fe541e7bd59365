"""What is worth looking at, on the screen: counted, marked, named, explained, and gone to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from making import NOW, listening, process, socket
from stage import MIDDLE, NARROW, WIDE, Puppet, Stage, line_of, on_stage, shown

from loopmon.model import Process, Status

STOPPED = replace(process(5120, "python3"), status="stopped")
WELL = replace(process(4312, "node"), status="sleeping")


def machine(*processes: Process) -> Puppet:
    return Puppet(
        listening("127.0.0.1:3000", 4312), listening("127.0.0.1:8000", 5120), processes=processes or (WELL, STOPPED)
    )


async def test_a_stopped_server_is_counted_marked_named_and_explained() -> None:
    async with on_stage(machine()) as stage:
        assert "1 to look at" in stage.header
        row = line_of(stage.listeners, "8000")
        assert row.startswith("!")
        assert "stopped" in row
        assert "!" not in line_of(stage.listeners, "3000")
        await stage.press("down")
        assert "LOOK AT python3 5120 is stopped" in stage.process
        assert "kill -CONT 5120" in stage.process


async def test_a_machine_on_which_all_is_well_shows_no_column_for_it() -> None:
    async with on_stage(machine(WELL, replace(STOPPED, status="sleeping"))) as stage:
        assert "look at" not in stage.header
        assert "LOOK AT" not in shown(stage.listeners)
        await stage.press("!")
        assert stage.ticker == "Nothing to look at."


async def test_it_is_gone_when_it_is_over_and_not_a_look_earlier() -> None:
    source = machine()
    async with on_stage(source) as stage:
        source.processes[STOPPED.id] = replace(STOPPED, status="sleeping")
        await stage.tick()
        assert "1 to look at" in stage.header
        await stage.tick()
        assert "look at" not in stage.header
        assert "stopped" not in shown(stage.listeners)


@pytest.mark.parametrize("size", [NARROW, MIDDLE, WIDE])
async def test_one_key_goes_from_one_to_the_next_and_round(size: tuple[int, int]) -> None:
    source = Puppet(
        *(listening(f"127.0.0.1:{port}", pid) for port, pid in ((3000, 11), (3001, 12), (3002, 13))),
        processes=[
            replace(process(11), status="stopped"), replace(process(12), status="sleeping"),
            replace(process(13), status="stopped"),
        ],
    )  # fmt: skip
    async with on_stage(source, size=size) as stage:
        seen = []
        for _ in range(3):
            await stage.press("!")
            assert stage.listeners.cursor_row is not None
            seen.append(stage.listeners.cursor_row.laddr.port)
        assert seen == [3000, 3002, 3000]
        assert stage.ticker.startswith("1 of 2: stopped")


async def test_one_that_the_filter_hides_is_told_all_the_same() -> None:
    async with on_stage(machine(), wanted="port:3000") as stage:
        await stage.press("!")
        assert "stopped" in stage.ticker
        assert "python3 5120 is stopped" in stage.process


async def test_what_concerns_the_system_has_no_row_and_is_explained() -> None:
    source = machine(WELL, replace(STOPPED, status="sleeping"))
    source.sockets.append(socket("127.0.0.1:9000", None, 4312, status=Status.CLOSE))
    async with on_stage(source) as stage:
        await stage.tick(2)
        assert "1 note" in stage.header
        await stage.press("!")
        assert "port 9000 is taken by a socket that does not listen" in stage.process


async def test_connections_say_it_too() -> None:
    source = Puppet(socket("127.0.0.1:45999", "127.0.0.1:45999", 5300), processes=[process(5300, "python3")])
    async with on_stage(source) as stage:
        row = line_of(stage.clients, "45999")
        assert row.startswith("!")
        assert "port stolen" in row
        await stage.press("!")
        assert stage.is_on(stage.clients)


async def test_the_filter_finds_them_by_their_id() -> None:
    async with on_stage(machine(), wanted="is:stopped") as stage:
        assert [row.laddr.port for row in stage.listeners.rows] == [8000]


async def test_the_cursor_stays_on_its_row_when_the_column_comes_and_goes() -> None:
    source = machine(WELL, replace(STOPPED, status="sleeping"))
    async with on_stage(source) as stage:
        await stage.press("down")
        source.processes[STOPPED.id] = STOPPED
        await stage.tick()
        assert "LOOK AT" in shown(stage.listeners)
        assert _port(stage) == 8000
        source.processes[STOPPED.id] = replace(STOPPED, status="sleeping")
        await stage.tick(2)
        assert "LOOK AT" not in shown(stage.listeners)
        assert _port(stage) == 8000


async def test_hostile_names_do_no_harm_here_either() -> None:
    evil = replace(process(5120, "evil\x1b[31m[red]"), status="stopped")
    async with on_stage(machine(WELL, evil)) as stage:
        await stage.press("!")
        assert "\x1b" not in stage.process + stage.ticker
        assert "[red]" in stage.process


def _port(stage: Stage) -> int:
    assert stage.listeners.cursor_row is not None
    return stage.listeners.cursor_row.laddr.port


async def test_the_time_of_the_demo_is_its_own() -> None:
    """It finds what it was made to show."""
    async with on_stage() as stage:
        await stage.tick(2)
        snapshot = stage.monitor.last.snapshot
        assert snapshot is not None
        assert snapshot.taken_at < NOW + 60
        assert {"left-over", "not-accepting", "port-stolen", "exposed", "shared"} <= {f.id for f in snapshot.findings}
