"""The clients pane: one row a connection, both ends named, or one row a client process and server."""

from __future__ import annotations

from textual.content import Content

from loopmon import words
from loopmon.age import connection_age
from loopmon.model import Connection, End, OwnerBasis, Status
from loopmon.tui.columns import Cell, Column, Tone, finding_column, process_cell
from loopmon.tui.glyphs import Glyphs
from loopmon.tui.groups import Group, group
from loopmon.tui.live_table import LiveTable
from loopmon.tui.view import View

Row = Connection | Group

NO_CLIENTS = """No connections on loopback.
They appear here with both their ends as soon as a client connects."""
NO_MATCH = """No connection matches the filter.
Press escape to drop it."""

STATE_TONES = {
    Status.ESTABLISHED: Tone.GOOD,
    Status.CLOSE_WAIT: Tone.WARNING,
    Status.SYN_SENT: Tone.WARNING,
    Status.TIME_WAIT: Tone.DIM,
}


def one(row: Row) -> Connection:
    """The connection itself, or the first of a group."""
    return row.first if isinstance(row, Group) else row


class Clients(LiveTable[Row]):
    """Owns no state but the table's: rows come from the view."""

    BORDER_TITLE = "Clients"

    def __init__(self, view: View, glyphs: Glyphs) -> None:
        self._view = view
        super().__init__(
            self._columns_of_connections(),
            key=lambda row: row.id,
            glyphs=glyphs,
            mark=lambda row: "" if isinstance(row, Group) else view.mark_of(row),
            is_gone=lambda row: not isinstance(row, Group) and view.marks.is_gone(row.id),
            id="clients",
            sort_id="to",
        )

    def show(self) -> None:
        view = self._view
        empty = NO_MATCH if view.wanted else NO_CLIENTS
        self.empty_text = empty if view.snapshot else ""
        self._choose_columns()
        connections = view.connections()
        self.set_rows(group(connections) if view.grouped else connections)
        if str(self.border_title) != (title := self._title()):
            self.border_title = Content(title)
        self.set_subtitle(self._subtitle(view.count_shown(connections) if view.wanted else 0))

    def set_grouped(self) -> None:
        """Take the columns that fit how the view shows connections now."""
        held = self.cursor_row
        self.set_rows([])
        self.show()
        if held is not None:
            self.move_to(self._counterpart(held))

    def _choose_columns(self) -> None:
        """Traffic only where the source counts it."""
        columns = self._columns_of_groups() if self._view.grouped else self._columns_of_connections()
        if self._view.finds_rows[1] and not self._view.grouped:
            columns.insert(-1, finding_column(lambda row: self._view.finding_cell(one(row))))
        if self._view.knows_bytes and not self._view.grouped:
            columns[-1:-1] = self._columns_of_traffic()
        ids = [column.id for column in columns]
        if ids != self.column_ids:
            self.set_columns(columns, self.sort_id if self.sort_id in ids else "to")

    def _columns_of_traffic(self) -> list[Column[Row]]:
        view = self._view
        return [
            Column(
                "rate",
                "RATE",
                lambda row: Cell(words.rate(view.bytes_per_s(row.id))),
                lambda row: view.bytes_per_s(row.id),
                width=6,
                right=True,
                keep=3,
                volatile=True,
            ),
            Column("rtt", "RTT", self._rtt, self._rtt_us, width=7, right=True, keep=2),
        ]

    def _rtt_us(self, row: Row) -> int | None:
        client = one(row).client.socket
        return client.rtt_us if client else None

    def _rtt(self, row: Row) -> Cell:
        rtt_us = self._rtt_us(row)
        return Cell(words.milliseconds(rtt_us) if rtt_us is not None else "", Tone.DIM)

    def _counterpart(self, row: Row) -> str:
        """The key of the group that a connection is in, or of the first connection in a group."""
        if isinstance(row, Group):
            return row.first.id
        return next((found.id for found in self.rows if isinstance(found, Group) and row in found.members), row.id)

    def _title(self) -> str:
        title = "Clients by process" if self._view.grouped else "Clients"
        if self._view.snapshot is None:
            return title
        low, high = self._view.snapshot.ports.ephemeral
        return f"{title} {self._glyphs.dot} ephemeral ports {low}{self._glyphs.dash}{high}"

    def _subtitle(self, shown: int) -> str:
        view = self._view
        if view.snapshot is None:
            return ""
        notes = [f"{shown} of {len(view.snapshot.connections)}"] if view.wanted else []
        if over := view.snapshot.in_time_wait:
            notes.append(f"{over} in TIME_WAIT, t {'hides' if view.time_wait else 'shows'} them")
        return f" {self._glyphs.dot} ".join(notes)

    def _columns_of_connections(self) -> list[Column[Row]]:
        view = self._view
        return [
            Column("from", "FROM", self._from, lambda row: one(row).client.addr.port, width=6, right=True, keep=9),
            self._process_column("PROCESS"),
            Column("to", "TO", self._to, self._to_order, width=18, grow=3, most=34, keep=8),
            Column(
                "state",
                "STATE",
                lambda row: Cell(words.state(one(row)), STATE_TONES.get(one(row).status, Tone.PLAIN)),
                lambda row: one(row).status,
                width=11,
                grow=2,
                most=20,
                keep=6,
            ),
            Column(
                "age",
                "AGE",
                lambda row: view.age_cell(row.id, words.age(connection_age(one(row), view.now))),
                lambda row: -one(row).first_seen,
                width=5,
                right=True,
                keep=4,
            ),
        ]

    def _columns_of_groups(self) -> list[Column[Row]]:
        return [
            self._process_column("PROCESS"),
            Column("to", "TO", self._to, self._to_order, width=20, grow=3, most=34, keep=8),
            Column("count", "COUNT", self._count, self._count_order, width=6, right=True, keep=9),
            Column("states", "STATES", self._states, lambda row: one(row).status, width=15, grow=2, keep=4),
        ]

    def _process_column(self, title: str) -> Column[Row]:
        return Column("process", title, self._process, self._process_order, width=14, grow=3, most=28, keep=8)

    def _from(self, row: Row) -> Cell:
        return Cell(str(one(row).client.addr.port), Tone.STRONG)

    def _process(self, row: Row) -> Cell:
        return process_cell(words.end_label(one(row).client, self._view.processes), _end_tone(one(row).client))

    def _process_order(self, row: Row) -> str | None:
        client = one(row).client
        return words.end_label(client, self._view.processes).lower() if client.owners else None

    def _to(self, row: Row) -> Cell:
        server = one(row).server
        if one(row).client.addr == server.addr:
            return Cell(f"itself :{server.addr.port}", Tone.WARNING)
        return process_cell(f"{words.end_label(server, self._view.processes)} :{server.addr.port}", _end_tone(server))

    def _to_order(self, row: Row) -> tuple[bool, int, int]:
        """By server, then by client port; all that is over comes after all that lives."""
        connection = one(row)
        return (connection.status is Status.TIME_WAIT, connection.server.addr.port, connection.client.addr.port)

    def _count(self, row: Row) -> Cell:
        return Cell(str(len(row.members)) if isinstance(row, Group) else "", Tone.STRONG)

    def _count_order(self, row: Row) -> int:
        return -len(row.members) if isinstance(row, Group) else 0

    def _states(self, row: Row) -> Cell:
        states = row.states if isinstance(row, Group) else {}
        return Cell("  ".join(f"{number} {status}" for status, number in states.items()))


def _end_tone(end: End) -> Tone:
    return Tone.PLAIN if end.basis in {OwnerBasis.HOLDS, OwnerBasis.LISTENS} else Tone.DIM
