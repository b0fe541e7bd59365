"""The one door for text from outside: whatever comes in, one harmless line comes out."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import HOSTILE, any_text, quick

from loopmon.clean import MAX_COMBINING, REPLACEMENT, clean

DANGEROUS = [
    "\x00", "\x07", "\x08", "\x1b", "\x7f", "\x85", "\x9b", "\x9d",
    "\u061c", "\u200e", "\u200f", "\u202a", "\u202b", "\u202c", "\u202d", "\u202e",
    "\u2066", "\u2067", "\u2068", "\u2069", "\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u034f",
    "\u115f", "\u1160", "\u17b4", "\u17b5", "\u2800", "\u3164", "\uffa0", "\U0001d159",
    "\u2028", "\u2029", "\ud800", "\udfff", "\udc80",
    "\ue000", "\uffff", "\U000e0041", "\U0010ffff",
]  # fmt: skip
SELECTORS = ["\u180b", "\u180f", "\ufe00", "\ufe0e", "\ufe0f", "\U000e0100", "\U000e01ef"]
ODD = (
    "ab \t\r\n\x00\x1b\x9b[31m\u0301\u0308\u034f\u20dd\u202e\u200b\u2028\u3000\u3164\ufe0f\u2800é日🙂" + "\ud800\udcff"
)
odd_text = st.text(ODD, max_size=40)


@quick
@given(st.one_of(any_text, odd_text))
def test_any_text_becomes_one_printable_line_without_a_dangerous_character(text: str) -> None:
    cleaned = clean(text)
    assert cleaned.isprintable()
    assert len(cleaned.splitlines()) <= 1
    assert not set(cleaned) & {*DANGEROUS, *SELECTORS}
    assert not any(0xD800 <= ord(character) <= 0xDFFF for character in cleaned)


@quick
@given(st.one_of(any_text, odd_text))
def test_cleaning_what_is_clean_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@quick
@given(st.one_of(any_text, odd_text), st.integers(1, 30))
def test_what_is_beyond_a_limit_is_cut_and_only_counted_on_top_of_it(text: str, limit: int) -> None:
    note = f"… (+{len(text) - limit} characters)" if len(text) > limit else ""
    assert clean(text, limit) == clean(text[:limit]) + note
    assert len(clean(text, limit)) <= min(len(text), limit) + len(note)


@quick
@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize("character", DANGEROUS, ids=lambda character: f"U+{ord(character):04X}")
def test_each_dangerous_character_is_replaced_where_it_stands(character: str) -> None:
    assert clean(f"a{character}b") == f"a{REPLACEMENT}b"


@pytest.mark.parametrize("blank", ["\n", "\r", "\t", "\v", "\f", "\u00a0", "\u3000", "\u2003"])
def test_a_line_end_or_an_odd_space_becomes_a_space(blank: str) -> None:
    assert clean(f"a{blank}b") == "a b"


@pytest.mark.parametrize("text", ["café-menu", "naïve", "日本語", "Ω≈ç√", "привет", "مرحبا", "🙂", "nginx: worker [1]"])
def test_words_of_other_scripts_and_markup_stay(text: str) -> None:
    assert clean(text) == text


def test_an_escape_sequence_loses_the_character_that_starts_it() -> None:
    assert clean(HOSTILE) == f"evil{REPLACEMENT}[31m{REPLACEMENT} {REPLACEMENT * 3}[red]"


@pytest.mark.parametrize("mark", ["\u0301", "\u20dd"], ids=["accent", "enclosing"])
def test_a_tower_of_combining_marks_is_cut_to_its_lowest_floors(mark: str) -> None:
    assert clean("a" + mark * 50 + "b") == "a" + mark * MAX_COMBINING + "b"


@quick
@given(odd_text)
def test_no_character_carries_more_marks_than_allowed(text: str) -> None:
    in_a_row = 0
    for character in clean(text):
        in_a_row = in_a_row + 1 if unicodedata.category(character) in {"Mn", "Me"} else 0
        assert in_a_row <= MAX_COMBINING


@pytest.mark.parametrize("character", SELECTORS, ids=lambda character: f"U+{ord(character):04X}")
def test_a_variation_selector_leaves_no_trace_and_counts_as_no_mark(character: str) -> None:
    assert clean(f"☰{character} menu") == "☰ menu"
    assert clean("a" + f"\u0301{character}" * 9) == "a" + "\u0301" * MAX_COMBINING


def test_a_text_is_cut_only_where_a_limit_is_given() -> None:
    assert clean("x" * 100_000) == "x" * 100_000
    assert clean("é" * 100_000) == "é" * 100_000
    assert clean("abcdef", 4) == "abcd… (+2 characters)"
    assert clean("abcd", 4) == "abcd"


def test_a_very_long_hostile_text_is_whole_and_harmless() -> None:
    assert clean(HOSTILE * 1000) == clean(HOSTILE) * 1000
