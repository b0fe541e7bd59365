"""What one nftables expression means for one packet, and how it reads. Pure.

Knows the expressions of libnftables-json(5) that plain rules are made of; of every other it says that it does not
know, never that it matches.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from loopmon.model import Protocol

Expression = Mapping[str, Any]
Sets = Callable[[str], list[Any] | None]
"""The elements of the set with that name; None where there is none."""

_OTHER_PROTOCOLS = frozenset({"tcp", "udp", "udplite", "sctp", "dccp", "icmp", "icmpv6", "igmp"})


class Packet(NamedTuple):
    """The first one of a new connection over loopback."""

    ip: str
    port: int
    protocol: Protocol
    hook: str
    """``input`` or ``output``."""


def holds(match: Expression, packet: Packet, set_of: Sets) -> bool | None:
    """Whether a match applies to the packet; None where it is not understood."""
    left, op = match["left"], match["op"]
    if op not in {"==", "!=", "in"} or not isinstance(left, dict):
        return None
    header = left.get("payload", {}).get("protocol")
    is_ipv6 = ":" in packet.ip
    # A field of another protocol's header never matches: nft adds the test for the protocol by itself.
    if header in _OTHER_PROTOCOLS - {packet.protocol} or header == ("ip" if is_ipv6 else "ip6"):
        return False
    value = _value(left, packet)
    if value is None:
        return None
    is_in = _contains(match["right"], value, set_of)
    return is_in if op != "!=" or is_in is None else not is_in


def _value(left: Expression, packet: Packet) -> str | int | None:
    """The packet's own, of what a match looks at; None where that is not known."""
    is_ipv6 = ":" in packet.ip
    interface = {"input": ("iif", "iifname"), "output": ("oif", "oifname")}[packet.hook]
    match left:
        case {"payload": {"protocol": "th" | "tcp" | "udp", "field": "dport"}}:
            return packet.port
        case {"payload": {"protocol": "ip" | "ip6", "field": "daddr"}}:
            return packet.ip
        case {"payload": {"protocol": "ip" | "ip6", "field": "saddr"}}:
            return "::1" if is_ipv6 else "127.0.0.1"
        case {"payload": {"protocol": "ip", "field": "protocol"}} | {"meta": {"key": "l4proto"}}:
            return str(packet.protocol)
        case {"payload": {"protocol": "ip6", "field": "nexthdr"}}:
            return str(packet.protocol)
        case {"meta": {"key": "nfproto"}}:
            return "ipv6" if is_ipv6 else "ipv4"
        case {"meta": {"key": str(key)}} if key in interface:
            return "lo"
        case {"ct": {"key": "state"}}:
            return "new"
    return None


def _contains(right: Any, value: str | int, set_of: Sets) -> bool | None:
    match right:
        case list(members) | {"set": list(members)}:
            return _any(_contains(each, value, set_of) for each in members)
        case {"set": member}:
            return _contains(member, value, set_of)
        case {"elem": {"val": member}}:
            return _contains(member, value, set_of)
        case {"range": [first, last]}:
            return _in_order(first, value, last)
        case {"prefix": {"addr": str(address), "len": int(length)}} if isinstance(value, str):
            return _in_network(value, f"{address}/{length}")
        case str(text) if text.startswith("@"):
            named = set_of(text[1:])
            return None if named is None else _contains(named, value, set_of)
        case str(text) if isinstance(value, str):
            return None if text.endswith("*") else text == value
        case int(number) if isinstance(value, int):
            return number == value
    return None


def _any(answers: Iterable[bool | None]) -> bool | None:
    each = list(answers)
    return True if True in each else (None if None in each else False)


def _in_order(first: Any, value: str | int, last: Any) -> bool | None:
    if isinstance(value, int) and isinstance(first, int) and isinstance(last, int):
        return first <= value <= last
    try:
        low, mine, high = (int(ipaddress.ip_address(each)) for each in (str(first), str(value), str(last)))
    except ValueError:
        return None
    return low <= mine <= high


def _in_network(ip: str, network: str) -> bool | None:
    try:
        return ipaddress.ip_address(ip) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return None


def names_port(expression: Expression) -> bool:
    match expression:
        case {"match": {"op": "==" | "in", "left": {"payload": {"field": "dport"}}}}:
            return True
        case {"vmap": {"key": {"payload": {"field": "dport"}}}}:
            return True
    return False


def words(expression: Expression) -> str:
    """As nft itself writes it; empty for what only counts or logs."""
    ((kind, content),) = expression.items()
    match kind, content:
        case "match", {"op": op, "left": left, "right": right}:
            sign = "" if op in {"==", "in"} else f"{op} "
            return f"{_left_words(left)} {sign}{_right_words(right)}"
        case "vmap", {"key": key}:
            return f"{_left_words(key)} vmap"
        case "reject", {"type": str(how)}:
            return f"reject with {how} {content.get('expr', '')}".strip()
        case (("drop" | "reject"), _):
            return kind
    return ""


def _left_words(left: Expression) -> str:
    ((kind, content),) = left.items()
    if kind == "payload":
        return f"{content['protocol']} {content['field']}"
    return f"ct {content['key']}" if kind == "ct" else str(content["key"])


def _right_words(right: Any) -> str:
    match right:
        case list(members) | {"set": list(members)}:
            return "{ " + ", ".join(map(_right_words, members)) + " }"
        case {"set": member} | {"elem": {"val": member}}:
            return _right_words(member)
        case {"range": [first, last]}:
            return f"{first}-{last}"
        case {"prefix": {"addr": address, "len": length}}:
            return f"{address}/{length}"
    return str(right)
