"""``loopmon stop`` beside those that must not be stopped: clients, other servers, other users, its own ancestors."""

from __future__ import annotations

import os
import re
import site
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import Servers, has_ended
from stops import Stops
from zoo import TIMEOUT_S, Zoo

import loopmon

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="all owners are found as only Linux tells them")

NOBODY = 65534


@pytest.fixture
def stop(tmp_path: Path) -> Stops:
    return Stops(tmp_path)


@pytest.fixture
def servers() -> Iterator[Servers]:
    with Servers() as started:
        yield started


# Clients


def test_a_client_lives_and_only_loses_its_connection(servers: Servers, zoo: Zoo, stop: Stops) -> None:
    server, client = servers.start("serve"), zoo.child()
    client.connect("127.0.0.1", server.port)
    done = stop(server.port, "--yes")
    assert done.returncode == 0, done.stderr
    assert re.search(rf"CLIENTS  \S+ {client.pid} loses 1 connection\n", done.stderr)
    assert has_ended(server.pid)
    assert not has_ended(client.pid)
    client.listen()
    assert [entry["signalled"][0]["pid"] for entry in stop.entries()] == [server.pid]


def test_a_clients_own_port_is_nothing_to_stop(servers: Servers, zoo: Zoo, stop: Stops) -> None:
    server, client = servers.start("serve"), zoo.child()
    near = client.connect("127.0.0.1", server.port)
    done = stop(near.port, "--yes")
    assert done.returncode == 1
    assert done.stderr.endswith("; only what listens is stopped\n")
    assert not has_ended(client.pid)
    assert not has_ended(server.pid)


def test_a_client_that_has_the_servers_number_elsewhere_lives(servers: Servers, stop: Stops) -> None:
    """From 127.0.0.2, to another server."""
    server, other = servers.start("serve"), servers.start("serve")
    client = servers.start("client", "127.0.0.2", str(other.port), port=server.port)
    done = stop(server.port, "--yes")
    assert done.returncode == 0, done.stderr
    assert has_ended(server.pid)
    assert not has_ended(client.pid)
    assert not has_ended(other.pid)


# Other servers


def test_of_two_servers_on_one_number_the_address_says_which_is_meant(servers: Servers, zoo: Zoo, stop: Stops) -> None:
    server, other = servers.start("serve"), zoo.child()
    other.listen("::1", port=server.port)
    done = stop(server.port, "--yes")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"different servers have port {server.port}: say which one is meant" in done.stderr
    assert re.search(rf"  127\.0\.0\.1:{server.port} is \S+ {server.pid}\n", done.stderr)
    assert re.search(rf"  \[::1\]:{server.port} is \S+ {other.pid}\n", done.stderr)
    assert not has_ended(server.pid)
    other.listen()

    done = stop(f"127.0.0.1:{server.port}", "--yes")
    assert done.returncode == 0, done.stderr
    assert has_ended(server.pid)
    other.listen()

    done = stop(f"[::1]:{server.port}", "--yes")
    assert done.returncode == 0, done.stderr
    assert has_ended(other.pid)


def test_servers_of_one_shell_are_two_servers(zoo: Zoo, stop: Stops) -> None:
    """The test has started both, and loopmon."""
    one, other = zoo.child(), zoo.child()
    port = one.listen().port
    other.listen("::1", port=port)
    assert stop(port, "--yes").returncode == 1
    one.listen()
    other.listen()


def test_localhost_is_both_families(zoo: Zoo, stop: Stops) -> None:
    """As of development servers that listen on ::1 alone."""
    child = zoo.child()
    port = child.listen("::1").port
    done = stop(f"http://localhost:{port}/", "--yes")
    assert done.returncode == 0, done.stderr
    assert has_ended(child.pid)


def test_where_nobody_listens_on_that_address_the_other_one_lives(zoo: Zoo, stop: Stops) -> None:
    child = zoo.child()
    port = child.listen("::1").port
    done = stop(f"127.0.0.1:{port}", "--yes")
    assert (done.returncode, done.stderr) == (0, f"loopmon: nobody listens on 127.0.0.1:{port}: it is free\n")
    child.listen()


