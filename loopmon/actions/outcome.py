"""What came of a stop: whether the port is free, in words, and written down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loopmon.actions.ledger import record
from loopmon.actions.plan import Plan
from loopmon.actions.proof import prove
from loopmon.actions.stopping import Stopping
from loopmon.model import Snapshot


@dataclass(frozen=True, slots=True)
class Outcome:
    kind: str
    """As it is written down: ``free``, ``survived``, ``came-back``, ``blocked``, ``ended``, ``not-permitted``."""
    words: str
    is_done: bool
    """The port is free, or what was to end has ended."""
    is_permission: bool = False


def conclude(
    plan: Plan, stopping: Stopping, look: Callable[[], Snapshot], tell: Callable[[float], None] = lambda _left_s: None
) -> Outcome:
    """By looking, for some seconds; ``tell`` hears for how many more. Raises SourceError."""
    left = stopping.remaining()
    if stopping.refused:
        names = ", ".join(victim.label for victim in stopping.refused)
        return Outcome("not-permitted", f"{names} may not be signalled", is_done=False, is_permission=True)
    if not plan.listeners:
        told = f"{left[0].label} has not ended" if left else "it has ended"
        return Outcome("survived" if left else "ended", told, is_done=not left)
    proof = prove(plan, look, tell=tell)
    told = proof.words
    if left and not proof.is_free:
        told += f"; {left[0].label} has not ended"
    if stopping.lost and not stopping.signalled and not proof.is_free:
        victim, reason = stopping.lost[0]
        told += f"; nobody was signalled, as of {victim.label} {reason}"
    return Outcome(str(proof.found), told, is_done=proof.is_free)


def write_down(plan: Plan, stopping: Stopping, kind: str, told: str) -> str | None:
    """Returns why that failed, if it did."""
    try:
        record(plan, stopping.signalled, kind, told)
    except OSError as error:
        return f"the stop could not be written down: {error.strerror or error}"
    return None
