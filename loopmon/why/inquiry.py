"""Gathers what an explanation needs beyond the snapshot. Looks first and touches last: binding leaves no trace, and a
connection is made only when it is asked for."""

from __future__ import annotations

from dataclasses import replace

from loopmon.actions.bind import bind_everywhere
from loopmon.actions.probe import probe
from loopmon.machine import read_machine
from loopmon.model import Endpoint, Snapshot
from loopmon.sources.demo import DemoSource
from loopmon.why.case import Case
from loopmon.why.target import Target


def inquire(target: Target, snapshot: Snapshot, formerly: str | None = None) -> Case:
    """May take some seconds where the resolver is slow. ``formerly``: who had the port a moment ago. A scripted machine
    is not asked: this one would answer."""
    if snapshot.source == DemoSource.name:
        return Case(target, snapshot, formerly=formerly)
    binds = () if target.is_udp else bind_everywhere(target.port)
    return Case(target, snapshot, read_machine(), binds, formerly=formerly)


def connect(case: Case) -> Case:
    """The same case with one real connection made; takes up to some seconds. UDP has none to make."""
    if case.target.is_udp:
        return case
    return replace(case, probe=probe(Endpoint(case.addresses[0], case.port)))
