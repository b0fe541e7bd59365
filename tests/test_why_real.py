"""``loopmon why`` as people run it, beside real servers that are well or have something wrong with them."""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from strays import Strays, command
from terminal import Terminal
from whys import listed, marks, part, told_words, why, why_until
from zoo import Zoo, run_loopmon

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is told apart here only Linux tells")


@pytest.fixture
def strays(tmp_path: Path) -> Iterator[Strays]:
    with Strays(tmp_path) as kept:
        yield kept


def unused(zoo: Zoo) -> int:
    """A port that was free on every address a moment ago."""
    child = zoo.child()
    server = child.listen()
    child.close(server)
    return server.port


# Well, and nobody there


def test_a_healthy_server_is_named_and_gets_no_finding(strays: Strays, zoo: Zoo) -> None:
    server, _ = strays.start("serve")
    zoo.child().connect("127.0.0.1", server.port)
    told = why_until("healthy", str(server.port))
    assert f" {server.pid}" in told["headline"]
    assert f"listens on 127.0.0.1:{server.port}; nothing wrong is seen" in told["headline"]
    assert told["evidence"][0] == "1 client connected"
    assert told["answers"][0]["listeners"][0]["pids"] == [server.pid]
    assert [each["free"] for each in told["bind"]] == [False, False, True, False]
    assert told["sections"]["bind"][0].endswith(f" {server.pid} listens on 127.0.0.1:{server.port}")
    assert marks(server.port) == set()


def test_the_text_leads_with_the_verdict(zoo: Zoo) -> None:
    server = zoo.child().listen()
    done = run_loopmon("why", f"http://localhost:{server.port}/x")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"localhost:{server.port}: ")
    assert "nothing wrong is seen" in " ".join(lines[:2])
    assert all(len(line) <= 100 for line in lines)


def test_a_port_that_nobody_has_is_refused(zoo: Zoo) -> None:
    port = unused(zoo)
    told = why(str(port))
    assert (told["cause"], told["ok"]) == ("nobody-listens", False)
    assert told["headline"] == f"nobody listens on port {port}: to connect there is refused"
    assert told["remedies"] == [f"start the server; loopmon wait {port} returns when it accepts"]
    assert all(each["free"] for each in told["bind"] if each["address"] in {"127.0.0.1", "0.0.0.0"})


# A server that does not serve


def test_a_stopped_server_is_the_cause_and_is_marked(strays: Strays) -> None:
    server, _ = strays.start("serve")
    os.kill(server.pid, signal.SIGSTOP)
    told = why_until("stopped", str(server.port))
    assert f"kill -CONT {server.pid}" in told_words(told)
    assert "timeout   yes: " in part(told, "fails")
    assert "stopped" in marks(server.port)
    os.kill(server.pid, signal.SIGCONT)
    why_until("healthy", str(server.port))


def test_a_server_whose_terminal_was_closed_is_left_over(strays: Strays) -> None:
    note = strays.note()
    words = " ".join(command("serve", note))
    with Terminal("/bin/sh", "-c", f"{words} & wait") as terminal:
        server = strays.meet(note)
        assert why(str(server.port))["ok"]
        terminal.hang_up()
        terminal.wait_for_end()
        told = why_until("left-over", str(server.port))
    assert "and looks left over (3 of 6 signs)" in told["headline"]
    assert "is closed" in told["evidence"][0]
    assert told["remedies"][0].endswith(f" {server.pid}: x, or loopmon stop {server.port}")
    assert "left-over" in marks(server.port)


def test_a_full_backlog_is_the_cause_and_is_marked(zoo: Zoo) -> None:
    child = zoo.child()
    server = child.listen(backlog=0)
    zoo.child().connect("127.0.0.1", server.port)
    told = why_until("backlog-full", str(server.port))
    assert told["evidence"][0] == "1 client waits to be accepted; backlog 0"
    assert "timeout   yes: its queue is full" in part(told, "fails")
    assert "backlog-full" in marks(server.port)
    child.accept(server)
    assert why(str(server.port))["ok"]


def test_clients_that_nobody_takes_are_the_cause(zoo: Zoo) -> None:
    """They must have waited for a while, so it is asked again and again."""
    server = zoo.child().listen()
    zoo.child().connect("127.0.0.1", server.port)
    told = why_until("not-accepting", str(server.port))
    assert told["evidence"][0].startswith("1 client waits to be accepted, the oldest for ")
    assert "not-accepting" in marks(server.port)


# A server that is somewhere else


