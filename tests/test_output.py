"""Where real processes write, what they have open, and their environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from nursery import Nursery
from zoo import wait_for

from loopmon.model import ProcessId
from loopmon.observe import descriptors, output
from loopmon.observe.descriptors import UnreadableError, read_descriptors, the_process
from loopmon.observe.environment import read_environment
from loopmon.observe.output import find_outputs
from loopmon.observe.tail import Tail

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere psutil lists regular files only")


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    with Nursery() as made:
        yield made


def started(nursery: Nursery, tmp_path: Path, *arguments: str, **options: Any) -> tuple[ProcessId, Path]:
    """With its standard output in a file."""
    path = tmp_path / "out.txt"
    identity = nursery.start_into(path, *arguments, **options)
    return identity, path


def test_a_stream_in_a_file_is_found_and_read(nursery: Nursery, tmp_path: Path) -> None:
    identity, path = started(nursery, tmp_path)
    (found,) = find_outputs(identity).files
    assert (found.name, found.shown) == ("stdout", str(path))
    with closing(Tail(found.path)) as tail:
        assert [line.text for line in tail.read()] == ["ready"]


def test_both_streams_in_one_file_are_one(nursery: Nursery, tmp_path: Path) -> None:
    identity, _ = started(nursery, tmp_path, stderr=subprocess.STDOUT)
    assert [found.name for found in find_outputs(identity).files] == ["stdout and stderr"]


def test_a_file_that_was_renamed_or_removed_is_still_what_is_written_to(nursery: Nursery, tmp_path: Path) -> None:
    identity, path = started(nursery, tmp_path)
    path.unlink()
    (found,) = find_outputs(identity).files
    assert found.shown == f"{path} (deleted)"
    with closing(Tail(found.path)) as tail:
        assert [line.text for line in tail.read()] == ["ready"]


def test_open_logs_are_found_and_other_files_are_not(nursery: Nursery, tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("a.log", "data.db")]
    identity, path = started(nursery, tmp_path, names[0], "a", names[0], "a", names[1], "w", stderr=subprocess.DEVNULL)
    found = find_outputs(identity)
    assert [(file.name, file.shown) for file in found.files] == [("stdout", str(path)), ("log", names[0])]
    assert found.files[1].path == names[0]
    assert found.why_none == ""


def test_where_there_is_no_file_it_says_why(nursery: Nursery) -> None:
    quiet = nursery.start(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert find_outputs(quiet).why_none == "its output goes to /dev/null, and no *.log is open"
    piped = nursery.start(stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert find_outputs(piped).why_none == (
        "its stdout goes to a pipe, its stderr goes to /dev/null, and no *.log is open"
    )
    master, slave = os.openpty()
    terminal = os.ttyname(slave)
    seen = nursery.start(stdout=slave, stderr=slave)
    assert find_outputs(seen).why_none == f"its output goes to a terminal ({terminal}), and no *.log is open"
    os.close(slave)
    os.close(master)


def test_one_that_has_ended_or_is_another_by_now_is_not_looked_at() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    identity = ProcessId(child.pid, psutil.Process(child.pid).create_time())
    child.wait()
    own = ProcessId(os.getpid(), 12.0)
    for gone in (identity, own):
        assert find_outputs(gone).why_none == "it has ended"
        found = read_environment(gone)
        assert (found.variables, found.files) == ("it has ended", "it has ended")


def test_one_that_waits_to_be_reaped_has_nothing_any_more() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        identity = ProcessId(child.pid, psutil.Process(child.pid).create_time())
        wait_for(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, "a zombie")
        assert find_outputs(identity).files == ()
        assert isinstance(read_environment(identity).files, str | tuple)


def test_what_may_not_be_read_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise PermissionError(13, "Permission denied")

    own = ProcessId(os.getpid(), psutil.Process().create_time())
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(UnreadableError, match="another user"):
        read_descriptors(own)
    assert "another user" in find_outputs(own).why_none

    def deny(_process: psutil.Process) -> None:
        raise psutil.AccessDenied(own.pid)

    monkeypatch.setattr(psutil.Process, "environ", deny)
    found = read_environment(own)
    assert isinstance(found.variables, str)
    assert "another user" in found.variables
    assert isinstance(found.files, str)


def test_environment_and_open_files_are_sorted(nursery: Nursery, tmp_path: Path) -> None:
    opened = str(tmp_path / "data.db")
    identity, path = started(nursery, tmp_path, opened, "w", env={"B": "2", "A": "x\x1b[31m", "TOKEN": "hunter2"})
    found = read_environment(identity)
    assert isinstance(found.variables, tuple)
    assert found.variables[0] == ("A", "x\x1b[31m")
    assert ("TOKEN", "hunter2") in found.variables
    assert list(found.variables) == sorted(found.variables)
    assert isinstance(found.files, tuple)
    assert [target for _, target in found.files[:2]] == [str(path), os.devnull]
    assert opened in [target for _, target in found.files]
    assert ("pipe", 1) in found.others


def test_the_process_is_the_one_that_is_asked_for() -> None:
    own = ProcessId(os.getpid(), psutil.Process().create_time())
    assert the_process(own).pid == os.getpid()
    with pytest.raises(UnreadableError, match="ended"):
        the_process(ProcessId(own.pid, 0.0))


def test_elsewhere_psutil_says_what_is_open(nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = str(tmp_path / "a.log")
    identity, path = started(nursery, tmp_path, log, "a")
    for module in (descriptors, output):
        monkeypatch.setattr(module, "sys", SimpleNamespace(platform="darwin"))
    assert [(found.name, found.path) for found in find_outputs(identity).files] == [
        ("stdout", str(path)),
        ("log", log),
    ]
    quiet = nursery.start(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert "does not go to a file" in find_outputs(quiet).why_none
