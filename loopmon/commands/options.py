"""The options that every command that looks has in common, declared once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from loopmon.facts import FLAGS
from loopmon.filter import KEYS, Filter, FilterError, parse_filter
from loopmon.model import FindingId
from loopmon.sources import SourceChoice

Function = TypeVar("Function", bound=Callable[..., Any])

MIN_INTERVAL_S, MAX_INTERVAL_S = 0.1, 3600.0


source_option = click.option(
    "--source",
    type=click.Choice([choice.value for choice in SourceChoice]),
    default=SourceChoice.AUTO.value,
    show_default=True,
    help="Where the sockets come from.",
)
_IPV6 = click.option("--ipv6", is_flag=True, help="Also show what is on ::1 only.")
_BOUND_ONLY = click.option("--bound-only", is_flag=True, help="Only listeners bound inside 127.0.0.0/8, no wildcards.")
_DEMO = click.option("--demo", is_flag=True, help="A scripted machine instead of this one.")


class Interval(click.ParamType[float]):
    """Seconds, with or without an ``s``."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(str(value).removesuffix("s"))
        except ValueError:
            seconds = math.nan
        if not MIN_INTERVAL_S <= seconds <= MAX_INTERVAL_S:
            self.fail(f"{value!r} is not a number of seconds from {MIN_INTERVAL_S} to {MAX_INTERVAL_S:.0f}", param, ctx)
        return seconds


class FilterWords(click.ParamType[str]):
    """One word of a filter; its completions are the keys and the values of ``is:``."""

    name = "filter"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        values = [f"{key}:" for key in KEYS if key != "is"] + [
            f"is:{flag}" for flag in dict.fromkeys((*FLAGS, *FindingId))
        ]
        return [CompletionItem(value) for value in values if value.startswith(incomplete)]


def filter_argument(function: Function) -> Function:
    return click.argument("words", metavar="[FILTER]...", nargs=-1, type=FilterWords())(function)


def look_options(function: Function) -> Function:
    """``--source``, ``--ipv6``, ``--bound-only``, ``--demo``."""
    for option in (_DEMO, _BOUND_ONLY, _IPV6, source_option):
        function = option(function)
    return function


def source_options(function: Function) -> Function:
    """``--source`` and ``--demo``, for a command that looks at one port wherever it is."""
    return source_option(_DEMO(function))


def interval_option(function: Function) -> Function:
    return click.option(
        "--interval", type=Interval(), default=1.0, show_default=True, help="Seconds from one look to the next."
    )(function)


def to_filter(words: tuple[str, ...]) -> Filter:
    """The words as the shell split them. Raises click.UsageError, which names the column."""
    try:
        return parse_filter(" ".join(words))
    except FilterError as error:
        raise click.UsageError(str(error)) from None
