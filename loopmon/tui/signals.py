"""The signals that end the app. The handlers run even while its loop is blocked as the terminal takes nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any


class Signals:
    def __init__(self, at_once: Callable[[], None]) -> None:
        """``at_once`` is called within the handler itself."""
        self._at_once = at_once
        self._former: dict[signal.Signals, Any] = {}

    def catch(self, loop: asyncio.AbstractEventLoop, leave: Callable[[], None]) -> None:
        def handle(_number: int, _frame: FrameType | None) -> None:
            self._at_once()
            loop.call_soon_threadsafe(leave)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._former[number] = signal.signal(number, handle)

    def release(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
