"""What keys do with the chosen row: explain it, open it, copy it, show its process's output and environment.

The part of the app between where the user is and what the whole screen does. Every reason why a key does nothing
is said here, to the palette and to the ticker.
"""

from __future__ import annotations

import sys

from textual import work
from textual.worker import get_current_worker

from loopmon import words
from loopmon.clean import clean
from loopmon.copying import Copyable, address_of, copyables
from loopmon.model import Connection, Endpoint, Listener, OwnerUnknown, ProcessId
from loopmon.observe.output import Outputs, find_outputs
from loopmon.tui.walk import Walk
from loopmon.url import is_udp, url_of

ROW_ACTIONS = frozenset({"stop", "open_in_browser", "copy_address", "choose_copy", "show_output", "show_environment"})


class RowKeys(Walk):
    """The app as far as it concerns one row."""

    @property
    def chosen_process(self) -> ProcessId | None:
        return self._subject.process if self._subject else None

    def why_not(self, action: str) -> str | None:
        """Why this key would do nothing with the chosen row; None when it would do something."""
        row, process = self.chosen_row, self.chosen_process
        if row is None and process is None:
            return "No row is chosen."
        match action:
            case "stop" if isinstance(row, Listener) and process is None:
                return _no_process(row)
            case "stop" if not isinstance(row, Listener) and (self._followed is not None or process is None):
                return "x stops what listens: choose a listener, or open a client's process with enter first."
            case "show_output" | "show_environment" if process is None:
                return _no_process(row)
            case "open_in_browser" | "copy_address" if row is None:
                return "A process as a whole has no address: choose a row of it."
            case "open_in_browser" if row is not None and is_udp(row):
                return f"{words.endpoint(_near(row))} is UDP, which no browser speaks."
        return None

    def _can(self, action: str) -> bool:
        reason = self.why_not(action)
        if reason is not None:
            self.note(reason)
        return reason is None

    # Explain

    def action_why(self) -> None:
        row = self.chosen_row
        if row is None:
            self.note("No row to explain: W asks for an address.")
        else:
            self._explain(row)

    def action_ask_why(self) -> None:
        self._explain(None)

    def _explain(self, row: Listener | Connection | None) -> None:
        from loopmon.tui.why import WhyScreen, target_of  # what it needs would make the start slower

        if self._view.snapshot is None:
            self.note("Nothing is known yet.")
            return
        target = target_of(row) if row else None
        self.push_screen(WhyScreen(self._view.snapshot, target, self._glyphs, self._view.formerly))

    # Stop

    def action_stop(self) -> None:
        """Of a listener its holders; of a process that was opened the process itself."""
        from loopmon.tui.stop import StopScreen

        snapshot, row = self._view.snapshot, self.chosen_row
        if not self._can("stop") or snapshot is None:
            return
        if isinstance(row, Listener):
            self.push_screen(StopScreen(snapshot, [row], None, self._glyphs), self._thaw)
            return
        identity = self.chosen_process
        process = snapshot.processes.get(identity) if identity else None
        if process is not None:
            held = [each for each in snapshot.listeners if any(o.process == identity for o in each.socket.owners)]
            self.push_screen(StopScreen(snapshot, held, process, self._glyphs), self._thaw)

    def _thaw(self, _result: None) -> None:
        """Show what has happened behind a dialog."""

    # Open

    def action_open_in_browser(self) -> None:
        row = self.chosen_row
        if self._can("open_in_browser") and row is not None:
            url = url_of(row)
            self.note(f"opening {url}")
            self._open_url(url)

    @work(thread=True, group="browser")
    def _open_url(self, url: str) -> None:
        from loopmon.actions.browser import open_in_browser

        reason = open_in_browser(url)
        self._note_from_thread(f"opened {url}" if reason is None else f"{url} was not opened: {reason}")

    # Copy

    def action_copy_address(self) -> None:
        row = self.chosen_row
        if self._can("copy_address") and row is not None:
            self._copy(Copyable("address", address_of(row)))

    def action_choose_copy(self) -> None:
        from loopmon.tui.copy_menu import CopyMenu

        if self._can("choose_copy"):
            identity = self.chosen_process
            process = self._view.processes.get(identity) if identity else None
            entries = copyables(self.chosen_row, identity, process, sys.platform)
            self.push_screen(CopyMenu(entries, self._glyphs), self._copy)

    def _copy(self, chosen: Copyable | None) -> None:
        if chosen is not None:
            self.copy_to_clipboard(chosen.text)
            self.note(f"copied {clean(chosen.text, 120)}; a terminal may refuse it")

    # The process

    def action_show_output(self) -> None:
        identity = self.chosen_process
        if self._can("show_output") and identity is not None:
            self._find_outputs(identity)

    @work(thread=True, exclusive=True, group="outputs")
    def _find_outputs(self, identity: ProcessId) -> None:
        found = find_outputs(identity)
        if not get_current_worker().is_cancelled:
            self.call_from_thread(self._show_outputs, identity, found)

    def _show_outputs(self, identity: ProcessId, found: Outputs) -> None:
        from loopmon.tui.output import OutputScreen

        name = words.process_label(identity, self._view.processes)
        if found.files:
            self.push_screen(OutputScreen(name, found.files, self._glyphs))
        else:
            self.note(f"No output of {name} to show: {found.why_none}.")

    def action_show_environment(self) -> None:
        from loopmon.tui.environment import EnvironmentScreen

        identity = self.chosen_process
        if self._can("show_environment") and identity is not None:
            name = words.process_label(identity, self._view.processes)
            self.push_screen(EnvironmentScreen(name, identity, self._glyphs))

    def _note_from_thread(self, text: str) -> None:
        if not get_current_worker().is_cancelled:
            self.call_from_thread(self.note, text)


def _near(row: Listener | Connection) -> Endpoint:
    return row.laddr if isinstance(row, Listener) else row.server.addr


def _no_process(row: Listener | Connection | None) -> str:
    """Why nobody is known to hold it."""
    socket = row.socket if isinstance(row, Listener) else row.client.socket if row else None
    unknown = socket.owner_unknown if socket else None
    return words.OWNER_UNKNOWN_SENTENCE[unknown or OwnerUnknown.UNKNOWN]
