"""One real connection, and what is said of it: each way in which a server, a kernel or a firewall can answer."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from namespace import CLONE_NEWNET, RefusedError, inside
from zoo import TIMEOUT_S, Child, Zoo, wait_for

from loopmon.actions import probe as probing
from loopmon.actions.bind import try_bind
from loopmon.actions.probe import Outcome, Probe, probe
from loopmon.firewall import blocks, read_firewall
from loopmon.machine import loopback_up
from loopmon.model import Endpoint
from loopmon.sources.netlink import Netlink

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the server's end")

PATIENT_S = 30.0
"""Where a test waits for a server that does answer; the machines are shared."""
ACCEPTING = """
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    kept = server.accept()[0]
"""


@contextmanager
def serving(then: Callable[[socket.socket], object], host: str = "127.0.0.1") -> Iterator[Endpoint]:
    """A server that does something to its first client, and keeps it until the test is over."""
    over = threading.Event()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET

    def serve() -> None:
        with server.accept()[0] as client:
            then(client)
            over.wait(TIMEOUT_S)

    with socket.create_server((host, 0), family=family) as server:
        server.settimeout(TIMEOUT_S)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Endpoint(*server.getsockname()[:2])
        finally:
            over.set()
            thread.join()


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def no_kernel() -> Netlink:
    raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")


@pytest.fixture
def watching_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """For servers that are sure to do something after they took the connection, however slow the machine is."""
    monkeypatch.setattr(probing, "SECOND_THOUGHTS_S", PATIENT_S)


@pytest.fixture
def child(zoo: Zoo) -> Child:
    return zoo.child()


# Servers


def test_a_server_that_keeps_the_connection_has_taken_it() -> None:
    with serving(lambda _: None) as server:
        found = probe(server, patience_s=PATIENT_S)
    assert (found.to, found.outcome, found.error) == (server, Outcome.TAKEN, None)
    assert found.local is not None
    assert found.local.ip == "127.0.0.1"
    assert 0 < found.took_ms < TIMEOUT_S * 1000


@pytest.mark.usefixtures("watching_long")
def test_a_server_that_speaks_first_has_taken_it_and_gets_a_polite_end() -> None:
    ends: list[bytes] = []

    def greet(client: socket.socket) -> None:
        client.sendall(b"220 ready\r\n")
        client.settimeout(TIMEOUT_S)
        ends.append(client.recv(1))  # a reset would raise

    with serving(greet) as server:
        assert probe(server, patience_s=PATIENT_S).outcome is Outcome.TAKEN
        wait_for(lambda: ends, "the server to see the end")
    assert ends == [b""]


@pytest.mark.usefixtures("watching_long")
def test_a_server_that_closes_at_once_is_told_from_one_that_keeps() -> None:
    with serving(lambda client: client.close()) as server:
        assert probe(server, patience_s=PATIENT_S).outcome is Outcome.CLOSED


@pytest.mark.usefixtures("watching_long")
def test_a_server_that_resets_is_told_from_one_that_closes() -> None:
    with serving(reset) as server:
        assert probe(server, patience_s=PATIENT_S).outcome is Outcome.RESET


def test_a_server_on_ipv6_is_asked_for_by_ipv6(child: Child) -> None:
    server = child.listen("::1")
    assert probe(Endpoint("::1", server.port), patience_s=0.1).outcome is Outcome.NOT_TAKEN


def test_a_dual_stack_server_s_end_is_found_by_ipv4(child: Child) -> None:
    server = child.listen("::")
    assert probe(Endpoint("127.0.0.1", server.port), patience_s=0.1).outcome is Outcome.NOT_TAKEN


def test_a_connection_that_nobody_accepts_is_not_taken(child: Child) -> None:
    server = child.listen()
    assert probe(Endpoint("127.0.0.1", server.port), patience_s=0.1).outcome is Outcome.NOT_TAKEN
    assert child.is_called(server)


def test_a_server_is_taken_to_be_slow_until_patience_ends(child: Child) -> None:
    """It accepts after the kernel has been asked at least once."""
    server = child.listen()
    asked = threading.Event()

    class Watched(Netlink):
        def find(self, *args: Any) -> bytes | None:
            found = super().find(*args)
            asked.set()
            return found

    def accept() -> None:
        assert asked.wait(TIMEOUT_S)
        child.accept(server)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        assert probe(Endpoint("127.0.0.1", server.port), PATIENT_S, PATIENT_S, Watched).outcome is Outcome.TAKEN
    finally:
        thread.join()


def test_a_stopped_server_takes_nothing_until_it_goes_on() -> None:
    with subprocess.Popen([sys.executable, "-c", ACCEPTING], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            server = Endpoint("127.0.0.1", int(process.stdout.readline()))
            assert probe(server, patience_s=PATIENT_S).outcome is Outcome.TAKEN
            os.kill(process.pid, signal.SIGSTOP)
            assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
            assert probe(server, patience_s=0.1).outcome is Outcome.NOT_TAKEN
            os.kill(process.pid, signal.SIGCONT)
            assert probe(server, patience_s=PATIENT_S).outcome is Outcome.TAKEN
        finally:
            process.kill()


def test_a_server_that_waits_for_data_is_not_accused() -> None:
    """TCP_DEFER_ACCEPT, as Apache and nginx may set it: the kernel does not tell the server before data comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
        found = probe(Endpoint(*server.getsockname()), patience_s=0.1)
    assert found.outcome is Outcome.CONNECTED
    assert found.error == "the server waits for the client to send something first (TCP_DEFER_ACCEPT)"


