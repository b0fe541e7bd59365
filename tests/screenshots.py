"""Draws the pictures of the README from the demo: ``python -m tests.screenshots``.

The demo, the clock and the time zone are fixed, so the same code always draws the same files.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))  # as pytest has it

from stage import NARROW, WIDE, Stage, on_stage

FOLDER = Path(__file__).parent.parent / "screenshots"


class Picture(NamedTuple):
    size: tuple[int, int]
    theme: str | None
    play: Callable[[Stage], Awaitable[None]]


async def _a_moment(stage: Stage) -> None:
    """A server has just come up and a client has found it."""
    await stage.tick(6)


async def _drill_down(stage: Stage) -> None:
    await stage.tick(6)
    stage.listeners.move_to("tcp:127.0.0.1|8000")
    await stage.press("enter")


async def _filter(stage: Stage) -> None:
    await stage.tick(6)
    await stage.filter("proc:node -port:5432")


async def _why(stage: Stage) -> None:
    await stage.tick(6)
    await stage.press("!", "w")
    await stage.app.workers.wait_for_complete()


PICTURES = {
    "wide": Picture(WIDE, None, _a_moment),
    "narrow-80x24": Picture(NARROW, None, _a_moment),
    "drill-down": Picture((100, 26), None, _drill_down),
    "why": Picture((104, 32), None, _why),
    "filter": Picture((120, 30), None, _filter),
    "light": Picture((120, 30), "textual-light", _a_moment),
}


async def draw(name: str) -> str:
    """The SVG."""
    picture = PICTURES[name]
    async with on_stage(size=picture.size, theme=picture.theme) as stage:
        await picture.play(stage)
        await stage.pilot.pause()
        return stage.app.export_screenshot(title="loopmon")


def main() -> None:
    for variable in [variable for variable in os.environ if variable.startswith(("TEXTUAL", "NO_COLOR", "COLORTERM"))]:
        del os.environ[variable]
    os.environ["TZ"] = "UTC"
    time.tzset()
    FOLDER.mkdir(exist_ok=True)
    for name in PICTURES:
        (FOLDER / f"{name}.svg").write_text(asyncio.run(draw(name)), encoding="utf-8")


if __name__ == "__main__":
    main()
