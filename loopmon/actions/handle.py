"""A hold on one process, so that a signal reaches that process or nobody.

On Linux a pidfd (pidfd_open(2)): opened first, then the identity is checked; the number cannot become another's
behind it. Elsewhere psutil, which compares the start time before it signals.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from pathlib import Path

import psutil

from loopmon.actions.asker import SAME_S
from loopmon.actions.plan import Victim


class LostError(Exception):
    """It is not the process that was seen, or does not hold what it held; the text says which."""


class Handle:
    """Raises LostError, PermissionError."""

    def __init__(self, victim: Victim) -> None:
        self.victim = victim
        self._pidfd: int | None = None
        pid = victim.process.id.pid
        if hasattr(os, "pidfd_open"):
            try:
                self._pidfd = os.pidfd_open(pid)
            except ProcessLookupError:
                raise LostError("it has ended") from None
            except OSError:
                self._pidfd = None  # a kernel before 5.3, or a sandbox
        with contextlib.ExitStack() as unchecked:
            unchecked.callback(self.close)
            try:
                self._process = psutil.Process(pid)
                self._check()
            except psutil.NoSuchProcess:
                raise LostError("it has ended") from None
            except psutil.AccessDenied as error:
                raise PermissionError(str(error)) from None
            unchecked.pop_all()

    def send(self, number: signal.Signals) -> None:
        """Raises LostError where it has ended, PermissionError."""
        try:
            if self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, number)
            else:
                self._process.send_signal(number)
        except (ProcessLookupError, psutil.NoSuchProcess):
            raise LostError("it has ended") from None
        except psutil.AccessDenied as error:
            raise PermissionError(str(error)) from None

    def has_ended(self) -> bool:
        """Also when nobody has asked for its exit status yet: it holds nothing any more."""
        if self._pidfd is not None:
            ready, _, _ = select.select([self._pidfd], [], [], 0)
            return bool(ready)
        try:
            return not self._process.is_running() or self._process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    @property
    def is_stopped(self) -> bool:
        """In state T, in which every signal but KILL and CONT stays pending."""
        with contextlib.suppress(psutil.Error):
            return self._process.status() == psutil.STATUS_STOPPED
        return False

    def close(self) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def _check(self) -> None:
        if abs(self._process.create_time() - self.victim.process.id.create_time) >= SAME_S:
            raise LostError("its number is another process's now")
        if sys.platform == "linux" and self.victim.inodes:
            held = _sockets(self.victim.process.id.pid)
            if held is not None and not held & self.victim.inodes:
                raise LostError("it does not hold the socket any more")


def _sockets(pid: int) -> set[int] | None:
    """The inodes of its sockets, those of its threads' own tables as well; None where they may not be read."""
    inodes: set[int] = set()
    tables = [Path(f"/proc/{pid}/fd"), *(task / "fd" for task in Path(f"/proc/{pid}/task").glob("*"))]
    for table in tables:
        try:
            for descriptor in table.iterdir():
                with contextlib.suppress(OSError):  # closed meanwhile
                    target = str(descriptor.readlink())
                    if target.startswith("socket:["):
                        inodes.add(int(target[8:-1]))
        except PermissionError:
            return None
        except OSError:
            continue  # a thread that has ended
    return inodes
