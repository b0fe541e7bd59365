"""Signals and hang-ups end the monitor at once, with the terminal put back where there still is one."""

from __future__ import annotations

import signal
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

read_sockets, looks = psutil.net_connections, []

def block(*args, **kwargs):
    looks.append(None)
    if len(looks) > 1:
        open(os.environ["LOOPMON_TEST_BLOCKED"], "w").close()
        time.sleep(30)
    return read_sockets(*args, **kwargs)

psutil.net_connections = block
"""
"""From the second look on, the system does not answer."""

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


@pytest.mark.parametrize("way", WAYS)
def test_it_ends_in_the_middle_of_a_look_that_does_not_return_on(
    way: str, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCKING, encoding="utf-8")
    blocked = tmp_path / "blocked"
    environment |= {"PYTHONPATH": str(tmp_path), "LOOPMON_TEST_BLOCKED": str(blocked)}
    leave, expected = WAYS[way]
    with Terminal(LOOPMON, "--interval", "0.1", env=environment) as terminal:
        terminal.wait_for(b"psutil")
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


def test_it_ends_on_a_signal_while_its_terminal_takes_nothing(environment: dict[str, str]) -> None:
    """As after ctrl-s, or over a connection that hangs."""
    with Terminal(LOOPMON, "--demo", "--interval", "0.1", env=environment) as terminal:
        terminal.wait_for(b"postgres 811")
        terminal.freeze()
        for _ in range(20):
            terminal.send(b"jjjjkkkk")
        wait_until_still(terminal.pid)
        terminal.signal(signal.SIGTERM)
        _, took_s = terminal.wait_for_end(10)
        assert took_s < SOON_S


def wait_until_still(pid: int) -> None:
    """Until the process has used no processor time for ten looks at it."""
    process = psutil.Process(pid)
    history: list[float] = []

    def is_still() -> bool:
        history.append(sum(process.cpu_times()[:2]))
        return len(history) > 10 and history[-1] == history[-10]

    wait_for(is_still, "a process that waits")


def test_ls_in_a_terminal_never_takes_the_screen() -> None:
    with Terminal(LOOPMON, "ls", "--demo", "port:3000") as terminal:
        status, _ = terminal.wait_for_end()
        assert status == 0
        assert b"node 4312" in terminal.output
        assert ALT_SCREEN_ON not in terminal.output
