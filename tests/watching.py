"""This machine, looked at as the monitor does: what is found about one port."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from zoo import wait_for

from loopmon.commands.selection import Parts, select
from loopmon.filter import parse_filter
from loopmon.findings import Judge
from loopmon.model import Finding, FindingId, Scope
from loopmon.observe.observer import Observer
from loopmon.sources import SourceChoice, open_source

Found = dict[FindingId, Finding]


class Watch:
    """Remembers from look to look. Of several findings of one kind about a port the worst is kept."""

    def __init__(self) -> None:
        self._source = open_source(SourceChoice.AUTO, follow=False)
        self._observer = Observer(self._source.name)
        self._judge = Judge()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.close()

    def about(self, port: int, words: str = "") -> Found:
        seen = self._observer.observe(self._source.read(), Scope()).snapshot
        selected = select(self._judge.judge(seen), parse_filter(f"port:{port} {words}"), Parts(findings=True))
        return {finding.id: finding for finding in reversed(selected.findings)}

    def until(self, kind: FindingId, port: int) -> Finding:
        return _wait_for(lambda: self.about(port), kind, port)


def seen_afresh(port: int) -> Found:
    """At a first look, after a second one where a process could not be named yet."""
    with Watch() as watch:
        watch.about(port)
        return watch.about(port)


def wait_to_see(kind: FindingId, port: int) -> Finding:
    """By someone who has just come: nothing is known of before."""
    return _wait_for(lambda: seen_afresh(port), kind, port)


def _wait_for(look: Callable[[], Found], kind: FindingId, port: int) -> Finding:
    found: Found = {}

    def is_found() -> bool:
        found.clear()
        found.update(look())
        return kind in found

    wait_for(is_found, f"{kind} at port {port}")
    return found[kind]
