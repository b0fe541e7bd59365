"""The folder of loopmon's own files. Only the user may read what is in it."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder() -> Path:
    """``$XDG_STATE_HOME/loopmon``, ``~/.local/state/loopmon`` by default; made when first written to."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "loopmon"


def open_to_append(name: str) -> int:
    """A descriptor of one of its files, made with mode 0600 if need be. Raises OSError."""
    folder = state_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
