"""The top line: what it counts, what it warns of, and what goes first when room is short."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from making import HOSTILE, both_ends, connection, end, listener, listening, quick, snapshot

from loopmon.model import Frame, Hidden, Scope, Snapshot
from loopmon.tui.header import Part, lay_out, left_parts, right_parts

NEAR, FAR = both_ends("127.0.0.1:49342", "127.0.0.1:3000")
ONE = connection(end("127.0.0.1:49342", NEAR), end("127.0.0.1:3000", FAR))
SEEN = snapshot([listener(listening(f"127.0.0.1:{port}", 1)) for port in (3000, 3001)], [ONE])


def frame(
    seen: Snapshot | None = SEEN, *, stale: str | None = None, slowed: str | None = None, interval_s: float = 1.0
) -> Frame:
    return Frame(
        number=1,
        snapshot=seen,
        changes=(),
        stale=stale,
        interval_s=interval_s,
        slowed=slowed,
        poll_s=0.01,
        cpu_percent=0.4,
    )


def header(found: Frame | None, width: int = 160, *, paused: bool = False, silent_s: float | None = None) -> str:
    left, right = left_parts(found), right_parts(found, paused=paused, silent_s=silent_s)
    return lay_out(left, right, width).plain


def test_it_counts_listeners_and_clients_and_names_the_network() -> None:
    text = header(frame())
    assert "2 listeners" in text
    assert "1 client " in text
    assert "127.0.0.0/8" in text


def test_connections_that_are_over_are_not_counted_as_clients() -> None:
    assert "0 clients" in header(frame(replace(SEEN, in_time_wait=1)))


def test_what_is_hidden_on_ipv6_loopback_is_counted() -> None:
    assert "+2 on ::1" in header(frame(replace(SEEN, hidden=Hidden(ipv6_loopback=2))))
    assert "::1" not in header(frame())


def test_what_is_hidden_on_wildcards_is_counted() -> None:
    assert "+3 on wildcards" in header(frame(replace(SEEN, hidden=Hidden(wildcard=3))))


def test_it_says_when_ipv6_loopback_is_looked_at() -> None:
    assert "127.0.0.0/8 and ::1" in header(frame(replace(SEEN, scope=Scope(ipv6=True))))


def test_it_says_how_often_it_looks_and_why_it_is_slower_than_asked_for() -> None:
    assert "live 1.0s" in header(frame())
    slow = header(frame(slowed="nobody is looking", interval_s=5.0))
    assert "slow 5.0s: nobody is looking" in slow
    assert "live" not in slow


def test_a_failed_look_is_stale_with_its_reason() -> None:
    text = header(frame(stale="psutil could not read the sockets: no"))
    assert "STALE psutil could not read the sockets: no" in text
    assert "2 listeners" in text
    assert "live" not in text


def test_silence_is_stale_too() -> None:
    assert "STALE no answer for 12s" in header(frame(), silent_s=12.4)


def test_a_pause_shows_but_a_failure_goes_before_it() -> None:
    assert "PAUSED" in header(frame(), paused=True)
    both = header(frame(stale="no"), paused=True)
    assert "STALE no" in both
    assert "PAUSED" not in both


def test_before_the_first_frame_it_says_that_it_reads() -> None:
    text = header(None)
    assert "reading the sockets" in text
    assert "listener" not in text


def test_a_reason_with_control_characters_stays_one_clean_line() -> None:
    assert header(frame(stale=HOSTILE), 200).isprintable()


parts = st.lists(st.builds(Part, st.text("abc", min_size=1, max_size=12), st.just(""), st.integers(0, 9)), max_size=6)


@quick
@given(parts.filter(bool), parts.filter(bool), st.integers(30, 160))
def test_it_fills_the_line_and_never_more(left: list[Part], right: list[Part], width: int) -> None:
    assert len(lay_out(left, right, width).plain) < width
    assert lay_out(left, right, width).plain.startswith(" ")


@quick
@given(parts.filter(bool), parts.filter(bool), st.integers(30, 160))
def test_what_matters_most_stays(left: list[Part], right: list[Part], width: int) -> None:
    numbered = [Part(f"{part.text}{place}", "", part.keep) for place, part in enumerate((*left, *right))]
    text = lay_out(numbered[: len(left)], numbered[len(left) :], width).plain.split()
    gone = [part for part in numbered if part.text not in text]
    stayed = [part for part in numbered if part.text in text]
    assert stayed
    assert max((part.keep for part in gone), default=0) <= min(part.keep for part in stayed)


def test_at_sixty_cells_the_counts_and_the_state_are_still_there() -> None:
    text = header(frame(replace(SEEN, hidden=Hidden(ipv6_loopback=2))), 60)
    assert "2 listeners" in text
    assert "1 client" in text
    assert "live 1.0s" in text
