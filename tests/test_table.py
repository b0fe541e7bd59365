"""The plain forms of ``loopmon ls``: aligned, and however long a text is, all of it is there."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from making import both_ends, connection, end, listener, listening, process, process_id, snapshot

from loopmon.commands.csv_rows import write_csv
from loopmon.commands.selection import Parts, select
from loopmon.commands.table import tables
from loopmon.filter import Filter
from loopmon.model import Process, Protocol, Snapshot

EVERYTHING = Parts(listeners=True, clients=True, processes=True)
COMMAND = "node " + "a" * 4_000 + " " + "é" * 4_995
NAME, USER, PROJECT, BRANCH = (f"{noun}-{'ü' * 5_000}-end" for noun in ("name", "user", "project", "branch"))
LENGTHY = Process(process_id(4312), NAME, tuple(COMMAND.split()), user=USER, project=PROJECT, branch=BRANCH)
API = listening("127.0.0.1:3000", 4312)
CLIENT, SERVER = both_ends("127.0.0.1:49342", "127.0.0.1:3000", client_pid=4312)
PAIR = connection(end("127.0.0.1:49342", CLIENT), end("127.0.0.1:3000", SERVER))
MACHINE = snapshot([listener(API, 1)], [PAIR], [LENGTHY])


def lines_of(shown: Snapshot, parts: Parts = EVERYTHING) -> list[list[str]]:
    """Those of each table."""
    printed = tables(shown, select(shown, Filter(), parts), processes=parts.processes)
    return [part.splitlines() for part in printed.split("\n\n")] if printed else []


def csv_rows(shown: Snapshot) -> dict[str, dict[str, str]]:
    written = io.StringIO()
    write_csv(written, shown, select(shown, Filter(), EVERYTHING), processes=True)
    return {row["kind"]: row for row in csv.DictReader(io.StringIO(written.getvalue(), newline=""))}


def test_the_tables_show_names_and_command_lines_in_full() -> None:
    assert len(COMMAND) > 9_000
    (_, held), (_, joined), (_, holding) = lines_of(MACHINE)
    assert held.endswith(f"  {COMMAND}")
    assert holding.endswith(f"  {COMMAND}")
    assert all(text in held.split() for text in (NAME, PROJECT, BRANCH))
    assert joined.count(f"{NAME} 4312") == 2
    assert all(text in holding.split() for text in (NAME, USER, PROJECT, BRANCH))


def test_csv_has_names_and_command_lines_in_full() -> None:
    rows = csv_rows(MACHINE)
    columns = ("process", "user", "project", "branch", "cmdline")
    for kind in ("listener", "connection", "process"):
        assert [rows[kind][column] for column in columns] == [NAME, USER, PROJECT, BRANCH, COMMAND]
    assert rows["connection"]["peer_process"] == NAME


@pytest.mark.parametrize(
    ("name", "more"), [("node", 0), ("日本", -2), ("cafe\u0301", 1), ("a\u20dd", 1), ("ก็ก็", 2), ("☰\ufe0f", 0)]
)
def test_the_next_column_begins_where_its_title_does(name: str, more: int) -> None:
    """``more``: how many characters the name has on the line beyond the cells that a terminal gives them."""
    named = replace(process(4312, name), project="shop")
    ((titles, row),) = lines_of(snapshot([listener(API)], [], [named]), Parts(listeners=True))
    assert row.index("shop") == titles.index("PROJECT") + more


def test_numbers_stand_at_the_right_and_no_line_ends_in_blanks() -> None:
    mdns = listener(listening("0.0.0.0:5353", 4312, protocol=Protocol.UDP))
    (lines,) = lines_of(snapshot([listener(API), mdns], [], [process(4312)]), Parts(listeners=True))
    assert [line[:8] for line in lines] == ["    PORT", "    3000", "5353/udp"]
    assert lines == [line.rstrip() for line in lines]


def test_a_part_without_rows_has_no_titles() -> None:
    assert lines_of(snapshot()) == []
    assert [lines[0].split()[0] for lines in lines_of(snapshot([listener(API)]))] == ["PORT"]
