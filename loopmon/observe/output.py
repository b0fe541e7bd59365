"""Where a process writes what it has to say: its standard output and error, and the logs it has open.

Finds files that can be followed, or says why there are none. Runs in a worker thread; ``tail`` reads them.
"""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from loopmon.model import ProcessId
from loopmon.observe.descriptors import Descriptor, UnreadableError, read_descriptors

STREAMS = {1: "stdout", 2: "stderr"}
DELETED = " (deleted)"


@dataclass(frozen=True, slots=True)
class Output:
    """A regular file that a process writes to."""

    name: str
    """``stdout``, ``stdout and stderr``, ``log``."""
    shown: str
    """The path as the process knows it."""
    path: str
    """What to open. Of a stream, on Linux, the process's own descriptor: whatever it writes to now, under whatever
    name, or none."""


@dataclass(frozen=True, slots=True)
class Outputs:
    files: tuple[Output, ...]
    """The streams first."""
    why_none: str = ""
    """Follows the process's name: ``its output goes to a pipe``."""


def find_outputs(identity: ProcessId) -> Outputs:
    try:
        descriptors = read_descriptors(identity)
    except UnreadableError as error:
        return Outputs((), str(error))
    streams = _streams(identity.pid, descriptors)
    taken = {stream.shown for stream in streams}
    logs = {
        target: Output("log", target, _seen_from_here(identity.pid, target))
        for _, target in descriptors
        if target.endswith(".log") and target not in taken
    }
    files = [*streams, *(log for log in logs.values() if is_regular(log.path))]
    return Outputs(tuple(files), "" if files else _why_none(descriptors))


def is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(Path(path).stat().st_mode)
    except OSError:
        return False


def _streams(pid: int, descriptors: list[Descriptor]) -> list[Output]:
    """One for both where they are the same file."""
    by_file: dict[tuple[int, int], tuple[list[str], str, str]] = {}
    for fd, target in descriptors:
        path = f"/proc/{pid}/fd/{fd}" if sys.platform == "linux" else target
        if fd in STREAMS and is_regular(path):
            try:
                status = Path(path).stat()
            except OSError:
                continue  # closed meanwhile
            by_file.setdefault((status.st_dev, status.st_ino), ([], target, path))[0].append(STREAMS[fd])
    return [Output(" and ".join(names), target, path) for names, target, path in by_file.values()]


def _seen_from_here(pid: int, path: str) -> str:
    """A process in a container has a tree of its own; its root leads there."""
    within = f"/proc/{pid}/root{path}"
    if sys.platform != "linux" or not Path(f"/proc/{pid}/root").is_symlink():
        return path
    try:
        return path if Path(f"/proc/{pid}/root").samefile("/") else within
    except OSError:
        return path


def _why_none(descriptors: list[Descriptor]) -> str:
    targets = {fd: target for fd, target in descriptors if fd in STREAMS}
    if sys.platform != "linux":
        return "its output does not go to a file, and no *.log is open"
    said = {name: _where_to(targets.get(fd)) for fd, name in STREAMS.items()}
    if len(set(said.values())) == 1:
        return f"its output {said['stdout']}, and no *.log is open"
    return ", ".join(f"its {name} {where}" for name, where in said.items()) + ", and no *.log is open"


def _where_to(target: str | None) -> str:
    if target is None:
        return "is closed"
    if target == os.devnull:
        return f"goes to {os.devnull}"
    plain = target.removesuffix(DELETED)
    if plain.startswith(("/dev/pts/", "/dev/tty", "/dev/console")):
        return f"goes to a terminal ({target})"
    if target.startswith("pipe:"):
        return "goes to a pipe"
    if target.startswith("socket:"):
        return "goes to a socket (of a service: journalctl has it)"
    return f"goes to {target}"