def test_without_the_kernel_s_word_it_is_connected_and_no_more(child: Child) -> None:
    server = child.listen()
    found = probe(Endpoint("127.0.0.1", server.port), ask=no_kernel)
    assert (found.outcome, found.error) == (Outcome.CONNECTED, "Protocol not supported")


@pytest.mark.usefixtures("watching_long")
def test_without_the_kernel_s_word_a_close_is_seen_all_the_same() -> None:
    with serving(lambda client: client.close()) as server:
        assert probe(server, ask=no_kernel).outcome is Outcome.CLOSED


# Nobody there


def refused_at(ip: str, port: int) -> None:
    found = probe(Endpoint(ip, port))
    assert (found.outcome, found.error) == (Outcome.REFUSED, "Connection refused")


def test_a_port_without_a_server_refuses() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        refused_at(*bound.getsockname())


def test_an_ipv4_server_refuses_by_ipv6(child: Child) -> None:
    refused_at("::1", child.listen("0.0.0.0").port)


def test_an_ipv6_only_server_refuses_by_ipv4(child: Child) -> None:
    refused_at("127.0.0.1", child.listen("::", v6only=True).port)


def test_a_server_on_one_address_refuses_by_another(child: Child) -> None:
    refused_at("127.0.0.2", child.listen("127.0.0.1").port)


def test_a_full_queue_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        to = Endpoint(*server.getsockname())
        with socket.create_connection(to):  # one fits (sk_acceptq_is_full in include/net/sock.h)
            found = probe(to, timeout_s=0.3)
    assert found.outcome is Outcome.TIMED_OUT
    assert found.took_ms >= 300
    assert found.local is not None


def test_a_process_without_descriptors_says_that_it_is_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socket", refuse)
    found = probe(Endpoint("127.0.0.1", 1))
    assert (found.outcome, found.error) == (Outcome.FAILED, "Too many open files")


# Networks that are not as they should be, each in one of its own


def told(found: Probe) -> list[Any]:
    return [str(found.outcome), found.error]


def test_a_connection_to_itself_is_nobody_s_and_leaves_the_port_free() -> None:
    assert inside(connect_to_self) == ["self", None, True]


