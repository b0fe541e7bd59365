"""The packet filter's rules, where they may be read, and which of them keep a new loopback connection from a port.

Reads nftables as ``nft -j`` prints it (libnftables-json(5)), and changes nothing. What it does not understand it
passes over: no rule is named because it might match.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from loopmon.model import Protocol
from loopmon.nft_match import Packet, Sets, holds, names_port, words

TIMEOUT_S = 2.0
MAX_DEPTH = 16
"""Of chains that jump to chains; the kernel's own limit (NFT_JUMP_STACK_SIZE)."""

Rules = Mapping[str, Any]
ChainId = tuple[str, str, str]
"""Family, table, chain."""


@dataclass(frozen=True, slots=True)
class Firewall:
    ruleset: Rules | None
    unreadable: str | None
    """Why there is no ruleset."""


def read_firewall(command: str = "nft", timeout_s: float = TIMEOUT_S) -> Firewall:
    if sys.platform != "linux":
        return Firewall(None, "only Linux's packet filter is read")
    # nft lives in sbin, which is not on every user's path.
    program = shutil.which(command, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]))
    if program is None:
        return Firewall(None, "nft is not installed")
    try:
        done = subprocess.run(
            [program, "-j", "list", "ruleset"], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Firewall(None, f"nft cannot be asked: {error}")
    if done.returncode:
        complaint = done.stderr.decode(errors="replace").strip()
        if "not permitted" in complaint:
            return Firewall(None, "the rules may not be read without root")
        return Firewall(None, f"nft cannot be asked: {complaint.partition(chr(10))[0]}")
    try:
        return Firewall(json.loads(done.stdout), None)
    except ValueError:
        return Firewall(None, "nft printed something that is not JSON")


def blocks(ruleset: Rules, port: int, ip: str = "127.0.0.1", protocol: Protocol = Protocol.TCP) -> tuple[str, ...]:
    """Each rule or policy that drops or rejects the first packet of a client's to ``ip`` and ``port``, in words.

    A rule that names the port counts even behind one that is not understood; all else counts only where
    everything before it is.
    """
    tables = _sorted(ruleset)
    family = "ip6" if ":" in ip else "ip"
    found = []
    for chain, base in tables.bases.items():
        if chain[0] in {"inet", family} and chain[:2] not in tables.asleep:
            end = _Walk(tables, Packet(ip, port, protocol, base["hook"])).from_base(chain, base.get("policy"))
            found += [end.words] if end.words else []
    return tuple(found)


class _Tables(NamedTuple):
    bases: dict[ChainId, Rules]
    """The chains that see packets on their way in or out."""
    rules: Mapping[ChainId, list[list[Rules]]]
    """The expressions of each rule."""
    sets: dict[ChainId, list[Any]]
    asleep: set[tuple[str, str]]
    """Tables that are switched off, or have other flags that are not understood."""


class _End(NamedTuple):
    """How the way through a chain ended: ``words`` name what blocks, if anything does."""

    words: str | None = None


PASSED = _End()
UNCLEAR: Rules = {"unclear": None}
_VERDICTS = frozenset({"accept", "drop", "reject", "return", "jump", "goto"})
_HARMLESS = frozenset({"counter", "log"})


class _Walk:
    """The way of one packet through the rules of a base chain."""

    def __init__(self, tables: _Tables, packet: Packet) -> None:
        self._tables = tables
        self._packet = packet
        self._sure = True
        """Whether every rule so far was understood, as far as it could have let the packet pass."""

    def from_base(self, chain: ChainId, policy: str | None) -> _End:
        end = self._through(chain, named=False, depth=0)
        if end is None and policy == "drop" and self._sure:
            return _End(f"{_place(chain)}: policy drop")
        return end or PASSED

    def _through(self, chain: ChainId, *, named: bool, depth: int) -> _End | None:
        """None at the end of the chain: then the next rule of the caller's comes."""
        for expressions in self._tables.rules.get(chain, []):
            verdict = self._verdict(chain, expressions)
            if verdict is None:
                continue
            ((action, argument),) = verdict.items()
            is_named = named or any(names_port(each) for each in expressions)
            if action in {"drop", "reject"}:
                told = [each for each in expressions if not each.keys() & _VERDICTS]
                rule = " ".join(filter(None, map(words, [*told, verdict])))
                return _End(f"{_place(chain)}: {rule}") if is_named or self._sure else PASSED
            if action in {"accept", "return"}:
                return PASSED if action == "accept" else None
            target = (*chain[:2], str(argument["target"]))
            end = self._through(target, named=is_named, depth=depth + 1) if depth < MAX_DEPTH else PASSED
            if end is not None or action == "goto":
                return end
        return None

    def _verdict(self, chain: ChainId, expressions: list[Rules]) -> Rules | None:
        """What a rule does with the packet; None where it lets it go on, or is not understood."""
        verdict: Rules | None = None
        understood = True
        for expression in expressions:
            ((kind, content),) = expression.items()
            if kind == "match":
                answer = holds(content, self._packet, self._sets_of(chain))
                if answer is False:
                    return None
                understood = understood and bool(answer)
            elif kind == "vmap":
                verdict = self._looked_up(chain, content)
                understood = understood and verdict is not UNCLEAR
            elif kind in _VERDICTS:
                verdict = expression
            elif kind not in _HARMLESS:
                understood = False
        if understood:
            return verdict
        self._sure = self._sure and any(each.keys() & {"drop", "reject"} for each in expressions)
        return None

    def _looked_up(self, chain: ChainId, content: Rules) -> Rules | None:
        """The verdict that a map has for the packet; UNCLEAR where it is not understood."""
        data = content["data"]
        if not isinstance(data, dict) or "set" not in data:
            return UNCLEAR
        for key, verdict in data["set"]:
            match = {"op": "==", "left": content["key"], "right": key}
            answer = holds(match, self._packet, self._sets_of(chain))
            if answer is None:
                return UNCLEAR
            if answer:
                return verdict if verdict.keys() <= _VERDICTS else None
        return None

    def _sets_of(self, chain: ChainId) -> Sets:
        return lambda name: self._tables.sets.get((*chain[:2], name))


def _sorted(ruleset: Rules) -> _Tables:
    rules: defaultdict[ChainId, list[list[Rules]]] = defaultdict(list)
    tables = _Tables({}, rules, {}, set())
    for item in ruleset.get("nftables", []):
        for kind, each in item.items():
            if kind == "table" and not set(_listed(each.get("flags", []))) <= {"owner", "persist"}:
                tables.asleep.add((each["family"], each["name"]))
            elif kind == "chain" and each.get("hook") in {"input", "output"}:
                tables.bases[each["family"], each["table"], each["name"]] = each
            elif kind == "rule":
                rules[each["family"], each["table"], each["chain"]].append(each.get("expr", []))
            elif kind == "set":
                tables.sets[each["family"], each["table"], each["name"]] = each.get("elem", [])
    return tables


def _place(chain: ChainId) -> str:
    family, table, name = chain
    return f"table {family} {table}, chain {name}"


def _listed(flags: Any) -> Iterator[str]:
    yield from [flags] if isinstance(flags, str) else flags
