"""The command line as a process: what it prints, where, and with which exit status."""

from __future__ import annotations

import csv
import json
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import pytest
from zoo import TIMEOUT_S, Zoo, run_loopmon, run_python

from loopmon import __version__
from loopmon.exit_status import ExitStatus

OPTIONAL_INT = (int, type(None))
OPTIONAL_STR = (str, type(None))
OPTIONAL_NUMBER = (int, float, type(None))
OWNER_UNKNOWN = {
    None, "other-user", "not-accepted", "kernel", "closed-by-process", "unreadable-process", "not-found", "unknown",
}  # fmt: skip
PORT_CLASSES = {"well-known", "registered", "dynamic", "ephemeral"}
STATUSES = {
    "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK",
    "CLOSING", "NONE",
}  # fmt: skip

OWNERS = [{"pid": int, "create_time": OPTIONAL_NUMBER, "name": OPTIONAL_STR, "fd": OPTIONAL_INT}]
END = {
    "address": str, "port": int, "port_class": PORT_CLASSES, "status": STATUSES | {None}, "inode": OPTIONAL_INT,
    "uid": OPTIONAL_INT, "owners": OWNERS, "owner_unknown": OWNER_UNKNOWN, "recv_queue": OPTIONAL_INT,
    "send_queue": OPTIONAL_INT,
}  # fmt: skip
LISTENER = {
    "id": str, "protocol": {"tcp", "udp"}, "family": {"ipv4", "ipv6"}, "address": str, "port": int,
    "service": OPTIONAL_STR, "port_class": PORT_CLASSES, "exposed": bool, "v6only": (bool, type(None)),
    "inode": OPTIONAL_INT, "uid": OPTIONAL_INT, "user": OPTIONAL_STR, "owners": OWNERS,
    "owner_unknown": OWNER_UNKNOWN, "queue": OPTIONAL_INT, "backlog": OPTIONAL_INT, "connections": int,
    "findings": [str],
}  # fmt: skip
CONNECTION = {
    "id": str, "client": END, "server": END, "bytes_to_server": OPTIONAL_INT, "bytes_to_client": OPTIONAL_INT,
    "rtt_ms": OPTIONAL_NUMBER, "retransmits": OPTIONAL_INT, "findings": [str],
}  # fmt: skip
PROCESS = {
    "pid": int, "create_time": OPTIONAL_NUMBER, "name": OPTIONAL_STR, "cmdline": ([str], None), "cwd": OPTIONAL_STR,
    "project": OPTIONAL_STR, "branch": OPTIONAL_STR, "user": OPTIONAL_STR, "status": OPTIONAL_STR,
    "ppid": OPTIONAL_INT, "parents": [{"pid": int, "name": OPTIONAL_STR}], "tty": OPTIONAL_STR, "findings": [str],
}  # fmt: skip
FINDING = {
    "id": str, "severity": str, "certainty": str, "subject": str, "title": str, "evidence": [str], "remedy": str,
}  # fmt: skip
SCHEMA_1 = {
    "schema": {1}, "taken_at": str, "source": str,
    "scope": {
        "network": {"127.0.0.0/8"}, "ipv6": bool, "bound_only": bool,
        "hidden": {"ipv6_loopback": int},
    },
    "ephemeral_range": [int], "limits": [str], "listeners": ([LISTENER], None), "connections": ([CONNECTION], None),
    "processes": ([PROCESS], None), "findings": [FINDING],
}  # fmt: skip


def check(value: Any, shape: Any, where: str = "") -> None:
    """A dict's keys must all be there, further ones may be; a list has one shape for all its members; a set
    holds the values; a tuple holds types, or a shape and None where the whole may be null."""
    if isinstance(shape, dict):
        assert isinstance(value, dict), where
        for key, inner in shape.items():
            assert key in value, f"{where}.{key} is left out"
            check(value[key], inner, f"{where}.{key}")
    elif isinstance(shape, list):
        assert isinstance(value, list), where
        for number, member in enumerate(value):
            check(member, shape[0], f"{where}[{number}]")
    elif isinstance(shape, set):
        assert value in shape, f"{where} is {value!r}"
    elif isinstance(shape, tuple) and None in shape:
        if value is not None:
            check(value, shape[0], where)
    else:
        assert type(value) in (shape if isinstance(shape, tuple) else (shape,)), f"{where} is {value!r}"


def succeed(*args: str, env: dict[str, str] | None = None) -> str:
    done = run_loopmon(*args, env=env)
    assert (done.returncode, "Traceback" in done.stderr) == (ExitStatus.OK, False), done.stderr
    return done.stdout


