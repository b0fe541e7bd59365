"""``loopmon [FILTER]``: opens the screen. The only command that loads Textual, and only when it runs."""

from __future__ import annotations

import sys

import click

from loopmon.commands.options import filter_argument, interval_option, look_options, to_filter
from loopmon.model import Scope
from loopmon.sources import SourceChoice, open_source


@click.command("monitor", hidden=True)
@filter_argument
@look_options
@interval_option
@click.option("--theme", metavar="NAME", default=None, help="A colour theme; the palette (ctrl+p) lists them.")
def monitor(
    words: tuple[str, ...],
    source: str,
    interval: float,
    ipv6: bool,
    bound_only: bool,
    demo: bool,
    theme: str | None,
) -> int:
    """Open the live monitor."""
    wanted = to_filter(words)
    if not (sys.stdin and sys.stdout and sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("the monitor needs a terminal; 'loopmon ls' prints one look")
    from loopmon.tui.run import THEMES, run_app

    if theme is not None and theme not in THEMES:
        raise click.UsageError(f"no theme {theme!r}; there are {', '.join(THEMES)}")
    return run_app(
        open_source(SourceChoice(source), demo=demo),
        interval_s=interval,
        scope=Scope(ipv6=ipv6, bound_only=bound_only),
        wanted=wanted,
        theme=theme,
    )
