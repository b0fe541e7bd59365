"""Findings as text: a line that says what and where, what was seen, and what to do. Never truncated."""

from __future__ import annotations

from collections.abc import Iterable

from loopmon import words
from loopmon.findings.kinds import KINDS
from loopmon.model import Finding, Snapshot


def report(snapshot: Snapshot, findings: Iterable[Finding]) -> str:
    """Nothing for none."""
    places = {row.subject: words.listener_label(row) for row in snapshot.listeners}
    places |= {
        row.subject: f"{words.endpoint(row.client.addr)} to {words.endpoint(row.server.addr)}"
        for row in snapshot.connections
    }
    return "\n".join(
        _paragraph(found, places.get(found.subject, found.subject.replace(":", " "))) for found in findings
    )


def _paragraph(found: Finding, place: str) -> str:
    lines = [
        f"{found.severity}: {place}: {KINDS[found.id].word} ({found.certainty})",
        f"  {found.title}",
        *(f"  {line}" for line in found.evidence),
        f"  -> {found.remedy}",
    ]
    return "\n".join(lines) + "\n"
