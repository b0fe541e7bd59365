"""Facts into words: how endpoints, ages, counts, owners and changes are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import HOSTILE, NOW, at, both_ends, connection, end, listener, listening, process, process_id, quick, socket

from loopmon import words
from loopmon.age import Age, AgeBasis
from loopmon.model import (
    Ancestor,
    Change,
    ChangeKind,
    Endpoint,
    OwnerBasis,
    OwnerUnknown,
    Process,
    Protocol,
    Status,
)

NODE, CHROME, EVIL = process(4312, "node"), process(7001, "chrome"), process(666, HOSTILE, cmdline=(HOSTILE, "-x"))
PROCESSES = {known.id: known for known in (NODE, CHROME, EVIL)}
CLIENT, SERVER = both_ends("127.0.0.1:49342", "127.0.0.1:3000")
PAIR = connection(end("127.0.0.1:49342", CLIENT), end("127.0.0.1:3000", SERVER))


@pytest.mark.parametrize(
    ("where", "v6only", "printed"),
    [
        ("127.0.0.1:3000", None, "127.0.0.1:3000"),
        ("[::1]:3000", None, "[::1]:3000"),
        ("0.0.0.0:3000", None, "*:3000"),
        ("[::]:3000", None, "*:3000"),
        ("[::]:3000", False, "*:3000"),
        ("[::]:3000", True, "[::]:3000"),
    ],
)
def test_an_endpoint_is_written_with_brackets_for_ipv6_and_a_star_for_a_wildcard(
    where: str, v6only: bool | None, printed: str
) -> None:
    assert words.endpoint(at(where), v6only) == printed


@quick
@given(st.floats(0, 1e9))
def test_a_duration_rounds_down_to_its_largest_whole_unit(seconds: float) -> None:
    written = words.duration(seconds)
    size = {"s": 1, "m": 60, "h": 3600, "d": 86400}[written[-1]]
    number = int(written[:-1])
    assert number * size <= seconds < (number + 1) * size
    assert number > 0 or size == 1


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (-5, "0s"),
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (3600, "1h"),
        (86399, "23h"),
        (12 * 86400, "12d"),
    ],
)
def test_a_duration_at_the_edges_of_its_units(seconds: float, written: str) -> None:
    assert words.duration(seconds) == written


@pytest.mark.parametrize(
    ("seconds", "basis", "written"),
    [
        (4, AgeBasis.SEEN, "4s"),
        (0, AgeBasis.SEEN, "0s"),
        (7200, AgeBasis.PROCESS, "2h"),
        (4, AgeBasis.AT_LEAST, "≥4s"),
        (0.5, AgeBasis.AT_LEAST, ""),
    ],
)
def test_an_age_that_is_only_a_lower_bound_says_so(seconds: float, basis: AgeBasis, written: str) -> None:
    assert words.age(Age(seconds, basis)) == written


@pytest.mark.parametrize(
    ("text", "cells"), [("", 0), ("node", 4), ("café", 4), ("cafe\u0301", 4), ("日本", 4), ("a🙂", 3), ("ｆ", 2)]
)
def test_width_counts_terminal_cells(text: str, cells: int) -> None:
    assert words.width(text) == cells


@pytest.mark.parametrize("mark", ["\u0301", "\u0e47", "\u0941", "\u20dd"], ids=lambda mark: f"U+{ord(mark):04X}")
def test_a_combining_mark_takes_no_cell_whatever_its_combining_class(mark: str) -> None:
    assert words.width(f"a{mark}b{mark}{mark}") == 2


def test_a_time_has_its_day_where_that_is_not_today() -> None:
    assert words.clock(NOW, NOW) == words.clock(NOW, NOW + 3600) == "12:03"
    assert words.clock(NOW - 86400, NOW) == "1 Jan 12:03"


@quick
@given(st.integers(0, 10**16))
def test_a_byte_count_takes_at_most_five_characters(count: int) -> None:
    assert len(words.byte_count(count)) <= 5


@pytest.mark.parametrize(
    ("count", "written"),
    [(0, "0"), (512, "512"), (1023, "1023"), (1024, "1.0k"), (12 * 1024, "12k"), (3565158, "3.4M"), (1 << 40, "1.0T")],
)
def test_a_byte_count_goes_in_steps_of_1024(count: int, written: str) -> None:
    assert words.byte_count(count) == written


def test_a_count_of_one_has_no_plural() -> None:
    assert [words.count(number, "row") for number in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]


def test_a_process_is_its_name_and_pid_or_its_pid_alone() -> None:
    assert words.process_label(NODE.id, PROCESSES) == "node 4312"
    assert words.process_label(process_id(5), PROCESSES) == "pid 5"
    assert words.process_label(process_id(6), {process_id(6): Process(process_id(6), "")}) == "pid 6"


def test_several_owners_are_the_first_and_how_many_more() -> None:
    assert words.owners_label(listening("127.0.0.1:3000", 4312), PROCESSES) == "node 4312"
    assert words.owners_label(listening("127.0.0.1:3000", 4312, 7001, 5), PROCESSES) == "node 4312 +2"


def test_a_process_that_holds_a_socket_twice_is_one_owner() -> None:
    assert words.owners_label(listening("127.0.0.1:3000", 4312, 4312), PROCESSES) == "node 4312"


@pytest.mark.parametrize("reason", list(OwnerUnknown))
def test_every_reason_for_no_owner_has_a_word_and_a_sentence(reason: OwnerUnknown) -> None:
    label = words.owners_label(listening("127.0.0.1:9000", unknown=reason), {})
    assert label.startswith("(")
    assert label.endswith(")")
    assert words.OWNER_UNKNOWN_SENTENCE[reason].endswith(".")
    alike = [r for r in OwnerUnknown if words.OWNER_UNKNOWN_SHORT[r] == label]
    assert alike == [reason]


def test_an_end_says_who_is_or_was_there_or_why_nobody_is_named() -> None:
    waiting = socket("127.0.0.1:3000", "127.0.0.1:49342", status=Status.TIME_WAIT, unknown=OwnerUnknown.KERNEL)
    assert words.end_label(PAIR.client, PROCESSES) == "chrome 7001"
    assert words.end_label(end("127.0.0.1:3000", waiting), PROCESSES) == words.OWNER_UNKNOWN_SHORT[OwnerUnknown.KERNEL]
    assert words.end_label(end("127.0.0.1:3000", waiting, OwnerBasis.HELD, 4312), PROCESSES) == "was node 4312"
    assert words.end_label(end("127.0.0.1:3000", None, OwnerBasis.LISTENS, 4312), PROCESSES) == "node 4312"
    assert words.end_label(end("127.0.0.1:3000"), PROCESSES) == "(not in the table)"


def test_a_connection_shows_one_state_or_both_where_they_differ() -> None:
    closing = socket("127.0.0.1:3000", "127.0.0.1:49342", 4312, status=Status.CLOSE_WAIT)
    assert words.state(PAIR) == "ESTABLISHED"
    assert words.state(connection(PAIR.client, end("127.0.0.1:3000", closing))) == "ESTABLISHED/CLOSE_WAIT"
    assert words.state(connection(end("127.0.0.1:49342"), end("127.0.0.1:3000", closing))) == "CLOSE_WAIT"
    assert words.state(connection(end("127.0.0.1:49342"), end("127.0.0.1:3000"))) == ""


def test_a_udp_listener_is_marked_as_such() -> None:
    mdns = listener(listening("0.0.0.0:5353", 7001, protocol=Protocol.UDP))
    assert words.port(mdns) == "5353/udp"
    assert words.listener_label(mdns) == "*:5353 (udp)"
    assert words.port(listener(SERVER)) == "3000"


def test_the_changes_of_a_listener_are_sentences() -> None:
    serving = listener(listening("127.0.0.1:3000", 4312))
    said = [words.change_sentence(Change(kind, 0.0, serving), PROCESSES) for kind in ChangeKind]
    assert said[:2] == ["+ node 4312 listens on 127.0.0.1:3000", "- node 4312 stopped listening on 127.0.0.1:3000"]
    assert said[3] == "~ 127.0.0.1:3000 is now held by node 4312"


def test_the_changes_of_a_connection_are_sentences() -> None:
    closing = socket("127.0.0.1:49342", "127.0.0.1:3000", status=Status.FIN_WAIT2, unknown=OwnerUnknown.KERNEL)
    after = connection(end("127.0.0.1:49342", closing, OwnerBasis.HELD, 7001), PAIR.server)
    pair = "chrome 7001 at 127.0.0.1:49342 to node 4312 at 127.0.0.1:3000"
    assert words.change_sentence(Change(ChangeKind.OPENED, 0.0, PAIR), PROCESSES) == f"+ {pair} opened"
    assert words.change_sentence(Change(ChangeKind.CLOSED, 0.0, PAIR), PROCESSES) == f"- {pair} closed"
    assert words.change_sentence(Change(ChangeKind.STATUS, 0.0, after, PAIR), PROCESSES) == (
        f"~ was {pair}: ESTABLISHED to FIN_WAIT2"
    )


def test_parents_are_written_from_the_nearest_up() -> None:
    parents = (Ancestor(process_id(4100), "zsh"), Ancestor(process_id(900), "tmux"))
    assert words.parents_chain(Process(process_id(1), "x", parents=parents)) == "zsh 4100 ← tmux 900"


def test_a_parent_without_a_name_is_its_pid() -> None:
    parents = (Ancestor(process_id(5), ""), Ancestor(process_id(900), "tmux"))
    assert words.parents_chain(Process(process_id(1), "x", parents=parents)) == "pid 5 ← tmux 900"


def test_the_project_is_that_of_the_first_process_that_has_one() -> None:
    api = Process(process_id(8), "node", project="api")
    assert words.project_of([NODE.id, process_id(99), api.id], PROCESSES | {api.id: api}) == "api"
    assert words.project_of([NODE.id], PROCESSES) == ""


def test_no_name_reaches_the_screen_as_it_came() -> None:
    held = listening("127.0.0.1:3000", 666)
    near, far = socket("127.0.0.1:49342", "127.0.0.1:3000", 666), socket("127.0.0.1:3000", "127.0.0.1:49342", 666)
    pair = connection(end("127.0.0.1:49342", near), end("127.0.0.1:3000", far))
    hostile = Process(EVIL.id, HOSTILE, cmdline=(HOSTILE,), project=HOSTILE, parents=(Ancestor(EVIL.id, HOSTILE),))
    processes = {hostile.id: hostile}
    said = [
        words.process_label(hostile.id, processes),
        words.owners_label(held, processes),
        words.end_label(pair.client, processes),
        words.project_of([hostile.id], processes),
        words.command_line(hostile),
        words.parents_chain(hostile),
        words.change_sentence(Change(ChangeKind.OPENED, 0.0, listener(held)), processes),
        words.change_sentence(Change(ChangeKind.CLOSED, 0.0, pair), processes),
    ]
    assert all("evil" in line and line.isprintable() for line in said), said


def test_an_unreadable_command_line_is_nothing() -> None:
    assert words.command_line(NODE) == ""
    assert words.command_line(process(1, cmdline=("node", "server.js"))) == "node server.js"


def test_an_endpoint_with_port_0_is_written_like_any_other() -> None:
    assert words.endpoint(Endpoint("127.0.0.1", 0)) == "127.0.0.1:0"
