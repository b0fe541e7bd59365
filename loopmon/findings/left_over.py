"""Listeners that look left over from a server that should be gone: a count of named signs, never a verdict.

Services, containers, editors' servers and what was made a daemon on purpose are not accused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum

from loopmon import words
from loopmon.clean import clean
from loopmon.findings.make import label, on_row
from loopmon.findings.scene import Scene
from loopmon.model import DELETED, Certainty, Finding, FindingId, Listener, Process, Protocol, Ties
from loopmon.units import service_of

IDLE_S = 2 * 3600.0
"""With no client for so long, as far as loopmon has looked on."""

_TERMINAL = re.compile(r"/dev/(pts/|tty)\S*")
_OUTLIVES = re.compile(r"tmux|screen|zellij|mosh-server|code-server|[a-z]+-agent|dbus-daemon", re.I)
"""Programs that outlive their terminal on purpose, by name."""
_EDITOR = re.compile(r"/\.(vscode|cursor|windsurf|vscodium)-server/|/JetBrains/")


class Sign(StrEnum):
    TERMINAL = "terminal"
    SESSION = "session"
    PARENT = "parent"
    FOLDER = "folder"
    PROGRAM = "program"
    IDLE = "idle"


def left_over(scene: Scene) -> Iterator[Finding]:
    for row in scene.snapshot.listeners:
        holders = scene.top_holders(row.socket)
        if not holders or row.socket.protocol is not Protocol.TCP:
            continue
        idle_s = scene.now - max(scene.past.client_at.get(row.id, 0.0), scene.past.since or scene.now)
        seen = [signs_of(process, idle_s) for process in holders]
        if all(is_accused(process, signs) for process, signs in zip(holders, seen, strict=True)):
            yield _finding(row, holders[0], seen[0])


def signs_of(process: Process, idle_s: float) -> dict[Sign, str | None]:
    """The evidence for each sign that could be looked for; None where it is not there."""
    ties = process.ties
    signs: dict[Sign, str | None] = {}
    if ties.streams is not None:
        signs[Sign.TERMINAL] = _terminal(ties)
    if ties.session_gone is not None:
        signs[Sign.SESSION] = f"the shell of its session, {ties.session}, has ended" if ties.session_gone else None
    if ties.parent_gone is not None:
        heir = f"{clean(process.parents[0].name)} {process.ppid}" if process.parents else f"pid {process.ppid}"
        signs[Sign.PARENT] = f"whoever started it has ended; its parent is {heir} now" if ties.parent_gone else None
    if process.cwd is not None:
        signs[Sign.FOLDER] = _deleted(process.cwd, "its folder")
    if process.exe is not None:
        signs[Sign.PROGRAM] = _deleted(process.exe, "its program")
    signs[Sign.IDLE] = f"no client for {words.duration(idle_s)}" if idle_s >= IDLE_S else None
    return signs


def is_accused(process: Process, signs: dict[Sign, str | None]) -> bool:
    """Some signs say enough alone. A parent and a session that have gone do not where the process has no terminal
    and writes to no pipe: so does every daemon. An updated program or a quiet port never do."""
    seen = {sign for sign, evidence in signs.items() if evidence}
    if is_intended(process):
        return False
    if seen & {Sign.TERMINAL, Sign.FOLDER}:
        return True
    if Sign.PARENT in seen:
        return Sign.SESSION not in seen or not _is_daemonlike(process.ties)
    return False


def is_intended(process: Process) -> bool:
    """A service, in a container of its own, or one of the programs that outlive their terminal on purpose."""
    if process.ties.container or service_of(process.ties.cgroup):
        return True
    return bool(_OUTLIVES.match(process.name) or any(_EDITOR.search(word) for word in process.cmdline or ()))


def _is_daemonlike(ties: Ties) -> bool:
    return ties.streams is None or not any(
        target.startswith(("pipe:", "socket:")) or _TERMINAL.match(target) for target in ties.streams
    )


def _terminal(ties: Ties) -> str | None:
    gone = next((t for t in ties.streams or () if t.endswith(DELETED) and _TERMINAL.match(t)), None)
    return f"its terminal, {clean(gone.removesuffix(DELETED))}, is closed" if gone else None


def _deleted(path: str, what: str) -> str | None:
    return f"{what}, {clean(path.removesuffix(DELETED), 120)}, is deleted" if path.endswith(DELETED) else None


def _finding(row: Listener, process: Process, signs: dict[Sign, str | None]) -> Finding:
    evidence = [text for text in signs.values() if text]
    seen = {sign for sign, text in signs.items() if text}
    sure = Sign.FOLDER in seen or len(seen & {Sign.TERMINAL, Sign.SESSION, Sign.PARENT}) > 1
    return on_row(
        row,
        FindingId.LEFT_OVER,
        f"looks left over ({len(evidence)} of {len(signs)} signs)",
        *evidence,
        remedy=f"if nobody needs {label(process)}: x, or loopmon stop {row.laddr.port}",
        certainty=Certainty.LIKELY if sure else Certainty.POSSIBLE,
    )
