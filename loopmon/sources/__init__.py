"""Where sockets come from. Every source yields the same ``Socket``; nothing here knows what is in scope."""

from __future__ import annotations

from enum import StrEnum

from loopmon.sources.reading import Reading, Source, SourceDeniedError, SourceError

__all__ = ["Reading", "Source", "SourceChoice", "SourceDeniedError", "SourceError", "open_source"]


class SourceChoice(StrEnum):
    """What ``--source`` takes."""

    AUTO = "auto"
    PSUTIL = "psutil"


def open_source(choice: SourceChoice = SourceChoice.AUTO, *, demo: bool = False) -> Source:
    """The source to use. psutil works on every system, so AUTO takes it."""
    if demo:
        from loopmon.sources.demo import DemoSource

        return DemoSource()
    from loopmon.sources.psutil_source import PsutilSource

    match choice:
        case SourceChoice.AUTO | SourceChoice.PSUTIL:
            return PsutilSource()
