"""The one door for text from outside: names, command lines, paths, users, reasons.

Whatever a process calls itself, what leaves here is one line without control characters, escape
sequences, bidirectional overrides, invisible characters or lone surrogates.
It does not escape markup: nothing that prints may interpret any (``Text`` and ``Content`` objects do not).
"""

from __future__ import annotations

import functools
import unicodedata

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
MAX_COMBINING = 2
"""Combining marks that one character may carry; more is a tower that paints over other lines."""

_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\U0001d159")
"""Letters, marks and signs by category, blank on the screen: joiners, fillers, the empty Braille pattern."""
_SELECTORS = frozenset([*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])
"""Variation selectors say how the character before them is drawn; terminals disagree on the width."""
_BLANK = frozenset("\t\n\v\f\r")


def clean(text: str, limit: int | None = None) -> str:
    """``text`` made harmless; of more than ``limit`` characters the rest is cut, with a note of how much."""
    if limit is not None and len(text) > limit:
        return f"{clean(text[:limit])}… (+{len(text) - limit} characters)"
    if text.isascii() and text.isprintable():
        return text
    return _clean_unusual(text)


@functools.lru_cache(maxsize=4096)
def _clean_unusual(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for character in text:
        if ord(character) in _SELECTORS:
            continue
        category = unicodedata.category(character)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if marks > MAX_COMBINING:
            continue
        kept.append(_clean_character(character, category))
    return "".join(kept)


def _clean_character(character: str, category: str) -> str:
    if character in _BLANK or category == "Zs":
        return " "
    if category in _UNSAFE_CATEGORIES or character in _INVISIBLE:
        return REPLACEMENT
    return character
