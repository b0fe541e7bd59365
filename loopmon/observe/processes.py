"""What is known of the processes that hold sockets: read once, refreshed only where it can change.

Runs in the monitor's thread. What cannot be read is None, never an error. Asks psutil; walks no socket.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from loopmon.model import Ancestor, Process, ProcessId
from loopmon.observe.project import Project, find_project, read_branch
from loopmon.observe.ties import read_ties

REFRESH_S = 5.0
"""Age at which details are read again."""
REFRESHES_A_LOOK = 32
"""At most so many processes are refreshed in one look, the longest unread first, to keep looks short."""
KEEP_S = 120.0
"""How long a process that holds nothing any more can still be named."""
MAX_PARENTS = 64
CLOCK_STEP_S = 2.0
"""psutil derives create times from the wall clock; the same process may differ by a step of it."""

UNIX98_MAJOR = 136
"""Eight major numbers from here on are pseudo-terminals (Linux, Documentation/admin-guide/devices.txt)."""

T = TypeVar("T")


@dataclass(slots=True)
class _Known:
    process: psutil.Process | None
    """None: it had ended, or was another one, before it could be read."""
    details: Process
    read_at: float
    used_at: float
    project: Project | None = None


class ProcessTable:
    """Details by identity, from look to look."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` counts seconds and never steps back, as the wall clock may."""
        self._clock = clock
        self._known: dict[ProcessId, _Known] = {}

    def read(self, wanted: Iterable[ProcessId], focus: ProcessId | None = None) -> dict[ProcessId, Process]:
        """The details of ``wanted``, and of all others lately wanted. ``focus`` is read anew in any case."""
        now = self._clock()
        for identity in wanted:
            known = self._known.get(identity)
            if known is None:
                known = self._known[identity] = _first_look(identity, now)
            known.used_at = now
        due = sorted(
            (k for k in self._known.values() if k.used_at == now and now - k.read_at >= REFRESH_S),
            key=lambda known: known.read_at,
        )
        for known in due[:REFRESHES_A_LOOK]:
            _refresh(known, now)
        if focus in self._known and self._known[focus].read_at != now:
            _refresh(self._known[focus], now)
        self._known = {i: k for i, k in self._known.items() if now - k.used_at < KEEP_S}
        return {identity: known.details for identity, known in self._known.items()}


def _first_look(identity: ProcessId, now: float) -> _Known:
    empty = Process(id=identity, name="")
    try:
        process = psutil.Process(identity.pid)
        created = process.create_time()
    except psutil.NoSuchProcess:
        return _Known(None, empty, now, now)
    except psutil.AccessDenied:
        created = 0.0
    if abs(created - identity.create_time) > CLOCK_STEP_S:
        return _Known(None, empty, now, now)
    known = _Known(process, empty, now, now)
    _refresh(known, now)
    return known


def _refresh(known: _Known, now: float) -> None:
    process = known.process
    known.read_at = now
    if process is None or not process.is_running():
        return
    with process.oneshot():
        known.details = _details(process, known)


def _details(process: psutil.Process, known: _Known) -> Process:
    """Parents, executable and project are looked up again only when what they depend on has changed."""
    old = known.details
    cmdline = _ask(process.cmdline)
    same_program = cmdline is not None and tuple(cmdline) == old.cmdline
    ppid = _ask(process.ppid)
    cwd = _link(process, "cwd", process.cwd)
    if cwd != old.cwd:
        known.project = find_project(cwd) if cwd and _is_here(process.pid, cwd) else None
    project = known.project
    memory = _ask(process.memory_info)
    return Process(
        id=old.id,
        name=_ask(process.name) or old.name,
        cmdline=tuple(cmdline) if cmdline is not None else None,
        exe=old.exe if same_program else _link(process, "exe", lambda: psutil.Process(process.pid).exe()),
        cwd=cwd,
        user=_ask(process.username),
        status=_ask(process.status),
        ppid=ppid,
        parents=old.parents if ppid == old.ppid else _parents(process),
        tty=_terminal(process),
        rss_bytes=memory.rss if memory else None,
        cpu_percent=_cpu_percent(process, first=old.ppid is None),
        project=project.name if project else None,
        project_path=project.path if project else None,
        branch=read_branch(project.head) if project and project.head else None,
        ties=read_ties(process.pid, ppid),
    )


def _ask(question: Callable[[], T]) -> T | None:
    """The answer, or None where this user may not know it or there is nobody left to ask."""
    try:
        return question()
    except (psutil.Error, OSError):  # OSError: /proc entries of a process that is just going
        return None
    except (KeyError, IndexError):
        return None  # a uid that the user database does not have; an entry cut short


def _link(process: psutil.Process, name: str, otherwise: Callable[[], str]) -> str | None:
    """A path as the kernel has it: with ``(deleted)`` behind it when the file has gone, which psutil cuts off."""
    if sys.platform == "linux":
        return _ask(lambda: str(Path(f"/proc/{process.pid}/{name}").readlink()))
    return _ask(otherwise) or None


def _terminal(process: psutil.Process) -> str | None:
    """The controlling terminal, worked out from its device number: psutil's list of terminals is made once and
    lacks those that were opened later."""
    number = _ask(lambda: _device_number(process.pid)) if sys.platform == "linux" else None
    if number is None:
        return _ask(process.terminal)
    major, minor = os.major(number), os.minor(number)
    if UNIX98_MAJOR <= major < UNIX98_MAJOR + 8:
        return f"/dev/pts/{(major - UNIX98_MAJOR) * 256 + minor}"
    return _ask(process.terminal) if number else None


def _device_number(pid: int) -> int:
    """tty_nr, field 7 of /proc/pid/stat (proc(5)); 0 without a terminal."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return int(fields[4]) & 0xFFFFFFFF


def _cpu_percent(process: psutil.Process, *, first: bool) -> float | None:
    """psutil's first answer on a process is a meaningless 0.0, which only starts the measurement."""
    percent = _ask(process.cpu_percent)
    return None if first else percent


def _parents(process: psutil.Process) -> tuple[Ancestor, ...]:
    chain: list[Ancestor] = []
    above = _ask(process.parent)
    while above is not None and len(chain) < MAX_PARENTS:
        created = _ask(above.create_time)
        chain.append(Ancestor(ProcessId(above.pid, created or 0.0), _ask(above.name) or ""))
        above = _ask(above.parent)
    return tuple(chain)


def _is_here(pid: int, cwd: str) -> bool:
    """Whether that path means the same folder to us: a process in a container has a tree of its own."""
    if sys.platform != "linux":
        return True
    try:
        return Path(f"/proc/{pid}/cwd").samefile(cwd)
    except OSError:
        return False
