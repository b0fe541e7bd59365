"""The README says what the code does: its keys, filters, commands, options and exit statuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from loopmon.commands.front import cli
from loopmon.exit_status import ExitStatus
from loopmon.facts import FLAGS
from loopmon.filter import KEYS, parse_filter
from loopmon.findings.kinds import KINDS
from loopmon.model import FindingId
from loopmon.tui.keys import APP_BINDINGS, SECTIONS, TABLE_BINDINGS, key_name

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
HIDDEN = "monitor"


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no section {title!r}"
    return found[1]


def rows(title: str) -> list[tuple[str, str]]:
    """The two columns of the section's table, without its head."""
    cells = re.findall(r"^\| (.+?) \| (.+?) \|$", section(title), re.MULTILINE)
    assert len(cells) > 2, f"{title} has no table"
    return cells[2:] if cells[1][0].startswith("-") else cells[1:]


def test_the_keys_are_those_that_are_bound_in_their_order() -> None:
    bound = [
        (f"`{key_name(binding)}`", f"{binding.description}: {binding.tooltip}")
        for bindings in SECTIONS.values()
        for binding in bindings
    ]
    assert rows("Keys") == bound


def test_every_binding_has_an_id_a_name_and_a_tooltip() -> None:
    bindings = (*TABLE_BINDINGS, *APP_BINDINGS)
    assert all(binding.id and binding.description and binding.tooltip for binding in bindings)
    ids = [binding.id for binding in bindings]
    keys = [key for binding in bindings for key in binding.key.split(",")]
    assert len(set(ids)) == len(ids)
    assert len(set(keys)) == len(keys)


def test_the_filter_keys_are_those_that_parse() -> None:
    written = set(re.findall(r"`-?([a-z]+):[^`/]", section("Filter"))) - {"localhost"}
    assert written == set(KEYS)


def test_the_flags_are_those_that_there_are() -> None:
    assert set(re.findall(r"`is:([\w-]+)`", section("Filter"))) == set(FLAGS)


def test_the_findings_are_those_that_there_are() -> None:
    assert rows("What it finds") == [(f"`{name}`", kind.meaning) for name, kind in KINDS.items()]
    assert list(KINDS) == list(FindingId)


def test_every_filter_in_the_readme_parses() -> None:
    examples = [text for left, _ in rows("Filter") for text in re.findall(r"`([^`]+)`", left)]
    assert len(examples) > 15
    for text in examples:
        assert parse_filter(text)


def test_the_commands_are_those_that_there_are() -> None:
    written = [re.match(r"`loopmon(?: ([a-z]+))?[ \[`]", left) for left, _ in rows("Commands")]
    names = {found[1] or HIDDEN for found in written if found}
    assert len(names) == len(written)
    assert names == set(cli.commands)


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_option_is_in_the_readme(command: str) -> None:
    known = {name for parameter in cli.commands[command].params for name in parameter.opts if name.startswith("--")}
    missing = {name for name in known if f"`{name}" not in section("Commands")}
    assert not missing


def test_every_option_in_the_readme_is_one() -> None:
    known = {name for command in cli.commands.values() for parameter in command.params for name in parameter.opts}
    written = set(re.findall(r"`(--[a-z][a-z0-9-]*)", section("Commands")))
    assert written
    assert written <= known


def test_the_exit_statuses_are_those_that_there_are() -> None:
    found = re.search(r"Exit status: (.+?)\.\n", section("Commands"), re.DOTALL)
    assert found
    assert [int(number) for number in re.findall(r"(?:^|; )\s*(\d+) ", found[1])] == [
        status.value for status in ExitStatus
    ]


def test_every_file_that_the_readme_names_is_there() -> None:
    folder = Path(__file__).parent.parent
    for name in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (folder / name).exists(), name
