"""The socket table for a command that waits: looked at as often as it likes, as cheaply as the source allows."""

from __future__ import annotations

import time

from loopmon.model import Socket
from loopmon.sources import Source

WHOLE_EVERY_S = 2.0
"""A cheap look shows neither a new holder of an old listener nor that the source has failed."""
FRESH_S = 0.5
"""So young a whole look is not repeated for the sake of a detail."""


class Lookout:
    """Remembers the last look."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._whole_at = -WHOLE_EVERY_S
        self.sockets: tuple[Socket, ...] = ()

    def look(self, *, whole: bool = False) -> None:
        """Raises SourceError."""
        old = time.monotonic() - self._whole_at >= WHOLE_EVERY_S
        if whole or old or not self._source.has_listener_lane:
            self.sockets = self._source.read().sockets
            self._whole_at = time.monotonic()
        elif (glance := self._source.read_listeners()) is not None:
            self.sockets = glance.sockets

    def look_closer(self) -> None:
        """At everything, unless that was done just now. Raises SourceError."""
        if time.monotonic() - self._whole_at >= FRESH_S:
            self.look(whole=True)