@cache
def demo(*args: str) -> Any:
    """The same every time, as is tested below."""
    return json.loads(succeed("ls", "--demo", "--json", *args))


def reason(done: subprocess.CompletedProcess[str], status: ExitStatus) -> str:
    """The one line on the error stream of a command that failed in this way, and printed nothing."""
    assert "Traceback" not in done.stderr
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("loopmon: ")
    return line


# What is printed


def test_json_of_the_demo_is_schema_1() -> None:
    everything = demo("--ipv6")
    check(everything, SCHEMA_1)
    assert len(everything["listeners"]) > 10
    assert len(everything["connections"]) > 20
    assert everything["ephemeral_range"] == [32768, 60999]
    assert everything["taken_at"] == "2026-01-02T12:03:04.000+00:00"


def test_json_of_this_machine_is_schema_1(zoo: Zoo) -> None:
    serving, calling = zoo.child(), zoo.child()
    server = serving.listen()
    client = calling.connect("127.0.0.1", server.port)
    serving.accept(server)
    serving.udp()
    before = datetime.now(UTC)
    found = json.loads(succeed("ls", "--json", "--source", "psutil"))
    check(found, SCHEMA_1)
    assert abs((datetime.fromisoformat(found["taken_at"]) - before).total_seconds()) < TIMEOUT_S
    assert found["source"] == "psutil"
    (listener,) = [row for row in found["listeners"] if row["port"] == server.port]
    assert [(owner["pid"], owner["fd"]) for owner in listener["owners"]] == [(serving.pid, server.fd)]
    assert listener["connections"] == 1
    (connection,) = [row for row in found["connections"] if row["server"]["port"] == server.port]
    assert (connection["client"]["port"], connection["listener_id"]) == (client.port, listener["id"])
    assert {serving.pid, calling.pid} <= {row["pid"] for row in found["processes"]}


def test_the_table_of_this_machine_has_the_server_and_the_client(zoo: Zoo) -> None:
    serving, calling = zoo.child("--as", "server"), zoo.child()
    server = serving.listen()
    client = calling.connect("127.0.0.1", server.port)
    serving.accept(server)
    listeners, connections = succeed("ls", f"port:{server.port}").split("\n\n")
    name = psutil.Process(serving.pid).name()
    title, row = listeners.splitlines()
    assert title.split() == [
        "PORT", "ADDRESS", "PROCESS", "PROJECT", "BRANCH", "CLIENTS", "AGE", "EXPOSED", "FINDINGS", "COMMAND",
    ]  # fmt: skip
    assert row.split()[:4] == [str(server.port), "127.0.0.1", name, str(serving.pid)]
    assert row.endswith("--as server")
    title, row = connections.splitlines()
    assert title.split() == ["FROM", "PROCESS", "TO", "PROCESS", "STATE", "FINDINGS"]
    assert row.split() == [
        f"127.0.0.1:{client.port}", name, str(calling.pid),
        f"127.0.0.1:{server.port}", name, str(serving.pid), "ESTABLISHED",
    ]  # fmt: skip


def test_csv_is_read_by_csv_and_says_the_same_as_json() -> None:
    everything = demo()
    rows = list(csv.DictReader(succeed("ls", "--demo", "--csv").splitlines()))
    listeners = [row for row in rows if row["kind"] == "listener"]
    connections = [row for row in rows if row["kind"] == "connection"]
    assert len(listeners) + len(connections) == len(rows)
    assert [(row["id"], row["address"], row["port"]) for row in listeners] == [
        (row["id"], row["address"], str(row["port"])) for row in everything["listeners"]
    ]
    assert [(row["id"], row["port"], row["peer_port"]) for row in connections] == [
        (row["id"], str(row["client"]["port"]), str(row["server"]["port"])) for row in everything["connections"]
    ]
    assert None not in {key for row in rows for key in row}
    vite = next(row for row in listeners if row["port"] == "5173")
    assert (vite["process"], vite["exposed"], vite["project"]) == ("node", "true", "web")
    assert vite["cmdline"] == "node ./node_modules/.bin/vite --host 0.0.0.0 --port 5173"


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]], ids=["table", "json", "csv"])
def test_the_demo_is_the_same_every_time(form: list[str]) -> None:
    one = succeed("ls", "--demo", *form, env={"PYTHONHASHSEED": "1", "TZ": "UTC"})
    other = succeed("ls", "--demo", *form, env={"PYTHONHASHSEED": "2", "TZ": "Pacific/Auckland"})
    assert one == other


