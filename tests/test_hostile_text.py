"""Processes that call themselves what they like: every form of ``loopmon ls`` stays one harmless line a row."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from zoo import Child, Held, Zoo, run_loopmon, wait_for

from loopmon.clean import REPLACEMENT, clean
from loopmon.commands.csv_rows import write_csv
from loopmon.commands.schema import document
from loopmon.commands.selection import Parts, select
from loopmon.commands.table import tables
from loopmon.exit_status import ExitStatus
from loopmon.filter import Filter
from loopmon.model import Scope, Snapshot
from loopmon.observe.observer import Observer
from loopmon.sources.demo import DemoSource

MARKUP = "[bold red]x[/] [/] [@click=app.quit]q[/] \\[b]"
ESCAPES = "\x1b[31m\x1b[2J\x1b]0;title\x07\x1b]8;;http://x\x1b\\y\x9b31m\x90q\x9c\x7f\b\r"
LINES = "one\ntwo\r\nthree\x0b\x0c\x85\u2028\u2029four"
BIDI = "\u202eevil\u202c\u2066x\u2069\u200f\u061c"
INVISIBLE = "a\u200b\u200d\u2060\ufeff\u00ad\U000e0041\ue000b"
NOT_UTF8 = os.fsdecode(b"\xff\xfe\x80")
LONG = "x" * 10_000
HOSTILE = (MARKUP, ESCAPES, LINES, BIDI, INVISIBLE, NOT_UTF8, LONG)

ALL_PARTS = ("--listeners", "--clients", "--processes")
FORMS = {"table": ALL_PARTS, "json": ("--json",), "csv": ("--csv", *ALL_PARTS)}
each_form = pytest.mark.parametrize("form", FORMS)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process choose these names")


def unsafe(text: str) -> set[str]:
    """The characters that may do something other than show themselves; the newline that ends a line is not one."""
    harmful = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    return {character for character in text if character != "\n" and unicodedata.category(character) in harmful}


def shown(held: Held, form: str) -> str:
    """What is printed of that listener, checked for every form alike."""
    done = run_loopmon("ls", f"port:{held.port}", *FORMS[form])
    assert (done.returncode, "Traceback" in done.stderr) == (ExitStatus.OK, False), done.stderr
    assert unsafe(done.stdout + done.stderr) == set()
    row = _row(done.stdout, form)
    assert str(row["port"]) == str(held.port)
    return done.stdout


def _row(output: str, form: str) -> dict[str, Any]:
    if form == "json":
        (listener,) = json.loads(output)["listeners"]
        return dict(listener)
    if form == "csv":
        rows = list(csv.DictReader(output.splitlines()))
        assert len(rows) == len(output.splitlines()) - 1
        (row,) = [row for row in rows if row["kind"] == "listener"]
        return dict(row)
    titles, row_text = output.split("\n\n")[0].splitlines()
    assert titles.split()[0] == "PORT"
    return {"port": row_text.split()[0]}


@pytest.fixture
def liar(zoo: Zoo) -> Child:
    return zoo.child(*HOSTILE, argv0=f"/opt/{MARKUP}{ESCAPES}{LINES}{BIDI}")


@each_form
def test_a_hostile_command_line_is_shown_harmlessly(liar: Child, form: str) -> None:
    output = shown(liar.listen(), form)
    if form == "json":
        (process,) = json.loads(output)["processes"]
        as_psutil_reads = [word.replace("\r\n", "\n").replace("\r", "\n") for word in HOSTILE]
        assert process["cmdline"][-7:] == [*as_psutil_reads[:5], REPLACEMENT * 3, LONG]
    else:
        assert "[bold red]x[/] [/] [@click=app.quit]q[/] \\[b]" in output  # markup is text


@each_form
def test_an_endless_command_line_is_not_cut(zoo: Zoo, form: str) -> None:
    output = shown(zoo.child("before", LONG, "after").listen(), form)
    assert LONG in output
    assert "before" in output
    assert "after" in output


@on_linux
@each_form
@pytest.mark.parametrize(
    "name", [b"\x1b[31m\x1b[2J", b"a\nb\r\tc\x07\x08", b"[bold][/]", "\u202eevil".encode(), b"\xff\xfe) S 1 (", b"   "]
)
def test_a_process_may_call_itself_anything(zoo: Zoo, form: str, name: bytes) -> None:
    child = zoo.child()
    child.rename(name)
    server = child.listen()
    output = shown(server, form)
    if form == "json":
        (listener,) = json.loads(output)["listeners"]
        assert [owner["pid"] for owner in listener["owners"]] == [child.pid]
    else:
        assert str(child.pid) in output


@pytest.fixture
def hostile_project(tmp_path: Path) -> Path:
    """A folder and a branch that are named to harm."""
    folder = tmp_path / f"{MARKUP.replace('/', '')}{ESCAPES.replace('/', '')}{LINES}{BIDI}{NOT_UTF8}"
    try:
        (folder / ".git").mkdir(parents=True)
    except OSError as error:
        pytest.skip(f"this system refuses such a folder: {error}")
    (folder / ".git" / "HEAD").write_bytes(f"ref: refs/heads/{ESCAPES}{BIDI}".encode() + b"\xff\n")
    return folder


@each_form
def test_a_hostile_folder_and_branch_are_shown_harmlessly(zoo: Zoo, form: str, hostile_project: Path) -> None:
    output = shown(zoo.child(cwd=hostile_project).listen(), form)
    assert "[bold red]x[]" in output
    assert "title" in output


def test_a_program_named_in_two_lines_takes_one(zoo: Zoo, tmp_path: Path) -> None:
    program = tmp_path / "two\nlines\x1b[31m"
    program.symlink_to(Path(sys.executable).resolve())
    child = zoo.child()
    server = child.listen()
    child.become(str(program), "-S", "-c", "import sys; sys.stdin.read()", "last")
    wait_for(lambda: psutil.Process(child.pid).cmdline()[-1:] == ["last"], "the new program")
    for form in FORMS:
        shown(server, form)


@pytest.mark.parametrize("args", [["ls", ESCAPES], ["ls", f"--{ESCAPES}{LINES}"], ["ls", f"{BIDI}:{LINES}"]])
@pytest.mark.parametrize("prefix", ["", "port:", "state:", "age>", "key"])
def test_a_hostile_word_is_answered_in_one_harmless_line(args: list[str], prefix: str) -> None:
    done = run_loopmon(*args[:-1], "--demo", prefix + args[-1])
    assert done.returncode in {ExitStatus.NO, ExitStatus.USAGE}
    assert "Traceback" not in done.stderr
    assert unsafe(done.stdout + done.stderr) == set()
    if done.returncode == ExitStatus.USAGE:
        assert len(done.stderr.splitlines()) == 1


def test_no_null_character_leaves_the_door() -> None:
    assert clean("a\0b\0") == f"a{REPLACEMENT}b{REPLACEMENT}"
    assert unsafe(clean("\0".join(HOSTILE))) == set()


@pytest.fixture
def lying_demo() -> Snapshot:
    """The demo with every text of every process replaced; a real one cannot hold a NUL."""
    text = "\0".join((MARKUP, ESCAPES, LINES, BIDI, INVISIBLE, NOT_UTF8))
    snapshot = Observer("demo").observe(DemoSource().read(), Scope()).snapshot
    lying = {
        identity: replace(process, name=text, cmdline=(text, text), cwd=text, user=text, project=text, branch=text)
        for identity, process in snapshot.processes.items()
    }
    return replace(snapshot, processes=lying)


def test_a_null_character_harms_no_form_of_output(lying_demo: Snapshot) -> None:
    selection = select(lying_demo, Filter(), Parts(listeners=True, clients=True, processes=True))
    table = tables(lying_demo, selection, processes=True)
    written = io.StringIO()
    write_csv(written, lying_demo, selection, processes=True)
    rows = list(csv.DictReader(written.getvalue().splitlines()))
    encoded = json.dumps(document(lying_demo, selection))
    assert selection.listeners
    assert selection.connections
    assert selection.processes
    count = len(selection.listeners) + len(selection.connections) + len(selection.processes)
    assert len(rows) == count == len([line for line in table.splitlines() if line]) - 3
    for output in (table, written.getvalue(), encoded):
        assert unsafe(output) == set()
        assert "[bold red]x[/]" in output
    assert json.loads(encoded)["processes"][0]["name"].startswith(f"{MARKUP}\0\x1b[31m")
