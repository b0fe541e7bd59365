"""What looks left over: the signs, what they weigh, and who outlives a terminal on purpose."""

from __future__ import annotations

from dataclasses import replace

import pytest
from looks import SERVER, found, look, one, served
from making import listening, process, process_id

from loopmon.findings.left_over import IDLE_S
from loopmon.model import Ancestor, Certainty, Finding, FindingId, OwnerUnknown, Process, Protocol, Severity, Ties

HERE = listening("127.0.0.1:3000", SERVER)
ON_TERMINAL = ("/dev/pts/3",) * 3
TERMINAL_GONE = ("/dev/pts/3 (deleted)",) * 3
TO_PIPE = ("/dev/null", "pipe:[1]", "pipe:[1]")
DAEMON = ("/dev/null",) * 3
NOHUP = ("/dev/null", "/home/a/nohup.out", "/home/a/nohup.out")


def server(
    streams: tuple[str, ...] | None = ON_TERMINAL,
    *,
    session_gone: bool | None = False,
    parent_gone: bool | None = False,
    cgroup: str | None = "/user.slice/user-1000.slice/session-2.scope",
    container: str | None = None,
    cwd: str | None = "/home/a/shop",
    exe: str | None = "/usr/bin/node",
    name: str = "node",
    cmdline: tuple[str, ...] = ("node", "server.js"),
) -> Process:
    ties = Ties(4100, session_gone, parent_gone, streams, cgroup, container)
    heir = (Ancestor(process_id(1), "systemd"),)
    plain = process(SERVER, name, cmdline=cmdline)
    return replace(plain, ties=ties, cwd=cwd, exe=exe, ppid=1, parents=heir)


CLOSED = server(TERMINAL_GONE, session_gone=True, parent_gone=True)
"""Somebody closed the window."""


def accused(*processes: Process) -> list[Finding]:
    return found(FindingId.LEFT_OVER, look([HERE], processes=processes))


def test_each_sign_that_is_there_is_named_and_counted() -> None:
    everything = replace(CLOSED, cwd="/tmp/shop (deleted)", exe="/usr/bin/node (deleted)")
    looks = [look([HERE], processes=[everything], after_s=after) for after in (0, IDLE_S + 60)]
    finding = one(FindingId.LEFT_OVER, *looks)
    assert (finding.severity, finding.certainty) == (Severity.WARNING, Certainty.LIKELY)
    assert finding.title == "looks left over (6 of 6 signs)"
    assert finding.evidence == (
        "its terminal, /dev/pts/3, is closed",
        "the shell of its session, 4100, has ended",
        "whoever started it has ended; its parent is systemd 1 now",
        "its folder, /tmp/shop, is deleted",
        "its program, /usr/bin/node, is deleted",
        "no client for 2h",
    )
    assert finding.remedy == f"if nobody needs node {SERVER}: x, or loopmon stop 3000"


def test_signs_that_could_not_be_looked_for_are_not_counted() -> None:
    blind = server(TERMINAL_GONE, session_gone=None, parent_gone=None, cwd=None, exe=None)
    assert accused(blind)[0].title == "looks left over (1 of 2 signs)"


@pytest.mark.parametrize(
    ("holder", "certainty"),
    [
        pytest.param(CLOSED, Certainty.LIKELY, id="its window was closed"),
        pytest.param(server(TERMINAL_GONE), Certainty.POSSIBLE, id="only its terminal is gone"),
        pytest.param(server(cwd="/tmp/x (deleted)"), Certainty.LIKELY, id="its folder was deleted"),
        pytest.param(server(TO_PIPE, parent_gone=True), Certainty.POSSIBLE, id="its parent ended, the shell has not"),
        pytest.param(server(DAEMON, parent_gone=True), Certainty.POSSIBLE, id="an orphan in a living shell"),
        pytest.param(
            server(TO_PIPE, session_gone=True, parent_gone=True), Certainty.LIKELY, id="it writes to a reader of old"
        ),
        pytest.param(
            server(("socket:[7]",) * 3, session_gone=True, parent_gone=True), Certainty.LIKELY, id="or to a socket"
        ),
    ],
)
def test_what_somebody_typed_and_left_is_accused(holder: Process, certainty: Certainty) -> None:
    assert [finding.certainty for finding in accused(holder)] == [certainty]


