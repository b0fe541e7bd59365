"""What keys do with a row: open it, copy it, and say why not. ``test_app_process`` has the process's own keys."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable
from pathlib import Path

import pytest
from making import HOSTILE, both_ends, listening, process
from stage import MIDDLE, NARROW, WIDE, Puppet, Stage, on_stage, screen_text
from textual.widgets import OptionList

from loopmon.model import OwnerUnknown, Protocol
from loopmon.tui.copy_menu import CopyMenu
from loopmon.tui.glyphs import ASCII


def machine() -> Puppet:
    return Puppet(
        listening("127.0.0.1:3000", 4312),
        *both_ends("127.0.0.1:49342", "127.0.0.1:3000"),
        processes=[process(4312, "node", cmdline=("node", "server.js")), process(7001, "chrome")],
    )


class Browser(webbrowser.BaseBrowser):
    def __init__(self, name: str = "firefox", *, works: bool = True) -> None:
        super().__init__(name)
        self.opened: list[str] = []
        self._works = works

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
        self.opened.append(url)
        return self._works


Use = Callable[[webbrowser.BaseBrowser], None]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Makes a browser the one that is found."""
    return lambda browser: monkeypatch.setattr(webbrowser, "get", lambda: browser)


async def press(stage: Stage, *keys: str) -> str:
    """What the ticker says when all that was begun is done."""
    await stage.press(*keys)
    await stage.app.workers.wait_for_complete()
    await stage.pilot.pause()
    return stage.ticker


async def test_a_listener_and_a_clients_server_are_opened(use: Use) -> None:
    browser = Browser()
    use(browser)
    async with on_stage(machine()) as stage:
        assert await press(stage, "o") == "opened http://127.0.0.1:3000/"
        await press(stage, "tab", "o")
        await press(stage, "g", "o")
    assert browser.opened == ["http://127.0.0.1:3000/"] * 3


