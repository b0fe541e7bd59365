"""The connections of ``loopmon wait --probe``: one to a server that listens, and seldom another one."""

from __future__ import annotations

import time

from loopmon.actions.probe import TIMEOUT_S, Outcome, probe
from loopmon.holding import Obstacle
from loopmon.model import Endpoint, Owner, Socket

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
"""Between probes of the same server, doubled each time: those that a hung server does not take fill its queue."""
MIN_PROBE_S = 0.05

_MADE = frozenset({Outcome.TAKEN, Outcome.CONNECTED})
_FAILED = {
    Outcome.NOT_TAKEN: "it listens, but did not take the connection that was made to it",
    Outcome.CLOSED: "it listens, but closed the connection that was made to it at once",
    Outcome.RESET: "it listens, but reset the connection that was made to it",
    Outcome.TIMED_OUT: "it listens, but a connection to it timed out",
    Outcome.REFUSED: "it listens, but a connection to it was refused",
}


Server = tuple[str, tuple[Owner, ...]]
"""Where the source knows addresses only, the next server there has the same id."""


class Prober:
    """At most one connection a server and pause; one that was taken counts for as long as that server listens."""

    def __init__(self) -> None:
        self._taken: set[Server] = set()
        self._next: dict[Server, tuple[float, float, Obstacle]] = {}
        """When it is due again, the pause after that, and what came of the last one."""

    def obstacle(self, server: Socket, to: Endpoint, left_s: float) -> Obstacle | None:
        """None when the server takes connections."""
        key = (server.id, server.owners)
        if key in self._taken:
            return None
        due, pause, before = self._next.get(key, (0.0, FIRST_PAUSE_S, None))
        if before is not None and time.monotonic() < due:
            return before
        seen = probe(to, max(MIN_PROBE_S, min(TIMEOUT_S, left_s)))
        if seen.outcome in _MADE:
            self._taken.add(key)
            return None
        obstacle = Obstacle(_FAILED.get(seen.outcome, f"a connection to it failed: {seen.error or seen.outcome}"), True)
        self._next[key] = (time.monotonic() + pause, min(2 * pause, LONGEST_PAUSE_S), obstacle)
        return obstacle