@pytest.mark.parametrize(
    "holder",
    [
        pytest.param(server(), id="a server in its shell"),
        pytest.param(server(DAEMON, session_gone=True, parent_gone=True), id="a daemon that forked twice"),
        pytest.param(server(NOHUP, session_gone=True, parent_gone=True), id="nohup"),
        pytest.param(server(("",) * 3, session_gone=True, parent_gone=True), id="a daemon with closed streams"),
        pytest.param(server(session_gone=True), id="a shell that was replaced, with the parent there"),
        pytest.param(server(exe="/usr/bin/node (deleted)"), id="an upgraded program"),
        pytest.param(server(None, session_gone=None, parent_gone=None, cwd=None, exe=None), id="nothing is known"),
        pytest.param(server(None, session_gone=True, parent_gone=True), id="streams that may not be read"),
    ],
)
def test_what_runs_as_it_should_is_not_accused(holder: Process) -> None:
    assert not accused(holder)


@pytest.mark.parametrize(
    ("cgroup", "is_service"),
    [
        ("/system.slice/foo.service", True),
        ("/system.slice/system-postgres.slice/postgres@15.service", True),
        ("/system.slice/foo.service/payload", True),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", True),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-x-12.scope", False),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/gnome-terminal-server.service", False),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.kde.konsole@1.service", False),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/app-com.mitchellh.ghostty.service", False),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.gnome.Terminal.slice/vte-spawn-1.scope",
            False,
        ),
        ("/user.slice/user-1000.slice/session-2.scope", False),
        ("/", False),
        (None, False),
    ],
)
def test_a_service_is_not_accused_but_a_terminals_own_is_no_excuse(cgroup: str | None, is_service: bool) -> None:
    closed = server(TERMINAL_GONE, session_gone=True, parent_gone=True, cgroup=cgroup)
    assert bool(accused(closed)) is not is_service


def test_what_is_in_a_container_of_its_own_is_not_accused() -> None:
    assert not accused(server(TO_PIPE, parent_gone=True, container="4f" * 32))


@pytest.mark.parametrize(
    ("name", "cmdline"),
    [
        ("tmux: server", ("tmux",)),
        ("screen", ("SCREEN", "-S", "work")),
        ("SCREEN", ("SCREEN",)),
        ("zellij", ("zellij", "--server")),
        ("mosh-server", ("mosh-server", "new")),
        ("ssh-agent", ("ssh-agent",)),
        ("code-server", ("/usr/lib/code-server", "--port")),
        ("node", ("/home/a/.vscode-server/bin/1f/node", "/home/a/.vscode-server/bin/1f/out/server-main.js")),
        ("node", ("/home/a/.cursor-server/node", "server.js")),
        ("java", ("/opt/JetBrains/idea/jbr/bin/java", "-jar", "host.jar")),
    ],
)
def test_programs_that_outlive_their_terminal_on_purpose_are_not_accused(name: str, cmdline: tuple[str, ...]) -> None:
    assert not accused(
        server(TERMINAL_GONE, session_gone=True, parent_gone=True, name=name, cmdline=cmdline, cgroup="/")
    )


def test_as_long_as_one_holder_is_at_home_nobody_is_accused() -> None:
    both = listening("127.0.0.1:3000", SERVER, 5)
    assert not found(FindingId.LEFT_OVER, look([both], processes=[CLOSED, process(5)]))


def test_workers_are_judged_by_their_master() -> None:
    """Of a master whose terminal was closed the workers' parent is there."""
    worker = replace(process(5), parents=(Ancestor(process_id(SERVER), "node"),))
    both = listening("127.0.0.1:3000", SERVER, 5)
    assert found(FindingId.LEFT_OVER, look([both], processes=[CLOSED, worker]))


def test_a_listener_without_a_known_holder_and_udp_are_left_alone() -> None:
    assert not found(FindingId.LEFT_OVER, look([listening("127.0.0.1:3000", unknown=OwnerUnknown.OTHER_USER)]))
    udp = listening("127.0.0.1:3000", SERVER, protocol=Protocol.UDP)
    assert not found(FindingId.LEFT_OVER, look([udp], processes=[CLOSED]))


def test_a_quiet_port_alone_is_nothing_to_look_at() -> None:
    looks = [look([HERE], processes=[server()], after_s=after) for after in (0, 99 * IDLE_S)]
    assert not found(FindingId.LEFT_OVER, *looks)


def test_a_client_starts_the_quiet_time_anew() -> None:
    quiet = look([HERE], processes=[CLOSED])
    with_client = replace(look([HERE], [served(HERE, 40000)], [CLOSED], after_s=IDLE_S))
    with_client = replace(with_client, listeners=tuple(replace(row, connections=1) for row in with_client.listeners))
    late = look([HERE], processes=[CLOSED], after_s=IDLE_S + 60)
    assert "no client for 2h" in one(FindingId.LEFT_OVER, quiet, late).evidence
    assert "no client for 2h" not in one(FindingId.LEFT_OVER, quiet, with_client, late).evidence
