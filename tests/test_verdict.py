"""The one cause that matters most: each of them in a made-up case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cases import (
    BOUND,
    EXHAUSTED,
    MACHINE,
    ON_IPV6,
    SERVER_SOCKET,
    TAKEN,
    UNREAD,
    case,
    client_of,
    drops,
    finding,
    old_connection,
    over,
    said,
    to_itself,
    verdict,
)
from looks import with_queue
from making import listening, process

from loopmon.actions.probe import Outcome
from loopmon.model import Endpoint, FindingId, Protocol
from loopmon.why.answer import Cause

DOWN = replace(MACHINE, loopback_up=False)
NAMELESS = replace(MACHINE, localhost=(), localhost_error="nobody knows the name")
IPV6_FIRST = replace(MACHINE, localhost=("::1", "127.0.0.1"))


# A server is there


def test_a_server_with_nothing_wrong_is_healthy() -> None:
    found = verdict("3000", SERVER_SOCKET)
    assert (found.cause, found.ok, found.remedies) == (Cause.HEALTHY, True, ())
    assert found.headline == "node 4312 listens on 127.0.0.1:3000; nothing wrong is seen"
    assert found.evidence == ("0 clients connected", "0 of 511 places in its queue taken")


def test_a_healthy_server_is_named_with_its_project() -> None:
    shop = replace(process(4312), project="shop")
    assert verdict("3000", SERVER_SOCKET, processes=[shop]).headline.startswith("node 4312 (shop) listens on")


@pytest.mark.parametrize("outcome", [Outcome.TAKEN, Outcome.CONNECTED])
def test_a_connection_that_was_taken_leaves_it_healthy(outcome: Outcome) -> None:
    found = verdict("3000", SERVER_SOCKET, outcome=outcome)
    assert found.ok
    assert f"a connection just made from here: {outcome}, after 0.2 ms" in found.evidence


def test_a_server_without_a_known_owner_is_healthy_and_says_why_nobody_is_named() -> None:
    found = verdict("3000", with_queue(listening("127.0.0.1:3000"), 0, 5))
    assert found.ok
    assert found.evidence[-1].startswith("Its owner cannot be read.")


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (FindingId.STOPPED, Cause.STOPPED),
        (FindingId.INHERITED, Cause.INHERITED),
        (FindingId.BACKLOG_FULL, Cause.BACKLOG_FULL),
        (FindingId.NOT_ACCEPTING, Cause.NOT_ACCEPTING),
        (FindingId.SHADOWED, Cause.SHADOWED),
        (FindingId.LEFT_OVER, Cause.LEFT_OVER),
    ],
)
def test_a_finding_about_the_server_is_the_cause(kind: FindingId, cause: Cause) -> None:
    about = finding(kind, f"listener:{SERVER_SOCKET.id}", "node 4312 is in trouble", "seen twice")
    found = verdict("3000", SERVER_SOCKET, findings=[about])
    assert (found.cause, found.ok) == (cause, False)
    assert found.headline == "node 4312 listens on 127.0.0.1:3000, and is in trouble"
    assert (found.evidence, found.remedies) == (("seen twice",), ("undo it",))


@pytest.mark.parametrize("kind", [FindingId.EXPOSED, FindingId.SHARED, FindingId.UNSEEN_OWNER])
def test_what_keeps_no_client_away_is_no_cause(kind: FindingId) -> None:
    assert verdict("3000", SERVER_SOCKET, findings=[finding(kind)]).ok


def test_of_servers_that_share_the_port_the_one_in_trouble_is_named() -> None:
    other = with_queue(listening("127.0.0.1:3000", 4313, id="other"), 0, 511)
    found = verdict("3000", SERVER_SOCKET, other, findings=[finding(FindingId.STOPPED, "listener:other")])
    assert (found.cause, found.headline.split(",")[0]) == (Cause.STOPPED, "node 4313 listens on 127.0.0.1:3000")


def test_a_finding_about_another_server_is_no_cause() -> None:
    assert verdict("3000", SERVER_SOCKET, findings=[finding(FindingId.STOPPED, "listener:other")]).ok


@pytest.mark.parametrize(
    ("outcome", "cause", "words"),
    [
        (Outcome.NOT_TAKEN, Cause.NOT_ACCEPTING, "accepts no connection"),
        (Outcome.CLOSED, Cause.FAILS, "closes a connection at once"),
        (Outcome.RESET, Cause.FAILS, "resets a connection at once"),
        (Outcome.NO_PORTS, Cause.EXHAUSTED, "no client port is left"),
        (Outcome.FAILED, Cause.FAILS, "could not be reached: Too many open files"),
        (Outcome.TIMED_OUT, Cause.FIREWALL, "drops connections to 127.0.0.1:3000"),
        (Outcome.REFUSED, Cause.FIREWALL, "rejects connections to 127.0.0.1:3000"),
        (Outcome.UNREACHABLE, Cause.FIREWALL, "rejects connections to 127.0.0.1:3000"),
        (Outcome.NOT_PERMITTED, Cause.FIREWALL, "rejects connections to 127.0.0.1:3000"),
    ],
)
def test_a_connection_shows_what_the_table_does_not(outcome: Outcome, cause: Cause, words: str) -> None:
    found = verdict("3000", SERVER_SOCKET, outcome=outcome, error="Too many open files")
    assert (found.cause, found.ok) == (cause, False)
    assert words in found.headline
    assert any(str(outcome) in line for line in found.evidence)


def test_a_firewall_is_inferred_with_the_reason_why_its_rules_were_not_read() -> None:
    machine = replace(MACHINE, firewall=UNREAD)
    found = verdict("3000", SERVER_SOCKET, outcome=Outcome.TIMED_OUT, machine=machine)
    assert "as far as can be inferred" in found.headline
    assert found.evidence[-1].endswith("the rules may not be read without root")
    assert "with room in its queue" in found.evidence[1]


def test_without_known_queues_a_timeout_accuses_no_firewall() -> None:
    """psutil knows no queues, and a full one looks the same."""
    found = verdict("3000", listening("127.0.0.1:3000", 4312), outcome=Outcome.TIMED_OUT)
    assert found.cause is Cause.FAILS
    assert "its queue is full, or a firewall drops" in found.headline
    refused = verdict("3000", listening("127.0.0.1:3000", 4312), outcome=Outcome.REFUSED)
    assert refused.cause is Cause.FIREWALL
    assert "room in its queue" not in said(refused)


def test_a_rule_of_the_firewall_is_named() -> None:
    found = verdict("3000", SERVER_SOCKET, machine=replace(MACHINE, firewall=drops(3000)))
    assert found.cause is Cause.FIREWALL
    assert found.evidence[0] == "table inet filter, chain input: tcp dport 3000 drop"


@pytest.mark.parametrize("firewall", [drops(3001), drops(3000, family="ip6"), drops(3000, protocol="udp"), None])
def test_a_rule_about_something_else_is_not(firewall: Any) -> None:
    assert verdict("3000", SERVER_SOCKET, machine=replace(MACHINE, firewall=firewall)).ok


def test_exhausted_ports_count_for_their_destination_only() -> None:
    assert verdict("3000", SERVER_SOCKET, findings=[EXHAUSTED]).cause is Cause.EXHAUSTED
    everywhere = with_queue(listening("0.0.0.0:3000", 4312), 0, 511)
    assert verdict("3000", everywhere, findings=[EXHAUSTED]).cause is Cause.EXHAUSTED
    other = replace(EXHAUSTED, where=Endpoint("127.0.0.1", 3001))
    assert verdict("3000", SERVER_SOCKET, findings=[other]).ok


# A server is there, but elsewhere


@pytest.mark.parametrize(
    ("what", "server", "cause", "place"),
    [
        ("3000", ON_IPV6, Cause.OTHER_FAMILY, "say [::1]:3000"),
        ("127.0.0.1:3000", listening("[::]:3000", 4312, v6only=True), Cause.OTHER_FAMILY, "say [::1]:3000"),
        ("[::1]:3000", SERVER_SOCKET, Cause.OTHER_FAMILY, "say 127.0.0.1:3000"),
        ("[0:0:0:0:0:0:0:1]:3000", SERVER_SOCKET, Cause.OTHER_FAMILY, "say 127.0.0.1:3000"),
        ("[::1%lo]:3000", SERVER_SOCKET, Cause.OTHER_FAMILY, "say 127.0.0.1:3000"),
        ("[::1]:3000", listening("0.0.0.0:3000", 4312), Cause.OTHER_FAMILY, "say 127.0.0.1:3000"),
        ("127.0.0.2:3000", SERVER_SOCKET, Cause.OTHER_ADDRESS, "say 127.0.0.1:3000"),
        ("[::ffff:127.0.0.2]:3000", SERVER_SOCKET, Cause.OTHER_ADDRESS, "say 127.0.0.1:3000"),
        ("localhost:3000", ON_IPV6, Cause.OTHER_FAMILY, "say [::1]:3000"),
    ],
)
def test_a_server_at_another_address_is_found(what: str, server: Any, cause: Cause, place: str) -> None:
    found = verdict(what, server)
    assert (found.cause, found.ok, found.remedies[0]) == (cause, False, place)
    assert "node 4312 listens on" in found.headline


@pytest.mark.parametrize("what", ["3000", "0.0.0.0:3000", "*:3000", "db.example.org:3000", "192.0.2.1:3000"])
def test_what_is_no_loopback_address_is_looked_up_as_127_0_0_1(what: str) -> None:
    assert case(what).addresses == ("127.0.0.1",)


def test_localhost_that_is_ipv6_first_hides_an_ipv4_server_from_some_clients() -> None:
    found = verdict("localhost:3000", SERVER_SOCKET, machine=IPV6_FIRST)
    assert (found.cause, found.ok) == (Cause.OTHER_FAMILY, False)
    assert found.headline == "localhost is [::1] first, and node 4312 listens on 127.0.0.1:3000 only"
    assert found.remedies[0] == "say 127.0.0.1:3000 instead of localhost"
    both = with_queue(listening("[::]:3000", 4312, v6only=False), 0, 5)
    assert verdict("localhost:3000", both, machine=IPV6_FIRST).ok
    assert verdict("127.0.0.1:3000", SERVER_SOCKET, machine=IPV6_FIRST).ok


# No server is there


@pytest.mark.parametrize(
    ("what", "more", "cause", "words"),
    [
        ("3000", {}, Cause.NOBODY, "nobody listens on port 3000: to connect there is refused"),
        ("3000", {"machine": DOWN}, Cause.LOOPBACK_DOWN, "sudo ip link set lo up"),
        ("localhost:3000", {"machine": NAMELESS}, Cause.NAME, "nobody knows the name"),
        ("getaddrinfo ENOTFOUND http://db:3000", {"machine": NAMELESS}, Cause.NAME, "/etc/hosts"),
        ("3000", {"machine": NAMELESS}, Cause.NOBODY, "refused"),
        ("3000", {"bound": [BOUND]}, Cause.BOUND, "node 4312 on 127.0.0.1:3000 is bound to it and does not listen"),
        ("3000", {"connections": [client_of("127.0.0.1:5432")]}, Cause.CLIENT_PORT, "its connection to node 811"),
        ("3000", {"connections": [to_itself()]}, Cause.SELF_CONNECTED, "node 5300 is connected to itself there"),
        ("3000", {"connections": [old_connection()]}, Cause.OLD_CONNECTION, "1 connection of its former server"),
        ("3000", {"connections": [over()]}, Cause.TIME_WAIT, "1 old connection in TIME_WAIT for 42s more"),
        ("3000", {"connections": [over(None)]}, Cause.TIME_WAIT, "in TIME_WAIT, for at most a minute"),
        ("3000", {"binds": TAKEN}, Cause.UNSEEN, "nothing that can be seen here has it"),
        ("3000", {"outcome": Outcome.TAKEN}, Cause.UNSEEN, "a connection just made from here: taken"),
        ("3000", {"outcome": Outcome.REFUSED}, Cause.NOBODY, "to connect there is refused"),
        ("3000", {"outcome": Outcome.SELF}, Cause.NOBODY, "to connect there is refused"),
        ("3000", {"outcome": Outcome.TIMED_OUT}, Cause.NOBODY, "is not even refused: timed-out"),
        ("3000", {"formerly": "node 99"}, Cause.NOBODY, "node 99 had it a moment ago"),
    ],
)
def test_without_a_server_the_cause_is_what_has_the_port(
    what: str, more: dict[str, Any], cause: Cause, words: str
) -> None:
    found = verdict(what, **more)
    assert (found.cause, found.ok) == (cause, False)
    assert words in said(found)
    assert found.remedies or cause is Cause.SELF_CONNECTED  # its remedy is the finding's


def test_a_port_below_the_range_that_a_client_has_needs_another_remedy() -> None:
    reserved = verdict("40000", connections=[client_of("127.0.0.1:5432", 40000)]).remedies
    assert "ip_local_reserved_ports=40000" in reserved[1]
    assert verdict("3000", connections=[client_of("127.0.0.1:5432")]).remedies == (
        "for a server choose another port, or end that connection",
    )


def test_another_system_s_machine_is_not_accused() -> None:
    """The demo's: nothing was asked of this one."""
    assert verdict("localhost:3000", SERVER_SOCKET, machine=None, binds=()).ok
    assert verdict("3000", machine=None, binds=()).cause is Cause.NOBODY


# UDP


def test_udp_and_tcp_have_ports_of_their_own() -> None:
    dns = listening("127.0.0.1:3000", 53, protocol=Protocol.UDP)
    assert verdict("3000/udp", dns, binds=()).ok
    assert verdict("3000", dns).cause is Cause.NOBODY
    assert verdict("3000/udp", SERVER_SOCKET, bound=[BOUND], connections=[over(), old_connection()]).cause is (
        Cause.NOBODY
    )
    assert verdict("3000/udp", dns, machine=replace(MACHINE, firewall=drops(3000))).ok
    dropped = replace(MACHINE, firewall=drops(3000, protocol="udp"))
    assert verdict("3000/udp", dns, machine=dropped).cause is Cause.FIREWALL


def test_a_udp_server_of_ipv4_does_not_answer_ipv6() -> None:
    everywhere = listening("0.0.0.0:3000", 53, protocol=Protocol.UDP)
    assert [row.laddr.ip for row in case("3000/udp", everywhere).answering("127.0.0.1")] == ["0.0.0.0"]
    assert case("3000/udp", everywhere).answering("::1") == ()
