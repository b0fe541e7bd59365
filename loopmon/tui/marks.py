"""Which rows are new, which are gone but still shown, which have just changed state. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from loopmon.model import Change, ChangeKind, Connection, Listener, Status
from loopmon.tui.glyphs import GONE, NEW

Row = Listener | Connection

SHOWN_S = 5.0
"""How long a mark stays."""


def is_news(change: Change) -> bool:
    """A connection was over when it went into TIME_WAIT: that the kernel forgets it a minute later is none."""
    over = isinstance(change.subject, Connection) and change.subject.status is Status.TIME_WAIT
    return not (over and change.kind is ChangeKind.CLOSED)


class Marks:
    """Fed with each frame's changes; asked at every drawing."""

    def __init__(self) -> None:
        self._new: dict[str, float] = {}
        self._changed: dict[str, float] = {}
        self._gone: dict[str, tuple[Row, float]] = {}

    def update(self, changes: Iterable[Change], now: float) -> None:
        """Take in what changed and forget what has been marked for long enough."""
        for change in filter(is_news, changes):
            key, until = change.subject.id, change.at + SHOWN_S
            if change.kind is ChangeKind.CLOSED:
                self._new.pop(key, None)
                self._gone[key] = (change.subject, until)
            elif change.kind is ChangeKind.OPENED:
                self._gone.pop(key, None)
                self._new[key] = until
            else:
                self._changed[key] = until
        self._new = {key: until for key, until in self._new.items() if until > now}
        self._changed = {key: until for key, until in self._changed.items() if until > now}
        self._gone = {key: (row, until) for key, (row, until) in self._gone.items() if until > now}

    def clear(self) -> None:
        self._new.clear()
        self._changed.clear()
        self._gone.clear()

    def gone_listeners(self) -> list[Listener]:
        return [row for row, _ in self._gone.values() if isinstance(row, Listener)]

    def gone_connections(self) -> list[Connection]:
        return [row for row, _ in self._gone.values() if isinstance(row, Connection)]

    def is_new(self, key: str) -> bool:
        return key in self._new

    def is_gone(self, key: str) -> bool:
        return key in self._gone

    def has_changed(self, key: str) -> bool:
        return key in self._changed

    def glyph(self, key: str) -> str:
        if key in self._gone:
            return GONE
        return NEW if key in self._new else ""

    def word(self, key: str) -> str:
        """What stands beside the glyph, for those who cannot tell the glyphs or colours apart."""
        if key in self._gone:
            return "gone"
        return "new" if key in self._new else ""