@pytest.mark.parametrize(
    ("switches", "parts"),
    [
        ([], {"listeners", "connections", "processes"}),
        (["--listeners"], {"listeners"}),
        (["--clients"], {"connections"}),
        (["--processes"], {"processes"}),
        (["--listeners", "--processes"], {"listeners", "processes"}),
        (["--listeners", "--clients"], {"listeners", "connections"}),
    ],
)
def test_switches_choose_the_parts(switches: list[str], parts: set[str]) -> None:
    everything = demo(*switches)
    check(everything, SCHEMA_1)
    assert {part for part in ("listeners", "connections", "processes") if everything[part] is not None} == parts
    table = succeed("ls", "--demo", *switches)
    shown = {"listeners": "EXPOSED", "connections": "STATE", "processes": "USER"}
    titles = {line for line in table.splitlines() if line.split()[:1] in (["PORT"], ["FROM"], ["PID"])}
    expected = parts - {"processes"} if not switches else parts
    assert {part for part, title in shown.items() if any(title in line for line in titles)} == expected
    kinds = {row["kind"] for row in csv.DictReader(succeed("ls", "--demo", "--csv", *switches).splitlines())}
    assert kinds == {
        {"listeners": "listener", "connections": "connection", "processes": "process"}[p] for p in expected
    }


def test_scope_options_bring_in_and_leave_out() -> None:
    usual, with_ipv6, bound = demo(), demo("--ipv6"), demo("--bound-only")
    addresses = [{row["address"] for row in each["listeners"]} for each in (usual, with_ipv6, bound)]
    assert ["::1" in found for found in addresses] == [False, True, False]
    assert ["0.0.0.0" in found for found in addresses] == [True, True, False]
    assert [each["scope"]["hidden"]["ipv6_loopback"] > 0 for each in (usual, with_ipv6, bound)] == [True, False, True]
    assert bound["scope"]["hidden"]["wildcard"] == sum(row["exposed"] for row in usual["listeners"])
    assert [each["scope"]["ipv6"] for each in (usual, with_ipv6)] == [False, True]
    assert [each["scope"]["bound_only"] for each in (usual, bound)] == [False, True]


def test_what_is_left_out_is_said_on_the_error_stream_only() -> None:
    done = run_loopmon("ls", "--demo", "--bound-only")
    assert "--ipv6 shows them" in done.stderr
    assert "--bound-only" in done.stderr
    assert "--ipv6" not in done.stdout
    assert run_loopmon("ls", "--demo", "--json").stderr == ""


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["port:3000"], lambda row: row["port"] == 3000),
        (["port:3000-5999"], lambda row: 3000 <= row["port"] <= 5999),
        ([":5432"], lambda row: row["port"] == 5432),
        (["127.0.0.2:8443"], lambda row: row["port"] == 8443),
        (["proc:POSTGRES"], lambda row: "postgres" in _names(row)),
        (["pid:4312"], lambda row: 4312 in [owner["pid"] for owner in row["owners"]]),
        (["is:exposed"], lambda row: row["exposed"]),
        (["proto:udp"], lambda row: row["protocol"] == "udp"),
        (["is:unowned"], lambda row: not row["owners"]),
        (["user:me", "is:exposed"], lambda row: row["user"] == "me" and row["exposed"]),
        (["user:me is:exposed"], lambda row: row["user"] == "me" and row["exposed"]),
        (["port:3000-9999 -node"], lambda row: 3000 <= row["port"] <= 9999 and "node" not in _names(row)),
        (["--", "-proc:node"], lambda row: "node" not in _names(row)),
    ],
)
def test_a_filter_keeps_exactly_what_matches(words: list[str], kept: Callable[[Any], bool]) -> None:
    expected = [row["id"] for row in demo("--listeners")["listeners"] if kept(row)]
    assert [row["id"] for row in demo("--listeners", *words)["listeners"]] == expected
    assert expected


def _names(row: Any) -> list[str]:
    return [owner["name"] for owner in row["owners"]]


def test_a_pasted_address_finds_the_connection_and_both_its_processes() -> None:
    found = demo("127.0.0.1:49342")
    assert found["listeners"] == []
    (connection,) = found["connections"]
    assert connection["client"]["port"] == 49342
    assert {process["name"] for process in found["processes"]} == {"chrome", "node"}


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]], ids=["table", "json", "csv"])
def test_a_filter_that_matches_nothing_is_answered_no(form: list[str]) -> None:
    done = run_loopmon("ls", "--demo", *form, "port:1")
    assert done.returncode == ExitStatus.NO
    assert "Traceback" not in done.stderr
    if form == ["--json"]:
        check(found := json.loads(done.stdout), SCHEMA_1)
        assert (found["listeners"], found["connections"], found["processes"]) == ([], [], [])
    else:
        assert len(done.stdout.splitlines()) == len(form)  # CSV has its header


