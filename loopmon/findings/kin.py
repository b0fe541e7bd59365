"""Which processes belong together: a family's members do not get in each other's way. Pure."""

from __future__ import annotations

from loopmon.model import DELETED, Process

SHELLS = frozenset({"sh", "bash", "dash", "zsh", "fish", "ksh"})
_ORPHANAGES = frozenset({"systemd", "init", "launchd"})
"""They take in the children of others."""


def are_related(one: Process, other: Process) -> bool:
    """One descends from the other, or both are the same program below one parent, as workers are, or the proxies
    that Docker starts for each address. Below a shell somebody has started them one by one."""
    if one.id == other.id or one.id in _above(other) or other.id in _above(one):
        return True
    if one.ppid is None or one.ppid <= 1 or one.ppid != other.ppid:
        return False
    parent = one.parents[0].name if one.parents else ""
    return parent not in SHELLS | _ORPHANAGES and is_same_program(one, other) and _runs_the_same(one, other)


def is_same_program(one: Process, other: Process) -> bool:
    """The same executable, or the same name where those cannot be read. One that was replaced under a running
    server, as at an upgrade, is the same."""
    if one.exe and other.exe:
        return one.exe.removesuffix(DELETED) == other.exe.removesuffix(DELETED)
    return one.name == other.name


def _runs_the_same(one: Process, other: Process) -> bool:
    """As far as the word behind the program tells: two scripts of one interpreter are two programs."""
    return one.cmdline is None or other.cmdline is None or one.cmdline[1:2] == other.cmdline[1:2]


def _above(process: Process) -> set[object]:
    return {above.process for above in process.parents}
