"""Who asks for a stop, and what the processes to be stopped have started. Reads the process table, changes nothing."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterable

import psutil

from loopmon.actions.plan import Self
from loopmon.model import Process, ProcessId


def who_asks() -> Self:
    me = psutil.Process()
    return Self(
        pid=me.pid,
        ancestors=frozenset(above.pid for above in me.parents()),
        user=_user(),
        is_root=hasattr(os, "geteuid") and os.geteuid() == 0,
    )


def read_descendants(identities: Iterable[ProcessId]) -> dict[ProcessId, list[Process]]:
    """What each of them has started, parents before children; nothing for one that has ended."""
    return {identity: _below(identity) for identity in identities}


def read_process(pid: int) -> Process | None:
    """A process by its number as it is now; None where there is none. A thread's number is none."""
    try:
        return _read(psutil.Process(pid)) if psutil.pid_exists(pid) else None
    except (psutil.Error, OverflowError):  # the system has no such numbers
        return None


def _below(identity: ProcessId) -> list[Process]:
    found: list[Process] = []
    try:
        process = psutil.Process(identity.pid)
        children = process.children(recursive=True) if _is(process, identity) else []
    except psutil.Error:
        return found
    for child in sorted(children, key=lambda each: (each.create_time(), each.pid)):
        try:
            found.append(_read(child))
        except psutil.Error:
            continue  # ended meanwhile
    return found


def _is(process: psutil.Process, identity: ProcessId) -> bool:
    return abs(process.create_time() - identity.create_time) < SAME_S


SAME_S = 0.02
"""The kernel counts start times in steps of 10 ms."""


def _read(process: psutil.Process) -> Process:
    with process.oneshot():
        try:
            cmdline: tuple[str, ...] | None = tuple(process.cmdline())
            user: str | None = process.username()
        except (psutil.AccessDenied, KeyError):
            cmdline, user = None, None
        return Process(
            id=ProcessId(process.pid, process.create_time()),
            name=process.name(),
            cmdline=cmdline,
            user=user,
            status=process.status(),
            ppid=process.ppid(),
        )


def _user() -> str | None:
    try:
        return psutil.Process().username() or getpass.getuser()
    except (psutil.Error, KeyError, OSError):
        return None  # a uid without a name
