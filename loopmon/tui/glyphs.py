"""The screen's own signs, with ASCII ones for terminals whose encoding lacks them."""

from __future__ import annotations

import codecs
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Glyphs:
    to: str = "→"
    under: str = "←"
    times: str = "×"
    dot: str = "·"
    dash: str = "–"
    ellipsis: str = "…"
    ascending: str = "▲"
    descending: str = "▼"
    mask: str = "••••••"
    ascii_only: bool = False


ASCII = Glyphs(
    to="->",
    under="<-",
    times="x",
    dot="-",
    dash="-",
    ellipsis="~",
    ascending="^",
    descending="v",
    mask="******",
    ascii_only=True,
)

NEW, GONE, FINDING = "+", "-", "!"
"""The marks in front of a row. A word stands with each elsewhere in the row."""


def glyphs_for(encoding: str | None = None) -> Glyphs:
    """Those that ``encoding`` can write; by default the standard output's."""
    name = encoding or sys.stdout.encoding or "ascii"
    try:
        is_utf8 = codecs.lookup(name).name == "utf-8"
    except LookupError:
        is_utf8 = False
    return Glyphs() if is_utf8 else ASCII
