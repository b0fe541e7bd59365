"""The folder of loopmon's own files. Only the user may read what is in it."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def state_folder() -> Path:
    """``$XDG_STATE_HOME/loopmon``, by default ``~/.local/state/loopmon``; made at the first writing. Raises OSError."""
    given = os.environ.get("XDG_STATE_HOME")
    if given:
        return Path(given) / "loopmon"
    try:
        return Path.home() / ".local" / "state" / "loopmon"
    except RuntimeError:
        raise FileNotFoundError(errno.ENOENT, "this user has no home folder") from None


def open_to_append(name: str) -> int:
    """A descriptor of one of its files, which nobody else may read from then on. Raises OSError."""
    folder = state_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor
