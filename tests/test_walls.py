"""The walls of the house: who may import whom, read from the files and seen in running processes."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from zoo import run_python

import loopmon

PACKAGE = Path(loopmon.__file__).parent
READERS = ("commands", "tui", "history")
"""They know the core; the core knows none of them."""
MODULES = {path.relative_to(PACKAGE).with_suffix("").as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}

BEYOND = {
    "sources": ("observe", "findings", "actions", "why", *READERS),
    "observe": ("findings", "actions", "why", *READERS),
    "findings": ("actions", "why", *READERS),
    "actions": ("why", *READERS),
    "why": READERS,
    "tui": ("commands",),
    "history": ("commands", "tui"),
}
"""For each part of the house, the parts that are further along the way."""
BUILT = sorted({name.split("/")[0] for name in MODULES} & BEYOND.keys())


class Import(NamedTuple):
    module: str
    at_top: bool
    """False: only when a function that holds it runs."""


def imports(source: str, package: str) -> Iterator[Import]:
    """Everything that a module of ``package`` imports, by absolute name; ``from x import y`` may name a module."""
    tree = ast.parse(source)
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        at_top = id(node) not in inner
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, at_top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield Import(base, at_top)
            yield from (Import(f"{base}.{alias.name}", at_top) for alias in node.names)


def imports_of(name: str) -> list[Import]:
    package = ".".join(("loopmon", *name.split("/")[:-1]))
    return list(imports(MODULES[name].read_text(encoding="utf-8"), package))


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def part_of(name: str) -> str:
    """``observe`` for ``observe/scope``, ``words`` for ``words``."""
    return name.split("/")[0]


def test_the_reader_of_imports_knows_every_way_to_import() -> None:
    source = (
        "import a.b as c, textual\n"
        "from loopmon import tui\n"
        "from . import near\n"
        "from ..tui.app import App\n"
        "def late():\n    from psutil import Process\n"
    )
    assert set(imports(source, "loopmon.observe")) == {
        Import("a.b", True),
        Import("textual", True),
        Import("loopmon", True),
        Import("loopmon.tui", True),
        Import("loopmon.observe", True),
        Import("loopmon.observe.near", True),
        Import("loopmon.tui.app", True),
        Import("loopmon.tui.app.App", True),
        Import("psutil", False),
        Import("psutil.Process", False),
    }


def test_every_part_that_the_walls_are_about_is_found() -> None:
    assert {"model", "sources/psutil_source", "observe/monitor", "commands/front", "__main__"} <= MODULES.keys()
    assert {"sources", "observe", "tui"} <= set(BUILT)


def test_the_package_itself_imports_nothing() -> None:
    assert {found.module for found in imports_of("__init__")} <= {"__future__", "__future__.annotations"}


def test_the_model_imports_nothing_of_ours() -> None:
    assert [found.module for found in imports_of("model") if is_in(found.module, "loopmon")] == []


@pytest.mark.parametrize("package", ["textual", "rich"])
def test_only_the_screen_imports_textual(package: str) -> None:
    outside = [name for name in MODULES if part_of(name) != "tui"]
    assert [name for name in outside for found in imports_of(name) if is_in(found.module, package)] == []


def test_only_the_command_line_imports_click() -> None:
    outside = [name for name in MODULES if part_of(name) != "commands"]
    assert [name for name in outside for found in imports_of(name) if is_in(found.module, "click")] == []


def test_the_screen_asks_psutil_nothing() -> None:
    screen = [name for name in MODULES if part_of(name) == "tui"]
    assert screen
    assert [name for name in screen for found in imports_of(name) if is_in(found.module, "psutil")] == []


@pytest.mark.parametrize("part", BUILT)
def test_arrows_point_one_way(part: str) -> None:
    against = [
        (name, found.module)
        for name in MODULES
        if part_of(name) == part
        for found in imports_of(name)
        if any(is_in(found.module, f"loopmon.{beyond}") for beyond in BEYOND[part])
    ]
    assert against == []


def test_the_core_knows_none_of_its_readers() -> None:
    core = [name for name in MODULES if part_of(name) not in (*READERS, "__main__")]
    known = [
        (name, found.module)
        for name in core
        for found in imports_of(name)
        if any(is_in(found.module, f"loopmon.{reader}") for reader in READERS)
    ]
    assert known == []


def test_commands_load_the_screen_only_when_it_is_opened() -> None:
    loading = {
        (name, found.at_top)
        for name in MODULES
        if part_of(name) in {"commands", "__main__"}
        for found in imports_of(name)
        if is_in(found.module, "loopmon.tui")
    }
    assert loading == {("commands/monitor", False)}


def test_a_fault_is_swallowed_at_one_boundary_only() -> None:
    """Everything else catches what it expects."""
    broad = [
        name
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type)
    ]
    assert broad == ["observe/monitor"]


def _is_broad(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(_is_broad(each) for each in caught.elts)
    return caught is None or (isinstance(caught, ast.Name) and caught.id in {"Exception", "BaseException"})


LOADED = """
import json, sys
from loopmon.commands.front import run
run(sys.argv[1:])
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "args",
    [
        ["ls"],
        ["ls", "--demo"],
        ["ls", "--json"],
        ["ls", "--csv"],
        ["ls", "--nope"],
        ["ls", "--help"],
        ["--help"],
        ["--version"],
        ["--demo"],
    ],
    ids=" ".join,
)
def test_what_opens_no_screen_loads_no_textual(args: list[str]) -> None:
    done = run_python("-c", LOADED, *args)
    loaded = json.loads(done.stderr.splitlines()[-1])
    assert "loopmon.commands.front" in loaded
    assert [name for name in loaded if any(is_in(name, each) for each in ("textual", "rich", "loopmon.tui"))] == []


def test_the_core_runs_without_its_readers() -> None:
    core = [name.replace("/", ".") for name in MODULES if part_of(name) not in (*READERS, "__main__", "__init__")]
    names = ", ".join(f"loopmon.{name.removesuffix('.__init__')}" for name in core)
    done = run_python("-c", f"import {names}, json, sys; print(json.dumps(sorted(sys.modules)))")
    loaded = json.loads(done.stdout)
    assert "loopmon.observe.monitor" in loaded
    beyond = ("textual", "rich", "click", *(f"loopmon.{reader}" for reader in READERS))
    assert [name for name in loaded if any(is_in(name, each) for each in beyond)] == []


def test_the_package_loads_none_of_its_modules() -> None:
    done = run_python("-c", "import loopmon, json, sys; print(json.dumps(sorted(sys.modules)))")
    assert [name for name in json.loads(done.stdout) if is_in(name, "loopmon")] == ["loopmon"]
