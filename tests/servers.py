"""Servers that are hard to stop, or must not be: for the tests of stopping.

Run as a script, this file is such a server: ``servers.py KIND WORD...``. Each process that serves writes its pid and
port on a line of its own. All that one of them starts is in its session and ends with it.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

HOST = "127.0.0.1"
RESPAWNS = 3
"""So often the supervisor starts its server again."""


class Server(NamedTuple):
    """``pid`` serves; ``started`` is the process that the test has started, often the same. Only the end of the test
    reaps it: see ``has_ended``."""

    pid: int
    port: int
    started: subprocess.Popen[bytes]

    def line(self) -> list[str]:
        """The next that it says, in words."""
        from zoo import TIMEOUT_S

        assert self.started.stdout is not None
        ready, _, _ = select.select([self.started.stdout], [], [], TIMEOUT_S)
        assert ready, f"server {self.pid} said nothing"
        return self.started.stdout.readline().decode().split()


class Servers:
    """Starts them, and ends and reaps every one of them with all that it has started."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for started in self._started:
            os.killpg(started.pid, signal.SIGKILL)  # not reaped before the next line, so nobody else's number
            started.communicate()  # all that hold its output have ended then

    def start(self, kind: str, *words: str, port: int = 0, below: tuple[str, ...] = ()) -> Server:
        """``below`` is a command to start it with."""
        started = subprocess.Popen(
            [*below, sys.executable, "-S", "-P", __file__, kind, str(port), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd="/",  # of no project
            start_new_session=True,
        )
        self._started.append(started)
        pid, given = Server(started.pid, port, started).line()[:2]
        return Server(int(pid), int(given), started)


def has_ended(pid: int) -> bool:
    """Also when nobody has asked for its exit status yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


# In the child


def _serve(port: int) -> None:
    with _listen(port) as server:
        _say(server)
        _take_everybody(server)


def _stubborn(port: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _serve(port)


def _prefork(port: int) -> None:
    """A master and three workers that share its socket."""
    with _listen(port) as server:
        workers = []
        for _ in range(3):
            worker = os.fork()
            if worker == 0:
                _take_everybody(server)
            workers.append(worker)
        _say(server, *workers)
        _take_everybody(server)


def _siblings(port: int) -> None:
    """A master and a worker with a socket of its own on the same port."""
    with _listen(port) as server:
        told, tell = os.pipe()
        worker = os.fork()
        if worker == 0:
            with _listen(server.getsockname()[1]) as own:
                os.write(tell, b".")
                _take_everybody(own)
        os.read(told, 1)
        _say(server, worker)
        _take_everybody(server)


def _respawn(port: int) -> None:
    """A supervisor, which holds nothing itself."""
    with _listen(port) as chosen:
        port = chosen.getsockname()[1]
    for _ in range(RESPAWNS):
        server = os.fork()
        if server == 0:
            _serve(port)
        os.waitpid(server, 0)
    signal.pause()


def _heir(port: int) -> None:
    """It ends; the program that it has started still holds its socket."""
    with _listen(port) as server:
        heir = subprocess.Popen(["sleep", "600"], pass_fds=[server.fileno()])
        print(heir.pid, server.getsockname()[1], flush=True)
    os._exit(0)


def _lender(port: int) -> None:
    """It serves on, beside a program that holds its socket."""
    with _listen(port) as server:
        heir = subprocess.Popen(["sleep", "600"], pass_fds=[server.fileno()])
        _say(server, heir.pid)
        _take_everybody(server)


def _ancestor(port: int, *command: str) -> None:
    """Runs a command, with PORT for its port, and says how that ended."""
    with _listen(port) as server:
        _say(server)
        words = [word.replace("PORT", str(server.getsockname()[1])) for word in command]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        print(done.returncode, done.stderr.replace("\n", " "), flush=True)
        _take_everybody(server)


def _client(port: int, host: str, to_port: str) -> None:
    """From a port that was chosen, on another address."""
    with socket.create_connection((HOST, int(to_port)), source_address=(host, port)) as own:
        _say(own)
        signal.pause()


def _take_everybody(server: socket.socket) -> None:
    kept: list[Any] = []
    while True:
        kept.append(server.accept())


def _listen(port: int) -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    server.bind((HOST, port))
    server.listen(64)
    return server


def _say(server: socket.socket, *more: int) -> None:
    print(os.getpid(), server.getsockname()[1], *more, flush=True)


if __name__ == "__main__":
    globals()[f"_{sys.argv[1]}"](int(sys.argv[2]), *sys.argv[3:])
