"""The filter language: what it keeps, and where it says that a text does not parse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import NOW, any_text, connection, end, listener, listening, quick, snapshot, socket

from loopmon.facts import Row
from loopmon.filter import KEYS, Filter, FilterError, parse_filter
from loopmon.model import Connection, Listener, Process, ProcessId, Protocol, Scope, Snapshot, Status
from loopmon.observe.observer import Observer
from loopmon.sources.demo import DemoSource

MACHINE = Observer("demo").observe(DemoSource().read(), Scope(ipv6=True)).snapshot
ROWS: tuple[Row, ...] = (*MACHINE.listeners, *MACHINE.connections, *MACHINE.processes.values())

GOOD_WORDS = (
    *("node", "3000", "127.0.0.1", "127.0.0.1:49342", "localhost:5173", ":3000", "*:5432", "[::1]:5432", "ESTABLISHED"),
    *("http://localhost:3000/items?x=1", "port:3000", "port:3000-3999", "pid:4312", "proc:node", "user:me"),
    *("state:listen", "state:time-wait", "state:fin_wait2", "project:api", "branch:login", "proto:udp", "proto:TCP"),
    *("is:exposed", "is:ephemeral", "is:listener", "is:client", "is:ipv6", "is:unowned", "is:half"),
    *("age>1h", "age<5m", "age>=2d", "age<=30s"),
)
MATCHES_NOTHING = ("zebra", "is:left-over", "is:leftover", "port:9", "user:nobody")
good_words = st.sampled_from((*GOOD_WORDS, *MATCHES_NOTHING))
filter_like = st.text('portagestiduc:-<>="0123456789 smhd./[]*\u2003', max_size=30)
one_word = st.one_of(filter_like, any_text).map(lambda text: "".join(text.replace('"', "").split()).lstrip("-"))


def kept(text: str) -> set[str]:
    wanted = parse_filter(text)
    return {f"{type(row).__name__}:{row.id}" for row in ROWS if wanted.matches(row, MACHINE)}


EVERYTHING = kept("")


def listeners(text: str) -> set[int]:
    wanted = parse_filter(text)
    return {row.laddr.port for row in MACHINE.listeners if wanted.matches(row, MACHINE)}


def rows_of(machine: Snapshot, text: str) -> list[Row]:
    wanted = parse_filter(text)
    there: list[Row] = [*machine.listeners, *machine.connections, *machine.processes.values()]
    return [row for row in there if wanted.matches(row, machine)]


def pids(text: str) -> set[int]:
    wanted = parse_filter(text)
    return {row.id.pid for row in MACHINE.processes.values() if wanted.matches(row, MACHINE)}


@quick
@given(st.one_of(any_text, filter_like, st.lists(one_word | good_words, max_size=4).map(" ".join)))
def test_any_text_parses_or_says_at_which_of_its_columns_it_does_not(text: str) -> None:
    try:
        wanted = parse_filter(text)
    except FilterError as error:
        assert 1 <= error.column <= len(text) + 1
        assert str(error).startswith(f"filter, column {error.column}: ")
        assert error.reason.isprintable()
    else:
        assert all(isinstance(wanted.matches(row, MACHINE), bool) for row in ROWS[::7])


@quick
@given(st.one_of(good_words, one_word))
def test_a_word_with_a_minus_keeps_what_the_word_does_not(word: str) -> None:
    try:
        with_it = kept(word)
    except FilterError as error:
        with pytest.raises(FilterError) as refused:
            parse_filter(f"-{word}")
        assert refused.value.column == error.column + 1
        return
    if word:
        assert kept(f"-{word}") == EVERYTHING - with_it


@quick
@given(st.lists(good_words, min_size=1, max_size=4))
def test_several_words_keep_what_each_of_them_keeps(chosen: list[str]) -> None:
    assert kept(" ".join(chosen)) == set.intersection(*(kept(word) for word in chosen))


@pytest.mark.parametrize("word", GOOD_WORDS)
def test_every_kind_of_word_keeps_something_and_not_everything(word: str) -> None:
    assert set() < kept(word) < EVERYTHING


@pytest.mark.parametrize("word", MATCHES_NOTHING)
def test_what_no_row_has_keeps_none(word: str) -> None:
    assert kept(word) == set()


@pytest.mark.parametrize("nothing", ["", "  ", '""', "\t\n"])
def test_a_filter_without_words_is_empty_and_keeps_everything(nothing: str) -> None:
    assert not parse_filter(nothing)
    assert kept(nothing) == EVERYTHING
    assert Filter().matches(ROWS[0], MACHINE)


def test_a_port_is_exact_a_range_has_both_its_ends_and_either_end_of_a_connection_counts() -> None:
    assert listeners("port:3000") == {3000}
    assert listeners("port:5173-5432") == {5173, 5353, 5432}
    assert listeners("port:300") == set()
    found = [row for row in MACHINE.connections if parse_filter("port:49342").matches(row, MACHINE)]
    assert [row.client.addr.port for row in found] == [49342]


def test_a_pasted_client_port_finds_its_connection_and_nothing_else() -> None:
    wanted = parse_filter("127.0.0.1:57573")
    assert [type(row) for row in ROWS if wanted.matches(row, MACHINE)] == [Connection]


def test_a_wildcard_listener_answers_for_a_pasted_loopback_address() -> None:
    assert listeners("127.0.0.1:5173") == listeners("http://localhost:5173/") == {5173}


def test_an_address_on_another_port_or_ip_finds_nothing() -> None:
    assert kept("127.0.0.9:3000") == kept("127.0.0.1:2") == set()


def test_an_address_without_port_is_a_word_like_any_other() -> None:
    assert listeners("::1") == {5432}


def test_a_connection_has_the_facts_of_both_its_ends() -> None:
    wanted = parse_filter("127.0.0.1:49342 proc:chrome proc:node pid:7001 pid:4312")
    assert [row for row in ROWS if wanted.matches(row, MACHINE)] == [
        row for row in MACHINE.connections if row.client.addr.port == 49342
    ]


def test_facts_of_the_processes_are_facts_of_the_rows_they_hold() -> None:
    assert listeners("proc:NODE") == {3000, 5173, 6006}
    assert listeners("pid:6003") == {8080}
    assert listeners("project:shop branch:MAIN") == {8080}
    assert listeners("user:www-data") == {8443}
    assert pids("proc:gunicorn -pid:6001") == {6002, 6003, 6004}


def test_a_user_is_the_whole_name() -> None:
    assert kept("user:postgres")
    assert kept("user:postgre") == set()


def test_me_is_also_whoever_runs_this(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "postgres")
    assert kept("user:me") > kept("user:postgres") != set()


def test_a_plain_word_matches_anywhere_in_any_case() -> None:
    assert listeners("VITE") == {5173}
    assert listeners("café") == {6006}
    assert listeners("http-alt") == {8080}
    assert listeners("listen node") == {3000, 5173, 6006}


def test_quotes_keep_spaces_together_anywhere_in_a_word() -> None:
    assert listeners('"worker process"') == {8443}
    assert kept('"process worker"') == set()
    assert kept('proc:"gun"icorn') == kept("proc:gunicorn")
    assert kept('-"worker process"') == EVERYTHING - kept('"worker process"')


@pytest.mark.parametrize(("text", "said"), [('"main:app"', "main:app"), ('"-x"', "-x"), ('"age>1h"', "age>1h")])
def test_a_word_that_starts_with_a_quote_is_text_whatever_it_looks_like(text: str, said: str) -> None:
    row = Process(ProcessId(1, NOW), "p", cmdline=("run", said))
    other = Process(ProcessId(2, NOW), "q", cmdline=("run", "main", "app", "x", "1h"))
    assert rows_of(snapshot(processes=[row, other]), text) == [row]


def test_a_state_in_full_is_that_state_alone() -> None:
    states = (Status.CLOSE, Status.CLOSE_WAIT, Status.CLOSING)
    near = [end("127.0.0.1:49342", socket("127.0.0.1:49342", "127.0.0.1:3000", status=status)) for status in states]
    rows = [connection(client, end("127.0.0.1:3000")) for client in near]
    assert rows_of(snapshot([], rows), "state:close") == rows[:1]
    assert rows_of(snapshot([], rows), "state:clos") == rows


def test_a_wildcard_for_ipv6_alone_does_not_answer_for_ipv4_and_is_no_star() -> None:
    dual, alone = (listener(listening("[::]:3000", id=str(only), v6only=only)) for only in (False, True))
    for text in ("127.0.0.1:3000", '"*:3000"'):
        assert rows_of(snapshot([dual, alone]), text) == [dual]
    for text in ("[::1]:3000", ":3000"):
        assert rows_of(snapshot([dual, alone]), text) == [dual, alone]
    assert rows_of(snapshot([dual, alone]), '"[::]:3000"') == [alone]


def test_what_the_screen_says_of_a_row_is_found_and_what_it_leaves_out_is_not() -> None:
    assert kept("exposed") == kept("is:exposed") != set()
    assert listeners('"(other user)"') == {8125, 9000}
    assert any(row.startswith("Connection:") for row in kept('"(other user)"'))
    assert kept("none") == set()


def test_a_process_speaks_each_protocol_that_one_of_its_sockets_does() -> None:
    udp, tcp = listening("0.0.0.0:5353", 7001, protocol=Protocol.UDP), listening("127.0.0.1:3000", 7001)
    chrome = Process(udp.owners[0].process, "chrome")
    for held in ([udp, tcp], [tcp, udp], [udp], [tcp]):
        machine = snapshot([listener(found) for found in held], [], [chrome])
        assert {p for p in Protocol if chrome in rows_of(machine, f"proto:{p}")} == {s.protocol for s in held}


def test_a_state_may_be_shortened_and_written_with_a_dash() -> None:
    assert kept("state:est") == kept("state:ESTABLISHED")
    assert kept("state:time-wait") == kept("state:TIME_WAIT") != set()


def test_flags_part_the_rows_by_kind() -> None:
    assert kept("is:listener") == {f"Listener:{row.id}" for row in MACHINE.listeners}
    assert kept("is:client") == {f"Connection:{row.id}" for row in MACHINE.connections}
    assert kept("-is:listener -is:client") == {f"Process:{identity}" for identity in MACHINE.processes}


def test_flags_of_listeners() -> None:
    ports = {row.laddr.port: row for row in MACHINE.listeners}
    assert listeners("is:exposed") == {port for port, row in ports.items() if row.exposed} >= {5173, 8081}
    assert listeners("is:unowned") == {port for port, row in ports.items() if not row.socket.owners} >= {9000}
    assert listeners("is:ephemeral") == {34567}
    assert listeners("is:listener is:ipv6") == {5432, 8081, 6006}


def test_half_a_connection_has_one_end_in_the_table() -> None:
    half = {row.status for row in MACHINE.connections if parse_filter("is:half").matches(row, MACHINE)}
    assert half == {Status.TIME_WAIT, Status.SYN_SENT}


def test_ages_divide_the_rows_by_how_old_they_are() -> None:
    assert 4312 in pids("age>2h")
    assert 4312 not in pids("age>3h")
    assert 4312 in pids("age<3h")
    assert pids("age>1d") == pids("age>24h") == pids("age>1440m") == pids("age>86400")


@pytest.mark.parametrize(("sign", "holds"), [(">", False), (">=", True), ("<", False), ("<=", True)])
def test_an_age_is_not_more_or_less_than_itself(sign: str, holds: bool) -> None:
    hour_old = Process(ProcessId(1, NOW - 3600), "p")
    assert (rows_of(snapshot(processes=[hour_old]), f"age{sign}1h") == [hour_old]) is holds


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("pork:3000", 1, "pork: is not a key"),
        ("node pork:3000", 6, "port:"),
        ("port:", 6, "nothing follows port:"),
        ("port:abc", 6, "'abc' is not a port"),
        ("node  port:70000", 12, "'70000' is not a port"),
        ("port:4000-3000", 6, "empty range"),
        ("port:3000-", 6, "'' is not a port"),
        ("pid:me", 5, "not a process id"),
        ("state:open", 7, "not a state"),
        ("proto:icmp", 7, "tcp or udp"),
        ("-is:red", 5, "none of exposed"),
        ("node -", 6, "nothing follows the -"),
        ("age>soon", 5, "not an age"),
        ("age<=", 6, "not an age"),
        ("age:1h", 1, "age> or age<"),
        ('node "my app', 6, "quote is not closed"),
        ('proc:"my app', 6, "quote is not closed"),
        ('"a" "b', 5, "quote is not closed"),
        ('"my app" pork:1', 10, "pork: is not a key"),
        ('port:"70000"', 7, "'70000' is not a port"),
        ('-p"or"t:x', 9, "'x' is not a port"),
        ('age>"soon"', 6, "not an age"),
        ('port:""', 8, "nothing follows port:"),
    ],
)
def test_a_filter_that_does_not_parse_says_where_and_why(text: str, column: int, said: str) -> None:
    with pytest.raises(FilterError) as refused:
        parse_filter(text)
    assert refused.value.column == column
    assert said in refused.value.reason


def test_the_reason_is_short_however_long_the_text() -> None:
    with pytest.raises(FilterError) as refused:
        parse_filter("port:" + "9" * 5000)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("key", list(KEYS))
def test_a_key_is_the_same_in_capitals_and_wants_a_value(key: str) -> None:
    with pytest.raises(FilterError, match=f"nothing follows {key}:"):
        parse_filter(f"{key.upper()}:")


def test_a_row_is_matched_by_what_it_is_and_a_filter_remembers_its_text() -> None:
    wanted = parse_filter("  port:3000 ")
    assert wanted.text == "port:3000"
    assert wanted
    kinds = {type(row) for row in ROWS if wanted.matches(row, MACHINE)}
    assert kinds == {Listener, Connection, Process}
