"""A plan in words: who is signalled, who survives, who loses what, and what would be better. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from loopmon import words
from loopmon.actions.plan import Plan, Victim
from loopmon.clean import clean

COMMAND_CHARACTERS = 160


class Part(StrEnum):
    STOP = "STOP"
    REFUSED = "REFUSED"
    BETTER = "BETTER"
    ALSO = "ALSO"
    CLIENTS = "CLIENTS"
    STAYS = "STAYS"


def preview(plan: Plan) -> list[tuple[Part, str]]:
    """The lines in the order in which they matter."""
    return [
        *((Part.REFUSED, line) for line in _refusals(plan)),
        *((Part.STOP, line) for number, victim in enumerate(plan.victims, 1) for line in _victim(number, victim)),
        *((Part.BETTER, line) for line in _better(plan)),
        *((Part.ALSO, f"no longer listens on {where}") for where in plan.also),
        *((Part.CLIENTS, line) for line in plan.lose or (("no client loses a connection",) if plan.victims else ())),
        *((Part.STAYS, line) for line in plan.survivors),
    ]


def _refusals(plan: Plan) -> Iterator[str]:
    for refusal in plan.refusals:
        yield f"{refusal.who} is not stopped: {refusal.why}"
        if refusal.command:
            yield f"  instead: {refusal.command}"


def _victim(number: int, victim: Victim) -> Iterator[str]:
    process = victim.process
    project = f" ({clean(process.project, 32)})" if process.project else ""
    yield f"{number}. {victim.label}{project}, {victim.why}"
    command = words.command_line(process, COMMAND_CHARACTERS)
    if command:
        yield f"   {command}"


def _better(plan: Plan) -> Iterator[str]:
    if plan.supervisor:
        command = f": {plan.supervisor.command}" if plan.supervisor.command else ""
        yield f"{plan.supervisor.label} may start it again{command}"
