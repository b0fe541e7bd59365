"""``loopmon stop`` as people run it, with a ledger of the test's own, and its steps one by one on this machine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from zoo import run_loopmon

from loopmon.actions.asker import read_descendants, who_asks
from loopmon.actions.plan import Plan, make_plan
from loopmon.model import Scope, Snapshot
from loopmon.observe.observer import Observer
from loopmon.sources import SourceChoice, open_source


class Stops:
    def __init__(self, folder: Path) -> None:
        self.env = {"XDG_STATE_HOME": str(folder / "state")}
        self.ledger = folder / "state" / "loopmon" / "stops.jsonl"

    def __call__(self, *args: str | int) -> subprocess.CompletedProcess[str]:
        """Without a terminal."""
        return run_loopmon("stop", *map(str, args), env=self.env)

    def entries(self) -> list[dict[str, Any]]:
        """What has been written down."""
        if not self.ledger.exists():
            return []
        return [json.loads(line) for line in self.ledger.read_text().splitlines()]


class Machine:
    """This machine, looked at as a stop does it."""

    def __init__(self) -> None:
        self._source = open_source(SourceChoice.AUTO, follow=False)
        self._observer = Observer(self._source.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.close()

    def look(self) -> Snapshot:
        return self._observer.observe(self._source.read(), Scope(ipv6=True)).snapshot

    def plan(self, port: int, ip: str | None = None) -> Plan:
        """For what listens there."""
        self.look()
        snapshot = self.look()
        rows = [row for row in snapshot.listeners if row.laddr.port == port and ip in {None, row.laddr.ip}]
        holders = {owner.process for row in rows for owner in row.socket.owners}
        return make_plan(rows, snapshot, read_descendants(holders), who_asks())
