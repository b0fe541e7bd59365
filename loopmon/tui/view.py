"""What the panes draw from: one frame's snapshot, the marks, and what the user chose to see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from loopmon import words
from loopmon.clean import clean
from loopmon.filter import Filter
from loopmon.findings.kinds import KINDS, is_pressing
from loopmon.model import (
    ChangeKind,
    Connection,
    Finding,
    FindingId,
    Frame,
    Listener,
    ProcessId,
    Rate,
    Severity,
    Snapshot,
    Status,
)
from loopmon.tui.columns import Cell, Tone
from loopmon.tui.glyphs import FINDING
from loopmon.tui.marks import Marks

FINDING_TONES = {Severity.PROBLEM: Tone.BAD, Severity.WARNING: Tone.WARNING, Severity.NOTE: Tone.DIM}
VERDICTS_S = 5.0
"""How long a row's answer to the filter is kept while the row itself is unchanged: its process's name,
project or age may have changed meanwhile."""


@dataclass(slots=True)
class View:
    """Belongs to the app; the panes only read it."""

    snapshot: Snapshot | None = None
    stale: str | None = None
    """Why the last look failed."""
    marks: Marks = field(default_factory=Marks)
    wanted: Filter = field(default_factory=Filter)
    formerly: dict[int, str] = field(default_factory=dict)
    """By port: who listened there last, of those that have let go."""
    time_wait: bool = True
    grouped: bool = False
    knows_queues: bool = False
    """Whether the source tells of queues: one that does so once does so always."""
    knows_bytes: bool = False
    """Whether it counts bytes and times."""
    _findings: dict[str, list[Finding]] = field(default_factory=dict)
    """By subject."""
    _found: tuple[Finding, ...] = ()
    _verdicts: dict[str, tuple[Listener | Connection, bool]] = field(default_factory=dict)
    _verdicts_until: float = 0.0

    def take(self, frame: Frame) -> bool:
        """Take in a frame. Returns whether a process is called something else than before."""
        self.stale = frame.stale
        if frame.snapshot is None:
            return False
        renamed = self.snapshot is not None and _names(self.processes) != _names(frame.snapshot.processes)
        self.snapshot = frame.snapshot
        if frame.snapshot.findings is not self._found:
            self._found = frame.snapshot.findings
            self._findings = {}
            for finding in self._found:
                self._findings.setdefault(finding.subject, []).append(finding)
        self.knows_queues |= any(row.socket.recv_queue is not None for row in frame.snapshot.listeners)
        self.knows_bytes = self.knows_bytes or any(
            row.client.socket and row.client.socket.rtt_us is not None for row in frame.snapshot.connections
        )
        self.marks.update(frame.changes, frame.snapshot.taken_at)
        for change in frame.changes:
            if change.kind is ChangeKind.CLOSED and isinstance(change.subject, Listener):
                who = words.owners_label(change.subject.socket, frame.snapshot.processes)
                self.formerly[change.subject.laddr.port] = f"{who} (until {datetime.fromtimestamp(change.at):%H:%M:%S})"
        return renamed

    def waiting_text(self) -> str:
        """What an empty pane says as long as no look has succeeded."""
        if self.stale is None:
            return "Reading the sockets."
        return f"The sockets could not be read:\n{clean(self.stale, 200)}\nloopmon keeps trying."

    def count_shown(self, rows: Iterable[Listener | Connection]) -> int:
        """Without those that have gone."""
        return sum(not self.marks.is_gone(row.id) for row in rows)

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

    def findings_on(self, row: Listener | Connection) -> list[Finding]:
        """What was found about a row, or about the process that holds it, the worst first."""
        if not self._findings:
            return []
        found = list(self._findings.get(row.subject, ()))
        for identity in _blamed(row):
            found += self._findings.get(identity.subject, ())
        return found

    @property
    def finds_rows(self) -> tuple[bool, bool]:
        """Whether something that a column should say was found about a listener, and about a connection."""
        subjects = {finding.subject.partition(":")[0] for finding in self._found if finding.id is not FindingId.EXPOSED}
        return bool(subjects & {"listener", "process"}), bool(subjects & {"connection", "process"})

    def mark_of(self, row: Listener | Connection) -> str:
        """New or gone, else whether it is worth looking at."""
        known = self.marks.glyph(row.id)
        return known or (FINDING if any(map(is_pressing, self.findings_on(row))) else "")

    def finding_cell(self, row: Listener | Connection) -> Cell:
        """What was found, in a word, and how much more; the address says itself that it is exposed."""
        found = [finding for finding in self.findings_on(row) if finding.id is not FindingId.EXPOSED]
        if not found:
            return Cell("")
        more = f" +{len(found) - 1}" if len(found) > 1 else ""
        return Cell(f"{KINDS[found[0].id].word}{more}", FINDING_TONES[found[0].severity])

    def rate_of(self, row_id: str) -> Rate | None:
        return self.snapshot.rates.get(row_id) if self.snapshot else None

    def bytes_per_s(self, row_id: str) -> float:
        rate = self.rate_of(row_id)
        return rate.bytes_per_s if rate else 0.0

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


def _blamed(row: Listener | Connection) -> Iterator[ProcessId]:
    """Whose findings stand on a row: a listener's holders, and who does not close a connection."""
    if isinstance(row, Listener):
        yield from dict.fromkeys(owner.process for owner in row.socket.owners)
        return
    for end in (row.client, row.server):
        if end.socket and end.socket.status is Status.CLOSE_WAIT:
            yield from (owner.process for owner in end.owners)


def _names(processes: words.Processes) -> dict[ProcessId, tuple[str, str | None]]:
    return {identity: (process.name, process.project) for identity, process in processes.items()}
