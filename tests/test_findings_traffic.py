"""What is found about real clients: those that nobody takes, reads or closes, and those that only wait their turn."""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from strays import Strays
from talk import begin, reset
from watching import Watch, seen_afresh, wait_to_see
from zoo import Held, Zoo, run_loopmon, wait_for

from loopmon.findings.kinds import KINDS
from loopmon.model import Certainty, FindingId, Severity

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="queues and ages only Linux tells without root")
KERNEL = tuple(int("".join(filter(str.isdigit, part))) for part in os.uname().release.split(".")[:2])
CROWD = 24
"""So many clients the slow server needs some five seconds for."""


@pytest.fixture
def strays(tmp_path: Path) -> Iterator[Strays]:
    with Strays(tmp_path) as kept:
        yield kept


@pytest.fixture
def watch() -> Iterator[Watch]:
    with Watch() as opened:
        yield opened


# Waiting


def test_a_server_that_takes_nobody_is_found_after_a_while_and_no_more_once_it_does(zoo: Zoo, watch: Watch) -> None:
    child, clients = zoo.child(), zoo.child()
    server = child.listen(backlog=5)
    for _ in range(2):
        clients.connect("127.0.0.1", server.port)
    finding = watch.until(FindingId.NOT_ACCEPTING, server.port)
    assert (finding.severity, finding.certainty) == (Severity.PROBLEM, Certainty.LIKELY)
    (evidence,) = finding.evidence
    assert re.fullmatch(r"2 clients wait to be accepted, the oldest for \ds; backlog 5", evidence)
    for _ in range(2):
        child.accept(server)
    wait_for(lambda: not watch.about(server.port), "the finding to clear")


def test_the_command_looks_twice_where_somebody_waits(zoo: Zoo, watch: Watch) -> None:
    server = zoo.child().listen()
    zoo.child().connect("127.0.0.1", server.port)
    watch.until(FindingId.NOT_ACCEPTING, server.port)
    done = run_loopmon("ls", "--findings", f"port:{server.port}")
    assert done.returncode == 1
    word = KINDS[FindingId.NOT_ACCEPTING].word
    assert done.stdout.startswith(f"problem: 127.0.0.1:{server.port}: {word} (likely)\n")


class Crowd:
    """Clients that call at once, and go once they have been answered."""

    def __init__(self, port: int) -> None:
        self.answered = 0
        self._port = port
        self._sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(CROWD)]
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        for client in self._sockets:
            client.settimeout(60)
            while client.recv(64):
                pass
            reset(client)
            self.answered += 1

    def wait(self) -> None:
        self._thread.join()


def test_a_busy_server_that_takes_one_after_the_other_is_not_accused(strays: Strays, watch: Watch) -> None:
    server, _ = strays.start("slow")
    crowd = Crowd(server.port)
    pause = threading.Event()
    seen = 0
    while crowd.answered < CROWD:
        assert FindingId.NOT_ACCEPTING not in watch.about(server.port)
        seen += 1
        pause.wait(0.3)
    crowd.wait()
    assert seen > 2


def test_the_command_does_not_accuse_a_busy_server_of_which_the_oldest_client_waits_for_long(strays: Strays) -> None:
    server, _ = strays.start("slow")
    crowd = Crowd(server.port)
    wait_for(lambda: crowd.answered > CROWD // 2, "half of the clients")
    done = run_loopmon("ls", "--findings", f"port:{server.port}")
    still_busy = crowd.answered < CROWD
    crowd.wait()
    assert f": {KINDS[FindingId.NOT_ACCEPTING].word} (" not in done.stdout
    if not still_busy:
        pytest.skip("this machine was too slow to look while the clients waited")


def test_a_full_queue_is_found_with_how_many_wait(zoo: Zoo) -> None:
    server, clients = zoo.child().listen(backlog=1), zoo.child()
    for _ in range(3):
        clients.knock("127.0.0.1", server.port)
    finding = wait_to_see(FindingId.BACKLOG_FULL, server.port)
    assert finding.severity is Severity.PROBLEM
    assert finding.evidence == ("2 clients wait to be accepted; backlog 1",)


def test_a_queue_with_room_is_not_full(zoo: Zoo) -> None:
    server = zoo.child().listen(backlog=1)
    zoo.child().connect("127.0.0.1", server.port)
    assert FindingId.BACKLOG_FULL not in seen_afresh(server.port)


# Not let go


def test_a_process_that_closes_nothing_is_found(zoo: Zoo, watch: Watch) -> None:
    child, clients = zoo.child(), zoo.child()
    server = child.listen()
    called: list[Held] = []
    for _ in range(3):
        called.append(clients.connect("127.0.0.1", server.port))
        child.accept(server)
    assert not watch.about(server.port)
    for client in called:
        clients.close(client)
    finding = watch.until(FindingId.CLOSE_WAIT, server.port)
    assert finding.subject == f"process:{child.pid}"
    (evidence,) = finding.evidence
    assert re.fullmatch(r"3 sockets in CLOSE_WAIT, the oldest for [5-9]s", evidence)


def test_bytes_that_nobody_reads_are_found_and_a_farewell_is_not(watch: Watch) -> None:
    """A client with connections in store notices only at the next use that the server has closed one."""
    with ExitStack() as stack:
        unread, stored = begin(stack), begin(stack)
        unread.client.sendall(bytes(2048))
        stored.accepted.close()
        finding = watch.until(FindingId.NOT_READING, unread.client.getsockname()[1])
        (evidence,) = finding.evidence
        assert re.fullmatch(r"2.0k bytes unread for [5-9]s", evidence)
        assert not watch.about(stored.client.getsockname()[1])


# Ports


@pytest.mark.skipif(KERNEL < (6, 8), reason="before Linux 6.8 the kernel does not tell of these")
def test_a_port_that_is_bound_without_listening_is_found() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        done = run_loopmon("ls", "--findings", "is:bound-not-listening")
        port = held.getsockname()[1]
    assert done.returncode == 1
    assert f"port {port} is taken by a socket that does not listen" in done.stdout
    assert f"-> kill {os.getpid()}\n" in done.stdout


def test_a_client_that_is_connected_to_itself_is_found() -> None:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        own.connect(own.getsockname())
        port = own.getsockname()[1]
        finding = wait_to_see(FindingId.PORT_STOLEN, port)
        reset(own)
    assert (finding.severity, finding.certainty) == (Severity.PROBLEM, Certainty.CERTAIN)
    assert finding.title.endswith(f" {os.getpid()} is connected to itself on port {port}")
