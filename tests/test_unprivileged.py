"""What another user is told of root's sockets: every row, no owner, and the truth about why."""

from __future__ import annotations

import csv
import json
import os
import site
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from zoo import TIMEOUT_S, Child, Held, Zoo, wait_for

import loopmon

NOBODY = 65534
LIMIT = "owners of other users' sockets cannot be read without root"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user")


class Guest:
    """Another user of this machine, who can run loopmon."""

    def __init__(self, python: str) -> None:
        self.python = python

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        paths = [str(Path(loopmon.__file__).parents[1]), *site.getsitepackages()]
        return subprocess.run(
            [self.python, *args],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            cwd="/",
            env={
                "PATH": os.defpath,
                "PYTHONPATH": os.pathsep.join(paths),
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONIOENCODING": "utf-8",
            },
            timeout=TIMEOUT_S,
            check=False,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
        )

    def ls(self, *args: str) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "loopmon", "ls", *args)

    def document(self, *args: str) -> Any:
        done = self.ls("--json", *args)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def guest() -> Guest:
    """By this Python, or by the system's where that user may not enter this one's folder."""
    for python in (sys.executable, "/usr/bin/python3"):
        found = Guest(python)
        try:
            if found.run("-c", "import loopmon.commands.front").returncode == 0:
                return found
        except OSError:
            continue
    pytest.skip(f"user {NOBODY} may not read a Python that can import loopmon")


@pytest.fixture
def root(zoo: Zoo) -> Child:
    return zoo.child()


@pytest.fixture
def own(zoo: Zoo, guest: Guest) -> Child:
    """A process of the guest's."""
    if guest.run("-c", f"open({os.fspath(Path(__file__).with_name('zoo.py'))!r})").returncode:
        pytest.skip(f"user {NOBODY} may not read the tests")
    return zoo.child(uid=NOBODY, python=guest.python, cwd=Path("/"))


def listener_at(document: Any, held: Held) -> Any:
    (found,) = [listener for listener in document["listeners"] if listener["port"] == held.port]
    return found


@pytest.mark.parametrize(("source", "honest"), [("psutil", {"unknown"}), ("auto", {"unknown", "other-user"})])
def test_a_server_of_roots_is_there_without_owner_and_the_limits_say_so(
    root: Child, guest: Guest, source: str, honest: set[str]
) -> None:
    server = root.listen()
    document = guest.document("--source", source)
    found = listener_at(document, server)
    assert (found["address"], found["port"]) == ("127.0.0.1", server.port)
    assert (found["owners"], found["user"]) == ([], None)
    assert found["owner_unknown"] in honest
    assert document["limits"]


def test_the_limit_is_told_on_the_error_stream_and_the_table_has_the_row(root: Child, guest: Guest) -> None:
    server = root.listen()
    done = guest.ls("--source", "psutil", f"port:{server.port}")
    assert done.returncode == 0
    assert LIMIT in done.stderr
    row = done.stdout.splitlines()[1].split()
    assert row[:3] == [str(server.port), "127.0.0.1", "(unknown)"]


def test_csv_says_that_the_owner_is_unknown(root: Child, guest: Guest) -> None:
    server = root.listen()
    done = guest.ls("--source", "psutil", "--csv", f"port:{server.port}")
    (row,) = csv.DictReader(done.stdout.splitlines())
    assert (row["pid"], row["process"], row["owner_unknown"]) == ("", "", "unknown")


def test_of_a_connection_to_root_the_own_end_is_known(root: Child, own: Child, guest: Guest) -> None:
    server = root.listen()
    client = own.connect("127.0.0.1", server.port)
    root.accept(server)
    (found,) = guest.document("--source", "psutil", f"port:{client.port}")["connections"]
    assert [owner["pid"] for owner in found["client"]["owners"]] == [own.pid]
    assert found["client"]["owner_unknown"] is None
    assert (found["server"]["owners"], found["server"]["owner_unknown"]) == ([], "unknown")
    assert (found["server"]["known_owners"], found["server"]["owners_basis"]) == ([], "unknown")


TWO_LOOKS = """
import sys
from loopmon.sources.psutil_source import PsutilSource
source = PsutilSource()
for _ in range(2):
    sockets = [found for found in source.read().sockets if found.laddr.port == int(sys.argv[1])]
    print(*sorted(f"{found.status} {found.owner_unknown}" for found in sockets), sep="\\n")
"""


def test_without_seeing_everybody_no_further_look_claims_to_know_more(root: Child, own: Child, guest: Guest) -> None:
    """Root's queue holds a connection that was never accepted, but a process of root's could as well hold it."""
    server = root.listen()
    own.connect("127.0.0.1", server.port)
    done = guest.run("-c", TWO_LOOKS, str(server.port))
    assert done.stdout.splitlines() == ["ESTABLISHED unknown", "LISTEN unknown"] * 2


def test_an_own_server_has_its_owner_and_details(own: Child, guest: Guest) -> None:
    server = own.listen()
    document = guest.document("--source", "psutil", f"port:{server.port}")
    found = listener_at(document, server)
    assert [(owner["pid"], owner["fd"]) for owner in found["owners"]] == [(own.pid, server.fd)]
    assert found["owner_unknown"] is None
    (process,) = document["processes"]
    assert (process["pid"], process["cwd"]) == (own.pid, "/")
    assert process["ppid"] == os.getpid()


def test_what_the_kernel_holds_is_known_even_so(root: Child, guest: Guest) -> None:
    server = root.listen()
    client = root.connect("127.0.0.1", server.port)
    accepted = root.accept(server)
    root.close(client)
    root.close(accepted)

    def waiting() -> Any:
        found = guest.document("--source", "psutil")["connections"]
        return [c for c in found if c["client"]["port"] == client.port and c["status"] == "TIME_WAIT"]

    (found,) = wait_for(waiting, "TIME_WAIT")
    assert found["client"]["owner_unknown"] == "kernel"
