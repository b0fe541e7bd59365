"""``loopmon wait`` as a process, beside real servers: when it returns, with what, and what it says meanwhile."""

from __future__ import annotations

import errno
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from zoo import TIMEOUT_S, Child, Zoo, run_loopmon

from loopmon.actions.bind import Bind
from loopmon.commands import waiting
from loopmon.commands.front import run
from loopmon.exit_status import ExitStatus

ENOUGH = f"{TIMEOUT_S:.0f}s"
"""A wait that hangs is a failure, not a test that hangs."""


class Waiter(NamedTuple):
    """A ``loopmon wait`` that is running."""

    process: subprocess.Popen[bytes]

    def line(self) -> str:
        """The next one that it says."""
        assert self.process.stderr is not None
        ready, _, _ = select.select([self.process.stderr], [], [], TIMEOUT_S)
        assert ready, "it says nothing"
        return self.process.stderr.readline().decode().rstrip("\n")

    def is_running(self) -> bool:
        return self.process.poll() is None

    def status(self) -> int:
        return self.process.wait(TIMEOUT_S)


@contextmanager
def waits(*args: str) -> Iterator[Waiter]:
    process = subprocess.Popen(
        [sys.executable, "-m", "loopmon", "wait", *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,  # what select sees is all there is
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    with process:
        try:
            yield Waiter(process)
            assert process.stdout is not None
            assert process.stdout.read() == b""
        finally:
            process.kill()


def unused(child: Child) -> int:
    """A port that was free a moment ago, on every address."""
    held = child.listen()
    child.close(held)
    return held.port


def give_up(*args: str) -> str:
    """What it says when it gives up at once, without its first words."""
    done = run_loopmon("wait", *args, "--timeout", "0")
    assert done.returncode == ExitStatus.NO, done.stderr
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("loopmon: gave up after 0 s: ")
    return last.removeprefix("loopmon: gave up after 0 s: ")


@pytest.fixture
def sock_diag() -> None:
    if run_loopmon("wait", "1", "--source", "sock_diag", "--timeout", "0").returncode != ExitStatus.NO:
        pytest.skip("this system has no sock_diag")


@pytest.mark.parametrize("source", ["auto", "psutil"])
def test_it_returns_at_once_where_somebody_listens(zoo: Zoo, source: str) -> None:
    child = zoo.child()
    server = child.listen()
    done = run_loopmon("wait", str(server.port), "--source", source)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(f"loopmon: 127.0.0.1:{server.port} accepts, python")
    assert f" {child.pid}, after 0." in done.stderr
    assert not child.is_called(server), "no connection may be made"


@pytest.mark.parametrize("source", ["auto", "psutil"])
def test_it_waits_for_a_server(zoo: Zoo, source: str) -> None:
    child = zoo.child()
    port = unused(child)
    with waits(f":{port}", "--source", source, "--timeout", ENOUGH) as waiter:
        assert waiter.line() == f"loopmon: waiting for 127.0.0.1:{port} to accept"
        server = child.listen(port=port)
        assert waiter.line().startswith(f"loopmon: 127.0.0.1:{port} accepts, python")
        assert waiter.status() == 0
    assert not child.is_called(server)


def test_it_waits_for_all(zoo: Zoo) -> None:
    child = zoo.child()
    first, second = child.listen(), unused(child)
    with waits(str(first.port), str(second), str(first.port), "--timeout", ENOUGH) as waiter:
        assert " accepts, " in waiter.line()
        assert waiter.line() == f"loopmon: waiting for 127.0.0.1:{second} to accept"
        child.close(first)
        assert waiter.line().startswith(f"loopmon: 127.0.0.1:{first.port} does not accept any more: nobody listens")
        child.listen(port=second)
        assert f":{second} accepts, " in waiter.line()
        assert waiter.is_running()
        child.listen(port=first.port)
        assert f":{first.port} accepts, " in waiter.line()
        assert waiter.status() == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "127.0.0.1"])
def test_a_client_of_loopback_reaches(zoo: Zoo, host: str) -> None:
    server = zoo.child().listen(host)
    for what in ("127.0.0.1:{}", "localhost:{}", "*:{}", "http://0.0.0.0:{}/x", "connect ECONNREFUSED 127.0.0.1:{}"):
        done = run_loopmon("wait", what.format(server.port), "--timeout", ENOUGH)
        assert done.returncode == 0, what


def test_one_on_ipv6_only_is_not_reached_by_ipv4(zoo: Zoo) -> None:
    port = zoo.child().listen("::1").port
    why = give_up(str(port))
    assert f" listens on [::1]:{port}, which a client of 127.0.0.1 does not reach" in why
    assert run_loopmon("wait", f"[::1]:{port}").returncode == 0
    assert f"localhost:{port} accepts on [::1]:{port}, " in run_loopmon("wait", f"localhost:{port}").stderr


@pytest.mark.usefixtures("sock_diag")
def test_one_on_every_ipv6_address_only_is_not_reached_by_ipv4(zoo: Zoo) -> None:
    port = zoo.child().listen("::", v6only=True).port
    assert f" listens on [::]:{port}, which a client of 127.0.0.1 does not reach" in give_up(str(port))