def connect_to_self() -> list[Any]:
    _ports_from(40000, 40000)
    found = probe(Endpoint("127.0.0.1", 40000))
    return [*told(found), try_bind("127.0.0.1", 40000).free]


def test_a_range_that_is_used_up_leaves_no_ports() -> None:
    assert inside(use_up_ports) == [
        ["no-ports", "Cannot assign requested address"],
        ["refused", "Connection refused"],
    ]


def use_up_ports() -> list[Any]:
    """Another destination can still be reached from the same ports."""
    server = socket.create_server(("127.0.0.1", 3000))
    _ports_from(40000, 40003)
    kept = [socket.create_connection(server.getsockname()) for _ in range(4)]
    answers = [told(probe(Endpoint("127.0.0.1", port))) for port in (3000, 3001)]
    return answers if kept else []


def test_loopback_that_was_never_up_is_unreachable() -> None:
    assert inside(never_up) == [
        ["unreachable", "Network is unreachable"],
        ["unreachable", "Cannot assign requested address"],
        False,
    ]


def never_up() -> list[Any]:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise RefusedError(f"no second network namespace may be made here: {os.strerror(ctypes.get_errno())}")
    return [*(told(probe(Endpoint(ip, 3000))) for ip in ("127.0.0.1", "::1")), loopback_up()]


def test_loopback_that_was_taken_down_keeps_its_address_and_times_out() -> None:
    assert inside(go_down) == [
        True,
        ["timed-out", "timed out"],
        ["unreachable", "Cannot assign requested address"],
        False,
    ]


def go_down() -> list[Any]:
    before = loopback_up()
    _run("ip", "link", "set", "lo", "down")
    return [before, *(told(probe(Endpoint(ip, 3000), timeout_s=0.3)) for ip in ("127.0.0.1", "::1")), loopback_up()]


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        ("tcp dport 3000 reject", "refused"),
        ("tcp dport 3000 reject with tcp reset", "refused"),
        ("tcp dport 3000 reject with icmp type admin-prohibited", "unreachable"),
        ("tcp dport 3000 drop", "timed-out"),
    ],
)
@pytest.mark.parametrize("hook", ["input", "output"])
def test_a_firewall_looks_like_this_and_its_rule_is_found(hook: str, rule: str, outcome: str) -> None:
    seen, lines = inside(behind_firewall, hook, rule)
    assert seen == outcome
    (line,) = lines
    assert line.startswith(f"table ip walls, chain door: {rule.partition(' with')[0]}")


def behind_firewall(hook: str, rule: str) -> list[Any]:
    chain = f"{{ type filter hook {hook} priority 0; {rule}; }}"
    _run("nft", f"table ip walls {{ chain door {chain}; }}")
    server = socket.create_server(("127.0.0.1", 3000))
    found = probe(Endpoint(*server.getsockname()), timeout_s=0.3)
    rules = read_firewall()
    return [str(found.outcome), blocks(rules.ruleset, 3000) if rules.ruleset else rules.unreadable]


def test_a_prohibiting_route_is_not_permitted_and_a_black_hole_unreachable() -> None:
    assert inside(behind_routes) == ["not-permitted", "unreachable"]


def behind_routes() -> list[str]:
    for kind, network in (("prohibit", "192.0.2.1"), ("blackhole", "192.0.2.2")):
        _run("ip", "route", "add", kind, network)
    return [str(probe(Endpoint(each, 3000), timeout_s=1).outcome) for each in ("192.0.2.1", "192.0.2.2")]


def _ports_from(first: int, last: int) -> None:
    try:
        Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(f"{first} {last}")
    except OSError as error:
        raise RefusedError(f"the range of ports cannot be set here: {error}") from error


def _run(command: str, *arguments: str) -> None:
    if shutil.which(command) is None:
        raise RefusedError(f"{command} is not installed")
    done = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise RefusedError(f"{command} may not do this here: {done.stderr.strip()}")