def test_output_is_neither_coloured_nor_fitted_to_a_width() -> None:
    plain = succeed("ls", "--demo", env={"COLUMNS": "20"})
    loud = succeed("ls", "--demo", env={"COLUMNS": "500", "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TERM": "xterm"})
    assert plain == loud
    assert "\x1b" not in plain
    assert "--utility-sub-type=network.mojom.NetworkService" in plain


def test_the_terminal_of_a_process_is_named(zoo: Zoo) -> None:
    near, far = pty.openpty()
    try:
        child = zoo.child()
        child.take_terminal(os.ttyname(far))
        server = child.listen()
        (process,) = json.loads(succeed("ls", "--json", f"port:{server.port}"))["processes"]
        assert process["tty"] == os.ttyname(far)
    finally:
        child.stop()
        os.close(near)
        os.close(far)


def test_version_and_help() -> None:
    assert succeed("--version") == f"loopmon {__version__}\n"
    for flag in ("--help", "-h"):
        text = succeed(flag)
        for named in ("[FILTER]", "--interval", "--source", "--ipv6", "--bound-only", "--demo", "--version"):
            assert named in text
        assert any(line.split()[:1] == ["ls"] for line in text.splitlines())
    text = succeed("ls", "--help")
    for named in ("--json", "--csv", "--listeners", "--clients", "--processes", "--ipv6", "[FILTER]"):
        assert named in text


# How it fails


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["ls", "--nope"], "--nope"),
        (["--nope"], "--nope"),
        (["ls", "--json", "--csv"], "exclude"),
        (["ls", "--json=yes"], "--json"),
        (["ls", "--source"], "--source"),
        (["ls", "--source", "oracle"], "'psutil'"),
        (["--source", "oracle"], "'psutil'"),
        (["ls", "port:abc"], "column 6"),
        (["ls", "node", "port:70000"], "column 11"),
        (["ls", "colour:red"], "column 1"),
        (["ls", "proc:"], "column 6"),
        (["ls", 'proc:"node'], "column 6"),
        (["ls", "-"], "column 1"),
        (["ls", "age>soon"], "column 5"),
        (["ls", "state:sideways"], "column 7"),
        (["--", "port:abc"], "column 6"),
        (["port:abc"], "column 6"),
    ],
)
def test_wrong_usage_is_one_line_that_names_what_is_wrong(args: list[str], named: str) -> None:
    assert named in reason(run_loopmon(*args), ExitStatus.USAGE)


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "inf", "abc", "", "0.01", "86400"])
def test_an_impossible_interval_is_wrong_usage(interval: str) -> None:
    line = reason(run_loopmon("--interval", interval), ExitStatus.USAGE)
    assert "--interval" in line
    assert repr(interval) in line


@pytest.mark.parametrize("args", [[], ["port:3000"], ["--demo"], ["--interval", "0.5s"]])
def test_without_a_terminal_the_monitor_points_to_ls(args: list[str]) -> None:
    assert "loopmon ls" in reason(run_loopmon(*args), ExitStatus.USAGE)


BROKEN = """
import psutil
def refuse(*_, **__):
    raise {error}
psutil.net_connections = refuse
{more}
from loopmon.__main__ import main
main()
"""


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]], ids=["table", "json", "csv"])
@pytest.mark.parametrize(
    ("error", "named"),
    [
        ("OSError(5, 'Input/output error')", "Input/output error"),
        ("RuntimeError('error while parsing /proc/net/tcp; malformed line\\n\\x1b[31m')", "malformed line"),
    ],
)
def test_sockets_that_cannot_be_read(form: list[str], error: str, named: str) -> None:
    line = reason(
        run_python("-c", BROKEN.format(error=error, more=""), "ls", "--source", "psutil", *form), ExitStatus.UNREADABLE
    )
    assert named in line
    assert line.isprintable()


def test_sockets_that_may_not_be_read() -> None:
    broken = BROKEN.format(error="psutil.AccessDenied(1)", more="psutil.Process.net_connections = refuse")
    assert "try sudo" in reason(run_python("-c", broken, "ls", "--source", "psutil"), ExitStatus.NOT_PERMITTED)


