"""What is found about real servers that were left behind, stopped or robbed, and about those that were not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from strays import Strays, command
from terminal import Terminal
from tmux import Tmux
from watching import seen_afresh, wait_to_see
from zoo import Zoo, run_loopmon, wait_for

from loopmon.model import Certainty, FindingId, Severity

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is told apart here only Linux tells")


@pytest.fixture
def strays(tmp_path: Path) -> Iterator[Strays]:
    with Strays(tmp_path) as kept:
        yield kept


def in_background(*argv: str) -> tuple[str, ...]:
    """From a shell that waits for it."""
    return ("/bin/sh", "-c", f"{' '.join(argv)} & wait")


# Left over


def test_a_server_whose_terminal_was_closed_is_left_over(strays: Strays) -> None:
    note = strays.note()
    with Terminal(*in_background(*command("serve", note))) as terminal:
        server = strays.meet(note)
        assert not seen_afresh(server.port)
        name = str(Path(f"/proc/{server.pid}/fd/1").readlink())
        terminal.hang_up()
        terminal.wait_for_end()
        finding = wait_to_see(FindingId.LEFT_OVER, server.port)
    assert (finding.severity, finding.certainty) == (Severity.WARNING, Certainty.LIKELY)
    assert finding.title == "looks left over (3 of 6 signs)"
    assert finding.evidence[0] == f"its terminal, {name}, is closed"
    assert finding.evidence[1] == f"the shell of its session, {terminal.pid}, has ended"
    assert "whoever started it has ended" in finding.evidence[2]
    assert f" {server.pid}: x, or loopmon stop " in finding.remedy


def test_an_orphan_is_left_over(strays: Strays) -> None:
    server, middle = strays.start("orphan_later", stdin=subprocess.PIPE)
    assert not seen_afresh(server.port)
    assert middle.stdin is not None
    middle.stdin.close()
    middle.wait()
    finding = wait_to_see(FindingId.LEFT_OVER, server.port)
    assert finding.certainty is Certainty.LIKELY
    assert any("whoever started it has ended" in line for line in finding.evidence)


def test_a_server_whose_folder_was_deleted_is_left_over(strays: Strays, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    server, _ = strays.start("serve", cwd=folder)
    assert not seen_afresh(server.port)
    folder.rmdir()
    assert f"its folder, {folder}, is deleted" in wait_to_see(FindingId.LEFT_OVER, server.port).evidence


# Nobody's fault


def test_a_healthy_server_with_a_client_gets_no_finding(strays: Strays, zoo: Zoo) -> None:
    server, _ = strays.start("serve")
    zoo.child().connect("127.0.0.1", server.port)
    assert not seen_afresh(server.port)
    done = run_loopmon("ls", "--findings", f"port:{server.port}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "loopmon: nothing to look at\n")


def test_a_daemon_that_forked_twice_gets_no_finding(strays: Strays) -> None:
    server, middle = strays.start("daemon")
    middle.wait()
    assert not seen_afresh(server.port)


@pytest.mark.skipif(shutil.which("nohup") is None, reason="there is no nohup here")
def test_a_server_under_nohup_outlives_its_terminal_without_a_finding(strays: Strays) -> None:
    note = strays.note()
    words = " ".join(command("serve", note))
    with Terminal("/bin/sh", "-c", f"nohup {words} > /dev/null 2>&1 & wait") as terminal:
        server = strays.meet(note)
        terminal.hang_up()
        terminal.wait_for_end()
        assert not seen_afresh(server.port)


def test_a_server_under_tmux_gets_no_finding_with_nobody_attached(strays: Strays) -> None:
    note = strays.note()
    with Tmux((100, 24)) as tmux:
        tmux.run(" ".join(command("serve", note)))
        server = strays.meet(note)
        assert not seen_afresh(server.port)


# Stopped, inherited, unseen


def test_a_stopped_server_is_found_until_it_goes_on(strays: Strays, zoo: Zoo) -> None:
    server, _ = strays.start("serve")
    os.kill(server.pid, signal.SIGSTOP)
    zoo.child().connect("127.0.0.1", server.port)
    finding = wait_to_see(FindingId.STOPPED, server.port)
    assert (finding.severity, finding.certainty) == (Severity.PROBLEM, Certainty.CERTAIN)
    assert "1 client waiting" in finding.evidence
    assert f"kill -CONT {server.pid}" in finding.remedy
    os.kill(server.pid, signal.SIGCONT)
    wait_for(lambda: not seen_afresh(server.port), "the server to go on")


def test_a_program_that_kept_the_servers_socket_is_found(strays: Strays) -> None:
    heir, server = strays.start("lender", stdin=subprocess.PIPE)
    assert FindingId.INHERITED not in seen_afresh(heir.port)
    assert server.stdin is not None
    server.stdin.close()
    server.wait()
    finding = wait_to_see(FindingId.INHERITED, heir.port)
    assert (finding.severity, finding.certainty) == (Severity.PROBLEM, Certainty.LIKELY)
    assert f"sleep {heir.pid}" in finding.title
    assert finding.remedy.startswith(f"kill {heir.pid}")


def test_a_thread_that_serves_for_a_dead_leader_is_found_and_its_process_named(strays: Strays) -> None:
    server, _ = strays.start("thread")
    finding = wait_to_see(FindingId.UNSEEN_OWNER, server.port)
    assert finding.severity is Severity.WARNING
    assert f" {server.pid}, whose main thread has ended" in finding.title
    assert finding.remedy.startswith(f"kill -KILL {server.pid}")
