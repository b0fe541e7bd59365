"""Which rules keep a connection from a port: rulesets as nft prints them, and nft itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from namespace import RefusedError, inside
from zoo import TIMEOUT_S

from loopmon.firewall import Firewall, blocks, read_firewall
from loopmon.model import Protocol

Expression = dict[str, Any]

DROP: Expression = {"drop": None}
ACCEPT: Expression = {"accept": None}
COUNTER: Expression = {"counter": {"packets": 0, "bytes": 0}}
UNKNOWN: Expression = {"xt": None}
LO = {"match": {"op": "==", "left": {"meta": {"key": "iif"}}, "right": "lo"}}


def dport(right: Any, op: str = "==") -> Expression:
    return {"match": {"op": op, "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": right}}


def daddr(right: Any, protocol: str = "ip") -> Expression:
    return {"match": {"op": "==", "left": {"payload": {"protocol": protocol, "field": "daddr"}}, "right": right}}


def meta(key: str, right: Any, op: str = "==") -> Expression:
    return {"match": {"op": op, "left": {"meta": {"key": key}}, "right": right}}


def state(right: Any) -> Expression:
    return {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": right}}


def prefix(address: str, length: int) -> Expression:
    return {"prefix": {"addr": address, "len": length}}


def chain(name: str = "input", hook: str | None = "input", policy: str = "accept", family: str = "inet") -> Expression:
    base = {"type": "filter", "hook": hook, "prio": 0, "policy": policy} if hook else {}
    return {"chain": {"family": family, "table": "filter", "name": name, "handle": 1, **base}}


def rule(*expressions: Expression, name: str = "input", family: str = "inet") -> Expression:
    return {"rule": {"family": family, "table": "filter", "chain": name, "handle": 2, "expr": list(expressions)}}


def ruleset(*items: Expression) -> dict[str, Any]:
    return {"nftables": [{"metainfo": {"json_schema_version": 1}}, *items]}


def told(
    *rules: Expression, port: int = 3000, ip: str = "127.0.0.1", policy: str = "accept", hook: str = "input"
) -> Any:
    """What blocks, without the place."""
    found = blocks(ruleset(chain(hook=hook, policy=policy), *rules), port, ip)
    assert all(line.startswith("table inet filter, chain input: ") for line in found)
    return [line.partition(": ")[2] for line in found]


# One rule


def test_a_rule_is_told_with_its_place() -> None:
    rules = ruleset(chain(), rule(dport(3000), DROP))
    assert blocks(rules, 3000) == ("table inet filter, chain input: tcp dport 3000 drop",)
    assert blocks(rules, 3001) == ()
    assert blocks(rules, 3000, protocol=Protocol.UDP) == ()


def test_no_rules_block_nothing() -> None:
    assert blocks(ruleset(), 3000) == blocks({}, 3000) == ()


@pytest.mark.parametrize(
    ("expressions", "words"),
    [
        ([dport({"set": [80, 3000]})], "tcp dport { 80, 3000 } drop"),
        ([dport({"range": [2000, 4000]})], "tcp dport 2000-4000 drop"),
        ([dport({"set": [80, {"range": [2999, 3001]}]})], "tcp dport { 80, 2999-3001 } drop"),
        ([dport({"set": [{"elem": {"val": 3000, "comment": "x"}}]})], "tcp dport { 3000 } drop"),
        ([LO, dport(3000), COUNTER], "iif lo tcp dport 3000 drop"),
        ([meta("iifname", "lo"), {"log": {"prefix": "x"}}, dport(3000)], "iifname lo tcp dport 3000 drop"),
        ([daddr("127.0.0.1"), dport(3000)], "ip daddr 127.0.0.1 tcp dport 3000 drop"),
        ([daddr(prefix("127.0.0.0", 8)), dport(3000)], "ip daddr 127.0.0.0/8 tcp dport 3000 drop"),
        (
            [daddr({"range": ["127.0.0.0", "127.0.0.9"]}), dport(3000)],
            "ip daddr 127.0.0.0-127.0.0.9 tcp dport 3000 drop",
        ),
        (
            [meta("l4proto", "tcp"), meta("nfproto", "ipv4"), dport(3000)],
            "l4proto tcp nfproto ipv4 tcp dport 3000 drop",
        ),
        ([state("new"), dport(3000)], "ct state new tcp dport 3000 drop"),
        ([dport(22, "!=")], "tcp dport != 22 drop"),
        ([meta("l4proto", {"set": ["tcp", "udp"]})], "l4proto { tcp, udp } drop"),
    ],
)
def test_a_rule_that_applies_is_told_as_nft_writes_it(expressions: list[Expression], words: str) -> None:
    assert told(rule(*expressions, DROP)) == [words]


@pytest.mark.parametrize(
    ("reject", "words"),
    [
        ({"type": "tcp reset"}, "reject with tcp reset"),
        ({"type": "icmp", "expr": "port-unreachable"}, "reject with icmp port-unreachable"),
        (None, "reject"),
    ],
)
def test_a_rejection_is_told_with_its_kind(reject: Any, words: str) -> None:
    assert told(rule(dport(3000), {"reject": reject})) == [f"tcp dport 3000 {words}"]


@pytest.mark.parametrize(
    "expressions",
    [
        [dport(3001)],
        [dport(3000, "!=")],
        [dport({"range": [1, 2999]})],
        [dport({"set": []})],
        [meta("iif", "lo", "!="), dport(3000)],
        [meta("iifname", "eth0"), dport(3000)],
        [daddr("10.0.0.1"), dport(3000)],
        [daddr(prefix("10.0.0.0", 8)), dport(3000)],
        [daddr("::1", "ip6"), dport(3000)],
        [meta("nfproto", "ipv6"), dport(3000)],
        [meta("l4proto", "udp")],
        [{"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": 3000}}],
        [state(["established", "related"])],
        [state("invalid"), dport(3000)],
    ],
)
def test_a_rule_that_does_not_apply_is_not_told(expressions: list[Expression]) -> None:
    assert told(rule(*expressions, DROP)) == []


@pytest.mark.parametrize(
    "unknown",
    [
        UNKNOWN,
        {"limit": {"rate": 10, "per": "second"}},
        meta("skuid", 1000),
        meta("iifname", "l*"),
        meta("oifname", "lo"),
        dport("@missing"),
        dport("http"),
        dport({"unheard": "of"}),
        dport(3000, "<"),
        daddr(prefix("what", 8)),
        daddr({"range": ["a", "b"]}),
        {"match": {"op": "==", "left": {"&": [{"payload": {"protocol": "tcp", "field": "dport"}}, 1]}, "right": 0}},
        {"match": {"op": "==", "left": {"payload": {"base": "th", "offset": 16, "len": 16}}, "right": 3000}},
        {"match": {"op": "==", "left": "text", "right": 3000}},
    ],
)
def test_what_is_not_understood_is_passed_over(unknown: Expression) -> None:
    assert told(rule(dport(3000), unknown, DROP)) == []


def test_ipv6_is_looked_at_with_ipv6_s_rules() -> None:
    rules = [rule(daddr("::1", "ip6"), dport(3000), DROP), rule(daddr("127.0.0.1"), dport(3001), DROP)]
    assert told(*rules, ip="::1") == ["ip6 daddr ::1 tcp dport 3000 drop"]
    assert told(*rules, ip="::1", port=3001) == []
    only_ipv4 = ruleset(chain(family="ip"), rule(dport(3000), DROP, family="ip"))
    assert len(blocks(only_ipv4, 3000)) == 1
    assert blocks(only_ipv4, 3000, "::1") == ()


def test_on_the_way_out_the_interface_is_the_one_it_leaves_by() -> None:
    assert told(rule(meta("oif", "lo"), dport(3000), DROP), hook="output") == ["oif lo tcp dport 3000 drop"]
    assert told(rule(meta("iif", "lo"), dport(3000), DROP), hook="output") == []


def test_named_sets_are_looked_up_in_their_own_table() -> None:
    kept = {"set": {"family": "inet", "table": "filter", "name": "shut", "type": "inet_service", "elem": [80, 3000]}}
    other = {"set": {"family": "inet", "table": "nat", "name": "open", "type": "inet_service", "elem": [3000]}}
    assert told(kept, rule(dport("@shut"), DROP)) == ["tcp dport @shut drop"]
    assert told(other, rule(dport("@open"), DROP)) == []


# One rule after another


def test_a_packet_that_is_accepted_meets_no_later_rule_of_that_chain() -> None:
    assert told(rule(LO, ACCEPT), rule(dport(3000), DROP), policy="drop") == []


def test_another_chain_may_still_drop_it() -> None:
    second = chain("late")
    rules = ruleset(chain(), rule(ACCEPT), second, rule(dport(3000), DROP, name="late"))
    assert blocks(rules, 3000) == ("table inet filter, chain late: tcp dport 3000 drop",)


def test_a_policy_of_dropping_is_told_when_nothing_lets_the_packet_pass() -> None:
    usual = [rule(state(["established", "related"]), ACCEPT), rule(dport(22), ACCEPT)]
    assert told(*usual, policy="drop") == ["policy drop"]
    assert told(*usual, policy="drop", port=22) == []


def test_a_rule_that_is_not_understood_may_have_let_it_pass() -> None:
    assert told(rule(UNKNOWN, ACCEPT), policy="drop") == []
    assert told(rule(UNKNOWN, ACCEPT), rule(DROP)) == []
    assert told(rule(UNKNOWN, DROP), policy="drop") == ["policy drop"]


def test_a_rule_that_names_the_port_is_told_all_the_same() -> None:
    assert told(rule(UNKNOWN, ACCEPT), rule(dport(3000), DROP)) == ["tcp dport 3000 drop"]


def test_chains_are_followed_there_and_back() -> None:
    jump = {"jump": {"target": "sub"}}
    rules = [chain("sub", None), rule(dport(3000), DROP, name="sub"), rule(jump), rule(dport(3001), DROP)]
    found = blocks(ruleset(chain(), *rules), 3000)
    assert found == ("table inet filter, chain sub: tcp dport 3000 drop",)
    assert told(*rules, port=3001) == ["tcp dport 3001 drop"]


def test_a_chain_that_accepts_or_is_gone_to_does_not_come_back() -> None:
    accepting = [chain("sub", None), rule(ACCEPT, name="sub")]
    assert told(*accepting, rule({"jump": {"target": "sub"}}), rule(DROP)) == []
    assert told(chain("sub", None), rule({"goto": {"target": "sub"}}), rule(DROP)) == []
    assert told(chain("sub", None), rule({"goto": {"target": "sub"}}), policy="drop") == ["policy drop"]


def test_return_goes_on_behind_the_jump() -> None:
    returning = [chain("sub", None), rule({"return": None}, name="sub"), rule(DROP, name="sub")]
    assert told(*returning, rule({"jump": {"target": "sub"}}), rule(dport(3000), DROP)) == ["tcp dport 3000 drop"]


def test_chains_that_jump_in_a_circle_end() -> None:
    assert told(rule({"jump": {"target": "input"}}), policy="drop") == []


@pytest.mark.parametrize(
    ("pairs", "found"),
    [
        ([[80, ACCEPT], [3000, DROP]], ["tcp dport vmap drop"]),
        ([[80, DROP]], []),
        ([[{"unheard": 1}, ACCEPT], [3000, DROP]], []),
    ],
)
def test_a_map_of_verdicts_is_looked_up(pairs: list[Any], found: list[str]) -> None:
    port = {"payload": {"protocol": "tcp", "field": "dport"}}
    assert told(rule({"vmap": {"key": port, "data": {"set": pairs}}})) == found


def test_a_map_that_is_kept_elsewhere_is_not_guessed() -> None:
    port = {"payload": {"protocol": "tcp", "field": "dport"}}
    assert told(rule({"vmap": {"key": port, "data": "@verdicts"}}), policy="drop") == []


@pytest.mark.parametrize("flags", ["dormant", ["dormant"], "z"])
def test_a_table_that_sleeps_blocks_nothing(flags: Any) -> None:
    """nft 1.0.6 prints a letter or two of rubbish for its flags."""
    table = {"table": {"family": "inet", "name": "filter", "flags": flags}}
    assert told(table, rule(dport(3000), DROP)) == []


# nft itself


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "nft"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="nft is Linux's")


@needs_linux
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("echo 'Operation not permitted (you must be root)' >&2; exit 1", "the rules may not be read without root"),
        ("echo 'Error: broken' >&2; echo more >&2; exit 1", "nft cannot be asked: Error: broken"),
        ("echo not json", "nft printed something that is not JSON"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, text: str, told: str) -> None:
    assert read_firewall(script(tmp_path, text)) == Firewall(None, told)


@needs_linux
def test_an_nft_that_hangs_is_given_up(tmp_path: Path) -> None:
    found = read_firewall(script(tmp_path, "exec sleep 60"), timeout_s=0.2)
    assert found.ruleset is None
    assert found.unreadable is not None
    assert "timed out" in found.unreadable


@needs_linux
def test_without_nft_that_is_said(tmp_path: Path) -> None:
    assert read_firewall(str(tmp_path / "none")) == Firewall(None, "nft is not installed")


@needs_linux
def test_the_rules_that_nft_prints_are_read(tmp_path: Path) -> None:
    printed = ruleset(chain(), rule(dport(3000), DROP))
    found = read_firewall(script(tmp_path, f"echo '{json.dumps(printed)}'"))
    assert found == Firewall(printed, None)


def test_other_systems_have_no_nft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert read_firewall().unreadable == "only Linux's packet filter is read"


RULES = """
table inet walls {
  set shut { type inet_service; flags interval; elements = { 4000-4010, 5000 }; }
  chain sub { tcp dport 7777 counter reject with tcp reset; }
  chain door {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    ct state vmap { invalid : drop, established : accept }
    iif lo tcp dport 3000 counter drop
    iifname "lo" tcp dport { 3001, 3005-3007 } log prefix "x" reject
    ip daddr 127.0.0.0/8 tcp dport 3002-3003 drop comment "hi"
    ip6 daddr ::1 tcp dport @shut drop
    tcp dport 7000-8000 jump sub
    tcp dport 22 accept
    meta l4proto tcp th dport 9 drop
  }
}
"""


@needs_linux
def test_real_rules_are_understood() -> None:
    assert inside(behind_rules) == {
        "127.0.0.1 22": [],
        "127.0.0.1 3000": ["chain door: iif lo tcp dport 3000 drop"],
        "127.0.0.1 3006": ["chain door: iifname lo tcp dport { 3001, 3005-3007 } reject with icmpx port-unreachable"],
        "127.0.0.2 3003": ["chain door: ip daddr 127.0.0.0/8 tcp dport 3002-3003 drop"],
        "::1 4005": ["chain door: ip6 daddr ::1 tcp dport @shut drop"],
        "127.0.0.1 4005": ["chain door: policy drop"],
        "127.0.0.1 7777": ["chain sub: tcp dport 7777 reject with tcp reset"],
        "::1 7778": ["chain door: policy drop"],
        "127.0.0.1 9": ["chain door: tcp dport 9 drop"],
    }


def behind_rules() -> dict[str, list[str]]:
    nft = shutil.which("nft")
    if nft is None:
        raise RefusedError("nft is not installed")
    done = subprocess.run([nft, "-f", "-"], input=RULES, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise RefusedError(f"no rules can be made here: {done.stderr.strip()}")
    found = read_firewall()
    assert found.ruleset is not None, found.unreadable
    asked = [("127.0.0.1", port) for port in (22, 3000, 3006, 4005, 7777, 9)]
    asked += [("127.0.0.2", 3003), ("::1", 4005), ("::1", 7778)]
    return {f"{ip} {port}": [line.partition(", ")[2] for line in blocks(found.ruleset, port, ip)] for ip, port in asked}