ENDLESS = """
import os, signal, sys, threading, psutil
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it ignored
def wait(*_, **__):
    os.write(int(sys.argv.pop()), b"!")
    threading.Event().wait()
psutil.net_connections = wait
from loopmon.__main__ import main
main()
"""


def test_ctrl_c_during_a_slow_look_ends_at_once() -> None:
    near, far = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS, "ls", "--source", "psutil", str(far)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=(far,),
    ) as running:
        os.close(far)
        try:
            assert os.read(near, 1) == b"!"
            running.send_signal(signal.SIGINT)
            out, error = running.communicate(timeout=TIMEOUT_S)
        finally:
            running.kill()
            os.close(near)
    assert (running.returncode, out) == (ExitStatus.INTERRUPTED, "")
    assert "Traceback" not in error
    assert len(error.splitlines()) <= 1


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]], ids=["table", "json", "csv"])
def test_a_reader_that_has_gone_hears_no_complaint(form: list[str]) -> None:
    near, far = os.pipe()
    os.close(near)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "loopmon", "ls", "--demo", *form],
            stdout=far,
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    finally:
        os.close(far)
    assert done.stderr == ""


@pytest.mark.skipif(shutil.which("head") is None, reason="there is no head to pipe into")
def test_a_reader_of_one_line_gets_it() -> None:
    command = f"{shlex.quote(sys.executable)} -m loopmon ls --demo --csv | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.stdout.startswith("kind,id,")
    assert (len(done.stdout.splitlines()), done.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("args", [["ls", "--demo"], ["ls", "--demo", "--json"], ["ls", "--demo", "--csv"], ["--help"]])
def test_a_full_disk_is_an_error(args: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "loopmon", *args],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    assert done.returncode == ExitStatus.NO
    assert done.stderr == "loopmon: could not write the output: No space left on device\n"


POOR_LOCALES = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "c-locale": {"PYTHONIOENCODING": "", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
}


@pytest.mark.parametrize("locale", POOR_LOCALES)
@pytest.mark.parametrize(("form", "shown"), [("--json", "caf\\u00e9-menu"), ("--csv", "caf?-menu")])
def test_where_only_ascii_can_be_written_the_rest_is_written(form: str, shown: str, locale: str) -> None:
    written = succeed("ls", "--demo", "--ipv6", form, env=POOR_LOCALES[locale])
    assert written.isascii()
    assert shown in written
    unicode = succeed("ls", "--demo", "--ipv6", form)
    assert len(written.splitlines()) == len(unicode.splitlines())
    assert shown in unicode if form == "--json" else "café-menu" in unicode


@pytest.mark.parametrize("locale", POOR_LOCALES)
def test_a_poor_locale_costs_the_table_no_row(locale: str) -> None:
    rows = [line.split()[:2] for line in succeed("ls", "--demo", env=POOR_LOCALES[locale]).splitlines()]
    assert rows == [line.split()[:2] for line in succeed("ls", "--demo").splitlines()]


# Completion in the shell, which asks the installed script


@pytest.fixture
def completed() -> Iterator[Callable[..., list[str]]]:
    script = Path(sys.executable).with_name("loopmon")
    if not script.exists():
        pytest.skip("the loopmon script is not installed next to this Python")

    def ask(*words: str) -> list[str]:
        """The completions of the last word."""
        env = {
            "COMP_WORDS": " ".join(["loopmon", *words]),
            "COMP_CWORD": str(len(words)),
            "_LOOPMON_COMPLETE": "bash_complete",
        }
        done = subprocess.run(
            [script], env={**os.environ, **env}, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return [line.removeprefix("plain,") for line in done.stdout.splitlines() if line]

    yield ask


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash to complete in")
def test_the_shell_can_load_the_completion() -> None:
    script = Path(sys.executable).with_name("loopmon")
    if not script.exists():
        pytest.skip("the loopmon script is not installed next to this Python")
    done = subprocess.run(
        ["bash", "-c", f'eval "$(_LOOPMON_COMPLETE=bash_source {script})" && complete -p loopmon'],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("complete ")


@pytest.mark.parametrize(
    ("words", "among"),
    [
        (["ls", "po"], "port:"),
        (["ls", "is:ex"], "is:exposed"),
        (["ls", "is:left"], "is:left-over"),
        (["ls", "--cl"], "--clients"),
        (["ls", "--source", "p"], "psutil"),
        (["po"], "port:"),
        (["--int"], "--interval"),
    ],
)
def test_what_is_begun_is_completed(completed: Callable[..., list[str]], words: list[str], among: str) -> None:
    found = completed(*words)
    assert among in found
    assert all(each.startswith(words[-1]) for each in found)
