"""Addresses as text: unmapping, loopback and wildcard tests, and reading what people paste.

Owns no list of sockets and asks no resolver: ``localhost`` means any loopback address here.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from loopmon.model import Endpoint

LOCAL = ("127.0.0.1", "::1")
"""What ``localhost`` means where nobody says otherwise."""
WILDCARDS = frozenset({"0.0.0.0", "::"})
_MAPPED = int(ipaddress.IPv6Address("::ffff:0:0"))
_LOOPBACK_NET = 127 << 24


class Address(NamedTuple):
    """What was asked for. ``ip`` None means any loopback address, ``port`` None any port."""

    ip: str | None
    port: int | None


def unmap(ip: str) -> str:
    """Canonical text of ``ip`` without a zone, IPv4-mapped addresses as plain IPv4.

    ``::ffff:a.b.c.d`` is unmapped always (RFC 4291, 2.5.5.2). ``::127.x.y.z`` is what psutil makes of
    a mapped loopback address on macOS, so it is unmapped as well; ``::1`` is not one of those.
    """
    if ":" not in ip:
        return ip
    number = int(ipaddress.IPv6Address(ip.partition("%")[0]))
    high, low = number >> 32, number & 0xFFFFFFFF
    if high == _MAPPED >> 32 or (high == 0 and low & 0xFF000000 == _LOOPBACK_NET):
        return str(ipaddress.IPv4Address(low))
    return str(ipaddress.IPv6Address(number))


def is_loopback4(ip: str) -> bool:
    """True for 127.0.0.0/8 (RFC 1122, 3.2.1.3). ``ip`` must be unmapped."""
    return ip.startswith("127.")


def is_loopback(ip: str) -> bool:
    """True for 127.0.0.0/8 and ``::1``. ``ip`` must be unmapped."""
    return ip.startswith("127.") or ip == "::1"


def parse_address(text: str) -> Address:
    """Read ``127.0.0.1:3000``, ``[::1]:3000``, ``localhost:3000``, ``*:3000``, ``:3000``, ``3000``,
    a bare address, or a URL with one of those as its host; a path or a stop behind it does not matter.
    Names below ``localhost`` are loopback too (RFC 6761, 6.3).

    Raises ValueError with the reason.
    """
    text = text.strip().rstrip(",;.")
    url = re.match(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^/@]*@)?(?P<host>[^/?#]*)", text, re.IGNORECASE)
    if url:
        found = parse_address(url["host"])
        default = {"http": 80, "https": 443}.get(url["scheme"].lower())
        return found if found.port is not None else Address(found.ip, default)
    text = text.partition("/")[0]
    if re.fullmatch(r":?\d+", text, re.ASCII):
        return Address(None, parse_port(text.removeprefix(":")))
    bracketed = re.fullmatch(r"\[(?P<ip>[^\]]*)\](?::(?P<port>.*))?", text)
    if bracketed:
        return Address(_parse_ip(bracketed["ip"]), _optional_port(bracketed["port"]))
    host, colon, port = text.partition(":")
    if colon and ":" in port:
        return Address(_parse_ip(text), None)
    if host == "*" or host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return Address(None, _optional_port(port if colon else None))
    return Address(_parse_ip(host), _optional_port(port if colon else None))


def parse_port(text: str) -> int:
    """A port number, 0 to 65535. Raises ValueError with the reason."""
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or int(text) > 65535:
        raise ValueError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


def matches(endpoint: Endpoint, wanted: Address) -> bool:
    """Whether ``endpoint`` is what ``wanted`` names; a wildcard endpoint answers for every address."""
    if wanted.port is not None and endpoint.port != wanted.port:
        return False
    return wanted.ip is None or wanted.ip == endpoint.ip or endpoint.ip in WILDCARDS


def _optional_port(text: str | None) -> int | None:
    return parse_port(text) if text else None


def _parse_ip(text: str) -> str:
    try:
        return unmap(str(ipaddress.ip_address(text)))
    except ValueError:
        raise ValueError(f"{text!r} is not an address") from None
