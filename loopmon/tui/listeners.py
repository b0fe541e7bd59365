"""The listeners pane: its columns and what it says when it is empty."""

from __future__ import annotations

from loopmon import words
from loopmon.age import listener_age
from loopmon.model import Listener, PortClass, Protocol
from loopmon.tui.columns import Cell, Column, Tone, finding_column, process_cell
from loopmon.tui.glyphs import Glyphs
from loopmon.tui.live_table import LiveTable
from loopmon.tui.view import View

NO_LISTENERS = """Nothing listens on loopback.
Start a server and it appears here, for example:
  python3 -m http.server 8000 --bind 127.0.0.1"""
NO_MATCH = """No listener matches the filter.
Press escape to drop it."""


SPARK_CELLS = 5


class Listeners(LiveTable[Listener]):
    """Owns no state but the table's: rows come from the view."""

    BORDER_TITLE = "Listeners"

    def __init__(self, view: View, glyphs: Glyphs) -> None:
        self._view = view
        super().__init__(
            self._columns_of_listeners(),
            key=lambda row: row.id,
            glyphs=glyphs,
            mark=view.mark_of,
            is_gone=lambda row: view.marks.is_gone(row.id),
            id="listeners",
        )

    def show(self) -> None:
        view = self._view
        empty = NO_MATCH if view.wanted else NO_LISTENERS
        self.empty_text = empty if view.snapshot else view.waiting_text()
        self._choose_columns()
        rows = view.listeners()
        self.set_rows(rows)
        total = len(view.snapshot.listeners) if view.snapshot else 0
        notes = [f"{view.count_shown(rows)} of {total}"] if view.wanted else []
        if view.snapshot:
            notes += view.snapshot.limits
        self.set_subtitle(f" {self._glyphs.dot} ".join(notes))

    def _choose_columns(self) -> None:
        """Queues and traffic only where the source knows them."""
        columns = self._columns_of_listeners()
        if self._view.finds_rows[0]:
            columns.insert(3, finding_column(self._view.finding_cell))
        if self._view.knows_queues:
            columns[-1:-1] = self._columns_of_traffic()
        ids = [column.id for column in columns]
        if ids != self.column_ids:
            self.set_columns(columns, self.sort_id if self.sort_id in ids else "port")

    def _columns_of_traffic(self) -> list[Column[Listener]]:
        view = self._view
        return [
            Column("queue", "QUEUE", self._queue, self._waiting, width=7, right=True, keep=3),
            Column(
                "rate",
                "RATE",
                self._rate,
                lambda row: view.bytes_per_s(row.id),
                width=SPARK_CELLS + 6,
                right=True,
                keep=2,
                volatile=True,
            ),
        ]

    def _waiting(self, row: Listener) -> int | None:
        return row.socket.recv_queue if row.socket.protocol is Protocol.TCP else None

    def _queue(self, row: Listener) -> Cell:
        waiting, backlog = row.socket.recv_queue, row.socket.send_queue
        if row.socket.protocol is Protocol.UDP or waiting is None or backlog is None:
            return Cell("")
        if waiting == 0:
            return Cell(f"0/{backlog}", Tone.DIM)
        return Cell(f"{waiting}/{backlog}", Tone.BAD if waiting > backlog else Tone.WARNING)

    def _connections_per_s(self, row: Listener) -> float:
        rate = self._view.rate_of(row.id)
        return rate.connections_per_s if rate else 0.0

    def _clients(self, row: Listener) -> Cell:
        """How many there are, and how many come each second."""
        new = self._connections_per_s(row)
        come = f" +{new:.0f}/s" if new >= 1 else ""
        return Cell(f"{row.connections}{come}" if row.connections or come else "", Tone.STRONG)

    def _rate(self, row: Listener) -> Cell:
        rate = self._view.rate_of(row.id)
        if rate is None:
            return Cell("")
        spark = words.sparkline(rate.history, SPARK_CELLS, ascii_only=self._glyphs.ascii_only)
        return Cell(f"{spark} {words.rate(rate.bytes_per_s):>5}")

    def _columns_of_listeners(self) -> list[Column[Listener]]:
        view = self._view
        return [
            Column("port", "PORT", self._port, lambda row: row.laddr.port, width=6, right=True, keep=9),
            Column(
                "address",
                "ADDRESS",
                self._address,
                lambda row: row.laddr.ip,
                width=13,
                grow=1,
                most=18,
                keep=6,
            ),
            Column("process", "PROCESS", self._process, self._process_order, width=14, grow=3, most=28, keep=8),
            Column(
                "project",
                "PROJECT",
                lambda row: Cell(words.project_of((o.process for o in row.socket.owners), view.processes)),
                lambda row: words.project_of((o.process for o in row.socket.owners), view.processes) or None,
                width=8,
                grow=3,
                most=24,
                keep=5,
            ),
            Column(
                "clients",
                "CLIENTS",
                self._clients,
                lambda row: row.connections,
                width=8,
                grow=1,
                most=11,
                right=True,
                keep=4,
            ),
            Column(
                "age",
                "AGE",
                lambda row: view.age_cell(row.id, words.age(listener_age(row, view.now))),
                lambda row: listener_age(row, 0.0).seconds,
                width=5,
                right=True,
                keep=7,
            ),
        ]

    def _port(self, row: Listener) -> Cell:
        return Cell(str(row.laddr.port), Tone.DIM if row.port_class is PortClass.EPHEMERAL else Tone.STRONG)

    def _address(self, row: Listener) -> Cell:
        text = words.address(row.laddr.ip, row.socket.v6only)
        if row.socket.protocol is Protocol.UDP:
            text += " udp"
        return Cell(f"{text} exposed", Tone.WARNING) if row.exposed else Cell(text)

    def _process(self, row: Listener) -> Cell:
        label = words.owners_label(row.socket, self._view.processes)
        return process_cell(label, Tone.PLAIN if row.socket.owners else Tone.DIM)

    def _process_order(self, row: Listener) -> str | None:
        return words.owners_label(row.socket, self._view.processes).lower() if row.socket.owners else None
