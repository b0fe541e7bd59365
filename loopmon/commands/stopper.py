"""Finds what a stop is about, asks, carries the plan out and proves the outcome. Words go to stderr."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self as Me

import click

from loopmon import words
from loopmon.actions.asker import read_descendants, read_process, who_asks
from loopmon.actions.bind import try_bind
from loopmon.actions.defaults import KILL_TIMEOUT_S
from loopmon.actions.outcome import Outcome, conclude, write_down
from loopmon.actions.plan import Plan, Victim, make_plan
from loopmon.actions.preview import preview
from loopmon.actions.stopping import Stopping
from loopmon.address import LOCAL, WILDCARDS
from loopmon.exit_status import ExitStatus
from loopmon.model import Endpoint, Listener, Process, Scope, Snapshot
from loopmon.observe.observer import Observer
from loopmon.sources import SourceChoice, open_source
from loopmon.why.case import Case
from loopmon.why.target import Target, TargetError, is_localhost, parse_target
from loopmon.why.verdict import judge

LABEL_WIDTH = 9
_PID = re.compile(r"pid:(\d{1,10})", re.ASCII)


class Stopper:
    def __init__(
        self, source: SourceChoice, *, yes: bool, force: bool, timeout_s: float, number: signal.Signals
    ) -> None:
        """Raises SourceError."""
        self._source = open_source(source, follow=False)
        self._observer = Observer(self._source.name)
        self._yes = yes
        self._force = force
        self._timeout_s = timeout_s
        self._number = number

    def __enter__(self) -> Me:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.close()

    def preview_only(self, what: Sequence[str]) -> int:
        """To stdout: the preview is what was asked for. Raises TargetError, SourceError."""
        statuses = []
        for plan in self._plans(what):
            if isinstance(plan, ExitStatus):
                statuses.append(plan)
                continue
            sys.stdout.write(_text(plan))
            statuses.append(ExitStatus.OK if plan.is_possible else _refused(plan))
        return max(statuses, default=ExitStatus.OK)

    def stop(self, what: Sequence[str]) -> int:
        """The worst of the outcomes; 0 only when every port is free. Raises TargetError, SourceError."""
        plans = self._plans(what)
        for plan in plans:
            if isinstance(plan, Plan):
                sys.stderr.write(_text(plan))
        statuses = [plan if isinstance(plan, ExitStatus) else self._carry_out(plan) for plan in plans]
        return max(statuses, default=ExitStatus.OK)

    # What it is about

    def look(self) -> Snapshot:
        return self._observer.observe(self._source.read(), Scope(ipv6=True)).snapshot

    def _plans(self, what: Sequence[str]) -> list[Plan | ExitStatus]:
        targets = [self._target(text) for text in what]  # all are read before any is acted on
        self.look()
        snapshot = self.look()
        return [self._plan(target, snapshot) for target in targets]

    def _target(self, text: str) -> Target | Process:
        found = _PID.fullmatch(text)
        if not found:
            return parse_target(text)
        process = read_process(int(found[1]))
        if process is None:
            raise TargetError(f"there is no process {found[1]}")
        return process

    def _plan(self, target: Target | Process, snapshot: Snapshot) -> Plan | ExitStatus:
        if isinstance(target, Process):
            chosen = snapshot.processes.get(target.id, target)
            listeners = [row for row in snapshot.listeners if any(o.process == target.id for o in row.socket.owners)]
            return self._make(listeners, snapshot, chosen)
        if Case(target, snapshot).names_another_machine:
            raise TargetError(
                f"{target.host} is not an address of loopback; give the port alone to stop what has it here"
            )
        listeners = _meant(target, snapshot)
        if not listeners:
            return _nobody(target, snapshot)
        servers = _servers(listeners, snapshot, who_asks().ancestors)
        if len(servers) > 1:
            _say(f"different servers have port {target.port}: say which one is meant")
            for rows in servers:
                _say(f"  {words.endpoint(rows[0].laddr)} is {words.owners_label(rows[0].socket, snapshot.processes)}")
            return ExitStatus.NO
        return self._make(listeners, snapshot, None)

    def _make(self, listeners: list[Listener], snapshot: Snapshot, chosen: Process | None) -> Plan:
        holders = {owner.process for row in listeners for owner in row.socket.owners}
        holders |= {chosen.id} if chosen else set()
        return make_plan(listeners, snapshot, read_descendants(holders), who_asks(), chosen)

    # Doing it

    def _carry_out(self, plan: Plan) -> ExitStatus:
        if not plan.is_possible:
            return _refused(plan)
        if not self._yes and not _agreed("stop them?" if len(plan.victims) > 1 else "stop it?"):
            _say("nothing was stopped")
            return ExitStatus.NO
        outcome = Outcome("interrupted", "interrupted before the outcome was known", is_done=False)
        with Stopping(plan) as stopping:
            try:
                self._end(stopping)
                outcome = conclude(plan, stopping, self.look)
            finally:
                if fault := write_down(plan, stopping, outcome.kind, outcome.words):
                    _say(fault)
            hint = ": --force sends KILL" if stopping.remaining() and not outcome.is_done else ""
        _say(f"{outcome.words}{hint}")
        if outcome.is_done:
            return ExitStatus.OK
        return ExitStatus.NOT_PERMITTED if outcome.is_permission else ExitStatus.NO

    def _end(self, stopping: Stopping) -> None:
        stopping.send(self._number)
        for victim, reason in stopping.lost:
            _say(f"{victim.label} is not signalled: {reason}")
        for victim in stopping.refused:
            _say(f"{victim.label} may not be signalled; sudo kill {victim.process.id.pid}")
        has_ended = stopping.wait(self._timeout_s, _teller())
        _clear_line()
        if has_ended:
            return
        names = ", ".join(victim.label for victim in stopping.remaining())
        _say(f"after {self._timeout_s:g} s still there: {names}")
        if self._force or (not self._yes and _can_ask() and _agreed("KILL?")):
            stopping.send(signal.SIGKILL)
            stopping.wait(KILL_TIMEOUT_S)


def _meant(target: Target, snapshot: Snapshot) -> list[Listener]:
    """With an address only the listeners that answer there; without one all on the port."""
    case, host = Case(target, snapshot), (target.host or "").strip("[]")
    if target.host is None:
        return list(case.listeners)
    if exact := [row for row in case.listeners if row.laddr.ip == host]:
        return exact
    addresses = LOCAL if is_localhost(target.host) or host in {*WILDCARDS, "*"} else case.addresses
    return list(dict.fromkeys(row for ip in addresses for row in case.answering(ip)))


def _servers(listeners: Sequence[Listener], snapshot: Snapshot, around: frozenset[int]) -> list[list[Listener]]:
    """The listeners of each server: those that have a holder in common, or a parent that is the same program and not
    one of those ``around`` loopmon: a shell has started servers that have nothing to do with each other."""
    servers: list[tuple[set[object], list[Listener]]] = []
    for row in listeners:
        family: set[object] = {owner.process for owner in row.socket.owners} or {row.id}
        for owner in row.socket.owners:
            process = snapshot.processes.get(owner.process)
            if process and process.parents:
                above = process.parents[0]
                family |= {above.process} if above.name == process.name and above.process.pid not in around else set()
        same = next((each for each in servers if each[0] & family), None)
        if same:
            same[0].update(family)
            same[1].append(row)
        else:
            servers.append((family, [row]))
    return [rows for _, rows in servers]


def _nobody(target: Target, snapshot: Snapshot) -> ExitStatus:
    """Nobody listens: that is what was wanted, if the port can be bound as well."""
    ip = Case(target, snapshot).addresses[0]
    tried = try_bind(ip, target.port)
    if target.is_udp or tried.free:
        where = f"port {target.port}" if target.host is None else words.endpoint(Endpoint(ip, target.port))
        _say(f"nobody listens on {where}: it is free")
        return ExitStatus.OK
    verdict = judge(Case(target, snapshot, binds=(tried,)))
    _say(f"{verdict.headline}; only what listens is stopped")
    return ExitStatus.NO


def _refused(plan: Plan) -> ExitStatus:
    by_permission = plan.refusals and all(refusal.is_permission for refusal in plan.refusals)
    return ExitStatus.NOT_PERMITTED if by_permission else ExitStatus.NO


def _text(plan: Plan) -> str:
    lines, last = [], None
    for part, text in preview(plan):
        label = part if part is not last else ""
        lines.append(f"{label:<{LABEL_WIDTH}}{text}\n")
        last = part
    return "".join(lines)


def _teller() -> Callable[[tuple[Victim, ...], float], None]:
    """On a terminal: who is waited for, counting down, on one line."""
    if not (sys.stderr and sys.stderr.isatty()):
        return lambda _left, _left_s: None

    def tell(left: tuple[Victim, ...], left_s: float) -> None:
        sys.stderr.write(f"\r\x1b[Kwaiting for {left[0].label} to end: {left_s:.0f} s\r")
        sys.stderr.flush()

    return tell


def _clear_line() -> None:
    if sys.stderr and sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")


def _can_ask() -> bool:
    return bool(sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty())


def _agreed(question: str) -> bool:
    if not _can_ask():
        raise click.UsageError("without a terminal to ask on, say --yes")
    return click.confirm(question, default=False, err=True)


def _say(text: str) -> None:
    if sys.stderr:
        print(f"loopmon: {text}", file=sys.stderr)