def test_a_server_on_ipv6_alone_is_missed_by_ipv4(zoo: Zoo) -> None:
    port = zoo.child().listen("::1").port
    told = why(f"127.0.0.1:{port}")
    assert told["cause"] == "other-family"
    assert f"listens on [::1]:{port}" in told["headline"]
    assert told["remedies"][0] == f"say [::1]:{port}"
    assert [bool(each["listeners"]) for each in told["answers"]] == [False, True]
    assert why(f"[::1]:{port}")["ok"]
    (row,) = listed(port)["listeners"]
    assert (row["address"], row["findings"]) == ("::1", [])


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_server_on_ipv4_alone_is_missed_by_ipv6(zoo: Zoo, host: str) -> None:
    port = zoo.child().listen(host).port
    told = why(f"connect ECONNREFUSED ::1:{port}")
    assert (told["cause"], told["remedies"][0]) == ("other-family", f"say 127.0.0.1:{port}")


def test_a_server_on_every_ipv6_address_only_is_missed_by_ipv4(zoo: Zoo) -> None:
    port = zoo.child().listen("::", v6only=True).port
    told = why(str(port))
    assert told["cause"] == "other-family"
    assert "(IPv6 only)" in told["headline"]
    assert "takes IPv6 only (V6ONLY)" in part(told, "answers")
    assert why(f"[::1]:{port}")["ok"]


def test_a_server_on_every_address_answers_both_families(zoo: Zoo) -> None:
    port = zoo.child().listen("::").port
    told = why(str(port))
    assert told["ok"]
    assert all(each["listeners"] for each in told["answers"])
    assert "outside    can reach" in part(told, "answers")


def test_a_server_on_one_address_is_missed_by_another(zoo: Zoo) -> None:
    port = zoo.child().listen().port
    told = why(f"127.0.0.2:{port}")
    assert (told["cause"], told["remedies"][0]) == ("other-address", f"say 127.0.0.1:{port}")


def test_two_servers_that_shadow_each_other_are_told_apart(strays: Strays, zoo: Zoo) -> None:
    """The one has nothing to do with the other: a daemon, and a child of the test."""
    daemon, _ = strays.start("daemon")
    child = zoo.child()
    child.listen("::1", port=daemon.port)
    told = why_until("shadowed", str(daemon.port))
    assert [each["listeners"][0]["pids"] for each in told["answers"]] == [[daemon.pid], [child.pid]]
    assert "which one answers localhost depends on the client" in part(told, "answers")
    assert "shadowed" in marks(daemon.port)


def test_of_a_wildcard_and_an_address_the_address_answers(strays: Strays, zoo: Zoo) -> None:
    daemon, _ = strays.start("daemon")
    child = zoo.child()
    child.listen("0.0.0.0", port=daemon.port, share=True)
    for ip, pid in (("127.0.0.1", daemon.pid), ("127.0.0.2", child.pid)):
        told = why_until("shadowed", f"{ip}:{daemon.port}")
        assert told["answers"][0 if ip == "127.0.0.1" else 2]["listeners"][0]["pids"] == [pid]


def test_a_udp_server_is_found_where_udp_is_meant(zoo: Zoo) -> None:
    child = zoo.child()
    port = child.udp().port
    told = why(f"127.0.0.1:{port}/udp")
    assert told["ok"]
    assert f"listens on 127.0.0.1:{port} (udp)" in told["headline"]
    assert (told["target"]["protocol"], told["bind"]) == ("udp", None)
    assert why(f"127.0.0.1:{port}")["cause"] == "nobody-listens"


# No server, and the port is taken


def test_a_port_that_a_client_was_given_is_explained_by_its_connection(zoo: Zoo) -> None:
    child, other = zoo.child(), zoo.child()
    server = child.listen()
    client = other.connect("127.0.0.1", server.port)
    child.accept(server)
    told = why(f"127.0.0.1:{client.port}")
    assert told["cause"] == "client-port"
    assert f" {other.pid}, for its connection to " in told["headline"]
    assert told["headline"].endswith(f" {child.pid} at 127.0.0.1:{server.port}")
    assert "ESTABLISHED" in told["evidence"][0]
    assert f"ip_local_reserved_ports={client.port}" in told["remedies"][1]
    (row,) = listed(client.port)["connections"]
    assert (row["client"]["port_class"], row["findings"]) == ("ephemeral", [])


def test_a_port_that_is_bound_without_listening_is_explained(zoo: Zoo) -> None:
    port = unused(zoo)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", port))
        told = why(str(port))
    assert told["cause"] == "bound-not-listening"
    assert f" {os.getpid()} on 127.0.0.1:{port} is bound to it and does not listen" in told["headline"]
    assert [each["free"] for each in told["bind"]][:2] == [False, False]


def test_a_connection_to_itself_is_explained(zoo: Zoo) -> None:
    port = unused(zoo)
    with socket.socket() as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leaves no TIME_WAIT
        own.bind(("127.0.0.1", port))
        own.connect(("127.0.0.1", port))
        told = why(str(port))
        assert "port-stolen" in marks(port)
    assert told["cause"] == "self-connected"
    assert f" {os.getpid()} is connected to itself there" in told["headline"]
    assert told["remedies"]
