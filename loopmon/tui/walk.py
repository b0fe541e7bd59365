"""Where the user is: the row, the process that is shown of it, and the ways from there and back.

The part of the app under everything that is done with a row. Takes no frames and reads nothing itself.
"""

from __future__ import annotations

from textual import events, on
from textual.app import App

from loopmon.findings.kinds import KINDS
from loopmon.model import Connection, Listener
from loopmon.tui.clients import Clients, one
from loopmon.tui.glyphs import Glyphs
from loopmon.tui.listeners import Listeners
from loopmon.tui.live_table import LiveTable
from loopmon.tui.looking import Looking
from loopmon.tui.process import ProcessPane
from loopmon.tui.subject import Subject, renewed, subject_of
from loopmon.tui.ticker import Ticker
from loopmon.tui.tour import Tour, rows_of, worth_a_stop
from loopmon.tui.view import View

WIDE = 120
"""From so many columns on the process pane stands beside the tables."""


class Walk(App[int]):
    """The app without frames and without a terminal."""

    _monitor: Looking

    def __init__(self, view: View, glyphs: Glyphs) -> None:
        super().__init__()
        self._view = view
        self._glyphs = glyphs
        self._subject: Subject | None = None
        self._followed: Listeners | Clients | None = None
        """The table whose cursor says what the process pane shows; None where that was chosen otherwise."""
        self._left: Listeners | Clients | None = None
        """The table to come back to from the process pane."""
        self._came_from: list[str] = []
        self._tour = Tour()

    @property
    def chosen_row(self) -> Listener | Connection | None:
        """What the process pane shows, or the row under the cursor; of a group its first connection."""
        if self._subject is not None and self._subject.row is not None:
            return self._subject.row
        focused = self.default_screen.focused  # under the palette or a dialog too
        row = focused.cursor_row if isinstance(focused, Clients | Listeners) else None
        return row if row is None or isinstance(row, Listener) else one(row)

    def note(self, text: str) -> None:
        """Say something in the line above the footer."""
        self.query_one(Ticker).note(text)

    @on(LiveTable.Highlighted)
    def _follow_cursor(self, message: LiveTable.Highlighted) -> None:
        if message.table is self._followed:
            self._show_subject()

    @on(events.DescendantFocus)
    def _follow_focus(self, event: events.DescendantFocus) -> None:
        if isinstance(event.widget, Listeners | Clients):
            self._followed = self._left = event.widget
            self._show_subject()
        self.refresh_bindings()

    @on(LiveTable.Opened)
    def _open(self, message: LiveTable.Opened) -> None:
        """What is opened stays, whatever becomes of its row."""
        self._subject = subject_of(message.table.cursor_row)
        self._followed = None
        self._zoom()

    @property
    def _shows_process(self) -> bool:
        return self.default_screen.has_class("-zoomed") or self.size.width >= WIDE

    def _zoom(self) -> None:
        self.default_screen.add_class("-zoomed")
        self._show_subject()
        self.query_one(ProcessPane).focus()
        self.refresh_bindings()

    def _unzoom(self) -> None:
        self.default_screen.remove_class("-zoomed")
        (self._left or self.query_one(Listeners)).focus()
        self.refresh_bindings()

    def _show_subject(self) -> None:
        if self._followed is not None:
            self._subject = subject_of(self._followed.cursor_row)
        elif self._subject is not None:
            self._subject = renewed(self._subject, self._view.snapshot)
        self._monitor.set_focus(self._subject.process if self._subject else None)
        if self._shows_process:
            self.query_one(ProcessPane).show(self._subject)

    def _tables(self) -> tuple[Listeners, Clients]:
        return self.query_one(Listeners), self.query_one(Clients)

    # Ways

    def action_other_end(self) -> None:
        """From a client to the listener that serves it; where that is not shown, to the server's process."""
        listeners, clients = self._tables()
        row = clients.cursor_row
        if row is None:
            return
        connection = one(row)
        if connection.listener_id and listeners.move_to(connection.listener_id):
            listeners.focus()
        elif connection.server.owners:
            self._followed = None
            self._subject = Subject(connection.server.owners[0].process, connection)
            self._show_subject()
            if not self._shows_process:
                self._zoom()
        else:
            self.note("Nobody is known at the other end.")
            return
        self._came_from.append(row.id)

    def action_came_from(self) -> None:
        clients = self.query_one(Clients)
        while self._came_from:
            if clients.move_to(self._came_from.pop()):
                self.default_screen.remove_class("-zoomed")
                self._followed = clients
                clients.focus()
                self._show_subject()
                return
        self.note("Nothing to go back to: f goes from a client to its server.")

    def action_next_finding(self) -> None:
        """To the row of the next finding, the worst first and round again; one about the system has none."""
        snapshot = self._view.snapshot
        found = worth_a_stop(snapshot.findings if snapshot else ())
        finding = self._tour.following(found)
        if snapshot is None or finding is None:
            self.note("Nothing to look at.")
            return
        keys = rows_of(finding, snapshot)
        table = next((table for table in self._tables() if any(map(table.move_to, keys))), None)
        self.note(f"{self._tour.place(found)}: {KINDS[finding.id].word}: {finding.title}")
        if table is not None:
            self._followed = table
            self.default_screen.remove_class("-zoomed")
            table.focus()
            self._show_subject()
        else:
            self._followed, self._subject = None, Subject(None, finding=finding)
            self._show_subject()
            if not self._shows_process:
                self._zoom()
