"""Rates, bars and short times in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import quick

from loopmon import words

BARS = "▁▂▃▄▅▆▇█"
rates = st.floats(min_value=0, max_value=1e12)


@pytest.mark.parametrize(
    ("bytes_per_s", "text"),
    [
        (0, ""),
        (0.9, ""),
        (1, "1"),
        (1023.4, "1023"),
        (1023.6, "1.0k"),
        (3500, "3.4k"),
        (12_345, "12k"),
        (5 * 1024**2, "5.0M"),
        (3 * 1024**4, "3.0T"),
    ],
)
def test_a_rate_is_a_byte_count_or_nothing_for_less_than_one(bytes_per_s: float, text: str) -> None:
    assert words.rate(bytes_per_s) == text


@quick
@given(rates)
def test_a_rate_takes_at_most_five_cells(bytes_per_s: float) -> None:
    assert len(words.rate(bytes_per_s)) <= 5


@pytest.mark.parametrize(
    ("us", "text"), [(0, "0.00ms"), (80, "0.08ms"), (9_949, "9.95ms"), (10_000, "10ms"), (12_900, "12ms")]
)
def test_milliseconds_are_fine_where_they_are_few(us: int, text: str) -> None:
    assert words.milliseconds(us) == text


def test_a_second_and_more_is_still_told_in_milliseconds() -> None:
    assert words.milliseconds(2_500_000) == "2500ms"


@pytest.mark.parametrize("values", [(), (0.0,), (0.0, 0.0), (0.4, 0.9)])
def test_where_nothing_went_there_are_no_bars(values: tuple[float, ...]) -> None:
    assert words.sparkline(values, 6) == ""


def test_the_highest_value_is_a_full_bar_and_nothing_is_the_lowest() -> None:
    assert words.sparkline((0, 500, 1000), 3) == "▁▅█"


def test_bars_are_measured_by_the_highest_of_them_only() -> None:
    assert words.sparkline((1, 2, 4), 3) == words.sparkline((1e6, 2e6, 4e6), 3)


def test_equal_values_are_all_full() -> None:
    assert words.sparkline((7, 7, 7), 3) == "███"


def test_a_short_history_stands_at_the_right() -> None:
    assert words.sparkline((5, 10), 6) == "    ▅█"


def test_a_long_history_is_shown_by_the_most_of_each_share() -> None:
    assert words.sparkline((0, 0, 8, 0, 0, 4), 3) == "▁█▅"


def test_the_last_bar_stands_for_the_last_values() -> None:
    assert words.sparkline((0, 0, 0, 0, 0, 0, 0, 8), 3).endswith("▁█")
    assert words.sparkline((8, 0, 0, 0, 0, 0, 0, 0), 3).startswith("█▁")


def test_ascii_bars_are_ascii() -> None:
    assert words.sparkline((0, 500, 1000), 3, ascii_only=True) == ".+@"


@quick
@given(st.lists(rates, max_size=80), st.integers(1, 10), st.booleans())
def test_bars_fill_exactly_their_cells_or_none(values: list[float], cells: int, ascii_only: bool) -> None:
    drawn = words.sparkline(values, cells, ascii_only=ascii_only)
    assert len(drawn) == (cells if max(values, default=0) >= 1 else 0)
    assert set(drawn) <= set(" .:-=+*#@" if ascii_only else f" {BARS}")
    if drawn:
        assert ("@" if ascii_only else "█") in drawn
