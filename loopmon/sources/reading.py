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


class SourceError(Exception):
    """The sockets could not be read. The message says why, in one line."""


class SourceDeniedError(SourceError):
    """The system refuses to show any socket to this user."""


class Source(TypingProtocol):
    """Where sockets come from. Used by one thread at a time."""

    @property
    def name(self) -> str: ...

    def read(self) -> Reading:
        """Look once. Raises SourceError; a later call may succeed again."""
        ...

    def close(self) -> None: ...
