"""Whatever processes call themselves: the screen shows it harmlessly and stays in shape."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from making import both_ends, listening, process
from rich.cells import cell_len
from stage import MIDDLE, NARROW, Puppet, on_stage, screen_text, shown
from textual.app import App

from loopmon.model import Ancestor, Process

UNSAFE = {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}

EVIL = {
    "a style": "[bold]x[/bold]",
    "an end without a start": "[/]",
    "an action": "[@click=app.quit]x[/]",
    "an unknown tag": "x [nope] y",
    "a variable": "$error %s {0}",
    "an escape sequence": "\x1b[2J\x1b[31mx\x1b]0;title\x07\x9b31m",
    "line ends": "x\r\ny\n\nz\u2028\u2029\x85w",
    "overrides": "\u202eevil\u202c \u2066x\u2069 \u200f\u061c",
    "zeros and other controls": "x\x00y\x08\x7fz\t\x1f",
    "nothing to see": "\u200b\u200d\ufeff\u00ad\u115f\u3164",
    "too much": "x" * 10_000,
    "too much and wide": "漢" * 10_000,
    "a tower": "e" + "\u0301" * 500,
    "half a character": "\ud800x\udfff",
    "one space": " ",
}


def evil(pid: int, text: str) -> Process:
    return replace(
        process(pid, text, cmdline=(text, "--flag", text)),
        cwd=text, exe=text, user=text, tty=text, project=text, project_path=text, branch=text,
        parents=(Ancestor(process(1).id, text),),
    )  # fmt: skip


def machine(*texts: str) -> Puppet:
    """For each text a server and a client that call themselves so in every way."""
    source = Puppet()
    for number, text in enumerate(texts):
        server, client = evil(1000 + number, text), evil(2000 + number, text)
        source.processes |= {server.id: server, client.id: client}
        port = 3000 + number
        source.sockets += [listening(f"0.0.0.0:{port}", server.id.pid)]
        source.sockets += both_ends(f"127.0.0.1:{port + 40000}", f"127.0.0.1:{port}", client.id.pid, server.id.pid)
    return source


def check(app: App[int], doing: str) -> None:
    width, height = app.size
    strips = app.screen._compositor.render_strips()
    assert len(strips) == height
    for strip in strips:
        assert cell_len(strip.text) == strip.cell_length == width, doing
        for character in set(strip.text):
            assert unicodedata.category(character) not in UNSAFE, f"{doing}: {character!r} in {strip.text!r}"


async def test_no_name_breaks_the_process_or_its_title() -> None:
    async with on_stage(machine(*EVIL.values()), size=MIDDLE) as stage:
        for kind in EVIL:
            await stage.pilot.pause()
            check(stage.app, kind)
            stage.listeners.action_move(1)


@pytest.mark.parametrize("size", [MIDDLE, NARROW, (60, 15)], ids=["wide", "narrow", "small"])
async def test_no_name_breaks_the_tables(size: tuple[int, int]) -> None:
    async with on_stage(machine(*EVIL.values()), size=size) as stage:
        for table in (stage.listeners, stage.clients):
            table.focus()
            for key in ("pagedown", "end", "home"):
                await stage.press(key)
                check(stage.app, f"{table.id}, {key}")
        await stage.press("g", "end")
        check(stage.app, "the groups")
        await stage.press("enter")
        check(stage.app, "one process")


async def test_no_name_breaks_the_line_that_tells_of_changes() -> None:
    source = machine(*EVIL.values())
    everything, source.sockets = source.sockets, []
    async with on_stage(source, size=NARROW) as stage:
        for place, kind in enumerate(EVIL):
            source.sockets = [everything[3 * place]]
            await stage.tick()
            check(stage.app, f"{kind} opens")
            source.sockets = []
            await stage.tick()
            assert "stopped listening" in stage.ticker
            check(stage.app, f"{kind} closes")


@pytest.mark.parametrize("kind", ["a style", "an end without a start", "an action", "an unknown tag", "a variable"])
async def test_what_looks_like_markup_is_shown_as_it_is_everywhere(kind: str) -> None:
    text = EVIL[kind]
    source = machine(text)
    async with on_stage(source) as stage:
        source.sockets.append(listening("127.0.0.1:4000", 1000))
        await stage.tick()
        assert text in stage.ticker
        assert f"{text} --flag {text}" in stage.process
        screen = screen_text(stage.app).splitlines()
        assert text in screen[stage.pane.region.y]
        assert text in screen[stage.app.query_one("#ticker").region.y]
        assert text[:14] in shown(stage.listeners)
        assert text[:14] in shown(stage.clients)


async def test_a_reason_from_outside_is_shown_harmlessly_in_the_header() -> None:
    source = machine("node")
    async with on_stage(source) as stage:
        source.broken = "[bold]\x1b[31mno[/] such\nfile \u202e" + "x" * 1000
        await stage.tick()
        check(stage.app, "here")
        assert "STALE [bold]" in stage.header


async def test_a_limit_from_outside_is_shown_harmlessly() -> None:
    source = machine("node")
    source.limits = ("[bold]\x1b[31mlimit[/]\u202e",)
    async with on_stage(source) as stage:
        check(stage.app, "here")
        assert "[bold]" in screen_text(stage.app)


async def test_a_filter_with_a_control_character_is_refused_or_harmless() -> None:
    async with on_stage(machine("node")) as stage:
        await stage.filter("nope\u202e:[bold]\x1b[31m")
        check(stage.app, "here")
