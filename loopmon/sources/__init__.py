"""Where sockets come from. Every source yields the same ``Socket``; nothing here knows what is in scope."""

from __future__ import annotations

import sys
from enum import StrEnum

from loopmon.sources.reading import Reading, Source, SourceDeniedError, SourceError

__all__ = ["Reading", "Source", "SourceChoice", "SourceDeniedError", "SourceError", "open_source"]


class SourceChoice(StrEnum):
    """What ``--source`` takes."""

    AUTO = "auto"
    PSUTIL = "psutil"
    SOCK_DIAG = "sock_diag"


def open_source(choice: SourceChoice = SourceChoice.AUTO, *, demo: bool = False, follow: bool = True) -> Source:
    """The source to use: AUTO takes sock_diag where its first dump works, else psutil, which says why.

    ``follow`` is for looking again and again: what comes and goes between two looks is then noticed as well.
    Raises SourceError where the source that was asked for does not work here.
    """
    if demo:
        from loopmon.sources.demo import DemoSource

        return DemoSource()
    from loopmon.sources.psutil_source import PsutilSource

    if choice is SourceChoice.PSUTIL:
        return PsutilSource()
    if sys.platform != "linux":
        if choice is SourceChoice.SOCK_DIAG:
            raise SourceError("sock_diag is Linux's; this system has only psutil")
        return PsutilSource()
    from loopmon.sources.sock_diag import SockDiagSource, SockDiagUnavailableError

    try:
        source = SockDiagSource(follow=follow)
        source.check()
    except SockDiagUnavailableError as error:
        if choice is SourceChoice.SOCK_DIAG:
            raise
        return PsutilSource(because=str(error))
    return source
