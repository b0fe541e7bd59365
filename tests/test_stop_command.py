"""``loopmon stop`` as scripts run it: the whole server goes, and the exit status says whether its port is free."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from servers import Servers, has_ended
from stops import Stops
from zoo import Zoo, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="all owners are found as only Linux tells them")


@pytest.fixture
def stop(tmp_path: Path) -> Stops:
    return Stops(tmp_path)


@pytest.fixture
def servers() -> Iterator[Servers]:
    with Servers() as started:
        yield started


def test_a_server_is_stopped_and_its_port_proved_free(servers: Servers, stop: Stops) -> None:
    server = servers.start("serve")
    done = stop(server.port, "--yes")
    assert (done.returncode, done.stdout) == (0, "")
    assert has_ended(server.pid)
    lines = done.stderr.splitlines()
    assert re.fullmatch(rf"STOP +1\. \S+ {server.pid}, holds 127\.0\.0\.1:{server.port}", lines[0])
    assert lines[-1] == f"loopmon: 127.0.0.1:{server.port} is free"


def test_of_a_pre_forking_server_the_whole_tree_goes(servers: Servers, stop: Stops) -> None:
    server = servers.start("prefork")
    tree = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    assert len(tree) == 3
    done = stop(server.port, "--yes")
    assert done.returncode == 0, done.stderr
    assert "as master" in done.stderr.splitlines()[0]
    assert all(has_ended(pid) for pid in (server.pid, *map(int, tree)))


def test_workers_with_sockets_of_their_own_are_one_server(servers: Servers, stop: Stops) -> None:
    server = servers.start("siblings")
    (worker,) = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    done = stop(server.port, "--yes")
    assert done.returncode == 0, done.stderr
    assert re.match(rf"STOP +1\. \S+ {server.pid}\b", done.stderr)
    assert has_ended(server.pid)
    assert has_ended(int(worker))


def test_a_stopped_job_ends(servers: Servers, stop: Stops) -> None:
    server = servers.start("serve")
    os.kill(server.pid, signal.SIGSTOP)
    wait_for(lambda: psutil.Process(server.pid).status() == psutil.STATUS_STOPPED, "a server that is stopped")
    assert stop(server.port, "--yes").returncode == 0
    assert has_ended(server.pid)


def test_one_that_ignores_term_lives_until_it_is_forced(servers: Servers, stop: Stops) -> None:
    server = servers.start("stubborn")
    done = stop(server.port, "--yes", "--timeout", "300ms")
    assert done.returncode == 1
    assert "after 0.3 s still there: " in done.stderr
    told = done.stderr.splitlines()[-1]
    assert re.search(
        rf"127\.0\.0\.1:{server.port} is still held by \S+ {server.pid}; .* {server.pid} has not ended", told
    )
    assert not has_ended(server.pid)
    forced = stop(server.port, "--yes", "--timeout", "300ms", "--force")
    assert forced.returncode == 0, forced.stderr
    assert has_ended(server.pid)


def test_another_signal_can_be_first(servers: Servers, stop: Stops) -> None:
    server = servers.start("stubborn")
    assert stop(server.port, "--yes", "--signal", "kill").returncode == 0
    ended = os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
    assert ended
    assert ended.si_status == signal.SIGKILL
    assert [entry["signalled"][0]["signal"] for entry in stop.entries()] == ["SIGKILL"]


def test_one_that_is_started_again_is_named_and_so_is_who_does_it(servers: Servers, stop: Stops) -> None:
    server = servers.start("respawn")
    supervisor = server.started.pid
    done = stop(server.port, "--yes")
    again, port = map(int, server.line())
    assert (done.returncode, port) == (1, server.port)
    assert not has_ended(again)
    assert f" {supervisor}: its parent, which is not signalled" in done.stderr
    told = done.stderr.splitlines()[-1]
    came = rf"loopmon: 127\.0\.0\.1:{port} came back as \S+ {again} after \d+\.\d s"
    assert re.fullmatch(rf"{came}, started again by \S+ {supervisor}", told)


def test_an_heir_that_only_inherited_the_socket_is_stopped(servers: Servers, stop: Stops) -> None:
    """The server has ended long ago."""
    heir = servers.start("heir")
    wait_for(lambda: has_ended(heir.started.pid), "the end of the server")
    done = stop(heir.port, "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0].endswith(f"1. sleep {heir.pid}, holds 127.0.0.1:{heir.port}")
    assert has_ended(heir.pid)


def test_a_server_goes_with_its_heir(servers: Servers, stop: Stops) -> None:
    server = servers.start("lender")
    (heir,) = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    done = stop(server.port, "--yes")
    assert done.returncode == 0, done.stderr
    assert f"sleep {heir}, holds 127.0.0.1:{server.port} as inherited" in done.stderr
    assert has_ended(int(heir))


def test_a_process_can_be_named_by_its_number(servers: Servers, stop: Stops) -> None:
    server = servers.start("serve")
    done = stop(f"pid:{server.pid}", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith(f"127.0.0.1:{server.port} is free\n")
    assert has_ended(server.pid)


def test_a_process_without_a_port_can_be_stopped(zoo: Zoo, stop: Stops) -> None:
    child = zoo.child()
    done = stop(f"pid:{child.pid}", "--yes")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "loopmon: it has ended")
    assert has_ended(child.pid)


def test_of_several_the_worst_outcome_counts(servers: Servers, stop: Stops) -> None:
    willing, stubborn = servers.start("serve"), servers.start("stubborn")
    done = stop(willing.port, stubborn.port, "--yes", "--timeout", "300ms")
    assert done.returncode == 1
    assert has_ended(willing.pid)
    assert not has_ended(stubborn.pid)
    assert [entry["outcome"] for entry in stop.entries()] == ["free", "survived"]


def test_of_several_none_is_stopped_when_one_cannot_be_read(servers: Servers, stop: Stops) -> None:
    server = servers.start("serve")
    done = stop(server.port, "nonsense", "--yes")
    assert done.returncode == 2
    assert "accepted are a port (3000)" in done.stderr
    assert not has_ended(server.pid)


@pytest.mark.parametrize("what", ["", "nonsense", "pid:9999999999", "pid:x", "0", "65536"])
def test_what_cannot_be_read_is_wrong_usage(what: str, stop: Stops) -> None:
    done = stop(what, "--yes")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert not stop.ledger.exists()


def test_a_port_that_nobody_has_is_free(zoo: Zoo, stop: Stops) -> None:
    child = zoo.child()
    server = child.listen()
    child.close(server)
    done = stop(server.port, "--yes")
    assert (done.returncode, done.stderr) == (0, f"loopmon: nobody listens on port {server.port}: it is free\n")
    assert not stop.ledger.exists()


def test_old_connections_that_block_a_port_are_named(zoo: Zoo, stop: Stops) -> None:
    """Of a server that had not set SO_REUSEADDR."""
    child, client = zoo.child(), zoo.child()
    server = child.listen()
    near = client.connect("127.0.0.1", server.port)
    child.close(child.accept(server))
    client.close(near)
    child.close(server)
    done = stop(server.port, "--yes")
    assert done.returncode == 1
    assert "TIME_WAIT" in done.stderr
    assert done.stderr.endswith("; only what listens is stopped\n")


def test_a_dry_run_says_on_the_output_what_would_be_done_and_does_nothing(servers: Servers, stop: Stops) -> None:
    server = servers.start("prefork")
    done = stop(server.port, "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("STOP     1. ")
    assert done.stdout.count("holds 127.0.0.1:") == 4
    assert "CLIENTS  no client loses a connection\n" in done.stdout
    assert not has_ended(server.pid)
    assert not stop.ledger.exists()


def test_without_a_terminal_nobody_is_stopped_unless_yes_is_said(servers: Servers, stop: Stops) -> None:
    server = servers.start("serve")
    done = stop(server.port)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("STOP     1. ")
    assert done.stderr.endswith("loopmon: without a terminal to ask on, say --yes\n")
    assert not has_ended(server.pid)
    assert not stop.ledger.exists()
