"""The line of keys at the bottom: drawn again only when other keys do something now.

Textual makes its footer's widgets anew whenever it looks at the bindings, several times for one change of focus.
"""

from __future__ import annotations

from typing import Any

from textual.screen import Screen
from textual.widgets import Footer


class KeyLine(Footer):
    def __init__(self) -> None:
        super().__init__(show_command_palette=False)
        self._keys: list[tuple[str, str, bool]] = []

    def bindings_changed(self, screen: Screen[Any]) -> None:
        if screen is not self.screen or not screen.app.app_focus:
            return
        keys = [(found.key, found.description, on) for _, found, on, _ in screen.active_bindings.values() if found.show]
        if keys != self._keys:
            self._keys = keys
            super().bindings_changed(screen)
