"""Every kind of finding, declared once: what it is called on a row, and what it means. Help, filter and README
follow from this list."""

from __future__ import annotations

from dataclasses import dataclass

from loopmon.model import Finding, FindingId, Severity


@dataclass(frozen=True, slots=True)
class Kind:
    word: str
    """As it stands on the row."""
    meaning: str


KINDS = {
    FindingId.LEFT_OVER: Kind("left over", "looks left over: its terminal, parent or folder is gone"),
    FindingId.STOPPED: Kind("stopped", "its process is stopped, yet clients can still connect"),
    FindingId.NOT_ACCEPTING: Kind("no accept", "clients wait, and nobody takes them"),
    FindingId.BACKLOG_FULL: Kind("backlog full", "so many wait to be accepted that more clients will time out"),
    FindingId.INHERITED: Kind("inherited", "the holder is not the server, which has gone"),
    FindingId.UNSEEN_OWNER: Kind("unseen owner", "held by something that no process table shows"),
    FindingId.EXPOSED: Kind("exposed", "reachable from outside this machine"),
    FindingId.SHADOWED: Kind("shadowed", "another server answers on the same port, on another address"),
    FindingId.SHARED: Kind("shared", "several sockets share the port, or several processes the socket"),
    FindingId.CLOSE_WAIT: Kind("close-wait", "the other side has closed many connections, this process none"),
    FindingId.NOT_READING: Kind("not reading", "unread bytes stay in the receive queue"),
    FindingId.PORT_EXHAUSTION: Kind("ports run out", "client ports to one destination are running out"),
    FindingId.BOUND_NOT_LISTENING: Kind("bound only", "a port is taken by a socket that does not listen"),
    FindingId.PORT_STOLEN: Kind("port stolen", "a server's port is in use as somebody's client port"),
}

_WEIGHT = {Severity.PROBLEM: 0, Severity.WARNING: 1, Severity.NOTE: 2}


def weight(finding: Finding) -> tuple[int, int]:
    """What orders findings: the worst first, then as they are declared."""
    return _WEIGHT[finding.severity], list(KINDS).index(finding.id)


def is_pressing(finding: Finding) -> bool:
    """Whether it is counted at the top of the screen: a note is only said where one looks for it."""
    return finding.severity is not Severity.NOTE
