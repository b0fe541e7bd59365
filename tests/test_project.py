"""Which project a folder belongs to, and its branch: read from a few small files that may be anything."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import any_text, quick

from loopmon.observe.project import MARKERS, MAX_BYTES, MAX_DEPTH, Project, find_project, read_branch

COMMIT = "9f3c2d1" + "0" * 33
PATIENCE_S = 20


def folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def repository(path: Path, head: str = "ref: refs/heads/main\n") -> Path:
    (folder(path / ".git") / "HEAD").write_text(head)
    return path


def branch_in(path: Path) -> str | None:
    project = find_project(str(path))
    return read_branch(project.head) if project and project.head else None


def in_time(call: Callable[[], str | None]) -> str | None:
    """What ``call`` returns; a failure, not a hang, where it never does."""
    answers: list[str | None] = []
    thread = threading.Thread(target=lambda: answers.append(call()), daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert answers, "it waits for ever"
    return answers[0]


@pytest.mark.parametrize("marker", MARKERS)
def test_the_nearest_folder_with_a_marker_is_the_project(marker: str, tmp_path: Path) -> None:
    api = folder(tmp_path / "src" / "api")
    (api / marker).touch()
    inside = folder(api / "app" / "handlers")
    assert find_project(str(inside)) == Project("api", str(api), None)


def test_a_package_in_a_repository_has_its_own_name_and_the_repositorys_branch(tmp_path: Path) -> None:
    shop = repository(tmp_path / "shop", "ref: refs/heads/feat/login\n")
    cart = folder(shop / "packages" / "cart")
    (cart / "package.json").touch()
    project = find_project(str(folder(cart / "src")))
    assert project == Project("cart", str(cart), str(shop / ".git" / "HEAD"))
    assert branch_in(cart) == "feat/login"


@pytest.mark.parametrize("cwd", ["", ".", "src/api", "(deleted)"])
def test_a_folder_that_is_not_absolute_is_no_project(cwd: str) -> None:
    assert find_project(cwd) is None


def test_a_folder_that_is_gone_is_the_project_it_was_in(tmp_path: Path) -> None:
    repository(tmp_path / "api")
    assert branch_in(tmp_path / "api" / "deleted" / "since") == "main"


@pytest.mark.parametrize("name", ["nul\0inside", "x" * 5000, "\udcff"])
def test_an_impossible_folder_name_is_no_error(name: str, tmp_path: Path) -> None:
    repository(tmp_path)
    assert branch_in(tmp_path / name) == "main"


def test_a_marker_is_looked_for_up_to_a_certain_height(tmp_path: Path) -> None:
    repository(tmp_path)
    assert branch_in(tmp_path.joinpath(*["d"] * (MAX_DEPTH - 1))) == "main"
    assert find_project(str(tmp_path.joinpath(*["d"] * MAX_DEPTH))) is None


@pytest.mark.parametrize("absolute", [True, False], ids=["absolute", "relative"])
def test_a_worktree_has_its_own_branch(absolute: bool, tmp_path: Path) -> None:
    main = repository(tmp_path / "api")
    hidden = folder(main / ".git" / "worktrees" / "fix")
    (hidden / "HEAD").write_text("ref: refs/heads/fix/leak\n")
    worktree = folder(tmp_path / "api-fix")
    pointed = hidden if absolute else Path("../api/.git/worktrees/fix")
    (worktree / ".git").write_text(f"gitdir: {pointed}\n")
    assert find_project(str(worktree)) == Project("api-fix", str(worktree), str(worktree / pointed / "HEAD"))
    assert branch_in(worktree) == "fix/leak"
    assert branch_in(main) == "main"


def test_a_submodule_has_its_own_head(tmp_path: Path) -> None:
    parent = repository(tmp_path / "shop")
    (folder(parent / ".git" / "modules" / "lib") / "HEAD").write_text(f"{COMMIT}\n")
    submodule = folder(parent / "vendor" / "lib")
    (submodule / ".git").write_text("gitdir: ../../.git/modules/lib\n")
    assert branch_in(submodule) == "detached at 9f3c2d1"


@pytest.mark.parametrize(
    ("head", "branch"),
    [
        ("ref: refs/heads/main\n", "main"),
        ("ref: refs/heads/dependabot/npm/vite-7.0.1", "dependabot/npm/vite-7.0.1"),
        ("ref: refs/bisect/bad\n", "refs/bisect/bad"),
        ("ref:refs/heads/main\n", "main"),
        ("ref: refs/heads/main\nref: refs/heads/other\n", "main"),
        (f"{COMMIT}\nmore\n", "detached at 9f3c2d1"),
        ("\nref: refs/heads/main\n", None),
        (f"{COMMIT}\n", "detached at 9f3c2d1"),
        (f"{'ab' * 32}\n", "detached at abababa"),
        ("", None),
        ("ref: \n", None),
        ("ref: refs/heads/\n", None),
        ("garbage", None),
        (f"{COMMIT[:-1]}\n", None),
        (f"{'g' * 40}\n", None),
    ],
)
def test_head_names_a_branch_or_a_commit_or_nothing(head: str, branch: str | None, tmp_path: Path) -> None:
    assert branch_in(repository(tmp_path, head)) == branch


def test_a_repository_with_reftables_keeps_its_branch_elsewhere(tmp_path: Path) -> None:
    assert branch_in(repository(tmp_path / "stub", "ref: refs/heads/.invalid\n")) is None
    assert branch_in(repository(tmp_path / "other", "ref: refs/heads/a.invalid\n")) == "a.invalid"


@pytest.mark.parametrize("start", ["ref: refs/heads/main\n", "ref: refs/heads/", f"{COMMIT}\n"])
def test_a_head_of_more_than_its_size_is_refused_not_cut(start: str, tmp_path: Path) -> None:
    assert branch_in(repository(tmp_path, start.ljust(MAX_BYTES, "x"))) is not None
    assert branch_in(repository(tmp_path, start.ljust(MAX_BYTES + 1, "x"))) is None
    assert branch_in(repository(tmp_path, start.ljust(5_000_000, "x"))) is None


def test_a_branch_that_is_not_text_keeps_its_bytes(tmp_path: Path) -> None:
    (folder(tmp_path / ".git") / "HEAD").write_bytes(b"ref: refs/heads/caf\xe9\n")
    assert os.fsencode(branch_in(tmp_path) or "") == b"caf\xe9"


@pytest.mark.parametrize("name", [" fix ", "caf\udce9"])
def test_a_worktree_is_found_whatever_its_folder_is_called(name: str, tmp_path: Path) -> None:
    try:
        hidden = folder(tmp_path / name)
    except OSError as error:
        pytest.skip(f"this system refuses such a folder: {error}")
    (hidden / "HEAD").write_text("ref: refs/heads/fix\n")
    (folder(tmp_path / "worktree") / ".git").write_bytes(os.fsencode(f"gitdir: ../{name}\n"))
    assert branch_in(tmp_path / "worktree") == "fix"


def test_a_fifo_in_the_place_of_git_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".git")
    assert in_time(lambda: str(find_project(str(tmp_path)))) == str(Project(tmp_path.name, str(tmp_path), None))


def test_a_fifo_in_the_place_of_head_is_not_waited_for_nor_read(tmp_path: Path) -> None:
    fifo = folder(tmp_path / ".git") / "HEAD"
    os.mkfifo(fifo)
    assert in_time(lambda: branch_in(tmp_path)) is None
    both_ways = os.open(fifo, os.O_RDWR)
    try:
        os.write(both_ways, b"ref: refs/heads/main\n")
        assert in_time(lambda: branch_in(tmp_path)) is None
    finally:
        os.close(both_ways)


@pytest.mark.parametrize("target", ["/dev/zero", "/nonexistent", "HEAD", "/"])
def test_a_head_that_leads_to_no_regular_file_names_no_branch(target: str, tmp_path: Path) -> None:
    (folder(tmp_path / ".git") / "HEAD").symlink_to(target)
    assert in_time(lambda: branch_in(tmp_path)) is None


@pytest.mark.parametrize(
    "content", ["", "gitdir: ", "gitdir: nowhere", "gitdir: a\0b", "gitdir: " + "x" * 9000, "what"]
)
def test_a_git_file_that_leads_nowhere_leaves_the_project_without_branch(content: str, tmp_path: Path) -> None:
    (tmp_path / ".git").write_text(content)
    assert find_project(str(tmp_path)) == Project(tmp_path.name, str(tmp_path), None)


def test_a_folder_that_may_not_be_entered_is_no_error(tmp_path: Path) -> None:
    repository(tmp_path)
    closed = folder(tmp_path / "closed")
    closed.chmod(0)
    try:
        assert branch_in(closed / "inside") == "main"
    finally:
        closed.chmod(0o700)


@quick
@given(st.one_of(any_text, any_text.map(lambda text: f"/{text}"), any_text.map(lambda text: f"/tmp/../{text}/..")))
def test_any_working_directory_is_a_project_or_none(cwd: str) -> None:
    project = find_project(cwd)
    assert project is None or (project.name and Path(project.path) in (Path(cwd), *Path(cwd).parents))
