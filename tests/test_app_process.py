"""The output and the environment of a real process on the screen."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import DEVNULL

import pytest
from making import listening
from nursery import Nursery
from stage import MIDDLE, NARROW, Puppet, Stage, on_stage, screen_text
from textual.widgets import Log
from zoo import TIMEOUT_S

from loopmon.model import Owner, Process, ProcessId
from loopmon.tui import output as output_module
from loopmon.tui.environment import EnvironmentScreen
from loopmon.tui.glyphs import ASCII
from loopmon.tui.output import OutputScreen

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere psutil lists regular files only")


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    with Nursery() as made:
        yield made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_module, "EVERY_S", 0.01)


def server(identity: ProcessId) -> Puppet:
    held = replace(listening("127.0.0.1:3000"), owners=(Owner(identity, 3),), owner_unknown=None)
    return Puppet(held, processes=[Process(id=identity, name="node")])


async def until(stage: Stage, condition: Callable[[], bool]) -> None:
    """The reading thread says when."""
    for _ in range(int(TIMEOUT_S / 0.02)):
        if condition():
            return
        await stage.pilot.pause(0.02)
    raise AssertionError(screen_text(stage.app))


async def shows(stage: Stage, text: str) -> None:
    await until(stage, lambda: text in screen_text(stage.app))


def log(stage: Stage) -> list[str]:
    return list(stage.app.screen.query_one(Log).lines)


async def open_output(stage: Stage) -> None:
    await stage.press("l")
    await until(stage, lambda: isinstance(stage.app.screen, OutputScreen))


async def test_the_output_is_followed_live(nursery: Nursery, tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    identity = nursery.start_into(path)
    async with on_stage(server(identity), size=NARROW) as stage:
        await open_output(stage)
        await shows(stage, "ready")
        assert f"node {identity.pid} · stdout {tmp_path}"[:60] in screen_text(stage.app)
        nursery.say(identity, "GET /api [bold]200[/] \x1b[31mred\x1b[0m \x1b]0;x\x07")
        await shows(stage, "GET /api [bold]200[/] red")
        nursery.say(identity, "")
        nursery.say(identity, "last")
        await shows(stage, "last")
        assert log(stage)[-2:] == [" ", "last"]
        await stage.press("escape")
        assert not isinstance(stage.app.screen, OutputScreen)
        assert stage.is_on(stage.listeners)
        await stage.app.workers.wait_for_complete()


async def test_following_stops_and_goes_on(nursery: Nursery, tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    identity = nursery.start_into(path)
    async with on_stage(server(identity), size=MIDDLE) as stage:
        await open_output(stage)
        await shows(stage, "ready")
        await stage.press("f")
        await shows(stage, "not followed, f goes on")
        await stage.pilot.pause(0.05)  # a reading that had begun has ended
        nursery.say(identity, "meanwhile")
        await until(stage, lambda: b"meanwhile" in path.read_bytes())
        await stage.pilot.pause(0.05)
        assert "meanwhile" not in "".join(log(stage))
        await stage.press("f")
        await shows(stage, "meanwhile")
        assert "f stops following" in screen_text(stage.app)


async def test_a_log_that_is_rotated_and_cut_is_followed_and_said_so(nursery: Nursery, tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    identity = nursery.start(str(path), "a", stdout=DEVNULL, stderr=DEVNULL)
    async with on_stage(server(identity), size=MIDDLE) as stage:
        await until(stage, path.exists)
        await open_output(stage)
        path.write_text("one\n")
        await shows(stage, "one")
        path.rename(tmp_path / "server.log.1")
        path.write_text("two, after\n")
        await shows(stage, "--- the file was replaced by a new one, which follows ---")
        await shows(stage, "two, after")
        path.write_text("3\n")
        await shows(stage, "--- the file was cut and begins anew ---")
        await shows(stage, "3")


async def test_several_files_are_shown_one_after_the_other(nursery: Nursery, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("GET /\n")
    identity = nursery.start_into(tmp_path / "out.txt", str(path), "a")
    async with on_stage(server(identity), size=MIDDLE) as stage:
        await open_output(stage)
        await shows(stage, "ready")
        assert "1 of 2, tab: next" in screen_text(stage.app)
        await stage.press("tab")
        await shows(stage, "GET /")
        assert "ready" not in "".join(log(stage))
        await stage.press("tab")
        await shows(stage, "ready")
        assert "GET /" not in "".join(log(stage))


async def test_the_lines_kept_are_bounded_and_the_end_is_shown(nursery: Nursery, tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    identity = nursery.start_into(path)
    async with on_stage(server(identity), size=NARROW) as stage:
        await open_output(stage)
        await shows(stage, "ready")
        for start in range(0, 3_000, 500):
            with path.open("ab") as file:
                file.write(b"".join(b"line %d\n" % number for number in range(start, start + 500)))
            await shows(stage, f"line {start + 499}")
        assert len(log(stage)) == output_module.KEPT_LINES


async def test_a_process_that_ends_leaves_its_last_words(nursery: Nursery, tmp_path: Path) -> None:
    identity = nursery.start_into(tmp_path / "out.txt")
    async with on_stage(server(identity), size=MIDDLE) as stage:
        await open_output(stage)
        await shows(stage, "ready")
        nursery.say(identity, "goodbye")
        nursery.end(identity)
        await shows(stage, "--- the process has ended or the file was removed ---")
        assert "goodbye" in "".join(log(stage))


async def test_where_there_is_no_output_the_ticker_says_why(nursery: Nursery) -> None:
    identity = nursery.start(stdout=DEVNULL, stderr=DEVNULL)
    async with on_stage(server(identity)) as stage:
        await stage.press("l")
        await until(stage, lambda: "its output goes to /dev/null, and no *.log is open" in stage.ticker)


async def test_the_demos_processes_are_not_looked_for_here() -> None:
    async with on_stage() as stage:
        await stage.press("l")
        await until(stage, lambda: "No output of node 4312 to show: it has ended." in stage.ticker)
        await stage.press("e")
        await shows(stage, "Variables: it has ended")
        assert isinstance(stage.app.screen, EnvironmentScreen)


@pytest.mark.parametrize("ascii_only", [False, True])
async def test_the_environment_masks_secrets_until_asked(nursery: Nursery, tmp_path: Path, ascii_only: bool) -> None:
    variables = {"API_KEY": "hunter2", "DATABASE_URL": "postgres://me:hunter2@127.0.0.1/api", "PORT": "3000",
                 "EVIL": "a\x1b[31m[/b]"}  # fmt: skip
    opened = str(tmp_path / "data.db")
    identity = nursery.start_into(tmp_path / "out.txt", opened, "w", env=variables)
    glyphs = ASCII if ascii_only else None
    mask = "******" if ascii_only else "••••••"
    async with on_stage(server(identity), size=MIDDLE, glyphs=glyphs) as stage:
        await stage.press("e")
        await shows(stage, f"API_KEY={mask}")
        text = screen_text(stage.app)
        assert f"DATABASE_URL=postgres://me:{mask}@127.0.0.1/api" in text
        assert "PORT=3000" in text
        assert "[31m[/b]" in text
        assert "hunter2" not in text
        assert f"1      {tmp_path}"[:60] in text
        assert "data.db" in text
        assert "also 1 pipe" in text
        await stage.press("s")
        assert "API_KEY=hunter2" in screen_text(stage.app)
        await stage.press("s")
        assert "hunter2" not in screen_text(stage.app)
        await stage.resize(*NARROW)
        assert f"API_KEY={mask}" in screen_text(stage.app)
        await stage.press("escape")
        assert stage.is_on(stage.listeners)


async def test_leaving_the_app_does_not_wait_for_the_file(nursery: Nursery, tmp_path: Path) -> None:
    identity = nursery.start_into(tmp_path / "out.txt")
    async with on_stage(server(identity)) as stage:
        output_module.EVERY_S = TIMEOUT_S * 10
        await open_output(stage)
        await stage.press("ctrl+c")