async def test_it_says_why_nothing_was_opened(use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    async with on_stage(machine()) as stage:
        use(Browser(works=False))
        assert "was not opened: the browser could not be started" in await press(stage, "o")
        lynx = Browser("/usr/bin/lynx")
        use(lynx)
        assert "lynx, draws in the terminal" in await press(stage, "o")
        assert lynx.opened == []
        use(webbrowser.BackgroundBrowser("/nowhere/browser"))
        assert "browser is not found" in await press(stage, "o")
        use(webbrowser.GenericBrowser(["false", "%s"]))
        assert "false failed with status 1" in await press(stage, "o")

        def none() -> None:
            raise webbrowser.Error

        monkeypatch.setattr(webbrowser, "get", none)
        assert "no browser is found" in await press(stage, "o")


async def test_a_browsers_command_gets_the_address_and_writes_nothing(
    use: Use, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script, opened = tmp_path / "browser", tmp_path / "opened"
    script.write_text(f'#!/bin/sh\necho noise; echo noise >&2; echo "$1" > {opened}\n')
    script.chmod(0o755)
    use(webbrowser.GenericBrowser([str(script), "%s"]))
    async with on_stage(machine()) as stage:
        assert await press(stage, "o") == "opened http://127.0.0.1:3000/"
    assert opened.read_text() == "http://127.0.0.1:3000/\n"
    assert capfd.readouterr() == ("", "")


async def test_udp_is_not_opened(use: Use) -> None:
    browser = Browser()
    use(browser)
    async with on_stage(Puppet(listening("127.0.0.1:5353", 811, protocol=Protocol.UDP))) as stage:
        assert await press(stage, "o") == "127.0.0.1:5353 is UDP, which no browser speaks."
    assert browser.opened == []


@pytest.mark.parametrize("key", ["o", "y", "Y", "l", "e"])
async def test_without_a_row_each_key_says_so(key: str) -> None:
    async with on_stage(Puppet()) as stage:
        assert await press(stage, key) == "No row is chosen."


@pytest.mark.parametrize("key", ["l", "e"])
async def test_without_a_process_it_says_why_there_is_none(key: str) -> None:
    async with on_stage(Puppet(listening("127.0.0.1:3000", unknown=OwnerUnknown.OTHER_USER))) as stage:
        assert "Another user's process holds it" in await press(stage, key)


async def test_the_address_of_the_row_is_copied_and_shown() -> None:
    async with on_stage(machine()) as stage:
        assert await press(stage, "y") == "copied 127.0.0.1:3000; a terminal may refuse it"
        assert stage.app.clipboard == "127.0.0.1:3000"
        await press(stage, "tab", "y")
        assert stage.app.clipboard == "127.0.0.1:49342"
        await press(stage, "f", "y")
        assert stage.app.clipboard == "127.0.0.1:3000"


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_what_to_copy_is_chosen_from_a_list(size: tuple[int, int]) -> None:
    async with on_stage(machine(), size=size) as stage:
        await stage.press("tab", "Y")
        assert isinstance(stage.app.screen, CopyMenu)
        text = screen_text(stage.app)
        for title in ("address", "server", "pid", "curl", "lsof", "capture filter"):
            assert title in text
        shown = stage.app.screen.query_one(OptionList)
        assert shown.region.right <= size[0]
        await stage.press("j", "j", "k", "down", "enter")
        assert not isinstance(stage.app.screen, CopyMenu)
        assert stage.app.clipboard == "7001"
        assert "copied 7001" in stage.ticker
        assert stage.is_on(stage.clients)


async def test_leaving_the_list_copies_nothing() -> None:
    async with on_stage(machine()) as stage:
        for leaving in ("escape", "q"):
            await stage.press("Y", leaving)
            assert not isinstance(stage.app.screen, CopyMenu)
        assert stage.app.clipboard == ""


async def test_the_list_stays_as_it_was_opened_while_rows_go() -> None:
    source = machine()
    async with on_stage(source) as stage:
        await stage.press("Y")
        source.sockets.clear()
        await stage.tick(10)
        await stage.press("enter")
        assert stage.app.clipboard == "127.0.0.1:3000"


async def test_a_hostile_command_line_is_harmless_in_the_list_and_in_the_clipboard() -> None:
    source = Puppet(
        listening("127.0.0.1:3000", 4312), processes=[process(4312, HOSTILE, cmdline=(HOSTILE, "[/b]", "$(x)"))]
    )
    async with on_stage(source) as stage:
        await stage.press("Y", "down", "down")
        assert "[/b]" in screen_text(stage.app)
        await stage.press("enter")
        assert stage.app.clipboard.isprintable()
        assert "[red]" in stage.app.clipboard


async def test_the_palette_has_them_all_and_says_what_does_not_apply() -> None:
    source = machine()
    async with on_stage(source) as stage:
        for command in stage.app.get_system_commands(stage.app.screen):
            assert not command.help.startswith("not now")
        source.sockets = [listening("127.0.0.1:5353", unknown=OwnerUnknown.OTHER_USER, protocol=Protocol.UDP)]
        await stage.tick(10)
        found = {command.title: command for command in stage.app.get_system_commands(stage.app.screen)}
        assert found["Open in browser"].help.startswith("not now: 127.0.0.1:5353 is UDP")
        for title in ("Output", "Environment"):
            assert found[title].help.startswith("not now: Another user's process")
            await found[title].callback()
            await stage.pilot.pause()
            assert "Another user's" in stage.ticker
        assert not found["Copy"].help.startswith("not now")


async def test_the_footer_has_room_at_80_columns() -> None:
    async with on_stage(size=NARROW) as stage:
        for _ in range(2):
            assert "q Quit" in screen_text(stage.app).splitlines()[-1]
            await stage.press("tab")


async def test_the_list_is_ascii_where_it_must_be() -> None:
    async with on_stage(machine(), size=MIDDLE, glyphs=ASCII) as stage:
        await stage.press("Y")
        assert screen_text(stage.app).isascii()
