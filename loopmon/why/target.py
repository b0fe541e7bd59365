"""What people have in their clipboard, read: a port, an address, a URL, an error line, a traceback.

Pure. Of several candidates it takes the likeliest and names the others; what it cannot read it does not guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from loopmon.why.candidates import MAX_PORT, Candidate, Kind, candidates, is_localhost
from loopmon.why.symptoms import Mention, Symptom, mentions

__all__ = ["Symptom", "Target", "TargetError", "is_localhost", "parse_target"]

T = TypeVar("T")

MAX_TEXT = 16_384
"""Of a longer text its beginning and its end are read: errors stand in the first lines or in the last."""
MAX_PIECES = 400
"""Likewise of the pieces and of the symptoms that were found."""
MAX_OTHERS = 8
ACCEPTED = (
    "accepted are a port (3000), an address (127.0.0.1:3000, [::1]:3000, localhost:3000), a URL, "
    "or an error text with one of those in it"
)
NEAR_SYMPTOM = 2.5
"""On the line of the symptom a piece is worth two kinds and a half more: ``Port 5173 is already in use`` beats an
address on another line, but not one on its own."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]{0,32}[A-Za-z]|\][^\x07\x1b]{0,256}(?:\x07|\x1b\\))")
_CONTROLS = re.compile(r"[^\S\n]|[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_MEANT = re.compile(r"upstream: ?[\"']?\Z|(?:->|=>|→) ?\Z", re.IGNORECASE)
_NOT_MEANT = re.compile(
    r"(?:\bclient|\bhost|\breferrer|\blocal|\bserver|\bfrom|\bpeer) ?[:(]? ?[\"']?\Z", re.IGNORECASE
)
_LOGIN = re.compile(r"//[^/@\s]{1,256}@")
_RESOLVER = re.compile(r"\blookup \S{1,253} on \Z", re.IGNORECASE)
"""Go names the server that was asked for a name; nobody asks about that one."""
_UDP = re.compile(r"(?<![a-z])udp", re.IGNORECASE)
_TCP = re.compile(r"(?<![a-z])tcp", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    port: int
    """1 to 65535."""
    host: str | None
    """As written, ``*`` and names too; None where only a port was given."""
    symptom: Symptom | None
    """What the text says happened."""
    quoted: str
    """The piece of the text that was taken."""
    others: tuple[str, ...] = ()
    """Further pieces that could have been meant."""
    is_udp: bool = False


class TargetError(ValueError):
    """Nothing to be read; the message says in one line what is accepted."""


def parse_target(text: str) -> Target:
    """The likeliest target in ``text``. Raises TargetError."""
    text = _prepare(text)
    found = [piece for piece in candidates(text) if not _RESOLVER.search(text[max(0, piece.start - 300) : piece.start])]
    usable = _ends([piece for piece in found if 1 <= piece.port <= MAX_PORT])
    if not usable:
        raise TargetError(_refusal(text, found))
    lines = _Lines(text)
    said = _ends(mentions(text))
    taken = min(usable, key=lambda piece: _rank(piece, said, lines))
    return Target(
        port=taken.port,
        host=taken.host,
        symptom=_symptom(taken, said, lines),
        quoted=_quote(text, taken),
        others=_others(text, taken, usable),
        is_udp=bool(_UDP.search(lines.around(taken)) and not _TCP.search(lines.around(taken))),
    )


def _prepare(text: str) -> str:
    """Bounded, without colours and control characters."""
    if len(text) > MAX_TEXT:
        text = f"{text[: MAX_TEXT // 2]}\n{text[-MAX_TEXT // 2 :]}"
    return _CONTROLS.sub(" ", _ESCAPES.sub("", text.replace("\r\n", "\n"))).strip()


def _ends(pieces: list[T]) -> list[T]:
    return pieces if len(pieces) <= MAX_PIECES else pieces[: MAX_PIECES // 2] + pieces[-MAX_PIECES // 2 :]


class _Lines:
    """Where the lines of a text begin and end."""

    def __init__(self, text: str) -> None:
        self.text = text

    def around(self, piece: Candidate) -> str:
        """The lines that hold the piece."""
        start, end = self.bounds(piece)
        return self.text[start:end]

    def bounds(self, piece: Candidate) -> tuple[int, int]:
        end = self.text.find("\n", piece.end)
        return self.text.rfind("\n", 0, piece.start) + 1, len(self.text) if end < 0 else end


def _rank(piece: Candidate, said: Iterable[Mention], lines: _Lines) -> tuple[float, int, int, int]:
    """The lowest is the likeliest: by kind and nearness to a symptom, then by the role that the words before it
    give it, then by its distance from the symptom, then by its place."""
    near = _on_line(piece, said, lines)
    worth = piece.kind + (NEAR_SYMPTOM if near else 0)
    before = lines.text[max(0, piece.start - 24) : piece.start]
    # The far end of "a->b" is meant where something went wrong; a row of lsof is about its own end.
    role = -1 if near and _MEANT.search(before) else 1 if _NOT_MEANT.search(before) else 0
    return -worth, role, min((_distance(piece, each) for each in near), default=0), piece.start


def _on_line(piece: Candidate, said: Iterable[Mention], lines: _Lines) -> list[Mention]:
    start, end = lines.bounds(piece)
    return [each for each in said if start <= each.start and each.end <= end]


def _distance(piece: Candidate, mention: Mention) -> int:
    return max(mention.start - piece.end, piece.start - mention.end, 0)


def _symptom(piece: Candidate, said: list[Mention], lines: _Lines) -> Symptom | None:
    """Of its own line if that names one, else of the whole text; an error's number or name before a phrase, the
    nearest before one further away."""
    eligible = _on_line(piece, said, lines) or said
    if not eligible:
        return None
    return min(eligible, key=lambda each: (not each.is_code, _distance(piece, each), each.start)).symptom


def _quote(text: str, piece: Candidate) -> str:
    """Without the user and password that a URL may have in it."""
    return _LOGIN.sub("//", " ".join(text[piece.start : piece.end].split()))


def _others(text: str, taken: Candidate, usable: Iterable[Candidate]) -> tuple[str, ...]:
    """Without those that only repeat the port that was taken, with its host or with none."""
    seen = {(taken.host, taken.port), (None, taken.port)}
    others: list[str] = []
    for piece in usable:
        if piece.kind is not Kind.NUMBER and (piece.host, piece.port) not in seen:
            seen.add((piece.host, piece.port))
            others.append(_quote(text, piece))
    return tuple(others[:MAX_OTHERS])


def _refusal(text: str, found: list[Candidate]) -> str:
    if not text:
        return f"the text is empty; {ACCEPTED}"
    if found:
        return f"{found[0].port} is not a port (1 to {MAX_PORT}); {ACCEPTED}"
    return f"no port in it; {ACCEPTED}"
