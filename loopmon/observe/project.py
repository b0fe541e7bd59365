"""Which project a folder belongs to, and its git branch. Reads a few small files, starts no process.

Refuses to follow anything but regular files of sane size: the folders are other people's.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

MARKERS = (
    ".git",
    ".hg",
    "pyproject.toml",
    "package.json",
    "go.mod",
    "Cargo.toml",
    "Gemfile",
    "composer.json",
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
    "mix.exs",
    "deno.json",
)
REFTABLE_STUB = ".invalid"
"""What HEAD says in a repository that keeps its references in another format (gitformat-reftable)."""
MAX_DEPTH = 64
MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Project:
    """The nearest folder with a marker, and the HEAD file of the nearest git repository."""

    name: str
    path: str
    head: str | None


def find_project(cwd: str) -> Project | None:
    """The project that ``cwd`` is in, if any."""
    folder = Path(cwd)
    if not folder.is_absolute():
        return None
    found: Path | None = None
    for candidate in (folder, *folder.parents)[:MAX_DEPTH]:
        marked = any(_exists(candidate / marker) for marker in MARKERS)
        if found is None and marked:
            found = candidate
        if marked and found is not None:
            head = _head_file(candidate / ".git")
            if head is not None:
                return Project(found.name or str(found), str(found), head)
    return Project(found.name or str(found), str(found), None) if found else None


def read_branch(head: str) -> str | None:
    """``feat/login``, ``detached at 1a2b3c4``, or None where HEAD says neither (gitrepository-layout(5))."""
    text = _read_small(Path(head))
    if text is None:
        return None
    text = text.partition("\n")[0].strip()
    if text.startswith("ref:"):
        branch = text.removeprefix("ref:").strip().removeprefix("refs/heads/")
        return None if branch in {"", REFTABLE_STUB} else branch
    is_commit = len(text) in {40, 64} and all(digit in "0123456789abcdef" for digit in text)
    return f"detached at {text[:7]}" if is_commit else None


def _head_file(dot_git: Path) -> str | None:
    """The HEAD of a repository, or of a worktree or submodule, whose ``.git`` is a file that points to it."""
    if _exists(dot_git / "HEAD"):
        return str(dot_git / "HEAD")
    text = _read_small(dot_git)
    if text is None or not text.startswith("gitdir: "):
        return None
    git_dir = dot_git.parent / text.removeprefix("gitdir: ").rstrip("\r\n")
    return str(git_dir / "HEAD") if _exists(git_dir / "HEAD") else None


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except (OSError, ValueError):  # ValueError: a NUL in what a .git file points to
        return False
    return True


def _read_small(path: Path) -> str | None:
    """A regular file's text. A FIFO or device in its place is not opened for waiting, and not read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        content = os.read(descriptor, MAX_BYTES + 1)
        return os.fsdecode(content) if len(content) <= MAX_BYTES else None
    except OSError:
        return None
    finally:
        os.close(descriptor)
