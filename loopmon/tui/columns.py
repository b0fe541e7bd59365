"""What a table's columns are, and how wide each is drawn. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, NamedTuple, TypeVar

Row = TypeVar("Row")

GAP = 2
"""Cells between two columns."""


class Tone(StrEnum):
    """How a cell is meant, never what colour it has: the style sheet says that."""

    PLAIN = "plain"
    STRONG = "strong"
    DIM = "dim"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


class Cell(NamedTuple):
    """``text`` must be clean."""

    text: str
    tone: Tone = Tone.PLAIN
    tail: int = 0
    """So many of its last characters stay when it is cut: a pid tells more than the end of a name."""


_PID_AND_PORT = re.compile(r" \d+(?: \+\d+)?(?: :\d+)?$", re.ASCII)


def process_cell(label: str, tone: Tone = Tone.PLAIN) -> Cell:
    """A label such as ``node 4312``, ``gunicorn 6001 +3`` or ``node 4312 :3000``, cut within the name."""
    numbers = _PID_AND_PORT.search(label)
    return Cell(label, tone, len(numbers.group()) if numbers else 0)


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """``width`` is its least; spare room goes to the columns in proportion to ``grow``, up to ``most``."""

    id: str
    title: str
    cell: Callable[[Row], Cell]
    sort: Callable[[Row], Any]
    """None sorts last."""
    width: int
    grow: int = 0
    most: int = 10_000
    right: bool = False
    keep: int = 0
    """When room is short, the columns with the lowest go first."""
    volatile: bool = False
    """Whether what it sorts by can change while the row stays the same."""


def finding_column(cell: Callable[[Row], Cell]) -> Column[Row]:
    """There while something was found; sorted by it, the rows with findings come first."""
    return Column(
        "look-at", "LOOK AT", cell, lambda row: cell(row).text or None, width=12, most=17, grow=1, keep=7, volatile=True
    )


class Fitted(NamedTuple):
    column: int
    """Its index."""
    width: int


def fit(columns: Sequence[Column[Any]], room: int) -> list[Fitted]:
    """The columns that fit into ``room`` cells and their widths; always at least one."""
    kept = list(range(len(columns)))
    while len(kept) > 1 and _needed(columns, kept) > room:
        kept.remove(min(kept, key=lambda index: (columns[index].keep, -index)))
    widths = {index: columns[index].width for index in kept}
    spare = room - _needed(columns, kept)
    growing = [index for index in kept if columns[index].grow and columns[index].most > widths[index]]
    while spare > 0 and growing:
        share, whole = sum(columns[index].grow for index in growing), spare
        for index in list(growing):
            more = min(max(1, whole * columns[index].grow // share), columns[index].most - widths[index], spare)
            widths[index] += more
            spare -= more
            if widths[index] >= columns[index].most:
                growing.remove(index)
    return [Fitted(index, max(1, min(widths[index], room))) for index in kept]


def _needed(columns: Sequence[Column[Any]], kept: Sequence[int]) -> int:
    return sum(columns[index].width for index in kept) + GAP * (len(kept) - 1)
