"""What is read out of a clipboard: short forms, and error texts as the programs print them."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from making import any_text, quick

from loopmon.why.target import ACCEPTED, Symptom, TargetError, parse_target

SHORT = [
    ("49342", None, 49342),
    (" :3000 \n", None, 3000),
    ("`8080`,", None, 8080),
    ("':3000'", None, 3000),
    ("addr=\":3000\"", None, 3000),
    ("2024", None, 2024),
    ("port 5432", None, 5432),
    ("PORT=3000 npm start", None, 3000),
    ("--port 3000", None, 3000),
    ("-p 8080:80", None, 8080),
    ("ssh -L 8080:localhost:80 example.org", None, 8080),
    ("53/udp", None, 53),
    ("127.0.0.1:57573", "127.0.0.1", 57573),
    ("127.0.0.1:57573.", "127.0.0.1", 57573),
    ("127.0.0.1.57573", "127.0.0.1", 57573),
    ("localhost:5173", "localhost", 5173),
    ("api.localhost:5173", "api.localhost", 5173),
    ("[::1]:8080", "::1", 8080),
    ("[::1%lo]:8080", "::1%lo", 8080),
    ("::1:8080", "::1", 8080),
    (":::8080", "::", 8080),
    ("[::]:8080", "::", 8080),
    ("::ffff:127.0.0.1:8080", "::ffff:127.0.0.1", 8080),
    ("0:0:0:0:0:0:0:1:9092", "0:0:0:0:0:0:0:1", 9092),
    ("0.0.0.0:80", "0.0.0.0", 80),
    ("*:3000", "*", 3000),
    ("127.0.0.53%lo:53", "127.0.0.53", 53),
    ("redis:6379", "redis", 6379),
    ("db.example.org:5432", "db.example.org", 5432),
    ("192.168.1.5:8080", "192.168.1.5", 8080),
    ("('127.0.0.1', 8000)", "127.0.0.1", 8000),
    ("('', 8000)", "*", 8000),
    ("http://localhost:3000/x?y=1", "localhost", 3000),
    ("http://localhost/x:42", "localhost", 80),
    ("https://127.0.0.1/", "127.0.0.1", 443),
    ("http://[::1]:8080/", "::1", 8080),
    ("postgres://me:pa:ss@localhost/db", "localhost", 5432),
    ("postgresql+psycopg://127.0.0.1:6543/db", "127.0.0.1", 6543),
    ("redis://127.0.0.1", "127.0.0.1", 6379),
    ("mysql://localhost", "localhost", 3306),
    ("mongodb://localhost", "localhost", 27017),
    ("ws://localhost/hmr", "localhost", 80),
    ("wss://localhost", "localhost", 443),
    ("amqp://guest@localhost", "localhost", 5672),
    ("tcp://0.0.0.0:2375", "0.0.0.0", 2375),
    ("LISTEN 0 511 127.0.0.1:3000 0.0.0.0:* users:((\"node\",pid=4312,fd=19))", "127.0.0.1", 3000),
    ("node 4312 me 19u IPv4 81234 0t0 TCP *:3000 (LISTEN)", "*", 3000),
    ("node 4312 me 21u IPv4 81299 0t0 TCP localhost:3000->localhost:52344 (ESTABLISHED)", "localhost", 3000),
    ("tcp6       0      0 :::8080                 :::*                    LISTEN      812/java", "::", 8080),
]  # fmt: skip


@pytest.mark.parametrize(("text", "host", "port"), SHORT, ids=[text for text, _, _ in SHORT])
def test_what_people_type(text: str, host: str | None, port: int) -> None:
    target = parse_target(text)
    assert (target.host, target.port, target.symptom) == (host, port, None)


def test_the_piece_that_was_taken_is_quoted() -> None:
    target = parse_target("it says connect ECONNREFUSED 127.0.0.1:57573, called from 127.0.0.1:9999")
    assert target.quoted == "127.0.0.1:57573"
    assert target.others == ("127.0.0.1:9999",)


def test_a_piece_that_repeats_what_was_taken_is_no_other_one() -> None:
    target = parse_target("Error: listen EADDRINUSE :::3000\n  address: '::',\n  port: 3000")
    assert target.others == ()


def test_the_likeliest_comes_first() -> None:
    pieces = ["job 17 on port 81", "redis:82", "127.0.0.1:83"]
    for number in range(len(pieces), 0, -1):
        assert parse_target("\n".join(pieces[:number])).port == 80 + number
    assert parse_target("listens on localhost:3000\nPort 5173 is already in use").port == 5173
    assert parse_target("listens on localhost:3000\nECONNREFUSED db.internal:5432").port == 5432


def test_udp_is_told_apart() -> None:
    assert parse_target("listen udp 127.0.0.1:5353: bind: address already in use").is_udp
    assert parse_target("8125/udp").is_udp
    assert not parse_target("listen tcp 127.0.0.1:5353: bind: address already in use").is_udp


NOTHING = [
    "", "  \n", "hello", "127.0.0.1", "::1", "localhost", "0", ":0", "127.0.0.1:0", "65536", "127.0.0.1:99999",
    "99999999999999999999", "-1", "3.14", "1.2.3", "٣٠٠٠", "127.0.0.1:３０００", "127.0.0.300:80", "server.js:42:13",
    "main.go:120: undefined", "12:30", "10:00:00", "2026-01-02T10:00:00", "2026-01-02 10:00:00,123 INFO started",
    "pid 4312", "pid:4312",
    '{"level":50,"pid":4312,"code":"ECONNREFUSED"}',
    "Process 4312 exited with code 137", "line 42", "[Errno 98] Address already in use",
    "OSError: [Errno 98] Address already in use", "Error: That port is already in use.",
    "java.net.BindException: Address already in use", "aa:bb:cc:dd:ee:ff", "fe80::1234", "2001:db8::5:1",
    "getaddrinfo ENOTFOUND localhost", "at Server.setupListenHandle [as _listen2] (node:net:1904:16)",
    "Os { code: 111, kind: ConnectionRefused, message: \"Connection refused\" }", "v22.11.0", "in 2024 it worked",
    "connect() failed (111: Connection refused)",
    "dial tcp: lookup db on 127.0.0.11:53: no such host", "postgres:15", "Makefile:120: recipe failed",
    "curl: (7) Couldn't connect to server", "unix:///var/run/docker.sock", "\x00\x1b[31m",
]  # fmt: skip


@pytest.mark.parametrize("text", NOTHING)
def test_what_is_no_port_is_not_taken(text: str) -> None:
    with pytest.raises(TargetError) as refused:
        parse_target(text)
    assert str(refused.value).endswith(ACCEPTED)
    assert "\n" not in str(refused.value)


def test_a_number_out_of_range_is_named() -> None:
    with pytest.raises(TargetError, match=r"^70000 is not a port \(1 to 65535\); accepted are"):
        parse_target("localhost:70000")


def test_colours_and_control_characters_do_not_matter() -> None:
    assert parse_target("\x1b[31mconnect ECONNREFUSED \x1b[1m127.0.0.1:3000\x1b[0m\r\n").port == 3000
    assert parse_target("\x00127.0.0.1:3000\x07").quoted == "127.0.0.1:3000"


def test_of_a_long_text_the_beginning_and_the_end_are_read() -> None:
    noise = "2026-01-02T10:00:00 INFO worker 17 took 12 ms\n" * 20_000
    assert parse_target(f"{noise}Error: connect ECONNREFUSED 127.0.0.1:3000").port == 3000
    assert parse_target(f"Error: connect ECONNREFUSED 127.0.0.1:3000\n{noise}").symptom is Symptom.REFUSED


PIECES = st.sampled_from(
    ["127.0.0.1:3000 ", "::", ":", "[", "]", ".", "1", "a", "a.", "port ", "port 3000 ", "http://", "@", "->", "'", "(",
     "ECONNREFUSED ", "address already in use ", "errno 111", "\n", "\t", "\x1b[", "localhost", "-L ", "0", "|"]
)  # fmt: skip


@quick
@given(any_text | st.lists(PIECES, max_size=60).map("".join))
@example("\ud800:3000")
def test_no_text_makes_it_crash(text: str) -> None:
    try:
        target = parse_target(text)
    except TargetError:
        return
    assert 1 <= target.port <= 65535
    assert target.quoted
    assert target.host != ""


@quick
@given(st.lists(PIECES, min_size=1, max_size=4).map("".join))
def test_no_megabyte_takes_long(piece: str) -> None:
    """A second for what takes hundredths: a pattern that goes back and forth would take minutes."""
    started = time.process_time()
    with suppress(TargetError):
        parse_target(piece * (1_000_000 // len(piece)))
    assert time.process_time() - started < 1
