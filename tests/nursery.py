"""Real processes that write to files and have files open. They end with the test."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
from zoo import wait_for

from loopmon.model import ProcessId

PROGRAM = """
import sys
kept = [open(path, mode) for path, mode in zip(sys.argv[1::2], sys.argv[2::2])]
print("ready", flush=True)
for line in sys.stdin:
    print(line, end="", flush=True)
"""


class Nursery(ExitStack):
    """As a context it ends all that it has started."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, *files: str, **options: Any) -> ProcessId:
        """``files``: what it opens, each with its mode."""
        made = subprocess.Popen([sys.executable, "-c", PROGRAM, *files], stdin=subprocess.PIPE, **options)
        self._made[made.pid] = self.enter_context(made)
        return ProcessId(made.pid, psutil.Process(made.pid).create_time())

    def start_into(self, path: Path, *files: str, **options: Any) -> ProcessId:
        """With its standard output in a file. It has begun to write when this returns."""
        with path.open("wb") as out:
            identity = self.start(*files, stdout=out, **{"stderr": subprocess.DEVNULL, **options})
        wait_for(lambda: b"ready" in path.read_bytes(), "the child")
        return identity

    def say(self, identity: ProcessId, text: str) -> None:
        """Let it print a line."""
        said = self._made[identity.pid].stdin
        assert said is not None
        said.write(f"{text}\n".encode())
        said.flush()

    def end(self, identity: ProcessId) -> None:
        with self._made[identity.pid]:
            pass