def test_another_machines_address_is_not_taken_for_this_ones(zoo: Zoo, stop: Stops) -> None:
    child = zoo.child()
    port = child.listen().port
    done = stop(f"http://staging.example:{port}/", "--yes")
    assert done.returncode == 2
    assert "staging.example is not an address of loopback" in done.stderr
    child.listen()


def test_of_a_wildcard_and_an_address_the_one_that_is_written_is_stopped(zoo: Zoo, stop: Stops) -> None:
    one, wide = zoo.child(), zoo.child()
    port = one.listen(share=True).port
    wide.listen("0.0.0.0", port=port, share=True)
    assert stop(port, "--yes").returncode == 1
    done = stop(f"0.0.0.0:{port}", "--yes")
    assert has_ended(wide.pid)
    one.listen()
    assert done.returncode == 1
    assert f"127.0.0.1:{port} is still held by " in done.stderr.splitlines()[-1]
    done = stop(f"127.0.0.1:{port}", "--yes")
    assert done.returncode == 0, done.stderr


def test_strangers_that_share_a_port_are_told_apart_by_their_numbers(zoo: Zoo, stop: Stops) -> None:
    one, other = zoo.child(), zoo.child()
    port = one.listen(share=True).port
    other.listen(port=port, share=True)
    done = stop(port, "--yes")
    assert done.returncode == 1
    assert "say which one is meant" in done.stderr
    done = stop(f"pid:{one.pid}", "--yes")
    assert done.returncode == 1
    assert re.search(rf"127\.0\.0\.1:{port} is still held by \S+ {other.pid}$", done.stderr)
    assert has_ended(one.pid)
    other.listen()


# Whoever may not be signalled


def test_what_loopmon_runs_inside_is_refused(servers: Servers, stop: Stops) -> None:
    """The server has started it, and would take it along."""
    env = [f"{name}={value}" for name, value in stop.env.items()]
    command = ["env", *env, sys.executable, "-m", "loopmon", "stop", "PORT", "--yes", "--force"]
    server = servers.start("ancestor", *command)
    status, *words = server.line()
    told = " ".join(words)
    assert status == "1"
    assert told.startswith("REFUSED ")
    assert f" {server.pid} is not stopped: loopmon runs inside it" in told
    assert not has_ended(server.pid)
    assert not stop.ledger.exists()


def test_the_machine_itself_is_refused(stop: Stops) -> None:
    """Only asked for: no test sends anything to what it has not started."""
    done = stop("pid:1", "--dry-run", "--force")
    assert done.returncode == 1
    assert " 1 is not stopped: it runs this machine" in done.stdout


def test_another_users_server_is_left_alone_and_the_command_is_given(servers: Servers) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can run loopmon as another user")
    server = servers.start("serve")
    done = stop_as_nobody(server.port)
    assert done.returncode == 4, done.stderr
    assert done.stderr.startswith(f"REFUSED  127.0.0.1:{server.port} is not stopped: ")
    assert f"  instead: sudo loopmon stop {server.port}\n" in done.stderr
    done = stop_as_nobody(f"pid:{server.pid}")
    assert done.returncode == 4, done.stderr
    assert f" {server.pid} is not stopped: it belongs to root\n" in done.stderr
    assert f"  instead: sudo kill {server.pid}\n" in done.stderr
    assert not has_ended(server.pid)


def stop_as_nobody(what: str | int) -> subprocess.CompletedProcess[str]:
    """By this Python, or by the system's where that user may not enter this one's folder."""
    paths = [str(Path(loopmon.__file__).parents[1]), *site.getsitepackages()]
    for python in (sys.executable, "/usr/bin/python3"):
        run = ["-m", "loopmon", "stop", str(what), "--yes"]
        for arguments in (["-c", "import loopmon.commands.stopper"], run):
            try:
                done = subprocess.run(
                    [python, *arguments],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    encoding="utf-8",
                    cwd="/",
                    env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(paths), "XDG_STATE_HOME": "/nonexistent"},
                    timeout=TIMEOUT_S,
                    check=False,
                    user=NOBODY,
                    group=NOBODY,
                    extra_groups=[],
                )
            except OSError:
                break
            if arguments is run:
                return done
            if done.returncode:
                break
    pytest.skip(f"user {NOBODY} may not read a Python that can import loopmon")
