"""The nouns of an explanation. Frozen; printed by the command line and by the screen alike."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """The one thing that matters most about the port."""

    HEALTHY = "healthy"
    LOOPBACK_DOWN = "loopback-down"
    NAME = "name-does-not-resolve"
    FIREWALL = "firewall"
    STOPPED = "stopped"
    BACKLOG_FULL = "backlog-full"
    NOT_ACCEPTING = "not-accepting"
    INHERITED = "inherited"
    SHADOWED = "shadowed"
    LEFT_OVER = "left-over"
    EXHAUSTED = "port-exhaustion"
    OTHER_ADDRESS = "other-address"
    OTHER_FAMILY = "other-family"
    CLIENT_PORT = "client-port"
    SELF_CONNECTED = "self-connected"
    BOUND = "bound-not-listening"
    OLD_CONNECTION = "old-connection"
    TIME_WAIT = "time-wait"
    NOBODY = "nobody-listens"
    FAILS = "probe-failed"
    UNSEEN = "in-use-unseen"


class Weight(StrEnum):
    """How a line is meant."""

    GOOD = "good"
    PLAIN = "plain"
    DIM = "dim"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    """Clean."""
    weight: Weight = Weight.PLAIN


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    cause: Cause
    headline: str
    evidence: tuple[str, ...]
    remedies: tuple[str, ...]
    ok: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    verdict: Verdict
    sections: tuple[Section, ...]