def test_on_timeout_it_says_that_nobody_listens(zoo: Zoo) -> None:
    port = unused(zoo.child())
    assert give_up(str(port)) == f"127.0.0.1:{port} does not accept: nobody listens on port {port}"
    assert run_loopmon("wait", str(port), "--timeout", "20ms").returncode == ExitStatus.NO


@pytest.mark.usefixtures("sock_diag")
def test_on_timeout_it_says_who_is_bound_but_does_not_listen(zoo: Zoo) -> None:
    port = unused(zoo.child())
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", port))
        why = give_up(str(port))
        if "nobody listens" in why:
            pytest.skip("this kernel does not show sockets that are only bound (6.8 does)")
        assert f" holds 127.0.0.1:{port} but does not listen" in why


def test_by_counts_only_that_process(zoo: Zoo) -> None:
    server = zoo.child("--name", "Orders-Api").listen()
    port = str(server.port)
    assert run_loopmon("wait", port, "--by", "orders-API").returncode == 0
    why = give_up(port, "--by", "postgres")
    assert why.endswith(f" listens on 127.0.0.1:{port}, and is not postgres")


def test_by_waits_until_that_process_has_the_port(zoo: Zoo) -> None:
    wrong, right = zoo.child(), zoo.child("the-right-one")
    server = wrong.listen()
    with waits(str(server.port), "--by", "the-right-one", "--timeout", ENOUGH) as waiter:
        assert "and is not the-right-one" in waiter.line()
        wrong.close(server)
        right.listen(port=server.port)
        assert f" {right.pid}, after " in waiter.line()
        assert waiter.status() == 0


def test_it_waits_until_the_port_is_free(zoo: Zoo) -> None:
    child = zoo.child()
    server = child.listen()
    with waits(str(server.port), "--free", "--timeout", ENOUGH) as waiter:
        line = waiter.line()
        assert line.startswith(f"loopmon: waiting for port {server.port} to be free: ")
        assert line.endswith(f" {child.pid} listens on 127.0.0.1:{server.port}")
        child.close(server)
        assert waiter.line().startswith(f"loopmon: port {server.port} is free, after ")
        assert waiter.status() == 0


def test_free_on_one_address_says_nothing_of_another(zoo: Zoo) -> None:
    port = zoo.child().listen("127.0.0.2").port
    assert run_loopmon("wait", f"127.0.0.1:{port}", "--free").returncode == 0
    assert f"127.0.0.2:{port}" in give_up(str(port), "--free")
    assert f"*:{port} is not free" in give_up(f"*:{port}", "--free")


def test_a_client_s_port_is_not_free(zoo: Zoo) -> None:
    server, client = zoo.child(), zoo.child()
    held = server.listen()
    port = client.connect("127.0.0.1", held.port).port
    why = give_up(str(port), "--free")
    assert f" {client.pid} has 127.0.0.1:{port} for its connection to 127.0.0.1:{held.port}" in why


def test_a_port_that_this_user_may_never_bind_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(ip: str, port: int) -> Bind:
        return Bind(ip, port, free=False, code=errno.EACCES, reason="ports below 1024 are for root")

    monkeypatch.setattr(waiting, "try_bind", refuse)
    assert run(["wait", "80", "--free"]) == ExitStatus.NOT_PERMITTED
    assert capsys.readouterr().err == "loopmon: port 80 can never be bound: ports below 1024 are for root\n"


@pytest.mark.usefixtures("sock_diag")
def test_probe_wants_the_connection_taken(zoo: Zoo) -> None:
    child = zoo.child()
    server = child.listen()
    assert "did not take the connection" in give_up(str(server.port), "--probe")
    assert child.is_called(server)


def test_probe_is_content_with_a_server_that_accepts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            taken, _ = server.accept()
            with taken:
                taken.recv(1)

        serving = threading.Thread(target=serve)
        serving.start()
        done = run_loopmon("wait", str(server.getsockname()[1]), "--probe", "--timeout", ENOUGH)
        serving.join(TIMEOUT_S)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("what", ["1", "127.0.0.1:1"])
def test_quiet_says_nothing(what: str) -> None:
    done = run_loopmon("wait", what, "--quiet", "--timeout", "0")
    assert (done.returncode, done.stdout, done.stderr) == (ExitStatus.NO, "", "")


def test_ctrl_c_ends_it(zoo: Zoo) -> None:
    with waits(str(unused(zoo.child()))) as waiter:
        waiter.line()
        waiter.process.send_signal(signal.SIGINT)
        assert waiter.status() == ExitStatus.INTERRUPTED
        assert waiter.process.stderr is not None
        assert waiter.process.stderr.read().strip() == b""


def test_it_goes_on_waiting_when_nobody_reads_what_it_says(zoo: Zoo) -> None:
    child = zoo.child()
    first, second = unused(child), unused(child)
    with waits(str(first), str(second), "--timeout", ENOUGH) as waiter:
        waiter.line()
        assert waiter.process.stderr is not None
        waiter.process.stderr.close()
        child.listen(port=first)
        child.listen(port=second)
        assert waiter.status() == 0
