"""Who asks for a stop, and what a process has started, read from the real process table."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator

import psutil
import pytest
from servers import Servers
from zoo import Zoo

from loopmon.actions.asker import read_descendants, read_process, who_asks
from loopmon.model import ProcessId


@pytest.fixture
def servers() -> Iterator[Servers]:
    with Servers() as started:
        yield started


def identity(pid: int) -> ProcessId:
    return ProcessId(pid, psutil.Process(pid).create_time())


def test_whoever_asks_knows_itself_and_all_above_it() -> None:
    asker = who_asks()
    assert asker.pid == os.getpid()
    assert asker.ancestors == {above.pid for above in psutil.Process().parents()}
    assert os.getppid() in asker.ancestors
    assert asker.is_root == (os.geteuid() == 0)
    assert asker.user == psutil.Process().username()


def test_what_a_process_has_started_comes_parents_first(servers: Servers) -> None:
    """A shell that waits for a server that has forked workers."""
    server = servers.start("prefork", below=("/bin/sh", "-c", '"$@"; exit', "sh"))
    shell, master = identity(server.started.pid), server.pid
    assert shell.pid != master
    (found,) = read_descendants([shell]).values()
    assert len(found) == 4
    assert found[0].id.pid == master
    assert {each.ppid for each in found[1:]} == {master}
    assert [each.id for each in found] == [identity(each.id.pid) for each in found]


def test_a_stranger_with_the_number_has_started_nothing(servers: Servers) -> None:
    server = servers.start("prefork")
    once = ProcessId(server.pid, 1.0)
    assert read_descendants([once]) == {once: []}


def test_one_that_has_ended_has_started_nothing(zoo: Zoo) -> None:
    child = zoo.child()
    gone = identity(child.pid)
    child.stop()
    assert read_descendants([gone]) == {gone: []}
    assert read_process(child.pid) is None


@pytest.mark.parametrize("pid", [-1, 2**22 + 1, 2**31, 2**64])
def test_a_number_that_no_process_can_have_is_nobody(pid: int) -> None:
    assert read_process(pid) is None


def test_a_process_is_read_as_it_is_now(zoo: Zoo) -> None:
    child = zoo.child("serve", "--fast")
    found = read_process(child.pid)
    assert found is not None
    assert found.id == identity(child.pid)
    assert (found.cmdline or ())[-2:] == ("serve", "--fast")
    assert (found.ppid, found.user) == (os.getpid(), psutil.Process().username())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no numbers among the processes")
def test_a_threads_number_is_no_process() -> None:
    """Its signals would reach the process that it belongs to, which may be one that is never signalled."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        assert thread.native_id is not None
        assert read_process(thread.native_id) is None
    finally:
        end.set()
        thread.join()
