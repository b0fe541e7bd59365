"""What an error text says happened, in the words of the programs that print it.

Owns the words only; which address they are about is ``target``'s business.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple


class Symptom(StrEnum):
    REFUSED = "refused"
    IN_USE = "in-use"
    TIMED_OUT = "timed-out"
    RESET = "reset"
    """The connection was there and has been cut off, with or without a reset."""
    NAME = "name"
    UNREACHABLE = "unreachable"
    NOT_PERMITTED = "not-permitted"
    NO_PORTS = "no-ports"
    """EADDRNOTAVAIL: no address, or no client port left."""


class Mention(NamedTuple):
    """A place in a text that names a symptom."""

    symptom: Symptom
    start: int
    end: int
    is_code: bool
    """An error's own number or name, which programs choose with more care than the words around it."""


def _number(*numbers: int) -> str:
    """An errno as Python, Ruby, Rust, nginx and Windows write it; a plain number could be anything."""
    either = "|".join(map(str, numbers))
    return (
        rf"(?:errno|winerror|os error|error|code:?)[ =:]{{1,2}}-?(?:{either})\b"
        rf"|\((?:{either})(?:: |\))"
    )


def _curl(*numbers: int) -> str:
    return rf"curl: \((?:{'|'.join(map(str, numbers))})\)"


_CODES = {
    Symptom.IN_USE: rf"EADDRINUSE|AddrInUse|{_number(98, 48, 10048)}",
    Symptom.REFUSED: rf"E?CONN(?:ECTION)?_?REFUSED|{_curl(7)}|{_number(111, 61, 10061)}",
    Symptom.TIMED_OUT: rf"ETIMEDOUT|ERR_(?:CONNECTION_)?TIMED_OUT|UND_ERR_CONNECT_TIMEOUT|{_curl(28)}|"
    + _number(110, 60, 10060),
    Symptom.RESET: rf"ECONNRESET|EPIPE|ERR_CONNECTION_(?:RESET|CLOSED)|ERR_EMPTY_RESPONSE|{_curl(52, 56)}|"
    + _number(104, 54, 10054),
    Symptom.NAME: rf"ENOTFOUND|EAI_AGAIN|EAI_NONAME|ERR_NAME_NOT_RESOLVED|{_curl(6)}",
    Symptom.UNREACHABLE: rf"EHOSTUNREACH|ENETUNREACH|ERR_ADDRESS_UNREACHABLE|{_number(113, 101)}",
    Symptom.NOT_PERMITTED: rf"\bEACCES\b|\bEPERM\b|{_number(13, 10013)}",
    Symptom.NO_PORTS: rf"EADDRNOTAVAIL|AddrNotAvailable|{_number(99, 49, 10049)}",
}
_PHRASES = {
    Symptom.IN_USE: "already in use|is in use|in use by another|connection in use|already allocated|already running on"
    "|only one usage of each socket address",
    Symptom.REFUSED: "connection refused|refused to connect|actively refused|couldn't connect to server"
    "|could not connect to server",
    Symptom.TIMED_OUT: "timed out|i/o timeout|connect(?:ion)? ?timeout|deadline exceeded",
    Symptom.RESET: "connection (?:was )?reset|reset by peer|socket hang up|empty reply|broken pipe"
    "|closed connection without response|prematurely closed|closed the connection unexpectedly",
    Symptom.NAME: "could not resolve host|name or service not known|temporary failure in name resolution"
    "|no such host|nodename nor servname|unknown ?host|could not translate host name|failed to lookup address"
    "|name resolution",
    Symptom.UNREACHABLE: "no route to host|network is unreachable|host is unreachable|host unreachable",
    Symptom.NOT_PERMITTED: "permission denied|operation not permitted|forbidden by its access permissions",
    Symptom.NO_PORTS: "(?:can't|cannot) assign requested address",
}


def _compile(words: dict[Symptom, str]) -> re.Pattern[str]:
    groups = "|".join(f"(?P<{symptom.name}>{alternatives})" for symptom, alternatives in words.items())
    return re.compile(groups, re.ASCII | re.IGNORECASE)


_PATTERNS = ((_compile(_CODES), True), (_compile(_PHRASES), False))


def mentions(text: str) -> list[Mention]:
    """Every place where ``text`` names a symptom, in the order of the text."""
    found_in_text = [
        Mention(Symptom[found.lastgroup], found.start(), found.end(), is_code)
        for pattern, is_code in _PATTERNS
        for found in pattern.finditer(text)
        if found.lastgroup
    ]
    return sorted(found_in_text, key=lambda mention: mention.start)
