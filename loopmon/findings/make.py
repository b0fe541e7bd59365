"""How a rule puts a finding into words. Pure; text from outside is cleaned here and in ``words``."""

from __future__ import annotations

from loopmon import words
from loopmon.model import Certainty, Connection, Finding, FindingId, Listener, Process, Severity

SYSTEM = "system"
"""The subject of what belongs to no row."""


def on_row(
    row: Listener | Connection,
    kind: FindingId,
    title: str,
    *evidence: str,
    remedy: str,
    severity: Severity = Severity.WARNING,
    certainty: Certainty = Certainty.CERTAIN,
) -> Finding:
    return Finding(kind, severity, certainty, row.subject, title, evidence, remedy)


def label(process: Process) -> str:
    """``node 4312``."""
    return words.process_label(process.id, {process.id: process})


def inspect(port: int) -> str:
    """The command of the system that shows the same."""
    return f"ss -tanp sport = :{port}"
