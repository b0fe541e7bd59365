"""Made-up stops: a server on port 3000, who asks, and what else there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from looks import SERVER, look
from making import process, process_id

from loopmon.actions.plan import Plan, Self, make_plan
from loopmon.model import Ancestor, Connection, Process, Socket

ASKER = Self(pid=50, ancestors=frozenset({40, 30}), user="ada", is_root=False)
ROOT = replace(ASKER, user="root", is_root=True)


def below(pid: int, *parents: int, name: str = "node", user: str | None = "ada") -> Process:
    """A process below others, the parent first."""
    above = tuple(Ancestor(process_id(each), name) for each in parents)
    return replace(process(pid, name), user=user, ppid=parents[0] if parents else None, parents=above)


def plan(
    *listening: Socket,
    processes: Iterable[Process] = (),
    connections: Iterable[Connection] = (),
    others: Iterable[Socket] = (),
    children: Mapping[int, Iterable[Process]] | None = None,
    asker: Self = ASKER,
    chosen: Process | None = None,
) -> Plan:
    """To stop ``listening``; ``others`` listen as well, and ``children`` are what a pid has started."""
    wanted = {found.id for found in listening}
    snapshot = look((*listening, *others), connections, processes)
    rows = [row for row in snapshot.listeners if row.id in wanted]
    started = {process_id(pid): tuple(each) for pid, each in (children or {}).items()}
    return make_plan(rows, snapshot, started, asker, chosen)


def pids(made: Plan) -> list[int]:
    """Who is signalled, in order."""
    return [victim.process.id.pid for victim in made.victims]


__all__ = ["ASKER", "ROOT", "SERVER", "below", "pids", "plan"]
