"""Carries out a plan: every process is held and checked before the first one is signalled.

TERM first, with CONT for what is stopped; KILL only when it is asked for. Whether the port is free afterwards is
``proof``'s business.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self as Me

from loopmon.actions.handle import Handle, LostError
from loopmon.actions.plan import Plan, Victim

TICK_S = 0.05


class Stopping:
    """Use it as a context: it keeps a descriptor a process."""

    def __init__(self, plan: Plan) -> None:
        self.lost: list[tuple[Victim, str]] = []
        """Not signalled, and why: they have ended, or are not what was seen."""
        self.refused: list[Victim] = []
        """The system did not permit it."""
        self.signalled: list[tuple[Victim, str]] = []
        """And by which signal."""
        self._handles: list[Handle] = []
        for victim in plan.victims:
            try:
                self._handles.append(Handle(victim))
            except LostError as reason:
                self.lost.append((victim, str(reason)))
            except PermissionError:
                self.refused.append(victim)

    def __enter__(self) -> Me:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for handle in self._handles:
            handle.close()

    def send(self, number: signal.Signals) -> None:
        """To all that are left, in the plan's order."""
        for handle in self._handles:
            if handle.has_ended():
                continue
            try:
                handle.send(number)
                self.signalled.append((handle.victim, number.name))
                if handle.is_stopped and number is not signal.SIGKILL:
                    handle.send(signal.SIGCONT)
            except LostError as reason:
                self.lost.append((handle.victim, str(reason)))
            except PermissionError:
                self.refused.append(handle.victim)

    def remaining(self) -> tuple[Victim, ...]:
        return tuple(handle.victim for handle in self._handles if not handle.has_ended())

    def wait(
        self, timeout_s: float, tell: Callable[[tuple[Victim, ...], float], None] = lambda _left, _s: None
    ) -> bool:
        """Until all have ended. ``tell`` hears, several times a second, who is left and for how long it is waited.
        Returns whether they have."""
        deadline = time.monotonic() + timeout_s
        while remaining := self.remaining():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            tell(remaining, left_s)
            time.sleep(min(TICK_S, left_s))
        return True
