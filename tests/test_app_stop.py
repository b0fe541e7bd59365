"""The dialog that stops a server: a preview, a stop, a proof; nothing but what was seen in it is signalled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from making import both_ends, listening, process
from stage import NARROW, WIDE, Puppet, Stage, on_stage
from textual.widgets import Static
from zoo import Child, Held, Zoo, wait_for

from loopmon.sources import Source, SourceChoice, open_source
from loopmon.tui.freezing import Freezing


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "loopmon" / "stops.jsonl"


@pytest.fixture
def source() -> Iterator[Source]:
    yield open_source(SourceChoice.AUTO, follow=False)


def is_running(child: Child) -> bool:
    return psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE


def text(stage: Stage) -> str:
    """What the dialog says, in one line."""
    parts = [str(stage.app.screen.query_one(name, Static).visual) for name in ("#stop-text", "#stop-news")]
    return " ".join(" ".join(parts).split())


async def choose(stage: Stage, server: Held) -> None:
    """Put the cursor on the listener and press the key."""
    row = next(row for row in stage.listeners.rows if row.laddr.port == server.port)
    assert stage.listeners.move_to(row.id)
    await stage.press("x")
    await stage.app.workers.wait_for_complete()
    await stage.pilot.pause()


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_the_server_is_stopped_the_client_lives_and_the_port_is_proved_free(
    size: tuple[int, int], source: Source, zoo: Zoo, state: Path
) -> None:
    serving, calling = zoo.child(), zoo.child()
    server = serving.listen()
    calling.connect("127.0.0.1", server.port)  # not accepted: it would keep the port, as the server sets no option
    async with on_stage(source, size=size, wanted=f"port:{server.port}") as stage:
        await choose(stage, server)
        assert f"{serving.pid}" in text(stage)
        assert f"holds 127.0.0.1:{server.port}" in text(stage)
        assert f"{calling.pid} loses 1 connection" in text(stage)
        assert is_running(serving)
        await stage.press("y")
        await stage.app.workers.wait_for_complete()
        await stage.pilot.pause()
        assert f"127.0.0.1:{server.port} is free" in text(stage)
        assert not is_running(serving)
        assert is_running(calling)
        await stage.press("escape")
        assert not isinstance(stage.app.screen, Freezing)
    told = json.loads(state.read_text())
    assert (told["outcome"], [each["pid"] for each in told["signalled"]]) == ("free", [serving.pid])
    assert state.stat().st_mode & 0o777 == 0o600


async def test_escape_stops_nothing(source: Source, zoo: Zoo, state: Path) -> None:
    serving = zoo.child()
    server = serving.listen()
    async with on_stage(source, wanted=f"port:{server.port}") as stage:
        await choose(stage, server)
        await stage.press("escape")
        assert stage.is_on(stage.listeners)
    assert is_running(serving)
    assert not state.exists()


async def test_rows_stand_still_behind_the_dialog_and_the_target_does_not_move(source: Source, zoo: Zoo) -> None:
    serving, other = zoo.child("--test-of-rows"), zoo.child("--test-of-rows")
    server = serving.listen()
    async with on_stage(source, wanted="test-of-rows") as stage:
        await choose(stage, server)
        before = [row.id for row in stage.listeners.rows]
        late = [other.listen() for _ in range(3)]
        await stage.tick(2)
        assert [row.id for row in stage.listeners.rows] == before
        await stage.press("y")
        await stage.app.workers.wait_for_complete()
        await stage.pilot.pause()
        assert not is_running(serving)
        assert is_running(other)
        await stage.press("escape")
        await stage.tick()
        assert {held.port for held in late} <= {row.laddr.port for row in stage.listeners.rows}


async def test_what_does_not_end_is_killed_only_on_its_own_key(source: Source, zoo: Zoo) -> None:
    serving = zoo.child()
    server = serving.listen()
    serving.ignore_term()
    async with on_stage(source, wanted=f"port:{server.port}") as stage:
        await choose(stage, server)
        await stage.press("k")
        assert is_running(serving)
        await stage.press("y")
        await stage.app.workers.wait_for_complete()
        await stage.pilot.pause()
        assert "still there" in text(stage)
        assert is_running(serving)
        await stage.press("k")
        await stage.app.workers.wait_for_complete()
        await stage.pilot.pause()
        assert f"127.0.0.1:{server.port} is free" in text(stage)
        wait_for(lambda: not is_running(serving), "the kill")


async def test_a_client_s_row_names_no_victim() -> None:
    near, far = both_ends("127.0.0.1:49342", "127.0.0.1:3000")
    machine = Puppet(listening("127.0.0.1:3000", 4312), near, far, processes=[process(4312), process(7001, "chrome")])
    async with on_stage(machine) as stage:
        await stage.press("tab", "x")
        assert "x stops what listens" in stage.ticker
        assert not isinstance(stage.app.screen, Freezing)


async def test_nobody_to_signal_says_why() -> None:
    async with on_stage(Puppet(listening("127.0.0.1:3000"))) as stage:
        await stage.press("x")
        assert not isinstance(stage.app.screen, Freezing)
        assert stage.ticker


async def test_the_process_that_was_seen_is_gone_and_its_number_is_another_s(zoo: Zoo) -> None:
    """The row says a process of that number that was started at another time: nobody is signalled."""
    serving = zoo.child()
    server = serving.listen()
    made = listening(f"127.0.0.1:{server.port}", serving.pid)
    async with on_stage(Puppet(made, processes=[process(serving.pid, "node")])) as stage:
        await stage.press("x")
        await stage.app.workers.wait_for_complete()
        await stage.press("y")
        await stage.app.workers.wait_for_complete()
        await stage.pilot.pause()
        assert "nobody was signalled" in text(stage)
        assert "its number is another process's now" in text(stage)
    assert is_running(serving)


async def test_the_demo_s_processes_cannot_be_stopped() -> None:
    async with on_stage() as stage:
        await stage.press("x", "y")
        assert "not there" in text(stage)
