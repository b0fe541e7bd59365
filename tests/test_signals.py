"""Signals and hang-ups end the monitor at once, with the terminal put back where there still is one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from terminal import ALT_SCREEN_OFF, ALT_SCREEN_ON, CURSOR_ON, LOOPMON, Terminal
from zoo import wait_for

SOON_S = 3.0
"""Half a second is meant; the machines are shared."""

BLOCKING = """
import os, time
import psutil

def block(*args, **kwargs):
    open(os.environ["LOOPMON_TEST_BLOCKED"], "w").close()
    time.sleep(30)

psutil.net_connections = block
"""
"""The system does not answer."""

IMPATIENT = """
from textual.drivers import _writer_thread

_writer_thread.MAX_QUEUED_WRITES = 1
"""
"""What the terminal does not take blocks the app with the second write, not with the thirtieth."""

Leaving = Callable[[Terminal], None]
WAYS: dict[str, tuple[Leaving, int]] = {
    "q": (lambda terminal: terminal.send(b"q"), 0),
    "ctrl-c": (lambda terminal: terminal.send(b"\x03"), 130),
    "SIGINT": (lambda terminal: terminal.signal(signal.SIGINT), 130),
    "SIGTERM": (lambda terminal: terminal.signal(signal.SIGTERM), 130),
    "SIGHUP": (lambda terminal: terminal.signal(signal.SIGHUP), 130),
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Faults that are logged go where the test can see them."""
    return {"XDG_STATE_HOME": str(tmp_path / "state")}


def customize(code: str, folder: Path, environment: dict[str, str]) -> None:
    """Have the command run this first."""
    (folder / "sitecustomize.py").write_text(code, encoding="utf-8")
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])


def check_left_well(terminal: Terminal, status: int, took_s: float, expected: int) -> None:
    assert status == expected
    assert took_s < SOON_S
    assert terminal.output.rindex(ALT_SCREEN_OFF) > terminal.output.rindex(ALT_SCREEN_ON)
    assert terminal.output.rindex(CURSOR_ON) > terminal.output.rindex(ALT_SCREEN_ON)
    assert terminal.settings == terminal.settings_before
    assert b"Traceback" not in terminal.output
    assert b"Error" not in terminal.output


@pytest.mark.parametrize("way", WAYS)
def test_it_ends_at_once_and_puts_the_terminal_back_on(way: str, environment: dict[str, str], tmp_path: Path) -> None:
    leave, expected = WAYS[way]
    with Terminal(LOOPMON, "--demo", env=environment) as terminal:
        terminal.wait_for(b"postgres 811")
        leave(terminal)
        status, took_s = terminal.wait_for_end()
        check_left_well(terminal, status, took_s, expected)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("way", ["q", "ctrl-c", "SIGTERM", "SIGHUP"])
def test_it_ends_in_the_middle_of_a_look_that_does_not_return_on(
    way: str, environment: dict[str, str], tmp_path: Path
) -> None:
    customize(BLOCKING, tmp_path, environment)
    blocked = tmp_path / "blocked"
    environment["LOOPMON_TEST_BLOCKED"] = str(blocked)
    leave, expected = WAYS[way]
    with Terminal(LOOPMON, "--source", "psutil", "--interval", "0.1", env=environment) as terminal:
        terminal.wait_for(b"Listeners")
        wait_for(blocked.exists, "a look that does not return")
        leave(terminal)
        status, took_s = terminal.wait_for_end()
        check_left_well(terminal, status, took_s, expected)


def test_it_ends_when_its_terminal_is_closed(environment: dict[str, str], tmp_path: Path) -> None:
    """Several times, and while there is something to write: what was lost once was a race."""
    for _ in range(4):
        with Terminal(LOOPMON, "--demo", "--interval", "0.1", env=environment) as terminal:
            terminal.wait_for(b"postgres 811")
            terminal.send(b"jjjjkkkk")
            terminal.hang_up()
            _, took_s = terminal.wait_for_end(10)
            assert took_s < SOON_S
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGHUP])
def test_it_ends_while_its_terminal_takes_nothing_on(
    way: signal.Signals, environment: dict[str, str], tmp_path: Path
) -> None:
    """As after ctrl-s, or over a connection that hangs."""
    customize(IMPATIENT, tmp_path, environment)
    with Terminal(LOOPMON, "--demo", "--interval", "0.1", env=environment) as terminal:
        terminal.wait_for(b"postgres 811")
        terminal.freeze()
        wait_until_blocked(terminal.pid)
        terminal.signal(way)
        status, took_s = terminal.wait_for_end(10)
        assert status == 130
        assert took_s < SOON_S
        assert terminal.settings == terminal.settings_before


def wait_until_blocked(pid: int) -> None:
    """Until the main thread, which has something to draw ten times a second, has done nothing for half a second."""
    used: list[tuple[float, float]] = []

    def is_blocked() -> bool:
        main = next(thread for thread in psutil.Process(pid).threads() if thread.id == pid)
        now, time_used = time.monotonic(), main.user_time + main.system_time
        if not used or used[-1][1] != time_used:
            used.append((now, time_used))
        return now - used[-1][0] > 0.5

    wait_for(is_blocked, "a main thread that waits for its terminal")


def test_ls_in_a_terminal_never_takes_the_screen() -> None:
    with Terminal(LOOPMON, "ls", "--demo", "port:3000") as terminal:
        status, _ = terminal.wait_for_end()
        assert status == 0
        assert b"node 4312" in terminal.output
        assert ALT_SCREEN_ON not in terminal.output
