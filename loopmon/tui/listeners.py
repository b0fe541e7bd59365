"""The listeners pane: its columns and what it says when it is empty."""

from __future__ import annotations

from textual.content import Content

from loopmon import words
from loopmon.age import listener_age
from loopmon.clean import clean
from loopmon.model import Listener, PortClass, Protocol
from loopmon.tui.columns import Cell, Column, Tone, process_cell
from loopmon.tui.glyphs import Glyphs
from loopmon.tui.live_table import LiveTable
from loopmon.tui.view import View

NO_LISTENERS = """Nothing listens on loopback.
Start a server and it appears here, for example:
  python3 -m http.server 8000 --bind 127.0.0.1"""
NO_MATCH = """No listener matches the filter.
Press escape to drop it."""


class Listeners(LiveTable[Listener]):
    """Owns no state but the table's: rows come from the view."""

    BORDER_TITLE = "Listeners"

    def __init__(self, view: View, glyphs: Glyphs) -> None:
        self._view = view
        super().__init__(
            self._columns_of_listeners(),
            key=lambda row: row.id,
            glyphs=glyphs,
            mark=lambda row: view.marks.glyph(row.id),
            is_gone=lambda row: view.marks.is_gone(row.id),
            id="listeners",
        )

    def show(self) -> None:
        view = self._view
        empty = NO_MATCH if view.wanted else NO_LISTENERS
        self.empty_text = empty if view.snapshot else view.waiting_text()
        rows = view.listeners()
        self.set_rows(rows)
        total = len(view.snapshot.listeners) if view.snapshot else 0
        notes = [f"{view.count_shown(rows)} of {total}"] if view.wanted else []
        if view.snapshot:
            notes += view.snapshot.limits
        self.border_subtitle = Content(clean(f" {self._glyphs.dot} ".join(notes), 200))

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
            Column("process", "PROCESS", self._process, self._process_order, width=18, grow=3, most=28, keep=8),
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
                lambda row: Cell(str(row.connections) if row.connections else "", Tone.STRONG),
                lambda row: row.connections,
                width=8,
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
