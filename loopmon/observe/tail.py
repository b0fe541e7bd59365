"""The end of a file that grows, is cut or is replaced: the last lines first, then what is added.

Reads regular files only, never a huge one whole, and writes nothing. Belongs to one thread.
"""

from __future__ import annotations

import os
import re
import stat
from typing import NamedTuple

from loopmon import words
from loopmon.clean import clean

FIRST_BYTES = 64 * 1024
MOST_BYTES = 256 * 1024
"""At one reading; of more only the last ``FIRST_BYTES``."""
LONGEST_LINE = 1_000
"""Characters; of the rest only how many they were is told."""
LONGEST_WAIT = 16 * 1024
"""Bytes without a line end that are kept waiting for one."""
_CONTROL_SEQUENCE = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
"""Colours and the like (ECMA-48, 5.4), which many programs write to files too."""


class Line(NamedTuple):
    text: str
    """Clean."""
    is_notice: bool = False
    """Not of the file: something that happened to it."""


class Tail:
    """Raises OSError where the file cannot be opened."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = _open(path)
        self._place = 0
        self._rest = b""
        """What came after the last line end."""
        self._is_gone = False

    def read(self) -> list[Line]:
        """What is new since the reading before: at the first, the end of what is there."""
        lines: list[Line] = []
        if self._is_replaced():
            lines += self._added() + self._flush()
            self._reopen()
            lines.append(Line("the file was replaced by a new one, which follows", is_notice=True))
        elif self._is_gone_now():
            lines.append(Line("the process has ended or the file was removed", is_notice=True))
        return lines + self._added()

    def close(self) -> None:
        os.close(self._file)

    def _is_replaced(self) -> bool:
        try:
            now = os.stat(self._path)  # noqa: PTH116  next to fstat
        except OSError:
            return False
        then = os.fstat(self._file)
        return stat.S_ISREG(now.st_mode) and (now.st_dev, now.st_ino) != (then.st_dev, then.st_ino)

    def _is_gone_now(self) -> bool:
        """Once each time that it goes."""
        was_gone, self._is_gone = self._is_gone, not os.path.exists(self._path)  # noqa: PTH110
        return self._is_gone and not was_gone

    def _reopen(self) -> None:
        try:
            opened = _open(self._path)
        except OSError:
            return  # gone again; the next reading says so
        os.close(self._file)
        self._file, self._place, self._rest = opened, 0, b""

    def _added(self) -> list[Line]:
        lines: list[Line] = []
        size = os.fstat(self._file).st_size
        if size < self._place:
            lines += [*self._flush(), Line("the file was cut and begins anew", is_notice=True)]
            self._place = 0
        most = FIRST_BYTES if self._place == 0 else MOST_BYTES
        if size - self._place > most:
            lines += self._skip_to(size - FIRST_BYTES)
        data = os.pread(self._file, MOST_BYTES, self._place)
        self._place += len(data)
        return lines + (self._split(data) if data else self._flush())

    def _skip_to(self, place: int) -> list[Line]:
        """To the first line that begins behind ``place``, if one does."""
        lines = self._flush()
        head = os.pread(self._file, FIRST_BYTES, place)
        place += head.find(b"\n") + 1
        skipped = words.byte_count(place - self._place)
        self._place = place
        return [*lines, Line(f"{skipped} bytes before this are not shown", is_notice=True)]

    def _split(self, data: bytes) -> list[Line]:
        *ended, self._rest = (self._rest + data).split(b"\n")
        lines = [_line(each) for each in ended]
        return lines + self._flush() if len(self._rest) > LONGEST_WAIT else lines

    def _flush(self) -> list[Line]:
        """A line whose end did not come."""
        rest, self._rest = self._rest, b""
        return [_line(rest)] if rest else []


def _open(path: str) -> int:
    """Not waiting for anybody, should it be a pipe meanwhile."""
    opened = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError(f"{path} is not a regular file")
    return opened


def _line(raw: bytes) -> Line:
    """NULs at its start are a hole: what a program leaves that goes on writing where it was in a file that was cut."""
    plain = _CONTROL_SEQUENCE.sub(b"", raw.lstrip(b"\0").rstrip(b"\r"))
    return Line(clean(plain.decode(errors="replace"), LONGEST_LINE))
