"""What is read of where real processes were started from: session, parent, streams, control group."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from strays import Stray, Strays, command
from terminal import Terminal
from zoo import Zoo, run_python, wait_for

from loopmon.model import Ties
from loopmon.observe.ties import read_ties

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")


@pytest.fixture
def strays(tmp_path: Path) -> Iterator[Strays]:
    with Strays(tmp_path) as kept:
        yield kept


def ties_of(pid: int) -> Ties:
    return read_ties(pid, psutil.Process(pid).ppid())


def below_a_shell(note: Path) -> tuple[str, ...]:
    return ("/bin/sh", "-c", f"{' '.join(command('serve', note))} & wait")


def test_a_process_with_a_session_of_its_own_is_its_own_leader(zoo: Zoo) -> None:
    child = zoo.child()
    ties = ties_of(child.pid)
    assert (ties.session, ties.session_gone, ties.parent_gone) == (child.pid, False, False)


def test_below_a_shell_the_session_is_the_shells(strays: Strays) -> None:
    note = strays.note()
    with Terminal(*below_a_shell(note)) as terminal:
        ties = ties_of(strays.meet(note).pid)
        assert (ties.session, ties.session_gone, ties.parent_gone) == (terminal.pid, False, False)


def test_when_the_shell_ends_session_and_parent_are_gone(strays: Strays) -> None:
    note = strays.note()
    with Terminal(*below_a_shell(note)) as terminal:
        server = strays.meet(note)
        terminal.signal(signal.SIGKILL)
        terminal.wait_for_end()
        ties = ties_of(server.pid)
        assert (ties.session, ties.session_gone, ties.parent_gone) == (terminal.pid, True, True)


def test_a_leader_that_nobody_has_reaped_yet_is_gone_as_well(strays: Strays) -> None:
    server, leader = strays.start("orphan_later", stdin=subprocess.PIPE)
    assert leader.stdin is not None
    assert ties_of(server.pid).session_gone is False
    leader.stdin.close()
    wait_for(lambda: psutil.Process(leader.pid).status() == psutil.STATUS_ZOMBIE, "the leader's end")
    ties = ties_of(server.pid)
    assert (ties.session, ties.session_gone, ties.parent_gone) == (leader.pid, True, True)


def test_an_orphan_in_a_session_whose_shell_is_there_has_lost_its_parent_only(strays: Strays) -> None:
    note = strays.note()
    with Terminal("/bin/sh", "-c", f"{' '.join(command('orphan', note))}; read line") as terminal:
        server = strays.meet(note)
        wait_for(lambda: ties_of(server.pid).parent_gone, "the parent's end")
        ties = ties_of(server.pid)
        assert (ties.session, ties.session_gone) == (terminal.pid, False)


UNDER_A_SUBREAPER = """
import ctypes, json, os, sys
from dataclasses import asdict
from loopmon.observe.ties import read_ties
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER
ours, theirs = os.pipe()
shell = os.fork()
if shell == 0:
    os.close(ours)
    os.setsid()
    server = os.fork()
    if server:
        os.write(theirs, str(server).encode())
        os._exit(0)
    sys.stdin.read()
    os._exit(0)
os.close(theirs)
server = int(os.read(ours, 64))
os.waitpid(shell, 0)
ties = read_ties(server, int(open(f"/proc/{server}/stat").read().rpartition(")")[2].split()[1]))
print(json.dumps([shell, server, os.getpid(), asdict(ties)]))
os.kill(server, 9)
os.waitpid(server, 0)
"""


def test_an_orphan_that_a_subreaper_took_in_has_lost_its_parent() -> None:
    done = run_python("-c", UNDER_A_SUBREAPER)
    assert done.returncode == 0, done.stderr
    shell, _, _, ties = json.loads(done.stdout)
    assert (ties["session"], ties["session_gone"], ties["parent_gone"]) == (shell, True, True)


def test_streams_are_what_the_kernel_calls_them(strays: Strays) -> None:
    server, _ = strays.start("serve")
    streams = ties_of(server.pid).streams
    assert streams is not None
    assert streams[0] == os.devnull
    assert streams[1].startswith("pipe:[")
    assert streams[1] == streams[2]


def test_a_closed_terminal_is_a_deleted_one(strays: Strays) -> None:
    note = strays.note()
    with Terminal(*below_a_shell(note)) as terminal:
        server = strays.meet(note)
        before = ties_of(server.pid).streams
        assert before is not None
        assert all(target.startswith("/dev/pts/") for target in before[1:])
        terminal.hang_up()
        terminal.wait_for_end()
        after = ties_of(server.pid).streams
        assert after is not None
        assert after[1:] == tuple(f"{target} (deleted)" for target in before[1:])


def test_a_stream_that_is_closed_points_nowhere(strays: Strays) -> None:
    note = strays.note()
    words = " ".join(command("serve", note))
    shell = subprocess.Popen(["/bin/sh", "-c", f"exec {words} <&- >&- 2>&-"], start_new_session=True)
    try:
        server: Stray = strays.meet(note)
        streams = ties_of(server.pid).streams
        assert streams is not None
        assert "" in streams
    finally:
        shell.kill()
        shell.wait()


def test_the_control_group_is_a_path_or_unknown() -> None:
    ties = ties_of(os.getpid())
    assert ties.cgroup is None or ties.cgroup.startswith("/")
    assert ties.container is None, "whatever loopmon is in itself is no container of the other"


def test_of_a_process_that_has_ended_nothing_is_known() -> None:
    gone = subprocess.Popen(["true"], start_new_session=True)
    gone.wait()
    ties = read_ties(gone.pid, os.getpid())
    assert (ties.session, ties.session_gone, ties.parent_gone, ties.cgroup) == (None, None, None, None)
    assert ties.streams in {None, ("", "", "")}


def test_a_process_whose_parent_is_unknown_has_not_lost_it(zoo: Zoo) -> None:
    assert read_ties(zoo.child().pid, None).parent_gone is None
