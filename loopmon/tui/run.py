"""Runs the app over a source, in a terminal."""

from __future__ import annotations

from textual.theme import BUILTIN_THEMES

from loopmon.exit_status import ExitStatus
from loopmon.filter import Filter
from loopmon.findings import Judge
from loopmon.model import Scope
from loopmon.observe.monitor import Monitor
from loopmon.sources import Source
from loopmon.tui.app import LoopmonApp
from loopmon.tui.glyphs import glyphs_for
from loopmon.tui.last_resort import LastResort
from loopmon.tui.log_file import log_to_file

THEMES = tuple(BUILTIN_THEMES)


def run_app(source: Source, *, interval_s: float, scope: Scope, wanted: Filter, theme: str | None) -> int:
    """Until the user leaves. Returns the exit status."""
    log_to_file()
    last_resort = LastResort(ExitStatus.INTERRUPTED)
    app = LoopmonApp(
        lambda on_frame: Monitor(source, on_frame, interval_s=interval_s, scope=scope, judge=Judge().judge),
        scope=scope,
        wanted=wanted,
        glyphs=glyphs_for(),
        theme=theme,
        on_interrupt=last_resort.arm,
    )
    status = app.run()
    last_resort.disarm()
    return app.return_code or ExitStatus.NO if status is None else status
