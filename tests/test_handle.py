"""A signal reaches the process that was seen, or nobody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from servers import Servers, has_ended
from strays import Strays
from zoo import Child, Held, Zoo, wait_for

from loopmon.actions import handle as module
from loopmon.actions.asker import read_process
from loopmon.actions.handle import Handle, LostError
from loopmon.actions.plan import Victim
from loopmon.model import Process, ProcessId

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pidfds and inodes are Linux's")

REFUSED = 77


@pytest.fixture(params=["pidfd", "psutil"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the system's own handles, and as on systems that have none."""
    if request.param == "psutil":
        monkeypatch.delattr(os, "pidfd_open")
    elif not hasattr(os, "pidfd_open"):
        pytest.skip("this Python has no os.pidfd_open")
    return str(request.param)


both_ways = pytest.mark.usefixtures("way")


@pytest.fixture
def servers() -> Iterator[Servers]:
    with Servers() as started:
        yield started


def seen(pid: int, *inodes: int) -> Victim:
    process = read_process(pid)
    assert process is not None
    return Victim(process, "chosen", frozenset(inodes))


def inode_of(child: Child, held: Held) -> int:
    return Path(f"/proc/{child.pid}/fd/{held.fd}").stat().st_ino


@both_ways
def test_the_signal_reaches_exactly_that_process(zoo: Zoo) -> None:
    target, neighbour = zoo.child(), zoo.child()
    with closing(Handle(seen(target.pid))) as handle:
        assert not handle.has_ended()
        handle.send(signal.SIGTERM)
        wait_for(handle.has_ended, "the end of the target")
    assert has_ended(target.pid)
    neighbour.listen()


@both_ways
def test_a_number_that_is_anothers_now_is_not_signalled(zoo: Zoo) -> None:
    target, stranger = zoo.child(), zoo.child()
    once = psutil.Process(target.pid).create_time()
    process = replace(seen(stranger.pid).process, id=ProcessId(stranger.pid, once - 60))
    with pytest.raises(LostError, match="its number is another process's now"):
        Handle(Victim(process, "chosen"))
    stranger.listen()


@both_ways
def test_a_holder_is_signalled_while_it_holds_the_socket(zoo: Zoo) -> None:
    child = zoo.child()
    held = child.listen()
    with closing(Handle(seen(child.pid, inode_of(child, held), 1))) as handle:
        handle.send(signal.SIGTERM)
        wait_for(handle.has_ended, "the end of the holder")


@both_ways
def test_one_that_has_closed_the_socket_is_not_signalled(zoo: Zoo) -> None:
    child = zoo.child()
    held = child.listen()
    victim = seen(child.pid, inode_of(child, held))
    child.close(held)
    with pytest.raises(LostError, match="it does not hold the socket any more"):
        Handle(victim)
    child.listen()


def test_a_socket_in_the_table_of_a_thread_counts(tmp_path: Path) -> None:
    """As of a server whose main thread has ended."""
    with Strays(tmp_path) as strays:
        server, _ = strays.start("thread")
        task = next(path for path in Path(f"/proc/{server.pid}/task").iterdir() if path.name != str(server.pid))
        links = [str(link.readlink()) for link in (task / "fd").iterdir()]
        (inode,) = [int(link[8:-1]) for link in links if link.startswith("socket:[")]
        wait_for(lambda: not Path(f"/proc/{server.pid}/fd/0").exists(), "the end of the main thread")
        identity = ProcessId(server.pid, psutil.Process(server.pid).create_time())
        victim = Victim(Process(identity, "python"), "chosen", frozenset({inode}))
        with closing(Handle(victim)) as handle:
            assert not handle.has_ended()
            handle.send(signal.SIGKILL)
            wait_for(handle.has_ended, "the end of all threads")


@both_ways
def test_one_that_has_ended_is_lost(zoo: Zoo) -> None:
    child = zoo.child()
    victim = seen(child.pid)
    child.stop()
    with pytest.raises(LostError, match="it has ended"):
        Handle(victim)


@both_ways
def test_one_that_ends_after_it_was_held_is_lost(zoo: Zoo) -> None:
    child = zoo.child()
    with closing(Handle(seen(child.pid))) as handle:
        child.stop()
        assert handle.has_ended()
        with pytest.raises(LostError, match="it has ended"):
            handle.send(signal.SIGTERM)
        assert not handle.is_stopped


