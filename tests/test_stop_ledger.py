"""What every stop leaves behind: one line that only its user may read."""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from servers import Servers, has_ended
from stops import Stops
from zoo import Zoo, run_loopmon

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="all owners are found as only Linux tells them")


@pytest.fixture
def stop(tmp_path: Path) -> Stops:
    return Stops(tmp_path)


@pytest.fixture
def servers() -> Iterator[Servers]:
    with Servers() as started:
        yield started


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_line_says_when_what_who_and_what_came_of_it(servers: Servers, stop: Stops) -> None:
    server = servers.start("serve")
    create_time = psutil.Process(server.pid).create_time()
    assert stop(server.port, "--yes").returncode == 0
    (entry,) = stop.entries()
    assert abs(datetime.now(UTC) - datetime.fromisoformat(entry.pop("at"))) < timedelta(minutes=5)
    (signalled,) = entry.pop("signalled")
    assert abs(signalled.pop("create_time") - create_time) < 0.02
    assert signalled.pop("name").startswith("python")
    where = f"127.0.0.1:{server.port}"
    assert signalled == {"pid": server.pid, "why": f"holds {where}", "signal": "SIGTERM"}
    assert entry == {"what": [where], "outcome": "free", "words": f"{where} is free"}


def test_only_the_user_may_read_it(servers: Servers, stop: Stops) -> None:
    stop(servers.start("serve").port, "--yes")
    assert mode(stop.ledger) == 0o600
    assert mode(stop.ledger.parent) == 0o700


def test_each_stop_has_a_line_of_its_own(zoo: Zoo, stop: Stops) -> None:
    evil = zoo.child()
    evil.rename(b'a\n"\xff\x1b[31m')
    stop(f"pid:{evil.pid}", "--yes")
    stop(f"pid:{zoo.child().pid}", "--yes")
    assert [entry["outcome"] for entry in stop.entries()] == ["ended", "ended"]
    assert stop.ledger.read_bytes().count(b"\n") == 2
    assert stop.ledger.read_bytes().isascii()


def test_a_folder_that_takes_nothing_is_a_warning_and_changes_nothing_else(
    zoo: Zoo, servers: Servers, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    env = {"XDG_STATE_HOME": str(tmp_path / "file")}
    child, stubborn = zoo.child(), servers.start("stubborn")
    done = run_loopmon("stop", f"pid:{child.pid}", "--yes", env=env)
    assert done.returncode == 0
    assert "loopmon: the stop could not be written down: Not a directory\n" in done.stderr
    assert has_ended(child.pid)
    done = run_loopmon("stop", f"pid:{stubborn.pid}", "--yes", "--timeout", "200ms", env=env)
    assert done.returncode == 1
    assert "could not be written down" in done.stderr
