"""The top line: what is watched, how much of it there is, and how well it is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual.content import Content
from textual.widgets import Static

from loopmon import words
from loopmon.clean import clean
from loopmon.findings.kinds import is_pressing
from loopmon.model import Frame


class Part(NamedTuple):
    """A piece of the line; the one with the lowest ``keep`` goes first when room is short."""

    text: str
    style: str
    keep: int


class Header(Static):
    """Draws one frame's facts; the least important go first when room is short."""

    def __init__(self) -> None:
        super().__init__("loopmon", id="header", markup=False)
        self._left: list[Part] = []
        self._right: list[Part] = []

    def show(self, frame: Frame | None, *, paused: bool, silent_s: float | None) -> None:
        """``silent_s``: for how long no frame has come although one is due; None where all is well."""
        parts = left_parts(frame), right_parts(frame, paused=paused, silent_s=silent_s)
        if parts != (self._left, self._right):
            self._left, self._right = parts
            self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        self.update(lay_out(self._left, self._right, self.size.width), layout=False)


def left_parts(frame: Frame | None) -> list[Part]:
    parts = [Part("loopmon", "bold $text-accent", 4)]
    snapshot = frame.snapshot if frame else None
    if snapshot is None:
        return parts
    parts.append(Part(words.count(len(snapshot.listeners), "listener"), "bold", 7))
    parts.append(Part(words.count(len(snapshot.connections) - snapshot.in_time_wait, "client"), "bold", 6))
    pressing = sum(map(is_pressing, snapshot.findings))
    if pressing:
        parts.append(Part(f"{pressing} to look at", "bold $text-warning", 9))
    if notes := len(snapshot.findings) - pressing:
        parts.append(Part(words.count(notes, "note"), "", 3))
    if snapshot.hidden.ipv6_loopback:
        parts.append(Part(f"+{snapshot.hidden.ipv6_loopback} on ::1", "", 5))
    if snapshot.hidden.wildcard:
        parts.append(Part(f"+{snapshot.hidden.wildcard} on wildcards", "", 5))
    network = "127.0.0.0/8 and ::1" if snapshot.scope.ipv6 else "127.0.0.0/8"
    parts.append(Part(network, "$foreground 60%", 1))
    return parts


def right_parts(frame: Frame | None, *, paused: bool, silent_s: float | None) -> list[Part]:
    if frame is None:
        return [Part("reading the sockets", "$foreground 60%", 8)]
    parts = [_state(frame, paused=paused, silent_s=silent_s)]
    if frame.snapshot:
        parts.append(Part(frame.snapshot.source, "$foreground 60%", 3))
    parts.append(Part(f"{frame.cpu_percent:.1f}% own cpu", "$foreground 60%", 2))
    return parts


def _state(frame: Frame, *, paused: bool, silent_s: float | None) -> Part:
    if frame.stale:
        return Part(f"STALE {clean(frame.stale, 80)}", "bold $text-error", 8)
    if silent_s is not None:
        return Part(f"STALE no answer for {words.duration(silent_s)}", "bold $text-error", 8)
    if paused:
        return Part("PAUSED", "bold $text-warning", 8)
    if frame.slowed:
        return Part(f"slow {frame.interval_s:.1f}s: {frame.slowed}", "$text-warning", 8)
    return Part(f"live {frame.interval_s:.1f}s", "$text-success", 8)


def lay_out(left: Sequence[Part], right: Sequence[Part], width: int) -> Content:
    """Left and right with the room between; what matters least goes first until the rest fits."""
    left, right = list(left), list(right)
    while len(left) + len(right) > 1 and _cells(left) + _cells(right) + 4 > width:
        least = min((*left, *right), key=lambda part: part.keep)
        (left if least in left else right).remove(least)
    gap = max(1, width - 2 - _cells(left) - _cells(right))
    return Content.assemble(" ", *_spaced(left), " " * gap, *_spaced(right))


def _cells(parts: Sequence[Part]) -> int:
    return sum(words.width(part.text) for part in parts) + 2 * max(0, len(parts) - 1)


def _spaced(parts: Sequence[Part]) -> list[str | tuple[str, str]]:
    spaced: list[str | tuple[str, str]] = []
    for part in parts:
        spaced += ["  "] if spaced else []
        spaced.append((part.text, part.style))
    return spaced
