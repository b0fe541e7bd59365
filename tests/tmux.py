"""A real terminal, kept by a tmux server of the test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from types import TracebackType
from typing import Self

import pytest
from zoo import TIMEOUT_S, wait_for


class Tmux:
    """One window with a shell in it. Leaving the ``with`` block ends the server and all that runs in it."""

    def __init__(self, size: tuple[int, int]) -> None:
        if shutil.which("tmux") is None:
            pytest.skip("there is no tmux here")
        self._folder = tempfile.TemporaryDirectory(prefix="loopmon-")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TMUX")}
        self._environment = {**environment, "TMUX_TMPDIR": self._folder.name, "LC_ALL": "C.UTF-8"}
        self._size = [str(number) for number in size]

    def __enter__(self) -> Self:
        width, height = self._size
        self._ask("-f", "/dev/null", "new-session", "-d", "-x", width, "-y", height, "/bin/sh")
        try:
            self._ask("set-option", "-g", "window-size", "manual")
            self._wait(lambda seen: bool(seen.strip()), "a prompt")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ask("kill-server")
        self._folder.cleanup()

    @property
    def text(self) -> str:
        """What is on the terminal now."""
        return self._ask("capture-pane", "-p")

    def press(self, *keys: str) -> None:
        """By tmux's names: ``Enter``, ``Escape``, ``C-c``."""
        self._ask("send-keys", *keys)

    def type(self, text: str) -> None:
        self._ask("send-keys", "-l", text)

    def run(self, command: str) -> None:
        """Type a command for the shell."""
        self.type(command)
        self.press("Enter")

    def resize(self, width: int, height: int) -> None:
        self._ask("resize-window", "-x", str(width), "-y", str(height))

    def state(self, variable: str) -> str:
        """One of tmux's own, such as ``alternate_on`` or ``cursor_flag``."""
        return self._ask("display-message", "-p", f"#{{{variable}}}").strip()

    def wait_for(self, text: str) -> str:
        """Until ``text`` is on the terminal. Returns all that is there."""
        return self._wait(lambda seen: text in seen, f"{text!r}")

    def wait_until_gone(self, text: str) -> str:
        return self._wait(lambda seen: text not in seen, f"the end of {text!r}")

    def _wait(self, holds: Callable[[str], bool], what: str) -> str:
        seen = ""

        def look() -> bool:
            nonlocal seen
            seen = self.text
            return holds(seen)

        try:
            wait_for(look, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; the terminal shows\n{seen}") from None
        return seen

    def _ask(self, *words: str) -> str:
        asked = subprocess.run(
            ["tmux", "-L", "loopmon-tests", *words],
            env=self._environment,
            capture_output=True,
            encoding="utf-8",
            timeout=TIMEOUT_S,
            check=False,
        )
        assert asked.returncode == 0, f"tmux {words[0]}: {asked.stderr}"
        return asked.stdout
