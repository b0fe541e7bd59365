"""``loopmon stop`` on a terminal: it asks, shows for whom it waits, and can be left."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from servers import Server, Servers, has_ended
from stops import Stops
from terminal import LOOPMON, Terminal
from zoo import wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="all owners are found as only Linux tells them")

CTRL_C = b"\x03"
ASKED = b"stop it? [y/N]: "
KILL_ASKED = b"KILL? [y/N]: "


@pytest.fixture
def stop(tmp_path: Path) -> Stops:
    return Stops(tmp_path)


@pytest.fixture
def servers() -> Iterator[Servers]:
    with Servers() as started:
        yield started


def asking(stop: Stops, server: Server, *options: str) -> Terminal:
    return Terminal(LOOPMON, "stop", str(server.port), *options, env=stop.env)


def press_ctrl_c(terminal: Terminal) -> None:
    """Once it waits: Python misses a signal that comes between its last look for one and its read of a line."""
    wait_for(lambda: psutil.Process(terminal.pid).status() == psutil.STATUS_SLEEPING, "a command that waits")
    terminal.send(CTRL_C)


@pytest.mark.parametrize("answer", [b"n\r", b"\r"])
def test_no_stops_nobody(answer: bytes, servers: Servers, stop: Stops) -> None:
    server = servers.start("serve")
    with asking(stop, server) as terminal:
        terminal.wait_for(ASKED)
        terminal.send(answer)
        status, _ = terminal.wait_for_end()
    assert status == 1
    assert b"nothing was stopped" in terminal.output
    assert not has_ended(server.pid)
    assert not stop.ledger.exists()


def test_yes_stops_what_was_shown(servers: Servers, stop: Stops) -> None:
    server = servers.start("serve")
    with asking(stop, server) as terminal:
        terminal.wait_for(ASKED)
        assert b"1. " in terminal.output[: terminal.output.index(ASKED)]
        assert not has_ended(server.pid)
        terminal.send(b"y\r")
        status, _ = terminal.wait_for_end()
    assert status == 0
    assert f"127.0.0.1:{server.port} is free".encode() in terminal.output
    assert has_ended(server.pid)


def test_of_several_processes_it_asks_for_all(servers: Servers, stop: Stops) -> None:
    server = servers.start("prefork")
    with asking(stop, server) as terminal:
        terminal.wait_for(b"stop them? [y/N]: ")
        terminal.send(b"n\r")
        assert terminal.wait_for_end()[0] == 1
    assert not has_ended(server.pid)


def test_yes_beforehand_is_not_asked_again(servers: Servers, stop: Stops) -> None:
    server = servers.start("serve")
    with asking(stop, server, "--yes") as terminal:
        assert terminal.wait_for_end()[0] == 0
    assert b"[y/N]" not in terminal.output


def test_one_that_ends_between_the_preview_and_the_answer_is_not_signalled(servers: Servers, stop: Stops) -> None:
    server = servers.start("serve")
    with asking(stop, server) as terminal:
        terminal.wait_for(ASKED)
        server.started.kill()
        terminal.send(b"y\r")
        status, _ = terminal.wait_for_end()
    assert status == 0
    (entry,) = stop.entries()
    assert entry["outcome"] == "free"
    assert len(entry["signalled"]) <= 1  # it may have been in the middle of its end


def test_whoever_ignores_term_is_killed_when_that_is_agreed(servers: Servers, stop: Stops) -> None:
    server = servers.start("stubborn")
    with asking(stop, server, "--timeout", "600ms") as terminal:
        terminal.wait_for(ASKED)
        terminal.send(b"y\r")
        terminal.wait_for(KILL_ASKED)
        assert not has_ended(server.pid)
        terminal.send(b"y\r")
        status, _ = terminal.wait_for_end()
    assert status == 0
    assert has_ended(server.pid)
    assert [each["signal"] for each in stop.entries()[0]["signalled"]] == ["SIGTERM", "SIGKILL"]


def test_the_wait_is_counted_down_on_one_line_that_goes_again(servers: Servers, stop: Stops) -> None:
    server = servers.start("stubborn")
    with asking(stop, server, "--yes", "--timeout", "1200ms") as terminal:
        status, _ = terminal.wait_for_end()
    assert status == 1
    waits = re.findall(rb"\r\x1b\[Kwaiting for \S+ %d to end: (\d+) s" % server.pid, terminal.output)
    assert len(waits) > 2
    assert waits == sorted(waits, reverse=True)
    after = terminal.output.rpartition(b" to end: ")[2]
    assert re.match(rb"\d+ s\r\r\x1b\[Kloopmon: after 1\.2 s still there: ", after)


# Left in the middle


def test_ctrl_c_at_the_question_stops_nobody(servers: Servers, stop: Stops) -> None:
    server = servers.start("serve")
    with asking(stop, server) as terminal:
        terminal.wait_for(ASKED)
        press_ctrl_c(terminal)
        status, _ = terminal.wait_for_end()
    assert status == 130
    assert b"Traceback" not in terminal.output
    assert not has_ended(server.pid)
    assert not stop.ledger.exists()


@pytest.mark.parametrize("at", [b"waiting for ", KILL_ASKED])
def test_ctrl_c_after_the_signal_is_written_down(at: bytes, servers: Servers, stop: Stops) -> None:
    server = servers.start("stubborn")
    timeout = "300ms" if at == KILL_ASKED else "60s"
    with asking(stop, server, "--timeout", timeout) as terminal:
        terminal.wait_for(ASKED)
        terminal.send(b"y\r")
        terminal.wait_for(at)
        press_ctrl_c(terminal)
        status, _ = terminal.wait_for_end()
    assert status == 130
    assert b"Traceback" not in terminal.output
    assert not has_ended(server.pid)
    (entry,) = stop.entries()
    assert entry["outcome"] == "interrupted"
    assert [(each["pid"], each["signal"]) for each in entry["signalled"]] == [(server.pid, "SIGTERM")]
