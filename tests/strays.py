"""Servers in the ways of life that findings are about: orphans, daemons, threads of a dead leader, heirs.

Run as a script, this file is such a server: ``strays.py KIND NOTE [PORT]``. It writes its pid and port into the file
NOTE once it listens, and lives until it is ended, whatever becomes of its terminal.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

TAKES_S = 0.2
"""How long the slow server works for one client."""


class Stray(NamedTuple):
    pid: int
    port: int


class Strays:
    """Starts them; ends every one that it has met, by a handle that no other process can get."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._notes = 0
        self._started: list[subprocess.Popen[bytes]] = []
        self._handles: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def note(self) -> Path:
        """Where the next one writes who it is."""
        self._notes += 1
        return self._folder / f"note-{self._notes}"

    def start(
        self,
        kind: str,
        *,
        port: int = 0,
        cwd: Path | None = None,
        below: tuple[str, ...] = (),
        stdin: int | IO[bytes] = subprocess.DEVNULL,
    ) -> tuple[Stray, subprocess.Popen[bytes]]:
        """In a session of its own, as from a shell whose output is read; ``below`` is a command to start it with."""
        note = self.note()
        started = subprocess.Popen(
            [*below, *command(kind, note, port)],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            start_new_session=True,
        )
        self._started.append(started)
        return self.meet(note), started

    def meet(self, note: Path) -> Stray:
        from zoo import wait_for

        wait_for(note.exists, "a server that says who it is")
        pid, port = map(int, note.read_text().split())
        self._handles.append(os.pidfd_open(pid))
        return Stray(pid, port)

    def _end(self) -> None:
        for handle in self._handles:
            try:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended, and its parent has seen that
            else:
                select.select([handle], [], [], 60)
            os.close(handle)
        for started in self._started:
            started.kill()
            started.wait()
            for pipe in (started.stdin, started.stdout):
                if pipe:
                    pipe.close()


def command(kind: str, note: Path, port: int = 0) -> list[str]:
    return [sys.executable, "-S", "-P", __file__, kind, str(note), str(port)]


# In the child


def _serve(note: str, port: int) -> None:
    with _listen(port) as server:
        _say(note, os.getpid(), server)
        _take_everybody(server)


def _take_everybody(server: socket.socket) -> None:
    kept = []
    while True:
        kept.append(server.accept()[0])


def _slow(note: str, port: int) -> None:
    """One client after the other."""
    with _listen(port) as server:
        _say(note, os.getpid(), server)
        while True:
            client, _ = server.accept()
            with client:
                time.sleep(TAKES_S)
                client.sendall(b"done")


def _orphan(note: str, port: int) -> None:
    """Whoever started it ends at once."""
    if os.fork() == 0:
        _serve(note, port)


def _orphan_later(note: str, port: int) -> None:
    """Whoever started it ends when its input does."""
    if os.fork() == 0:
        _serve(note, port)
    sys.stdin.read()


def _daemon(note: str, port: int) -> None:
    """As daemon(7) has it for the old way."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)
    _serve(note, port)


def _thread(note: str, port: int) -> None:
    """The main thread ends; another one serves on."""
    server = _listen(port)
    threading.Thread(target=_take_everybody, args=(server,)).start()
    _say(note, os.getpid(), server)
    ctypes.CDLL(None).pthread_exit(None)


def _lender(note: str, port: int) -> None:
    """Starts another program with its socket open, and ends when its input does. The other is the one to meet."""
    with _listen(port) as server:
        heir = subprocess.Popen(["sleep", "600"], pass_fds=[server.fileno()])
        _say(note, heir.pid, server)
        sys.stdin.read()


def _workers(note: str, port: int) -> None:
    """A master and its worker, which ends with it, each with a socket of its own on one port."""
    with _listen(port) as server:
        ready, ended = os.pipe(), os.pipe()
        if os.fork() == 0:
            os.close(ended[1])
            with _listen(server.getsockname()[1]):
                os.write(ready[1], b".")
                os.read(ended[0], 1)
            return
        os.read(ready[0], 1)
        _say(note, os.getpid(), server)
        _take_everybody(server)


def _listen(port: int) -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    server.bind(("127.0.0.1", port))
    server.listen(64)
    return server


def _say(note: str, pid: int, server: socket.socket) -> None:
    """All at once, so that nobody reads half of it."""
    draft = Path(f"{note}.draft")
    draft.write_text(f"{pid} {server.getsockname()[1]}")
    draft.rename(note)


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    globals()[f"_{sys.argv[1]}"](sys.argv[2], int(sys.argv[3]))
