"""Goes through the findings one after the other. Remembers which one was shown last; shows nothing itself."""

from __future__ import annotations

from loopmon.findings.kinds import is_pressing
from loopmon.model import Finding, Owner, Snapshot


class Tour:
    def __init__(self) -> None:
        self._last: tuple[str, str] | None = None

    def following(self, found: tuple[Finding, ...]) -> Finding | None:
        """The one after the last, the first after all of them or when the last has cleared; None of none."""
        if not found:
            return None
        keys = [_key(finding) for finding in found]
        place = keys.index(self._last) + 1 if self._last in keys else 0
        finding = found[place % len(found)]
        self._last = _key(finding)
        return finding

    def place(self, found: tuple[Finding, ...]) -> str:
        """``2 of 5``."""
        keys = [_key(finding) for finding in found]
        return f"{keys.index(self._last) + 1 if self._last in keys else 0} of {len(found)}"


def worth_a_stop(found: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The notes only where there is nothing else."""
    return tuple(filter(is_pressing, found)) or found


def rows_of(finding: Finding, snapshot: Snapshot) -> list[str]:
    """The ids of the rows that a finding is about: of a process those that it holds; none for the system."""
    kind, _, key = finding.subject.partition(":")
    if kind != "process":
        return [key] if key else []
    held = [row.id for row in snapshot.listeners if _has(row.socket.owners, key)]
    return held + [row.id for row in snapshot.connections if any(_has(e.owners, key) for e in (row.client, row.server))]


def _has(owners: tuple[Owner, ...], pid: str) -> bool:
    return any(str(owner.process.pid) == pid for owner in owners)


def _key(finding: Finding) -> tuple[str, str]:
    return finding.id, finding.subject
