"""The app and its terminal: sizes, colours, focus, the help and the palette."""

from __future__ import annotations

import pytest
from rich.color import Color, ColorType
from stage import MIDDLE, NARROW, WIDE, Stage, on_stage, screen_text, shown
from textual import events
from textual.command import CommandPalette

from loopmon.tui.app import LoopmonApp
from loopmon.tui.glyphs import ASCII
from loopmon.tui.help import HelpScreen
from loopmon.tui.keys import APP_BINDINGS, SECTIONS, TABLE_BINDINGS, key_name


def colours(stage: Stage) -> set[tuple[Color | None, Color | None]]:
    """Foreground and background of everything that is written on the screen."""
    return {
        (segment.style.color, segment.style.bgcolor)
        for strip in stage.app.screen._compositor.render_strips()
        for segment in strip
        if segment.style and segment.text.strip()
    }


def is_legible(foreground: Color | None, background: Color | None) -> bool:
    """Unless it is told that both are the same, a terminal's own colours can be read on each other."""
    if foreground is None or background is None or foreground.type is background.type is ColorType.DEFAULT:
        return True
    return foreground != background


async def test_too_small_a_terminal_says_what_is_needed_and_recovers() -> None:
    async with on_stage(size=NARROW) as stage:
        await stage.press("down")
        await stage.resize(40, 10)
        text = screen_text(stage.app)
        assert "40x10" in text
        assert "needs 60x15" in text
        assert "Listeners" not in text
        await stage.tick(2)
        await stage.resize(*NARROW)
        text = screen_text(stage.app)
        assert "needs 60x15" not in text
        assert "> " in next(line for line in text.splitlines() if "5173" in line)
        assert "listeners" in text.splitlines()[0]


async def test_after_being_too_small_the_keys_still_work() -> None:
    async with on_stage(size=NARROW) as stage:
        await stage.resize(40, 10)
        await stage.resize(*NARROW)
        key = stage.listeners.cursor_key
        await stage.press("down")
        assert stage.listeners.cursor_key != key


@pytest.mark.parametrize("size", [(60, 15), (59, 15), (60, 14)])
async def test_the_smallest_size_that_works_is_60x15(size: tuple[int, int]) -> None:
    async with on_stage(size=size) as stage:
        assert ("needs 60x15" in screen_text(stage.app)) == (size != (60, 15))


async def test_the_process_pane_comes_and_goes_with_the_width() -> None:
    async with on_stage(size=(119, 36)) as stage:
        assert not stage.pane.display
        await stage.resize(*MIDDLE)
        assert stage.pane.display
        assert "server.js" in screen_text(stage.app)


async def test_the_focus_is_not_lost_with_the_pane_that_had_it() -> None:
    async with on_stage(size=WIDE) as stage:
        await stage.press("tab", "tab")
        await stage.resize(*NARROW)
        await stage.press("down")
        assert stage.app.focused is not None
        assert stage.app.focused.region


async def test_the_monitor_is_told_whether_somebody_looks() -> None:
    async with on_stage() as stage:
        stage.app.post_message(events.AppBlur())
        await stage.pilot.pause()
        assert stage.monitor.away[-1:] == [True]
        stage.app.post_message(events.AppFocus())
        await stage.pilot.pause()
        assert stage.monitor.away[-1:] == [False]


async def test_help_lists_every_key_and_every_way_to_leave_it_works() -> None:
    async with on_stage() as stage:
        for leaving in ("escape", "q", "question_mark"):
            await stage.press("question_mark")
            assert isinstance(stage.app.screen, HelpScreen)
            await stage.press(leaving)
            assert not isinstance(stage.app.screen, HelpScreen)
        await stage.press("question_mark")
        text = " ".join(str(stage.app.screen.query_one("#help-text").visual).split())  # type: ignore[attr-defined]
        for bindings in SECTIONS.values():
            for binding in bindings:
                assert f"{key_name(binding)} {binding.description}: {binding.tooltip}" in text


async def test_looking_goes_on_under_the_help() -> None:
    async with on_stage() as stage:
        await stage.press("question_mark")
        await stage.tick(4)
        await stage.resize(*NARROW)
        await stage.press("escape")
        assert "4000" in shown(stage.listeners)


async def test_the_palette_lists_every_command_and_runs_it() -> None:
    async with on_stage() as stage:
        commands = {command.title: command for command in stage.app.get_system_commands(stage.app.screen)}
        unlisted = {"command_palette", "back_out", "interrupt"}
        for binding in (*APP_BINDINGS, *TABLE_BINDINGS):
            if binding.action not in unlisted:
                assert binding.description in commands, binding.description
        assert "Theme" in commands
        await stage.press("ctrl+p")
        assert isinstance(stage.app.screen, CommandPalette)
        await stage.press("escape")
        assert not isinstance(stage.app.screen, CommandPalette)


async def test_each_theme_draws_everything_legibly() -> None:
    async with on_stage(size=NARROW) as stage:
        for theme in ("textual-dark", "textual-light", "ansi-dark", "ansi-light", "nord"):
            stage.app.theme = theme
            await stage.pilot.pause()
            unreadable = [pair for pair in colours(stage) if not is_legible(*pair)]
            assert not unreadable, theme
            assert "node 4312" in screen_text(stage.app)


async def test_an_ansi_theme_uses_the_terminals_own_colours() -> None:
    async with on_stage(size=NARROW, theme="ansi-dark") as stage:
        assert stage.app.theme == "ansi-dark"
        kinds = {colour.type for pair in colours(stage) for colour in pair if colour is not None}
        assert ColorType.TRUECOLOR not in kinds


async def test_without_colours_an_ansi_theme_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with on_stage(size=NARROW, theme="ansi-dark") as stage:
        assert stage.app.no_color
        assert not [pair for pair in colours(stage) if not is_legible(*pair)]
        assert stage.app.theme != "ansi-dark"


async def test_without_colours_the_palettes_ansi_themes_are_legible_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with on_stage(size=NARROW) as stage:
        for theme in ("ansi-light", "ansi-dark"):
            stage.app.theme = theme
            await stage.pilot.pause()
            assert not [pair for pair in colours(stage) if not is_legible(*pair)], theme


async def test_without_utf8_only_ascii_is_drawn() -> None:
    async with on_stage(size=MIDDLE, glyphs=ASCII) as stage:
        assert {character for character in screen_text(stage.app) if not character.isascii()} == set()
        await stage.press("question_mark")
        assert {character for character in screen_text(stage.app) if not character.isascii()} == set()


async def test_an_unknown_key_does_nothing() -> None:
    async with on_stage(size=NARROW) as stage:
        before = screen_text(stage.app)
        await stage.press("v", "f5", "ctrl+t", "z", "1")
        assert screen_text(stage.app) == before
        assert isinstance(stage.app, LoopmonApp)
