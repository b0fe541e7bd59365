"""Where faults are written while the screen is taken: a file of the user's own, made when first needed."""

from __future__ import annotations

import logging
import os
from io import TextIOWrapper

from loopmon.state import open_to_append, state_folder

LOG = "loopmon.log"


class StateFileHandler(logging.FileHandler):
    """Opens ``$XDG_STATE_HOME/loopmon/loopmon.log`` at the first record; only the user may read it."""

    def __init__(self) -> None:
        super().__init__(state_folder() / LOG, encoding="utf-8", delay=True)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def _open(self) -> TextIOWrapper:
        return os.fdopen(open_to_append(LOG), "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's own name
        """A log that cannot be written is no reason to disturb the screen."""


def log_to_file() -> None:
    logger = logging.getLogger("loopmon")
    logger.propagate = False
    if logger.handlers:
        return
    try:
        logger.addHandler(StateFileHandler())
    except OSError:
        logger.addHandler(logging.NullHandler())  # nowhere to write to
