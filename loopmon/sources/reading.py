"""What a source hands over, and what it raises when it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol as TypingProtocol

from loopmon.model import Ports, Process, ProcessId, Socket


@dataclass(frozen=True, slots=True)
class Reading:
    """The sockets of one look, unchanged ones as the same objects as in the look before."""

    taken_at: float
    """Seconds since the epoch."""
    sockets: tuple[Socket, ...]
    limits: tuple[str, ...] = ()
    processes: Mapping[ProcessId, Process] | None = None
    """Given by sources that know their processes themselves; None means: ask this system."""
    ports: Ports | None = None
    """Given by sources that speak of another machine; None means: this system's."""
    destroyed: tuple[Socket, ...] = ()
    """Sockets that have gone since the look before, with their last counters, whether a look saw them or not."""
    notices_lost: int = 0
    """How often the kernel had to drop notices of destroyed sockets since the look before."""
    partial: bool = False
    """Only the listeners, or one process's connections, were looked at; all else is as it was."""


class SourceError(Exception):
    """The sockets could not be read. The message says why, in one line."""


class SourceDeniedError(SourceError):
    """The system refuses to show any socket to this user."""


class Source(TypingProtocol):
    """Where sockets come from. Used by one thread at a time."""

    @property
    def name(self) -> str: ...

    @property
    def has_listener_lane(self) -> bool:
        """Whether ``read_listeners`` is cheap enough to be called several times a second."""
        ...

    def read(self, focus: ProcessId | None = None) -> Reading:
        """Look once; what ``focus`` holds is checked even if nothing seems to have changed.

        Raises SourceError; a later call may succeed again.
        """
        ...

    def read_listeners(self, focus: ProcessId | None = None) -> Reading | None:
        """A cheap look: a reading, with all else as it was, if a listener has come or gone since the last one or
        a connection of ``focus`` says something else now; else None."""
        ...

    def close(self) -> None: ...