@both_ways
def test_one_that_nobody_has_asked_for_its_status_has_ended(servers: Servers) -> None:
    """The test is its parent, and does not."""
    server = servers.start("serve")
    with closing(Handle(seen(server.pid))) as handle:
        handle.send(signal.SIGKILL)
        wait_for(handle.has_ended, "the end of the server")
        assert psutil.Process(server.pid).status() == psutil.STATUS_ZOMBIE


@both_ways
def test_a_stopped_one_is_known(servers: Servers) -> None:
    server = servers.start("serve")
    with closing(Handle(seen(server.pid))) as handle:
        assert not handle.is_stopped
        handle.send(signal.SIGSTOP)
        wait_for(lambda: handle.is_stopped, "the stopped server")


@both_ways
def test_what_may_not_be_signalled_is_a_permission_error(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError

    child = zoo.child()
    monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
    monkeypatch.setattr(os, "kill", refuse)
    with closing(Handle(seen(child.pid))) as handle, pytest.raises(PermissionError):
        handle.send(signal.SIGTERM)


def test_a_kernel_without_pidfds_is_served_by_psutil(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    def lack(_pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", lack)
    child = zoo.child()
    with closing(Handle(seen(child.pid))) as handle:
        handle.send(signal.SIGTERM)
        wait_for(handle.has_ended, "the end of the target")


def test_descriptors_are_closed_whether_it_was_held_or_lost(zoo: Zoo) -> None:
    child = zoo.child()
    victim = seen(child.pid)
    gone = replace(victim, process=replace(victim.process, id=ProcessId(child.pid, 1.0)))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        handle = Handle(victim)
        handle.close()
        handle.close()
        for lost in (gone, replace(victim, inodes=frozenset({1}))):
            with pytest.raises(LostError):
                Handle(lost)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_whatever_fails_while_it_is_checked_leaves_no_descriptor(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int) -> set[int]:
        raise psutil.AccessDenied

    child = zoo.child()
    victim = seen(child.pid, 1)
    monkeypatch.setattr(module, "_sockets", refuse)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(PermissionError):
        Handle(victim)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# A number that really is used again: in a world of numbers of its own, where the next one can be chosen


def test_the_same_number_given_to_another_process_is_nobody_it_knows(tmp_path: Path) -> None:
    script = tmp_path / "again.py"
    script.write_text(f"import sys; sys.path[:0] = {sys.path!r}; import test_handle; test_handle.use_again()")
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, str(script)]
    try:
        done = subprocess.run(unshare, capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare(1) to make a namespace of process numbers with")
    if done.returncode == REFUSED or done.stderr.startswith("unshare:"):
        pytest.skip(f"no process number can be used again here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["again"]
    assert told["held"] == "it has ended"
    assert told["opened"] == "its number is another process's now"
    assert told["psutil"] == "it has ended"
    assert told["lives"]


def use_again() -> None:
    """In that world: what becomes of three handles on a process whose number another one has got."""
    sleeping = [sys.executable, "-S", "-c", "print(flush=True); input()"]

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(sleeping, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    first = start()
    victim = seen(first.pid)
    held = Handle(victim)
    opening = os.pidfd_open
    del os.pidfd_open
    by_psutil = Handle(victim)
    os.pidfd_open = opening
    first.communicate()
    began = time.monotonic()
    wait_for(lambda: time.monotonic() > began + 0.1, "a start time that is another one")
    second = None
    for _ in range(20):
        try:
            Path("/proc/sys/kernel/ns_last_pid").write_text(str(first.pid - 1))
        except OSError as error:
            print(error, file=sys.stderr)
            sys.exit(REFUSED)
        second = start()
        if second.pid == first.pid:
            break
        second.communicate()
    assert second is not None

    def fate(handle: Handle | None) -> str:
        try:
            (handle or Handle(victim)).send(signal.SIGKILL)
        except LostError as reason:
            return str(reason)
        return "signalled"

    told = {
        "again": second.pid == first.pid,
        "held": fate(held),
        "opened": fate(None),
        "psutil": fate(by_psutil),
        "lives": second.poll() is None and not has_ended(second.pid),
    }
    second.communicate()
    print(json.dumps(told))
