"""The same holders, descriptor by descriptor, as ``ss`` names for every TCP socket."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from test_owners import Actor
from test_parity import Row, parse_ss
from zoo import TIMEOUT_S, Zoo, wait_for

from loopmon.model import Protocol, Status
from loopmon.sources.sock_diag import SockDiagSource, SockDiagUnavailableError

if sys.platform != "linux":
    pytest.skip("sock_diag is Linux's", allow_module_level=True)
pytestmark = pytest.mark.skipif(shutil.which("ss") is None, reason="there is no ss to compare with")

WORKERS = 4
_HOLDER = re.compile(r"pid=(\d+),fd=(\d+)")

Holders = frozenset[tuple[int, int]]
Held = Counter[tuple[Row, Holders]]
"""Rows with the same addresses, of servers that share a port, differ by their holders."""


@pytest.fixture
def source() -> Iterator[SockDiagSource]:
    try:
        opened = SockDiagSource(follow=False)
    except SockDiagUnavailableError as error:
        pytest.skip(f"this kernel has no {error}")
    yield opened
    opened.close()


def by_ss(ports: set[int]) -> Held:
    asked = subprocess.run(["ss", "-Htanp"], capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    lines = asked.stdout.splitlines()
    holders = [frozenset((int(pid), int(fd)) for pid, fd in _HOLDER.findall(line)) for line in lines]
    return near(zip(parse_ss(asked.stdout), holders, strict=True), ports)


def by_loopmon(source: SockDiagSource, ports: set[int]) -> Held:
    return near(
        (
            (
                Row(found.status, found.laddr, found.raddr),
                frozenset((owner.process.pid, owner.fd) for owner in found.owners),
            )
            for found in source.read().sockets
            if found.protocol is Protocol.TCP
        ),
        ports,
    )


def near(rows: Iterator[tuple[Row, Holders]] | zip[tuple[Row, Holders]], ports: set[int]) -> Held:
    """Those that touch one of these ports."""
    return Counter(
        (row, holders)
        for row, holders in rows
        if row.laddr.port in ports or (row.raddr is not None and row.raddr.port in ports)
    )


def agreed(source: SockDiagSource, ports: set[int]) -> Held:
    """What both say, as soon as they say the same."""
    wait_for(lambda: by_loopmon(source, ports) == by_ss(ports), "ss and loopmon to name the same holders")
    return by_ss(ports)


def listeners(held: Held) -> list[Holders]:
    return [holders for row, holders in held.elements() if row.status is Status.LISTEN]


def test_of_every_socket_of_a_crowd(zoo: Zoo, source: SockDiagSource) -> None:
    serving, calling = zoo.child(), zoo.child()
    hosts = ("127.0.0.1", "127.0.0.2", "0.0.0.0", "::ffff:127.0.0.1", "::", "::1")
    servers = {host: serving.listen(host) for host in hosts}
    for host, server in servers.items():
        target = {"0.0.0.0": "127.0.0.3", "::": "127.0.0.1"}.get(host, host)
        calling.connect(target, server.port)
        serving.accept(server)
        calling.close(calling.connect(target, server.port))
        serving.accept(server)
        calling.connect(target, server.port)  # never accepted
    held = agreed(source, {server.port for server in servers.values()})
    assert set(listeners(held)) == {frozenset({(serving.pid, server.fd)}) for server in servers.values()}
    without = Counter(row.status for row, holders in held.elements() if not holders)
    assert without == {Status.ESTABLISHED: len(hosts), Status.FIN_WAIT2: len(hosts)}


def test_of_a_listener_and_a_connection_that_workers_share(zoo: Zoo, source: SockDiagSource) -> None:
    parent, calling = zoo.child(), zoo.child()
    server = parent.listen()
    calling.connect("127.0.0.1", server.port)
    accepted = parent.accept(server)
    workers = [parent.lend(server) for _ in range(WORKERS)]
    worker = parent.lend(accepted)
    held = agreed(source, {server.port})
    assert listeners(held) == [frozenset((pid, server.fd) for pid in (parent.pid, *workers))]
    assert frozenset({(parent.pid, accepted.fd), (worker, accepted.fd)}) in {holders for _, holders in held}


def test_of_servers_that_share_a_port(zoo: Zoo, source: SockDiagSource) -> None:
    crew = [zoo.child() for _ in range(3)]
    first = crew[0].listen(share=True)
    servers = [first, *(child.listen(port=first.port, share=True) for child in crew[1:])]
    for _ in range(6):
        crew[0].connect("127.0.0.1", first.port)
    held = agreed(source, {first.port})
    expected = [frozenset({(child.pid, server.fd)}) for child, server in zip(crew, servers, strict=True)]
    assert sorted(map(sorted, listeners(held))) == sorted(map(sorted, expected))


def test_of_sockets_that_are_passed_on_doubled_and_kept(source: SockDiagSource) -> None:
    with ExitStack() as stack:
        one, other = (stack.enter_context(end) for end in socket.socketpair())
        sender, receiver = (stack.enter_context(Actor(end.fileno())) for end in (one, other))
        fd = sender("listen()")
        port = sender(f"socket.socket(fileno=os.dup({fd})).getsockname()[1]")
        assert listeners(agreed(source, {port})) == [frozenset({(sender.pid, fd)})]
        doubled = sender(f"os.dup({fd})")
        sender(f"post({one.fileno()}, {fd})")
        taken = receiver(f"take({other.fileno()})")
        forked = receiver("fork()")
        everyone = {(sender.pid, fd), (sender.pid, doubled), (receiver.pid, taken), (forked, taken)}
        assert listeners(agreed(source, {port})) == [frozenset(everyone)]
        sender(f"(os.close({fd}), os.close({doubled}))")
        receiver(f"end({forked})")
        assert listeners(agreed(source, {port})) == [frozenset({(receiver.pid, taken)})]


def test_of_this_process(source: SockDiagSource) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = agreed(source, {server.getsockname()[1]})
        assert listeners(held) == [frozenset({(os.getpid(), server.fileno())})]
