"""What is printed of an answer: its parts, as text and as data, with names from outside in it, for any case at all."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from cases import (
    FREE,
    MACHINE,
    ON_IPV6,
    SERVER_SOCKET,
    TAKEN,
    UNREAD,
    answer,
    case,
    client_of,
    drops,
    finding,
    old_connection,
    over,
    section,
    to_itself,
    verdict,
)
from looks import with_queue
from making import HOSTILE, listening, process, socket

from loopmon.actions.probe import Outcome
from loopmon.clean import clean
from loopmon.commands.explanation import TEXT_WIDTH, document, text
from loopmon.firewall import Firewall
from loopmon.model import FindingId, Status
from loopmon.why.answer import Cause
from loopmon.why.case import Case
from loopmon.why.explain import explain

KEYS = (
    "schema", "target", "ok", "cause", "headline", "evidence", "remedies", "answers", "localhost", "bind", "probe",
    "sections",
)  # fmt: skip
TARGET = ("port", "host", "protocol", "symptom", "quoted", "others")
IN_USE = "Error: listen EADDRINUSE: address already in use"


def printed(made: Case) -> str:
    return text(made, explain(made))


def data(made: Case) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(document(made, explain(made))))
    return found


def unsafe(shown: str) -> set[str]:
    harmful = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    return {each for each in shown if each != "\n" and unicodedata.category(each) in harmful}


# What the text says happened changes what to do


def test_who_wants_the_port_is_told_who_has_it() -> None:
    found = verdict(f"{IN_USE} 127.0.0.1:3000", SERVER_SOCKET)
    assert (found.cause, found.ok) == (Cause.HEALTHY, True)
    assert found.remedies == ("it is taken by node 4312: stop that, or choose another port",)


def test_who_wants_the_port_is_not_sent_to_another_address() -> None:
    expected = ("it is taken by node 4312: stop that, or choose another port",)
    assert verdict(f"{IN_USE} :::3000", ON_IPV6).remedies == expected
    ipv6_first = replace(MACHINE, localhost=("::1", "127.0.0.1"))
    assert verdict(f"{IN_USE} localhost:3000", SERVER_SOCKET, machine=ipv6_first).remedies == expected


def test_a_trouble_that_is_over_is_tried_again() -> None:
    found = verdict("connect ECONNREFUSED 127.0.0.1:3000", SERVER_SOCKET)
    assert found.ok
    assert found.remedies == ("the trouble seems to be over: try again, or loopmon why 127.0.0.1:3000 --probe",)


# The parts


def test_the_number_is_explained() -> None:
    reserved = replace(MACHINE, reserved=((5000, 6000),))
    assert section(answer("5432", machine=reserved, formerly="pg 8"), "NUMBER").splitlines() == [
        "a registered port (IANA: 1024-49151), outside of this system's ephemeral range 32768-60999",
        "postgresql by name in this system's list of services",
        "reserved (net.ipv4.ip_local_reserved_ports): the kernel gives it to no client",
        "in use by nobody on loopback; pg 8 had it a moment ago",
    ]
    for port, words in ((80, "a well-known port"), (40000, "inside this system's ephemeral"), (61000, "a dynamic")):
        assert section(answer(str(port)), "NUMBER").startswith(words)


def test_every_use_of_the_number_is_named() -> None:
    bound = socket("127.0.0.2:3000", None, 99, status=Status.CLOSE)
    rows = [client_of("127.0.0.1:5432"), old_connection(), over()]
    (line,) = [each for each in section(answer("3000", ON_IPV6, connections=rows, bound=[bound]), "NUMBER").splitlines()
               if each.startswith("in use: ")]  # fmt: skip
    assert line.removeprefix("in use: ").split("; ") == [
        "node 4312 listens on [::1]:3000",
        "node 7001 is a client from it, of node 811 at 127.0.0.1:5432",
        "1 connection served",
        "1 in TIME_WAIT",
        "node 99 on 127.0.0.2:3000 is bound and does not listen",
    ]


def test_who_answers_is_told_for_every_address() -> None:
    everywhere = with_queue(listening("[::]:3000", 4312, v6only=True), 0, 5)
    shadow = finding(FindingId.SHADOWED)
    lines = section(answer("127.0.0.2:3000", SERVER_SOCKET, everywhere, findings=[shadow]), "ANSWERS").splitlines()
    assert lines == [
        "127.0.0.1  node 4312, on 127.0.0.1:3000",
        "[::1]      node 4312, on [::]:3000",
        "127.0.0.2  refused: nobody listens there",
        "localhost  is 127.0.0.1",
        "outside    can reach [::]:3000 too",
        "different servers: which one answers localhost depends on the client",
        "node 4312 takes IPv6 only (V6ONLY): 127.0.0.1 does not reach it",
    ]


def test_a_machine_without_ipv6_or_names_says_so() -> None:
    bare = replace(MACHINE, has_ipv6_loopback=False, localhost=(), localhost_error="nobody knows")
    lines = section(answer("3000", machine=bare), "ANSWERS")
    assert "[::1]      unreachable: this machine has no IPv6 on loopback" in lines
    assert "localhost  does not resolve" in lines
    assert "name      yes: nobody knows" in section(answer("3000", machine=bare), "FAILS")


@pytest.mark.parametrize(
    ("queue", "words"),
    [
        ((0, 511), "timeout   no: its queue has room, 0 of 511 taken"),
        ((None, None), "timeout   cannot be told: this source knows no queues"),
    ],
)
def test_the_queue_is_told_as_far_as_it_is_known(queue: tuple[int | None, int | None], words: str) -> None:
    assert words in section(answer("3000", with_queue(SERVER_SOCKET, *queue)), "FAILS")


def test_a_udp_server_has_no_queue_of_clients() -> None:
    dns = case("5353/udp", binds=())
    assert "timeout" not in section(explain(dns), "FAILS")


def test_the_firewall_is_told_as_far_as_it_is_known() -> None:
    def line(firewall: Firewall | None) -> str:
        found = section(answer("3000", machine=replace(MACHINE, firewall=firewall)), "FAILS")
        return "".join(each for each in found.splitlines() if each.startswith("firewall"))

    assert line(None) == ""
    assert line(UNREAD) == "firewall  cannot be told: the rules may not be read without root; --probe shows it"
    assert line(drops(3000)) == "firewall  yes: table inet filter, chain input: tcp dport 3000 drop"
    assert line(drops(3001)) == "firewall  no rule that is understood concerns it"


@pytest.mark.parametrize("outcome", Outcome)
def test_what_became_of_a_connection_comes_first_with_its_time(outcome: Outcome) -> None:
    found = answer("3000", SERVER_SOCKET, outcome=outcome, error="no such luck")
    assert found.sections[0].title == "PROBE"
    assert section(found, "PROBE").endswith(", after 0.2 ms (no such luck)")


def test_what_keeps_a_server_from_the_port_is_named() -> None:
    lines = section(answer("3000", SERVER_SOCKET, binds=TAKEN), "BIND").splitlines()
    assert lines[0] == "127.0.0.1  no: node 4312 listens on 127.0.0.1:3000"
    assert lines[2] == "::1        no: the port is in use"
    reuse = replace(FREE[0], needs_reuse=True)
    assert section(answer("3000", binds=(reuse,)), "BIND") == (
        "127.0.0.1  yes, if it sets SO_REUSEADDR as most servers do"
    )


def test_the_text_begins_with_the_verdict_and_ends_with_what_else_was_in_it() -> None:
    lines = printed(case("connect ECONNREFUSED ::1:3000\n   127.0.0.1:3001", ON_IPV6)).splitlines()
    assert lines[0] == "[::1]:3000: node 4312 listens on [::1]:3000; nothing wrong is seen"
    assert lines[1] == "         - 0 clients connected"
    assert lines[3].startswith("DO       ")
    assert lines[-1] == "ALSO     in that text: 127.0.0.1:3001"
    assert [line.split(" ")[0] for line in lines if line[0] != " "][1:] == [
        "DO", "NUMBER", "ANSWERS", "FAILS", "BIND", "ALSO",
    ]  # fmt: skip


# As data


def test_the_data_is_complete_and_what_is_unknown_is_null() -> None:
    found = data(case("3000", machine=None, binds=()))
    assert tuple(found) == KEYS
    assert tuple(found["target"]) == TARGET
    assert found["target"] == {
        "port": 3000, "host": None, "protocol": "tcp", "symptom": None, "quoted": "3000", "others": [],
    }  # fmt: skip
    assert (found["schema"], found["ok"], found["cause"]) == (1, False, "nobody-listens")
    assert (found["localhost"], found["bind"], found["probe"]) == (None, None, None)
    assert found["answers"] == [{"address": "127.0.0.1", "listeners": []}, {"address": "::1", "listeners": []}]
    assert set(found["sections"]) == {"number", "answers", "fails"}


def test_the_data_holds_all_that_is_known() -> None:
    found = data(case(f"{IN_USE} 127.0.0.2:3000", SERVER_SOCKET, outcome=Outcome.FAILED, error="no", binds=TAKEN))
    assert tuple(found) == KEYS
    assert (found["target"]["host"], found["target"]["symptom"]) == ("127.0.0.2", "in-use")
    assert [each["address"] for each in found["answers"]] == ["127.0.0.1", "::1", "127.0.0.2"]
    (server,) = found["answers"][0]["listeners"]
    assert server == {"id": SERVER_SOCKET.id, "address": "127.0.0.1", "pids": [4312], "label": "node 4312"}
    assert found["localhost"] == ["127.0.0.1"]
    assert found["bind"][0] == {
        "address": "127.0.0.1", "free": False, "needs_reuse": None, "reason": "the port is in use",
    }  # fmt: skip
    assert found["probe"] == {"outcome": "failed", "took_ms": 0.25, "error": "no"}
    assert set(found["sections"]) == {"probe", "number", "answers", "fails", "bind"}


# Names from outside


def hostile() -> list[Case]:
    """Each with such a name in another place."""
    evil = [replace(process(pid, HOSTILE), project=HOSTILE) for pid in (4312, 7001, 811, 5300)]
    unread = replace(MACHINE, localhost=(), localhost_error=HOSTILE, firewall=Firewall(None, HOSTILE))
    rules: dict[str, Any] = json.loads(json.dumps(drops(3000).ruleset).replace("filter", "x\\u001b[31m\\u202e"))
    blocked = replace(MACHINE, firewall=Firewall(rules, None))
    taken = tuple(replace(bind, reason=HOSTILE) for bind in TAKEN)
    bound = socket("127.0.0.1:3000", None, 4312, status=Status.CLOSE)
    return [
        case("3000", SERVER_SOCKET, processes=evil, machine=blocked),
        case("3000", SERVER_SOCKET, processes=evil, machine=unread, outcome=Outcome.TIMED_OUT),
        case("3000", SERVER_SOCKET, processes=evil, outcome=Outcome.FAILED, error=HOSTILE, binds=taken),
        case("localhost:3000", machine=unread, formerly=HOSTILE),
        case("3000", bound=[bound], processes=evil),
        case("3000", formerly=HOSTILE),
        *(case("3000", connections=[row], processes=evil) for row in (old_connection(), over(), to_itself())),
        case("3000", connections=[client_of("127.0.0.1:5432")], processes=evil),
        case("[::1]:3000", SERVER_SOCKET, processes=evil),
        case(f"127.0.0.1:3000 refused; tcp://{HOSTILE}@localhost:3001"),
    ]


@pytest.mark.parametrize("made", hostile(), ids=lambda made: made.target.quoted)
def test_no_name_reaches_the_terminal_as_it_came(made: Case) -> None:
    shown = printed(made)
    assert unsafe(shown) == set()
    found = explain(made)
    pieces = [found.verdict.headline, *found.verdict.evidence, *found.verdict.remedies]
    pieces += [line.text for part in found.sections for line in part.lines]
    assert all(piece == clean(piece) for piece in pieces)


@pytest.mark.parametrize("made", hostile(), ids=lambda made: made.target.quoted)
def test_lines_end_where_the_screen_does(made: Case) -> None:
    for line in printed(made).splitlines():
        assert len(line) <= TEXT_WIDTH or " " not in line.strip().removeprefix("- ")


def test_a_word_that_cannot_be_broken_stays_whole() -> None:
    long = "x" * (TEXT_WIDTH + 20)
    assert f"{long} had it" in printed(case("3000", formerly=long)).replace("\n           ", " ")
