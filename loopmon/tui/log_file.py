"""Where faults are written while the screen is taken: a file of the user's own, made when first needed."""

from __future__ import annotations

import logging
import os
from io import TextIOWrapper
from pathlib import Path


class StateFileHandler(logging.FileHandler):
    """Opens ``$XDG_STATE_HOME/loopmon/loopmon.log`` at the first record; only the user may read it."""

    def __init__(self) -> None:
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        super().__init__(Path(state) / "loopmon" / "loopmon.log", encoding="utf-8", delay=True)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def _open(self) -> TextIOWrapper:
        path = Path(self.baseFilename)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(descriptor, "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's own name
        """A log that cannot be written is no reason to disturb the screen."""


def log_to_file() -> None:
    logger = logging.getLogger("loopmon")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(StateFileHandler())
