"""The explanation on the screen: of a row, of what is typed, of what is pasted; a connection on its own key only."""

from __future__ import annotations

import socket as sockets
from collections.abc import Iterator

import pytest
from making import both_ends, listening, process
from stage import NARROW, WIDE, Puppet, Stage, on_stage
from textual.containers import VerticalScroll
from textual.widgets import Input, Static

from loopmon.tui.why import WhyScreen


@pytest.fixture
def server() -> Iterator[sockets.socket]:
    """A real one, which takes nobody unless it is told to."""
    with sockets.create_server(("127.0.0.1", 0)) as opened:
        opened.settimeout(0)
        yield opened


def machine(port: int) -> Puppet:
    return Puppet(
        listening(f"127.0.0.1:{port}", 4312),
        *both_ends("127.0.0.1:49342", f"127.0.0.1:{port}"),
        processes=[process(4312, "node"), process(7001, "chrome")],
    )


def port_of(server: sockets.socket) -> int:
    return int(server.getsockname()[1])


async def said(stage: Stage) -> str:
    """What the explanation says once it is there, in one line."""
    await stage.app.workers.wait_for_complete()
    await stage.pilot.pause()
    return " ".join(str(stage.app.screen.query_one("#why-text", Static).visual).split())


async def ask(stage: Stage, text: str) -> str:
    await stage.press("W")
    stage.app.screen.query_one(Input).insert_text_at_cursor(text)
    await stage.press("enter")
    return await said(stage)


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_a_listener_is_explained_and_escape_leads_back(size: tuple[int, int], server: sockets.socket) -> None:
    port = port_of(server)
    async with on_stage(machine(port), size=size) as stage:
        await stage.press("w")
        text = await said(stage)
        assert text.startswith(f"node 4312 listens on 127.0.0.1:{port}; nothing wrong is seen")
        for part in ("NUMBER", "ANSWERS", "FAILS", "BIND"):
            assert part in text
        assert f"127.0.0.1 no: node 4312 listens on 127.0.0.1:{port}" in text
        await stage.press("escape")
        assert not isinstance(stage.app.screen, WhyScreen)
        assert stage.is_on(stage.listeners)


async def test_of_a_client_its_server_is_explained(server: sockets.socket) -> None:
    async with on_stage(machine(port_of(server))) as stage:
        await stage.press("tab", "w")
        assert (await said(stage)).startswith("node 4312 listens on")


async def test_nothing_is_touched_until_the_key_for_it(server: sockets.socket) -> None:
    async with on_stage(machine(port_of(server))) as stage:
        await stage.press("w")
        await said(stage)
        with pytest.raises(BlockingIOError):
            server.accept()
        await stage.press("p")
        assert "a connection just made" in await said(stage)
        server.accept()[0].close()
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("text", ["49342", "127.0.0.1:49342", "Error: connect ECONNREFUSED 127.0.0.1:49342"])
async def test_what_is_typed_or_pasted_is_read(text: str, server: sockets.socket) -> None:
    async with on_stage(machine(port_of(server))) as stage:
        assert "port 49342 is the client port of chrome 7001" in await ask(stage, text)


async def test_what_cannot_be_read_says_what_can_and_can_be_mended(server: sockets.socket) -> None:
    async with on_stage(machine(port_of(server))) as stage:
        assert "accepted are a port (3000)" in await ask(stage, "hello")
        line = stage.app.screen.query_one(Input)
        line.value = "49342"
        line.focus()
        await stage.press("enter")
        assert "client port of chrome" in await said(stage)


async def test_a_p_in_the_line_is_a_letter(server: sockets.socket) -> None:
    async with on_stage(machine(port_of(server))) as stage:
        await stage.press("W", "p", "o")
        assert stage.app.screen.query_one(Input).value == "po"


async def test_who_had_the_port_a_moment_ago_is_named() -> None:
    with sockets.create_server(("127.0.0.1", 0)) as taken:
        port = port_of(taken)
    source = Puppet(listening(f"127.0.0.1:{port}", 4312), processes=[process(4312, "node")])
    async with on_stage(source) as stage:
        source.sockets.clear()
        await stage.tick()
        assert "node 4312 (until" in await ask(stage, str(port))


async def test_without_a_row_it_says_how_to_ask() -> None:
    async with on_stage(Puppet()) as stage:
        await stage.press("w")
        assert "W asks for an address" in stage.ticker


async def test_it_fits_the_terminal_and_scrolls(server: sockets.socket) -> None:
    async with on_stage(machine(port_of(server)), size=NARROW) as stage:
        await stage.press("w")
        await said(stage)
        box = stage.app.screen.query_one("#why", VerticalScroll)
        assert box.region.width <= 80
        assert box.region.height <= 24
        await stage.resize(*WIDE)
        assert box.region.width > 80


async def test_the_demo_s_servers_are_not_looked_for_here() -> None:
    async with on_stage() as stage:
        await stage.press("w", "p")
        text = await said(stage)
        assert "was not tried" in text
        assert "just made" not in text
