"""How wide the columns of a table are drawn, and which go when room is short."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from making import quick

from loopmon.tui.columns import GAP, Cell, Column, fit, process_cell


def column(number: int, width: int, *, grow: int = 0, most: int = 10_000, keep: int = 0) -> Column[Any]:
    return Column(
        str(number), "T", lambda _row: Cell(""), lambda row: row, width=width, grow=grow, most=most, keep=keep
    )


@st.composite
def columns(draw: st.DrawFn) -> list[Column[Any]]:
    made = []
    for number in range(draw(st.integers(1, 8))):
        width = draw(st.integers(1, 30))
        most = draw(st.integers(width, width + 40))
        made.append(column(number, width, grow=draw(st.integers(0, 3)), most=most, keep=draw(st.integers(0, 9))))
    return made


rooms = st.integers(1, 200)


def taken(widths: list[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


@quick
@given(columns(), rooms)
def test_what_is_kept_fits_into_the_room(made: list[Column[Any]], room: int) -> None:
    fitted = fit(made, room)
    assert taken([one.width for one in fitted]) <= room


@quick
@given(columns(), rooms)
def test_the_columns_keep_their_order_and_their_bounds(made: list[Column[Any]], room: int) -> None:
    fitted = fit(made, room)
    places = [one.column for one in fitted]
    assert places == sorted(set(places))
    for one in fitted:
        least = made[one.column].width if len(fitted) > 1 else min(made[one.column].width, room)
        assert least <= one.width <= made[one.column].most


@quick
@given(columns(), rooms)
def test_no_column_goes_while_one_that_matters_less_stays(made: list[Column[Any]], room: int) -> None:
    kept = {one.column for one in fit(made, room)}
    dropped = set(range(len(made))) - kept
    assert kept
    if dropped:
        assert min(made[index].keep for index in kept) >= max(made[index].keep for index in dropped)


@quick
@given(columns(), rooms)
def test_a_column_goes_only_when_there_is_no_room_for_it(made: list[Column[Any]], room: int) -> None:
    kept = [one.column for one in fit(made, room)]
    dropped = [index for index in range(len(made)) if index not in kept]
    if dropped:
        last_to_go = max(dropped, key=lambda index: (made[index].keep, -index))
        assert taken([made[index].width for index in (*kept, last_to_go)]) > room


@quick
@given(columns(), rooms)
def test_no_room_is_left_over_while_a_column_may_still_grow(made: list[Column[Any]], room: int) -> None:
    fitted = fit(made, room)
    may_grow = any(made[one.column].grow and one.width < made[one.column].most for one in fitted)
    assert not may_grow or taken([one.width for one in fitted]) == room


def test_spare_room_is_shared_in_proportion() -> None:
    fitted = fit([column(0, 10, grow=1), column(1, 10, grow=3)], 10 + GAP + 10 + 40)
    assert [one.width for one in fitted] == [20, 40]


def test_of_equals_the_right_one_goes_first() -> None:
    assert [one.column for one in fit([column(0, 10), column(1, 10)], 15)] == [0]


def test_the_numbers_of_a_process_stay_when_its_name_is_cut() -> None:
    assert process_cell("node 4312").tail == len(" 4312")
    assert process_cell("gunicorn 6001 +3").tail == len(" 6001 +3")
    assert process_cell("was node 4312 :3000").tail == len(" 4312 :3000")
    assert process_cell("(other user)").tail == 0
