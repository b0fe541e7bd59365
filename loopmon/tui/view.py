"""What the panes draw from: one frame's snapshot, the marks, and what the user chose to see."""

from __future__ import annotations

from dataclasses import dataclass, field

from loopmon import words
from loopmon.filter import Filter
from loopmon.model import Connection, Listener, Snapshot, Status
from loopmon.tui.columns import Cell, Tone
from loopmon.tui.marks import Marks

VERDICTS_S = 5.0
"""How long a row's answer to the filter is kept while the row itself is unchanged: its process's name,
project or age may have changed meanwhile."""


@dataclass(slots=True)
class View:
    """Belongs to the app; the panes only read it."""

    snapshot: Snapshot | None = None
    marks: Marks = field(default_factory=Marks)
    wanted: Filter = field(default_factory=Filter)
    time_wait: bool = True
    grouped: bool = False
    _verdicts: dict[str, tuple[Listener | Connection, bool]] = field(default_factory=dict)
    _verdicts_until: float = 0.0

    @property
    def now(self) -> float:
        return self.snapshot.taken_at if self.snapshot else 0.0

    @property
    def processes(self) -> words.Processes:
        return self.snapshot.processes if self.snapshot else {}

    def set_filter(self, wanted: Filter) -> None:
        self.wanted = wanted
        self._verdicts.clear()

    def listeners(self) -> list[Listener]:
        """Those that are there and those that have just gone, as far as the filter lets them through."""
        if self.snapshot is None:
            return []
        rows = (*self.snapshot.listeners, *self.marks.gone_listeners())
        return [row for row in rows if self._passes(row, self.snapshot)]

    def connections(self) -> list[Connection]:
        if self.snapshot is None:
            return []
        rows: list[Connection] = [*self.snapshot.connections, *self.marks.gone_connections()]
        if not self.time_wait:
            rows = [row for row in rows if row.status is not Status.TIME_WAIT or self.marks.has_changed(row.id)]
        return [row for row in rows if self._passes(row, self.snapshot)] if self.wanted else rows

    def age_cell(self, row_id: str, age: str) -> Cell:
        """The age, or the word that goes with the row's mark."""
        word = self.marks.word(row_id)
        return Cell(word, Tone.STRONG) if word else Cell(age, Tone.DIM)

    def _passes(self, row: Listener | Connection, snapshot: Snapshot) -> bool:
        if not self.wanted:
            return True
        if snapshot.taken_at >= self._verdicts_until:
            self._verdicts.clear()
            self._verdicts_until = snapshot.taken_at + VERDICTS_S
        known = self._verdicts.get(row.id)
        if known is not None and known[0] is row:
            return known[1]
        verdict = self.wanted.matches(row, snapshot)
        self._verdicts[row.id] = (row, verdict)
        return verdict
