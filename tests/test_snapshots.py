"""The whole screen at three sizes, compared with how it was accepted (``--snapshot-update`` accepts it anew)."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from making import listening, process
from stage import MIDDLE, NARROW, WIDE, Puppet, Stage, staged_app, still_clock
from textual.pilot import Pilot
from textual.widgets import Input

from loopmon.tui.glyphs import ASCII

Compare = Callable[..., bool]
Play = Callable[[Stage], Awaitable[None]]

TEMPDIR = "TEXTUAL_SNAPSHOT_TEMPDIR"
OF_THE_PLUGIN = os.environ.get(TEMPDIR, "")
"""The plugin looks for it at every comparison; for other tests it would be noise like any of Textual's."""


@pytest.fixture(autouse=True)
def still(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    request.getfixturevalue("plain_environment")
    monkeypatch.setenv(TEMPDIR, OF_THE_PLUGIN)
    with still_clock():
        yield


def same(snap_compare: Compare, size: tuple[int, int], play: Play, source: Puppet | None = None, **kwargs: Any) -> bool:
    app, monitor = staged_app(source, **kwargs)

    async def run_before(pilot: Pilot[int]) -> None:
        await pilot.pause()
        app.query_one(Input).cursor_blink = False
        await play(Stage(app, pilot, monitor, SimpleNamespace()))
        await pilot.pause()

    return snap_compare(app, terminal_size=size, run_before=run_before)


async def some_seconds(stage: Stage) -> None:
    await stage.tick(6)


async def clients_by_process(stage: Stage) -> None:
    await stage.tick(6)
    await stage.press("tab", "g", "down", "down")


async def bad_filter(stage: Stage) -> None:
    await stage.tick(2)
    await stage.filter("proc:node port:70000")


async def help_screen(stage: Stage) -> None:
    await stage.press("question_mark")


async def one_has_gone(stage: Stage) -> None:
    await stage.tick(34)


async def nothing(_stage: Stage) -> None:
    """What is there at the first look."""


@pytest.mark.parametrize("size", [NARROW, MIDDLE, WIDE], ids=["80x24", "120x36", "160x45"])
def test_the_demo_after_some_seconds(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert same(snap_compare, size, some_seconds)


def test_clients_by_process(snap_compare: Compare) -> None:
    assert same(snap_compare, MIDDLE, clients_by_process)


def test_a_filter_that_does_not_parse(snap_compare: Compare) -> None:
    assert same(snap_compare, NARROW, bad_filter)


def test_a_server_that_is_gone(snap_compare: Compare) -> None:
    assert same(snap_compare, NARROW, one_has_gone)


def test_the_help(snap_compare: Compare) -> None:
    assert same(snap_compare, MIDDLE, help_screen)


async def explanation(stage: Stage) -> None:
    await stage.tick(6)
    await stage.press("!", "w")
    await stage.app.workers.wait_for_complete()


@pytest.mark.parametrize("size", [NARROW, MIDDLE], ids=["80x24", "120x36"])
def test_what_is_wrong_with_a_server(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert same(snap_compare, size, explanation)


def test_an_empty_machine(snap_compare: Compare) -> None:
    assert same(snap_compare, NARROW, nothing, Puppet())


def test_sockets_that_cannot_be_read(snap_compare: Compare) -> None:
    source = Puppet(listening("127.0.0.1:3000", 4312), processes=[process(4312)])

    async def break_off(stage: Stage) -> None:
        source.broken = "psutil could not read the sockets: [Errno 24] Too many open files"
        await stage.tick()

    assert same(snap_compare, NARROW, break_off, source)


def test_a_terminal_without_utf8(snap_compare: Compare) -> None:
    assert same(snap_compare, MIDDLE, some_seconds, glyphs=ASCII)


def test_the_terminals_own_colours(snap_compare: Compare) -> None:
    assert same(snap_compare, NARROW, some_seconds, theme="ansi-dark")
