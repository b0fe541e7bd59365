"""What a process has open: each descriptor and what it points at, read once on request.

Asks for one process and makes sure that it is still that one. Says why when it may not. Runs in a worker thread.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import psutil

from loopmon.model import ProcessId

SAME_S = 2.0
"""psutil derives create times from the wall clock; the same process may differ by a step of it."""
ENDED = "it has ended"
NOT_ALLOWED = "that may not be read: it belongs to another user or is protected"


class Descriptor(NamedTuple):
    fd: int
    """-1 where the system does not tell."""
    target: str
    """A path, or what the kernel writes for something else: ``pipe:[812]``."""


class UnreadableError(Exception):
    """Why, in words that follow the process's name."""


def the_process(identity: ProcessId) -> psutil.Process:
    """Never another one that has got the same pid since."""
    try:
        process = psutil.Process(identity.pid)
        if abs(process.create_time() - identity.create_time) > SAME_S:
            raise UnreadableError(ENDED)
    except psutil.NoSuchProcess as error:
        raise UnreadableError(ENDED) from error
    except psutil.AccessDenied as error:
        raise UnreadableError(NOT_ALLOWED) from error
    return process


def read_descriptors(identity: ProcessId) -> list[Descriptor]:
    """By number. Elsewhere than on Linux regular files only."""
    process = the_process(identity)
    try:
        found = _from_proc(process.pid) if sys.platform == "linux" else _from_psutil(process)
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError) as error:
        raise UnreadableError(ENDED) from error
    except (psutil.AccessDenied, PermissionError) as error:
        raise UnreadableError(NOT_ALLOWED) from error
    except OSError as error:
        raise UnreadableError(f"that could not be read: {error.strerror}") from error
    return sorted(found)


def _from_proc(pid: int) -> list[Descriptor]:
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(Descriptor(int(entry.name), str(entry.readlink())))
        except FileNotFoundError:
            continue  # closed meanwhile
    return found


def _from_psutil(process: psutil.Process) -> list[Descriptor]:
    return [Descriptor(file.fd, file.path) for file in process.open_files()]
