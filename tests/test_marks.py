"""Which rows are marked as new, gone or changed, and for how long."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from making import NOW, both_ends, connection, end, listener, listening, quick

from loopmon.model import Change, ChangeKind, Connection, Listener, Status
from loopmon.tui.marks import SHOWN_S, Marks

API = listener(listening("127.0.0.1:3000", 4312))
CLIENT = connection(*(end(s.laddr.ip + f":{s.laddr.port}", s) for s in both_ends("127.0.0.1:49342", "127.0.0.1:3000")))


def told(*changes: tuple[ChangeKind, Listener | Connection], now: float = NOW) -> Marks:
    marks = Marks()
    marks.update([Change(kind, NOW, row) for kind, row in changes], now)
    return marks


def test_a_row_that_opened_is_new_by_sign_and_by_word() -> None:
    marks = told((ChangeKind.OPENED, API))
    assert marks.is_new(API.id)
    assert (marks.glyph(API.id), marks.word(API.id)) == ("+", "new")
    assert not marks.is_gone(API.id)


def test_a_row_that_closed_is_gone_by_sign_and_by_word_and_can_still_be_shown() -> None:
    marks = told((ChangeKind.CLOSED, API), (ChangeKind.CLOSED, CLIENT))
    assert (marks.glyph(API.id), marks.word(API.id)) == ("-", "gone")
    assert marks.gone_listeners() == [API]
    assert marks.gone_connections() == [CLIENT]


def test_a_row_that_came_back_is_new_and_no_longer_gone() -> None:
    marks = told((ChangeKind.CLOSED, API), (ChangeKind.OPENED, API))
    assert marks.word(API.id) == "new"
    assert marks.gone_listeners() == []


def test_a_row_that_came_and_went_is_gone_and_no_longer_new() -> None:
    marks = told((ChangeKind.OPENED, API), (ChangeKind.CLOSED, API))
    assert marks.word(API.id) == "gone"
    assert not marks.is_new(API.id)


def test_another_state_or_owner_changes_a_row_without_a_sign() -> None:
    marks = told((ChangeKind.STATUS, CLIENT), (ChangeKind.OWNER, API))
    assert marks.has_changed(CLIENT.id)
    assert marks.has_changed(API.id)
    assert marks.glyph(CLIENT.id) == marks.word(API.id) == ""


def test_the_end_of_time_wait_is_no_news() -> None:
    near, far = both_ends("127.0.0.1:49342", "127.0.0.1:3000")
    over = connection(*(end(f"{s.laddr.ip}:{s.laddr.port}", replace(s, status=Status.TIME_WAIT)) for s in (near, far)))
    assert told((ChangeKind.CLOSED, over)).gone_connections() == []
    assert told((ChangeKind.OPENED, over)).is_new(over.id)


@quick
@given(st.sampled_from(list(ChangeKind)), st.floats(0, 3 * SHOWN_S))
def test_a_mark_ends_when_its_time_is_up(kind: ChangeKind, after_s: float) -> None:
    marks = told((kind, API))
    marks.update([], NOW + after_s)
    is_marked = marks.is_new(API.id) or marks.is_gone(API.id) or marks.has_changed(API.id)
    assert is_marked == (after_s < SHOWN_S)
    assert bool(marks.gone_listeners()) == marks.is_gone(API.id)


def test_a_row_that_is_unknown_has_no_mark() -> None:
    assert Marks().glyph("x") == Marks().word("x") == ""


def test_clear_forgets_every_mark() -> None:
    marks = told((ChangeKind.OPENED, API), (ChangeKind.CLOSED, CLIENT))
    marks.clear()
    assert not marks.is_new(API.id)
    assert marks.gone_connections() == []
