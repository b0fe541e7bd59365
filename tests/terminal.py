"""A terminal of the test's own: a pseudo-terminal with one program in it, which it controls.

Everything the program writes is kept. Leaving the ``with`` block ends the program, whatever it is doing.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from zoo import TIMEOUT_S

LOOPMON = str(Path(sys.executable).with_name("loopmon"))
"""The command as it is installed beside this Python."""
ALT_SCREEN_ON, ALT_SCREEN_OFF = b"\x1b[?1049h", b"\x1b[?1049l"
CURSOR_OFF, CURSOR_ON = b"\x1b[?25l", b"\x1b[?25h"


class Terminal:
    """Starts ``argv`` with this as its controlling terminal."""

    def __init__(self, *argv: str, size: tuple[int, int] = (160, 45), env: Mapping[str, str] | None = None) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.settings_before = termios.tcgetattr(theirs)
        self.output = b""
        self._theirs = theirs
        self._process = subprocess.Popen(
            argv,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(env or {})},
            start_new_session=True,
            preexec_fn=_take_terminal,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self.hang_up()
        os.close(self._theirs)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def settings(self) -> list[object]:
        """As ``stty`` would show them."""
        return termios.tcgetattr(self._theirs)

    def send(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def freeze(self) -> None:
        """Take nothing that is written any more, as a terminal does after ctrl-s."""
        termios.tcflow(self._theirs, termios.TCOOFF)

    def hang_up(self) -> None:
        """Close the terminal's window."""
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1

    def wait_for(self, text: bytes, timeout_s: float = TIMEOUT_S) -> float:
        """Until ``text`` has been written. Returns how many seconds that took."""
        started = time.monotonic()
        while text not in self.output:
            left = started + timeout_s - time.monotonic()
            assert left > 0, f"{text!r} was not written in {timeout_s:.0f} s, but {self.output[-2000:]!r}"
            assert self.read(left) or text in self.output, f"it ended without {text!r}: {self.output[-2000:]!r}"
        return time.monotonic() - started

    def wait_for_end(self, timeout_s: float = TIMEOUT_S) -> tuple[int, float]:
        """The exit status (negative: the signal that killed it) and how many seconds that took."""
        started = time.monotonic()
        while self._process.poll() is None:
            assert time.monotonic() < started + timeout_s, f"still running after {timeout_s:.0f} s"
            if self._ours >= 0:
                self.read(0.005)
            else:
                self._wait_a_moment()
        took_s = time.monotonic() - started
        while self._ours >= 0 and self.read(0):
            pass
        return self._process.returncode, took_s

    def _wait_a_moment(self) -> None:
        try:
            self._process.wait(0.005)
        except subprocess.TimeoutExpired:
            return

    def read(self, timeout_s: float) -> bool:
        """Take in what is there; False when nothing came."""
        ready, _, _ = select.select([self._ours], [], [], timeout_s)
        if not ready:
            return False
        try:
            piece = os.read(self._ours, 65536)
        except OSError:  # Linux: EIO once nobody has the other side open
            return False
        self.output += piece
        return bool(piece)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
