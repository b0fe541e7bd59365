"""The filter language, one for the monitor and the command line. Pure.

Words must all match. A plain word matches anywhere in the row; one that is an address with a port
(``127.0.0.1:49342``, ``localhost:5173``, ``:3000``, a URL) matches that endpoint; ``key:value`` matches
one fact; ``-`` in front excludes; double quotes keep spaces together.
"""

from __future__ import annotations

import getpass
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from loopmon.address import parse_address, parse_port
from loopmon.clean import clean
from loopmon.facts import FLAGS, Facts, Row, facts_of
from loopmon.model import FindingId, Protocol, Snapshot, Status

Predicate = Callable[[Facts], bool]

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class FilterError(ValueError):
    """The text does not parse. ``column`` counts from 1."""

    def __init__(self, column: int, reason: str) -> None:
        super().__init__(f"filter, column {column}: {reason}")
        self.column = column
        self.reason = reason


class _Word(NamedTuple):
    """One word without its quotes."""

    text: str
    columns: tuple[int, ...]
    """Where each of its characters stands, and where the word ends."""
    quoted: bool
    """Whether it starts with a quote, perhaps behind a minus: then it is text, whatever it looks like."""
    first: str
    """Its first character as it was typed, which tells an excluding minus from a quoted one."""

    def rest(self, start: int) -> _Word:
        return _Word(self.text[start:], self.columns[start:], self.quoted, self.first)


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter. The empty one matches everything."""

    text: str = ""
    predicates: tuple[Predicate, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.predicates)

    def matches(self, row: Row, snapshot: Snapshot) -> bool:
        if not self.predicates:
            return True
        facts = facts_of(row, snapshot)
        return all(holds(facts) for holds in self.predicates)


def parse_filter(text: str) -> Filter:
    """Read a filter. Raises FilterError, which names the column."""
    return Filter(text.strip(), tuple(_predicate(word) for word in _split(text)))


def _split(text: str) -> Iterator[_Word]:
    """Words with their columns. A quote may open anywhere in a word, as in ``proc:"my app"``."""
    for match in re.finditer(r'(?:"[^"]*"?|[^\s"])+', text):
        raw = match.group()
        if raw.count('"') % 2:
            raise FilterError(match.start() + raw.rindex('"') + 1, "this quote is not closed")
        kept = [(character, match.start() + place) for place, character in enumerate(raw, 1) if character != '"']
        if kept:
            columns = (*(column for _, column in kept), match.end() + 1)
            yield _Word(
                "".join(character for character, _ in kept), columns, raw.removeprefix("-").startswith('"'), raw[0]
            )


def _predicate(word: _Word) -> Predicate:
    if word.first == "-":
        if len(word.text) == 1:
            raise FilterError(word.columns[0], "nothing follows the -")
        excluded = _positive(word.rest(1))
        return lambda facts: not excluded(facts)
    return _positive(word)


def _positive(word: _Word) -> Predicate:
    lowered = word.text.lower()
    if word.quoted:
        return lambda facts: lowered in facts.text
    compared = re.fullmatch(r"(age)(>=|<=|>|<)(.*)", word.text, re.IGNORECASE)
    if compared:
        return _age(compared[2], compared[3], word.columns[compared.start(3)])
    keyed = re.fullmatch(r"([A-Za-z]+):(?!//)(.*)", word.text)
    if keyed and keyed[1].lower() != "localhost":
        return _keyed(keyed[1].lower(), keyed[2], word.columns[0], word.columns[keyed.start(2)])
    if ":" in word.text:
        try:
            wanted = parse_address(word.text)
        except ValueError:
            wanted = None
        if wanted is not None and wanted.port is not None:
            found = wanted
            return lambda facts: facts.answers(found)
    return lambda facts: lowered in facts.text


def _keyed(key: str, value: str, key_column: int, column: int) -> Predicate:
    make = KEYS.get(key)
    if make is None:
        known = ", ".join(f"{name}:" for name in KEYS)
        raise FilterError(key_column, f"{clean(key, 32)}: is not a key; the keys are {known} and age> or age<")
    if not value:
        raise FilterError(column, f"nothing follows {key}:")
    try:
        return make(value)
    except ValueError as error:
        raise FilterError(column, clean(str(error), 200)) from None


def _port(value: str) -> Predicate:
    first, dash, last = value.partition("-")
    low = parse_port(first)
    high = parse_port(last) if dash else low
    if high < low:
        raise ValueError(f"{value!r} is an empty range")
    return lambda facts: any(low <= where.port <= high for where in facts.endpoints)


def _pid(value: str) -> Predicate:
    if not re.fullmatch(r"\d{1,10}", value, re.ASCII):
        raise ValueError(f"{value!r} is not a process id")
    pid = int(value)
    return lambda facts: any(identity.pid == pid for identity in facts.identities)


def _proc(value: str) -> Predicate:
    lowered = value.lower()
    return lambda facts: any(lowered in process.name.lower() for process in facts.processes)


def _user(value: str) -> Predicate:
    """A user's name; ``me`` is whoever runs loopmon, and whoever is called that."""
    wanted = {value, _own_name()} if value == "me" else {value}
    return lambda facts: any(process.user in wanted for process in facts.processes)


def _own_name() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None  # this uid has no name


def _project(value: str) -> Predicate:
    lowered = value.lower()
    return lambda facts: any(lowered in (process.project or "").lower() for process in facts.processes)


def _branch(value: str) -> Predicate:
    lowered = value.lower()
    return lambda facts: any(lowered in (process.branch or "").lower() for process in facts.processes)


def _state(value: str) -> Predicate:
    wanted = value.upper().replace("-", "_")
    states = {status for status in Status if status.value == wanted}
    states = states or {status for status in Status if status.value.startswith(wanted)}
    if not states:
        raise ValueError(f"{value!r} is not a state, such as listen, established or time_wait")
    return lambda facts: any(found.status in states for found in facts.sockets)


def _proto(value: str) -> Predicate:
    try:
        wanted = Protocol(value.lower())
    except ValueError:
        raise ValueError(f"{value!r} is not a protocol: tcp or udp") from None
    return lambda facts: wanted in facts.protocols


def _is(value: str) -> Predicate:
    plain = {flag.replace("-", ""): flag for flag in (*FLAGS, *FindingId)}
    flag = plain.get(value.lower().replace("-", ""))
    if flag is None:
        raise ValueError(f"{value!r} is none of {', '.join(plain.values())}")
    return lambda facts: flag in facts.flags


KEYS: dict[str, Callable[[str], Predicate]] = {
    "port": _port,
    "pid": _pid,
    "proc": _proc,
    "user": _user,
    "state": _state,
    "project": _project,
    "branch": _branch,
    "proto": _proto,
    "is": _is,
}


def _age(comparison: str, value: str, column: int) -> Predicate:
    parsed = re.fullmatch(r"(\d{1,9})([smhd]?)", value, re.ASCII | re.IGNORECASE)
    if not parsed:
        raise FilterError(column, f"{clean(value, 32)!r} is not an age, such as 30s, 5m, 1h or 2d")
    limit_s = int(parsed[1]) * _UNIT_S[parsed[2].lower()]
    holds = _COMPARISONS[comparison]
    return lambda facts: facts.age_s is not None and holds(facts.age_s, limit_s)
