"""One look for the commands that look once: a second one only where the first leaves a question open."""

from __future__ import annotations

import time

from loopmon.findings import Judge
from loopmon.model import OwnerUnknown, Scope, Snapshot
from loopmon.observe.observer import Observer
from loopmon.sources import Source, SourceChoice, open_source
from loopmon.sources.privilege import sees_every_process

BETWEEN_LOOKS_S = 1.0


def look_once(choice: SourceChoice, scope: Scope, *, demo: bool) -> Snapshot:
    """Raises SourceError."""
    source = open_source(choice, demo=demo, follow=False)
    try:
        return _look(source, scope, still=demo)
    finally:
        source.close()


def _look(source: Source, scope: Scope, *, still: bool) -> Snapshot:
    """Again at once where a socket has no owner yet, as it may have been opened just now; again a second later
    where clients may be waiting in vain."""
    observer, judge = Observer(source.name), Judge()
    reading = source.read()
    seen = observer.observe(reading, scope).snapshot
    if sees_every_process() and any(found.owner_unknown is OwnerUnknown.UNKNOWN for found in reading.sockets):
        seen = observer.observe(source.read(), scope).snapshot
    snapshot = judge.judge(seen)
    if judge.wants_another_look and not still:
        time.sleep(BETWEEN_LOOKS_S)
        snapshot = judge.judge(observer.observe(source.read(), scope).snapshot)
    return snapshot
