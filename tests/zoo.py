"""Real processes for the tests: children that hold loopback sockets, and the ``loopmon`` command itself.

Run as a script, this file is such a child: it obeys one JSON request a line and ends when its stdin does.
Every port is chosen by the kernel, and no other socket of the machine has to do with it: a test that looks for
a number finds its own.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

T = TypeVar("T")

TIMEOUT_S = 60.0
"""For what takes milliseconds on an idle machine; the machines are shared."""
_LACKING = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})


class Held(NamedTuple):
    """A socket in a child: its descriptor there, and where it is bound."""

    fd: int
    ip: str
    port: int


def wait_for(condition: Callable[[], T], what: str, timeout_s: float = TIMEOUT_S) -> T:
    """The first true answer of ``condition``."""
    pause = threading.Event()
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:.0f} s in vain for {what}")
        pause.wait(0.01)
    return answer


def run_loopmon(*args: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command, without a terminal."""
    return run_python("-m", "loopmon", *args, env=env)


def run_python(*args: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """What is written comes back to the letter, carriage returns included."""
    done = subprocess.run(
        [sys.executable, *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **(env or {})},
        timeout=TIMEOUT_S,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


class Child:
    """A process that holds sockets on request. Skips the test where the system lacks an address."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._reply()

    @property
    def pid(self) -> int:
        return self._process.pid

    def listen(
        self, host: str = "127.0.0.1", *, port: int = 0, v6only: bool = False, backlog: int = 16, share: bool = False
    ) -> Held:
        """A TCP server; ``share`` lets others have the same port (SO_REUSEPORT)."""
        return self._held("listen", host=host, port=port, v6only=v6only, backlog=backlog, share=share)

    def udp(self, host: str = "127.0.0.1") -> Held:
        return self._held("udp", host=host)

    def join(self, own: Held, other: Held) -> Held:
        """Connect a UDP socket."""
        return self._held("join", fd=own.fd, host=other.ip, port=other.port)

    def connect(self, host: str, port: int) -> Held:
        return self._held("connect", host=host, port=port)

    def knock(self, host: str, port: int) -> Held:
        """Begin to connect, without waiting for an answer."""
        return self._held("knock", host=host, port=port)

    def accept(self, server: Held) -> Held:
        return self._held("accept", fd=server.fd)

    def is_called(self, server: Held) -> bool:
        """Whether a client waits to be accepted."""
        return bool(self._ask("is_called", fd=server.fd))

    def close(self, held: Held) -> None:
        self._ask("close", fd=held.fd)

    def lend(self, held: Held) -> int:
        """Start a process that inherits this socket; it ends before the child does. Returns its pid."""
        return int(self._ask("lend", fd=held.fd))

    def rename(self, name: bytes) -> None:
        """Set the name that the kernel keeps (Linux)."""
        self._ask("rename", name=os.fsdecode(name))

    def ignore_term(self) -> None:
        """From now on SIGTERM does nothing to it."""
        self._ask("ignore_term")

    def take_terminal(self, path: str) -> None:
        """Make this terminal the controlling one."""
        self._ask("take_terminal", path=path)

    def become(self, *argv: str) -> None:
        """Go on as another program with the same sockets. Returns at once; nothing can be asked any more."""
        self._send("become", argv=argv)

    def stop(self) -> None:
        """Let it end, and reap it."""
        if self._process.returncode is not None:
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(TIMEOUT_S)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._process.stdout.close()

    def _held(self, action: str, **arguments: Any) -> Held:
        return Held(*self._ask(action, **arguments))

    def _ask(self, action: str, **arguments: Any) -> Any:
        self._send(action, **arguments)
        return self._reply()

    def _send(self, action: str, **arguments: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([action, arguments]) + "\n")
        self._process.stdin.flush()

    def _reply(self) -> Any:
        out = self._process.stdout
        assert out is not None
        ready, _, _ = select.select([out], [], [], TIMEOUT_S)
        line = out.readline() if ready else ""
        assert line, f"child {self.pid} said nothing"
        answer, lacking, failed = json.loads(line)
        if lacking:
            import pytest  # not at the top: a child runs this file without any installed package

            pytest.skip(f"this system lacks an address: {lacking}")
        assert not failed, f"child {self.pid}: {failed}"
        return answer


class Zoo:
    """Starts children, and ends and reaps every one of them."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:
            child.stop()

    def child(
        self,
        *words: str,
        argv0: str | None = None,
        cwd: Path | None = None,
        uid: int | None = None,
        python: str = sys.executable,
    ) -> Child:
        """A new process, in a session of its own without a terminal. ``words`` only show in its command line."""
        home = {"PYTHONHOME": sys.base_prefix} if argv0 is not None else {}  # not to be found by such a name
        process = subprocess.Popen(
            [python if argv0 is None else argv0, "-S", "-P", __file__, *words],
            executable=python,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **home},
            start_new_session=True,
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
        )
        try:
            child = Child(process)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        self._children.append(child)
        return child


class _Kept:
    """In the child: its sockets by descriptor, and what can be asked of it."""

    def __init__(self) -> None:
        self._sockets: dict[int, socket.socket] = {}
        self._heirs: list[subprocess.Popen[bytes]] = []
        self._taken = _numbers_in_use()

    def end(self) -> None:
        """Leave nothing behind: no process, and nothing in TIME_WAIT."""
        for kept in self._sockets.values():
            if kept.type == socket.SOCK_STREAM:
                kept.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            kept.close()
        for heir in self._heirs:
            heir.communicate()

    def listen(self, host: str, port: int, v6only: bool, backlog: int, share: bool) -> Held:
        opened = _open(host, socket.SOCK_STREAM, v6only=v6only)
        if share:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._bind(opened, host, port)
        opened.listen(backlog)
        return self._keep(opened)

    def udp(self, host: str) -> Held:
        opened = _open(host, socket.SOCK_DGRAM)
        self._bind(opened, host)
        return self._keep(opened)

    def join(self, fd: int, host: str, port: int) -> Held:
        self._sockets[fd].connect((host, port))
        return _held(self._sockets[fd])

    def connect(self, host: str, port: int) -> Held:
        opened = _open(host, socket.SOCK_STREAM)
        self._bind(opened, _wildcard(opened))
        opened.connect((host, port))
        return self._keep(opened)

    def knock(self, host: str, port: int) -> Held:
        opened = _open(host, socket.SOCK_STREAM)
        self._bind(opened, _wildcard(opened))
        opened.setblocking(False)
        opened.connect_ex((host, port))
        return self._keep(opened)

    def accept(self, fd: int) -> Held:
        return self._keep(self._sockets[fd].accept()[0])

    def is_called(self, fd: int) -> bool:
        return bool(select.select([fd], [], [], 0)[0])

    def close(self, fd: int) -> None:
        self._sockets.pop(fd).close()

    def lend(self, fd: int) -> int:
        waiting = [sys.executable, "-S", "-c", "import sys; print(); sys.stdout.flush(); sys.stdin.read()"]
        heir = subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[fd])
        self._heirs.append(heir)
        assert heir.stdout is not None
        heir.stdout.readline()
        return heir.pid

    def rename(self, name: str) -> None:
        Path("/proc/self/comm").write_bytes(os.fsencode(name))

    def ignore_term(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def take_terminal(self, path: str) -> None:
        fcntl.ioctl(os.open(path, os.O_RDWR), termios.TIOCSCTTY, 0)

    def become(self, argv: list[str]) -> None:
        for kept in self._sockets.values():
            kept.set_inheritable(True)
        os.execv(argv[0], argv)

    def _bind(self, opened: socket.socket, host: str, port: int = 0) -> None:
        while True:
            chosen = port or _free_port()
            if not port and chosen in self._taken:
                continue
            try:
                opened.bind((host, chosen))
            except OSError as error:
                if port or error.errno != errno.EADDRINUSE:
                    raise
            else:
                return

    def _keep(self, opened: socket.socket) -> Held:
        self._sockets[opened.fileno()] = opened
        return _held(opened)


def _open(host: str, kind: socket.SocketKind, *, v6only: bool = False) -> socket.socket:
    if ":" not in host:
        return socket.socket(socket.AF_INET, kind)
    opened = socket.socket(socket.AF_INET6, kind)
    opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
    return opened


def _wildcard(opened: socket.socket) -> str:
    return "0.0.0.0" if opened.family == socket.AF_INET else "::"


def _free_port() -> int:
    """A port of the kernel's choice that is free on every address; asked for one address only, the kernel would
    give one that is in use on another. It was free a moment ago, so binding it may still fail."""
    family, host = (socket.AF_INET6, "::") if socket.has_dualstack_ipv6() else (socket.AF_INET, "0.0.0.0")
    while True:
        with socket.socket(family, socket.SOCK_STREAM) as tcp, socket.socket(family, socket.SOCK_DGRAM) as udp:
            for probe in (tcp, udp):
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            tcp.bind((host, 0))
            port = int(tcp.getsockname()[1])
            try:
                udp.bind((host, port))
            except OSError:
                continue
            return port


def _numbers_in_use() -> set[int]:
    """Also those that only the other end of a connection in TIME_WAIT still knows."""
    found: set[int] = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        try:
            lines = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:
            continue  # no Linux, or no IPv6
        found.update(int(address.rpartition(":")[2], 16) for line in lines for address in line.split()[1:3])
    return found


def _held(opened: socket.socket) -> Held:
    ip, port, *_ = opened.getsockname()
    return Held(opened.fileno(), ip, port)


def _obey() -> None:
    kept = _Kept()
    print(json.dumps([None, None, None]), flush=True)
    for line in sys.stdin:
        action, arguments = json.loads(line)
        answer = lacking = failed = None
        try:
            answer = getattr(kept, action)(**arguments)
        except OSError as error:
            if error.errno in _LACKING:
                lacking = f"{arguments}: {error}"
            else:
                failed = f"{action} {arguments}: {error}"
        print(json.dumps([answer, lacking, failed]), flush=True)
    kept.end()


if __name__ == "__main__":
    _obey()
