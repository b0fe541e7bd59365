"""Every piece of a text that can be an address with a port, or a port alone.

Owns the ways in which programs write one. Refuses what only looks like it: times, line numbers, versions,
pids and error numbers. Which piece is meant is ``target``'s business.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from loopmon.address import WILDCARDS, is_loopback, unmap

MAX_PORT = 65535
DEFAULT_PORTS = {
    "http": 80, "https": 443, "ws": 80, "wss": 443, "postgres": 5432, "postgresql": 5432, "mysql": 3306,
    "redis": 6379, "rediss": 6379, "mongodb": 27017, "amqp": 5672, "amqps": 5671, "ssh": 22, "ftp": 21,
}  # fmt: skip


class Kind(IntEnum):
    """How much a piece looks like what was meant, the least first."""

    NUMBER = 0
    PORT = 1
    """``port 3000``, ``:3000``."""
    NAME = 2
    """A name, or an address that is not on loopback."""
    LOOPBACK = 3
    """A loopback address, a wildcard or ``localhost``."""


class Candidate(NamedTuple):
    kind: Kind
    host: str | None
    port: int
    """Not checked: 0 and numbers above 65535 are told apart by who reports them."""
    start: int
    end: int


_IPV4 = r"\d{1,3}(?:\.\d{1,3}){3}"
_IPV6 = r"[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f.]{0,15}){2,9}"
_LABEL = r"[A-Za-z0-9_-]{1,63}"
_DOTTED = rf"[A-Za-z]{_LABEL}(?:\.{_LABEL}){{1,8}}"
_NAME = rf"[A-Za-z][A-Za-z0-9_-]{{0,62}}(?:\.{_LABEL}){{0,8}}"
_PORT = r"(?P<port>\d{1,9})(?!\w)"


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.ASCII | re.IGNORECASE)


_URL = _pattern(
    r"(?<![\w+.-])(?P<scheme>[a-z][a-z0-9+]{1,15})://(?:[^\s/@?#\"'<>]{0,200}@)?"
    rf"(?:\[(?P<ip>[0-9a-f:.]{{2,45}})\]|(?P<host>{_LABEL}(?:\.{_LABEL}){{0,8}}|\*)?)(?::(?P<port>\d{{1,9}}))?(?!\w)"
)
_WITH_PORT = (
    _pattern(rf"\[(?P<host>[0-9a-f:.]{{2,45}}(?:%\w{{1,16}})?|localhost)\]:{_PORT}"),
    _pattern(rf"(?<![\w.])(?P<host>{_IPV4})(?:%\w{{1,16}})?[:.#]{_PORT}"),
    _pattern(rf"\|(?P<host>{_IPV4}|[0-9a-f:]{{2,45}})\|:{_PORT}"),
    _pattern(rf"(?<![\w*])(?P<host>\*)[:.]{_PORT}"),
    _pattern(rf"\(['\"](?P<host>[\w.:-]{{0,100}})['\"], {{0,2}}{_PORT}"),
    _pattern(
        rf"(?:(?P<quote>['\"(])(?P<quoted>[\w.:-]{{1,100}})['\")]"
        rf"|(?<![\w.:/-])(?P<host>{_IPV4}|localhost|::1|{_DOTTED}|(?:(?<=connect to )|(?<=to host )){_LABEL}))"
        rf"[,;]?\s{{0,8}}[\"']?port[\"']?(?:\s?[=:]\s?|\s){_PORT}"
    ),
)
"""An address and its port, in one piece or with a few words in between."""
_BARE_IPV6 = _pattern(rf"(?<![\w:.])(?P<all>{_IPV6})(?!\w)")
_NAME_AND_PORT = _pattern(rf"(?<![\w.:/\\<>-])(?P<host>{_NAME}):(?P<port>\d{{1,9}})(?!\w|\.\d)")
_PORT_ALONE = (
    _pattern(rf"(?<![\w-])(?:ports?|port number)(?:\(s\))?[\"']?(?:\s?[=:#]\s?|\s| is )[\"']?{_PORT}"),
    _pattern(rf"(?<!\w)--?(?:p|port|publish)[ =]{_PORT}"),
    _pattern(r"(?<!\w)-[LD] ?(?:[\w.*-]{1,60}:)?(?P<port>\d{1,9})(?=:|\s|$)"),
    _pattern(rf"(?:^|(?<=[\s(=])|(?<=^['\"`])|(?<=[\s(=]['\"`])):{_PORT}"),
    _pattern(r"(?<![\w./:-])(?P<port>\d{1,9})/(?:tcp|udp)\b"),
)
_NUMBER = (
    _pattern(rf"\A[\s'\"`(]{{0,20}}{_PORT}[\s'\"`).,;]{{0,20}}\Z"),
    _pattern(rf"(?:in use|EADDRINUSE|ECONNREFUSED)[: ]{{1,3}}{_PORT}"),
)
_LINE_NUMBERED = re.compile(
    r"\.(?:[cm]?[jt]sx?|py|pyx|rb|go|rs|java|kts?|swift|dart|scala|php|c|cc|cpp|h|hpp|cs|ex|exs|erl|lua|pl|sh|vue|svelte|html?"
    r"|css|json|ya?ml|toml|conf|cfg|log|sql|md|txt)\Z",
    re.IGNORECASE,
)
_NO_HOSTS = frozenset({
    "pid", "line", "column", "col", "code", "errno", "error", "status", "uid", "gid", "ppid", "tid", "thread", "fd",
    "exit", "size", "length", "count", "took", "ms", "time", "id", "version", "level", "port", "offset", "attempt",
    "makefile", "dockerfile", "retry", "timeout", "signal", "bytes", "http", "node", "v", "at",
})  # fmt: skip
_MIN_NAMED_PORT = 20
"""``postgres:15`` is an image, ``job:7`` a number of something."""


def candidates(text: str) -> list[Candidate]:
    """In the order of the text; where two overlap, the one that says more."""
    taken = bytearray(len(text))
    kept: list[Candidate] = []
    for piece in sorted(_all(text), key=lambda piece: (-piece.kind, piece.start, -piece.end)):
        if not any(taken[piece.start : piece.end]):
            taken[piece.start : piece.end] = b"\1" * (piece.end - piece.start)
            kept.append(piece)
    return sorted(kept, key=lambda piece: piece.start)


def _all(text: str) -> Iterator[Candidate]:
    for found in _URL.finditer(text):
        yield from _url(found)
    for pattern in _WITH_PORT:
        for found in pattern.finditer(text):
            groups = found.groupdict()
            host = groups.get("quoted") or groups["host"] or "*"  # an empty host binds every address
            yield from _addressed(host, found["port"], found.start(), found.end())
    for found in _BARE_IPV6.finditer(text):
        yield from _bare_ipv6(found)
    for found in _NAME_AND_PORT.finditer(text):
        if _is_host(found["host"], int(found["port"]), text[found.end() : found.end() + 2]):
            yield from _addressed(found["host"], found["port"], found.start(), found.end())
    for patterns, kind in ((_PORT_ALONE, Kind.PORT), (_NUMBER, Kind.NUMBER)):
        for pattern in patterns:
            for found in pattern.finditer(text):
                start, end = found.span("port") if kind is Kind.NUMBER else found.span()
                yield Candidate(kind, None, int(found["port"]), start, end)


def _url(found: re.Match[str]) -> Iterator[Candidate]:
    port = found["port"] or DEFAULT_PORTS.get(found["scheme"].lower())
    host = found["ip"] or found["host"]
    if port is None:
        return
    if host:
        yield from _addressed(host, str(port), found.start(), found.end())
    elif found["port"]:
        yield Candidate(Kind.PORT, None, int(port), found.start(), found.end())


def _bare_ipv6(found: re.Match[str]) -> Iterator[Candidate]:
    """``::1:3000`` and ``:::3000``, as Node and netstat write them: what follows the last colon is the port. Of
    another address nobody can say whether it ends with a port."""
    whole = found["all"].rstrip(":.")
    host, _, port = whole.rpartition(":")
    if port.isdecimal() and _kind(host) is Kind.LOOPBACK:
        yield from _addressed(host, port, found.start(), found.start() + len(whole))


def _addressed(host: str, port: str, start: int, end: int) -> Iterator[Candidate]:
    """Nothing where the host is digits, dots or colons but no address."""
    kind = _kind(host)
    if kind is not None:
        yield Candidate(kind, host, int(port), start, end)


def _kind(host: str) -> Kind | None:
    if host == "*" or is_localhost(host):
        return Kind.LOOPBACK
    try:
        ip = unmap(str(ipaddress.ip_address(host)))
    except ValueError:
        return Kind.NAME if host[:1].isalpha() and ":" not in host else None
    return Kind.LOOPBACK if ip in WILDCARDS or is_loopback(ip) else Kind.NAME


def is_localhost(host: str) -> bool:
    """``localhost`` and the names below it (RFC 6761, 6.3)."""
    return host.lower() == "localhost" or host.lower().endswith(".localhost")


def _is_host(name: str, port: int, behind: str) -> bool:
    """Whether this is a host with a port and no file with a line, with a column or without."""
    if is_localhost(name):
        return True
    if name.lower() in _NO_HOSTS or _LINE_NUMBERED.search(name):
        return False
    return port >= _MIN_NAMED_PORT and not re.match(r":\d", behind, re.ASCII)
