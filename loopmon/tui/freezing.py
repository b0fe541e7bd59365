"""A dialog behind which the rows stand still: what it speaks of must not move away under it."""

from __future__ import annotations

from textual.screen import ModalScreen


class Freezing(ModalScreen[None]):
    """Frames that come meanwhile are shown when it has closed."""
