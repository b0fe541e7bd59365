"""The record of every stop: when, what, who, and what came of it. One JSON object a line, for the user's eyes only."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime

from loopmon import words
from loopmon.actions.plan import Plan, Victim
from loopmon.state import open_to_append

LEDGER = "stops.jsonl"


def record(plan: Plan, signalled: Iterable[tuple[Victim, str]], outcome: str, told: str) -> None:
    """Raises OSError where it cannot be written; the stop itself is done by then."""
    entry = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "what": [words.listener_label(row) for row in plan.listeners],
        "signalled": [
            {
                "pid": victim.process.id.pid,
                "create_time": victim.process.id.create_time,
                "name": _text(victim.process.name),
                "why": victim.why,
                "signal": name,
            }
            for victim, name in signalled
        ],
        "outcome": outcome,
        "words": told,
    }
    descriptor = open_to_append(LEDGER)
    try:
        os.write(descriptor, (json.dumps(entry) + "\n").encode())  # at once, so that two stops do not mix
    finally:
        os.close(descriptor)


def _text(name: str) -> str:
    return name.encode("utf-8", "replace").decode("utf-8")
