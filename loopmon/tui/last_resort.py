"""Leaving a terminal that takes nothing any more: one stopped with ctrl-s, or at the end of a dead connection.

Leaving the screen in good order needs the terminal to read what is still to be written. Where it does not,
the process ends all the same, with the terminal's settings put back.
"""

from __future__ import annotations

import contextlib
import os
import sys
import termios
import threading

PATIENCE_S = 1.5
"""Leaving in good order takes a fraction of this."""


class LastResort:
    """Make it before the screen is taken, ``arm`` it when leaving begins, ``disarm`` it when that is done."""

    def __init__(self, status: int) -> None:
        self._status = status
        self._settings = None
        self._timer = threading.Timer(PATIENCE_S, self._end)
        self._timer.daemon = True
        with contextlib.suppress(termios.error):  # no terminal
            self._settings = termios.tcgetattr(sys.stdin.fileno())

    def arm(self) -> None:
        """End the process with the status if it is still there after a while."""
        if self._timer.ident is None:
            self._timer.start()

    def disarm(self) -> None:
        self._timer.cancel()

    def _end(self) -> None:
        if self._settings is not None:
            with contextlib.suppress(termios.error):  # the terminal has gone
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, self._settings)
        os._exit(self._status)
