"""Networks in which something is wrong, each in a namespace of its own: what ``loopmon why`` names as the cause."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from namespace import CLONE_NEWNET, RefusedError, inside
from whys import Told, listed, marks, part, told_words, why
from zoo import TIMEOUT_S, run_loopmon

from loopmon.actions.probe import probe
from loopmon.commands.look import look_once
from loopmon.firewall import Firewall, read_firewall
from loopmon.machine import read_machine
from loopmon.model import Endpoint, Scope
from loopmon.sources import SourceChoice
from loopmon.why.case import Case
from loopmon.why.target import parse_target
from loopmon.why.verdict import judge

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")

PORT, OTHER = 3000, 3001
"""Nobody else is there, so any number will do; these are outside the ephemeral range."""
SHORT_S = 0.3


# Refused and timed out


def test_a_port_without_a_server_refuses() -> None:
    told = inside(ask, "--probe", PORT)
    assert (told["cause"], told["probe"]["outcome"]) == ("nobody-listens", "refused")
    assert "refused   yes: nobody listens on 127.0.0.1" in part(told, "fails")
    assert all(each["free"] and each["needs_reuse"] is False for each in told["bind"])


def ask(*args: str | int) -> Told:
    return why(*map(str, args))


def test_a_full_queue_is_told_from_a_firewall_though_both_time_out() -> None:
    told, seen = inside(fill_queue)
    assert (told["cause"], told["probe"]["outcome"]) == ("backlog-full", "timed-out")
    assert "firewall  no rule that is understood concerns it" in part(told, "fails")
    assert "backlog-full" in seen


def fill_queue() -> list[Any]:
    server = socket.create_server(("127.0.0.1", PORT), backlog=0)
    with socket.create_connection(server.getsockname()):
        return [why(str(PORT), "--probe"), sorted(marks(PORT))]


# The firewall


@pytest.mark.parametrize("rule", ["drop", "reject", "reject with tcp reset"])
@pytest.mark.parametrize("hook", ["input", "output"])
def test_a_rule_that_bars_the_port_is_read_and_named(hook: str, rule: str) -> None:
    told, other = inside(behind_rule, hook, f"tcp dport {PORT} {rule}")
    assert told["cause"] == "firewall"
    assert told["headline"] == f"a firewall rule keeps clients from 127.0.0.1:{PORT}"
    assert told["evidence"][0].startswith(f"table inet walls, chain door: tcp dport {PORT} {rule}")
    assert "with room in its queue" in told["evidence"][1]
    assert other["ok"]


def behind_rule(hook: str, rule: str) -> list[Any]:
    _bar(hook, rule)
    if read_firewall().ruleset is None:
        raise RefusedError("the rules may not be read here")
    with socket.create_server(("127.0.0.1", PORT)), socket.create_server(("127.0.0.1", OTHER)):
        return [why(str(PORT)), why(str(OTHER))]


@pytest.mark.parametrize(("rule", "verb"), [("drop", "drops"), ("reject", "rejects")])
@pytest.mark.parametrize("unreadable", ["", "the rules may not be read without root"])
def test_a_firewall_is_inferred_where_its_rules_are_not_read(rule: str, verb: str, unreadable: str) -> None:
    cause, words = inside(infer, f"tcp dport {PORT} {rule}", unreadable)
    assert cause == "firewall"
    assert f"a firewall {verb} connections to 127.0.0.1:{PORT}, as far as can be inferred" in words
    assert "with room in its queue" in words
    assert unreadable in words


def infer(rule: str, unreadable: str) -> list[str]:
    """As ``why --probe`` does, with a reader of rules that reads none; without the probe all looks well."""
    _bar("input", rule)
    machine = read_machine(read_rules=(lambda: Firewall(None, unreadable)) if unreadable else None)
    with socket.create_server(("127.0.0.1", PORT)):
        case = _case(str(PORT), machine)
        assert judge(case).ok
        found = judge(Case(case.target, case.snapshot, machine, (), probe(Endpoint("127.0.0.1", PORT), SHORT_S)))
    return [found.cause, "\n".join((found.headline, *found.evidence))]


def test_a_timeout_where_nobody_listens_is_not_called_a_refusal() -> None:
    told = inside(drop_for_nobody)
    assert (told["cause"], told["probe"]["outcome"]) == ("nobody-listens", "timed-out")
    assert "is not even refused" in told["headline"]
    assert f"firewall  yes: table inet walls, chain door: tcp dport {PORT} drop" in part(told, "fails")


def drop_for_nobody() -> Told:
    _bar("input", f"tcp dport {PORT} drop")
    return why(str(PORT), "--probe")


def test_a_port_that_is_sent_elsewhere_is_served_by_somebody_unseen() -> None:
    told = inside(redirect)
    assert told["cause"] == "in-use-unseen"
    assert told["headline"].startswith(f"127.0.0.1:{OTHER} accepts connections, and no server that can be seen")


def redirect() -> Told:
    chain = f"{{ type nat hook output priority -100; tcp dport {OTHER} redirect to :{PORT}; }}"
    _run("nft", f"table ip walls {{ chain door {chain}; }}")
    with socket.create_server(("127.0.0.1", PORT)):
        return why(str(OTHER), "--probe")


# The interface, and the ports


def test_loopback_that_was_taken_down_hides_everything_else() -> None:
    for told in inside(take_down):
        assert told["cause"] == "loopback-down"
        assert "sudo ip link set lo up" in told["remedies"]


def take_down() -> list[Told]:
    """It keeps its addresses, so a connection times out."""
    with socket.create_server(("127.0.0.1", PORT)):
        _run("ip", "link", "set", "lo", "down")
        told = [why(str(PORT)), why(str(OTHER)), why(str(PORT), "--probe")]
    assert told[2]["probe"]["outcome"] == "timed-out"
    return told


def test_loopback_that_was_never_up_is_told_too() -> None:
    told = inside(never_up)
    assert (told["cause"], told["probe"]["outcome"]) == ("loopback-down", "unreachable")


def never_up() -> Told:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise RefusedError(f"no second network namespace may be made here: {os.strerror(ctypes.get_errno())}")
    return why(str(PORT), "--probe")


def test_client_ports_that_have_run_out_are_told_with_their_number() -> None:
    told, made, other, findings = inside(run_out)
    assert told["cause"] == made["cause"] == "port-exhaustion"
    assert told["headline"] == f"client ports to 127.0.0.1:{PORT} have run out"
    assert told["evidence"][0].startswith("4 of 4 ports (40000 to 40003) are taken from 127.0.0.1")
    assert made["probe"]["outcome"] == "no-ports"
    assert other["ok"]
    assert findings == ["port-exhaustion"]


def run_out() -> list[Any]:
    _set("ip_local_port_range", "40000 40003")
    server, other = (socket.create_server(("127.0.0.1", port)) for port in (PORT, OTHER))
    kept = []
    for _ in range(4):
        kept += [socket.create_connection(server.getsockname()), server.accept()[0]]
    told = [why(str(PORT)), why(str(PORT), "--probe"), why(str(OTHER))]
    findings = [each["id"] for each in json.loads(run_loopmon("ls", "--json").stdout)["findings"]]
    for each in (*kept, server, other):
        each.close()
    return [*told, findings]


def test_a_reserved_port_is_told() -> None:
    assert "reserved (net.ipv4.ip_local_reserved_ports)" in part(inside(reserve), "number")


def reserve() -> Told:
    _set("ip_local_reserved_ports", "2999-3000")
    return why(str(PORT))


# What a server left behind


def test_a_port_in_time_wait_is_told_with_the_seconds_left() -> None:
    told, rows = inside(wait_after_close)
    assert told["cause"] == "time-wait"
    words, _, left = told["headline"].partition(" for ")
    assert words == f"nobody listens on port {PORT}; 1 old connection in TIME_WAIT"
    seconds, _, rest = left.partition("s")
    assert rest == " more"
    assert 0 < int(seconds) <= 60
    assert told["bind"][0] == {"address": "127.0.0.1", "free": True, "needs_reuse": True, "reason": None}
    assert "SO_REUSEADDR" in told["remedies"][0]
    assert rows == [["TIME_WAIT", []]]


def wait_after_close() -> list[Any]:
    """The server ends it first, as one does that is stopped."""
    with socket.create_server(("127.0.0.1", PORT)) as server:
        client = socket.create_connection(server.getsockname())
        server.accept()[0].close()
        client.recv(1)
        client.close()
    rows = [[row["server"].get("status"), row["findings"]] for row in listed(PORT)["connections"]]
    return [why(str(PORT)), rows]


def test_connections_that_outlive_their_listener_are_told() -> None:
    told = inside(outlive)
    assert told["cause"] == "old-connection"
    assert told["headline"] == (
        f"nobody listens on port {PORT} any more; 1 connection of its former server is still open"
    )
    assert "ESTABLISHED" in told_words(told)


def outlive() -> Told:
    with socket.create_server(("127.0.0.1", PORT)) as server:
        client = socket.create_connection(server.getsockname())
        kept = server.accept()[0]
    with client, kept:
        return why(str(PORT))


def _case(what: str, machine: Any) -> Case:
    return Case(parse_target(what), look_once(SourceChoice.AUTO, Scope(ipv6=True), demo=False), machine)


def _bar(hook: str, rule: str) -> None:
    _run("nft", f"table inet walls {{ chain door {{ type filter hook {hook} priority 0; {rule}; }}; }}")


def _set(name: str, value: str) -> None:
    try:
        Path("/proc/sys/net/ipv4", name).write_text(value)
    except OSError as error:
        raise RefusedError(f"{name} cannot be set here: {error}") from error


def _run(command: str, *arguments: str) -> None:
    if shutil.which(command) is None:
        raise RefusedError(f"{command} is not installed")
    done = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise RefusedError(f"{command} may not do this here: {done.stderr.strip()}")
