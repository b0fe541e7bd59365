"""Where the cursor goes when rows come, go and change places."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from making import quick

from loopmon.tui.cursor import follow

keys = st.lists(st.sampled_from("abcdefghijklmnop"), unique=True)


@quick
@given(keys.filter(bool), keys, st.data())
def test_it_stays_on_its_key_wherever_that_goes(before: list[str], after: list[str], data: st.DataObject) -> None:
    cursor = data.draw(st.integers(0, len(before) - 1))
    now = follow(before, after, cursor)
    if before[cursor] in after:
        assert after[now] == before[cursor]
    else:
        assert 0 <= now < max(1, len(after))


@quick
@given(keys.filter(bool), st.data())
def test_when_its_key_goes_it_takes_the_next_one_below_else_above(before: list[str], data: st.DataObject) -> None:
    cursor = data.draw(st.integers(0, len(before) - 1))
    gone = data.draw(st.sets(st.sampled_from(before))) | {before[cursor]}
    after = [key for key in before if key not in gone]
    now = follow(before, after, cursor)
    below = [key for key in before[cursor:] if key not in gone]
    above = [key for key in before[:cursor] if key not in gone]
    if below:
        assert after[now] == below[0]
    elif above:
        assert after[now] == above[-1]
    else:
        assert now == 0


@quick
@given(keys, keys, st.data())
def test_it_is_always_an_index_of_what_is_there(before: list[str], after: list[str], data: st.DataObject) -> None:
    cursor = data.draw(st.integers(0, max(0, len(before) - 1)))
    assert 0 <= follow(before, after, cursor) < max(1, len(after))


def test_with_all_rows_replaced_it_stays_where_it_was_on_the_screen() -> None:
    assert follow("abc", "xyz", 1) == 1
    assert follow("abc", "x", 2) == 0
