"""The waiting of ``loopmon wait``: looks, compares with what is wished for, and says what it sees on stderr.

Makes no connection unless it was told to probe; binds only to see whether a port is free.
"""

from __future__ import annotations

import contextlib
import errno
import sys
import time
from typing import Self

from loopmon import words
from loopmon.actions.bind import Bind, try_bind
from loopmon.clean import clean
from loopmon.commands.lookout import Lookout
from loopmon.commands.prober import Prober
from loopmon.commands.wish import Wish
from loopmon.exit_status import ExitStatus
from loopmon.holding import Obstacle, servers, why_no_server, why_not_free
from loopmon.model import Endpoint, Process, Socket
from loopmon.observe.processes import ProcessTable
from loopmon.sources import SourceChoice, open_source

MIN_WHOLE_INTERVAL_S = 0.25
"""Between looks at the whole table, where there is no cheaper look at the listeners."""


class NotPermittedError(Exception):
    """Waiting cannot help; the message says why."""


class Waiting:
    """Holds the source open."""

    def __init__(
        self, choice: SourceChoice, *, by: str | None = None, probes: bool = False, quiet: bool = False
    ) -> None:
        self._source = open_source(choice, follow=False)
        self._lookout = Lookout(self._source)
        self._processes = ProcessTable()
        self._by = by
        self._prober = Prober() if probes else None
        self._quiet = quiet
        self._told: dict[Wish, str | Obstacle] = {}
        """The answer that was last said of each."""
        self._sought: set[str] = set()
        """Servers whose holder the whole table was asked for."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def until(self, wanted: list[Wish], *, interval_s: float, timeout_s: float) -> ExitStatus:
        """Until all are so in the same look."""
        if not self._source.has_listener_lane:
            interval_s = max(interval_s, MIN_WHOLE_INTERVAL_S)
        began = time.monotonic()
        while True:
            left_s = began + timeout_s - time.monotonic()
            self._lookout.look(whole=left_s <= 0)
            try:
                answers = {wish: self._answer(wish, left_s) for wish in wanted}
            except NotPermittedError as error:
                self._say(str(error))
                return ExitStatus.NOT_PERMITTED
            waited_s = time.monotonic() - began
            for wish, answer in answers.items():
                self._tell(wish, answer, waited_s)
            missing = {wish: answer for wish, answer in answers.items() if isinstance(answer, Obstacle)}
            if not missing:
                return ExitStatus.OK
            if waited_s >= timeout_s:
                why = "; ".join(f"{wish.label} {wish.failure}: {answer.words}" for wish, answer in missing.items())
                self._say(f"gave up after {timeout_s:g} s: {why}")
                return ExitStatus.NO
            time.sleep(min(interval_s, timeout_s - waited_s))

    # What is so

    def _answer(self, wish: Wish, left_s: float) -> str | Obstacle:
        """In words what is so, or why it is not."""
        return self._free(wish) if wish.is_free else self._served(wish, left_s)

    def _served(self, wish: Wish, left_s: float) -> str | Obstacle:
        obstacles = []
        for to in wish.at:
            answer = self._served_at(to, left_s)
            if isinstance(answer, str):
                return f"accepts{f' on {words.endpoint(to)}' if len(wish.at) > 1 else ''}, {answer}"
            obstacles.append(answer)
        return min(obstacles, key=lambda obstacle: not obstacle.is_news)

    def _served_at(self, to: Endpoint, left_s: float) -> str | Obstacle:
        """Who accepts there."""
        found = self._servers(to)
        if not found:
            sockets = self._lookout.sockets
            return why_no_server(sockets, to, self._who(sockets, to.port))
        processes = self._who(found, to.port)
        server = next((each for each in found if self._is_meant(each, processes)), None)
        if server is None:
            return Obstacle(_other(found[0], self._by or "", processes), is_news=True)
        if self._prober and (obstacle := self._prober.obstacle(server, to, left_s)):
            return obstacle
        return words.owners_label(server, processes)

    def _servers(self, to: Endpoint) -> list[Socket]:
        """One that has just been opened may have no holder yet: the next whole look finds it."""
        found = servers(self._lookout.sockets, to)
        unknown = {each.id for each in found if not each.owners} - self._sought
        if not unknown:
            return found
        self._sought |= unknown
        self._lookout.look(whole=True)
        return servers(self._lookout.sockets, to)

    def _is_meant(self, server: Socket, processes: words.Processes) -> bool:
        if self._by is None:
            return True
        holders = [processes[owner.process] for owner in server.owners if owner.process in processes]
        return any(_is_named(holder, self._by) for holder in holders)

    def _free(self, wish: Wish) -> str | Obstacle:
        binds = [try_bind(at.ip, at.port) for at in wish.at]
        blocked = next((bind for bind in binds if not bind.free), None)
        if blocked is None:
            late = any(bind.needs_reuse for bind in binds)
            return "is free" + (" for a server that sets SO_REUSEADDR; old connections still have it" if late else "")
        if blocked.code == errno.EACCES:
            raise NotPermittedError(f"{wish.label} can never be bound: {blocked.reason}")
        return self._why_blocked(blocked)

    def _why_blocked(self, bind: Bind) -> Obstacle:
        at = Endpoint(bind.ip, bind.port)
        for look_closer in (False, True):
            if look_closer:
                self._lookout.look_closer()
            sockets = self._lookout.sockets
            if shown := why_not_free(sockets, at, self._who(sockets, at.port)):
                return shown
        return Obstacle(f"{bind.reason}, but the table does not show by whom", is_news=True)

    def _who(self, sockets: list[Socket] | tuple[Socket, ...], port: int) -> words.Processes:
        holders = {owner.process for found in sockets if found.laddr.port == port for owner in found.owners}
        return self._processes.read(holders)

    # What is said

    def _tell(self, wish: Wish, answer: str | Obstacle, waited_s: float) -> None:
        """Only what has changed since the last time."""
        before = self._told.get(wish)
        if answer == before:
            return
        if isinstance(answer, str):
            self._say(f"{wish.label} {answer}, after {waited_s:.1f} s")
        elif isinstance(before, str):
            self._say(f"{wish.label} {wish.failure} any more: {answer.words}")
        elif before is None:
            self._say(f"waiting for {wish.label} {wish.goal}" + (f": {answer.words}" if answer.is_news else ""))
        elif answer.is_news:
            self._say(f"{wish.label} {wish.failure}: {answer.words}")
        else:
            return
        self._told[wish] = answer

    def _say(self, line: str) -> None:
        """Nobody may be listening any more; it is waited for all the same."""
        if sys.stderr and not self._quiet:
            with contextlib.suppress(OSError):
                print(f"loopmon: {clean(line)}", file=sys.stderr, flush=True)


def _is_named(process: Process, name: str) -> bool:
    wanted = name.casefold()
    return wanted in process.name.casefold() or wanted in " ".join(process.cmdline or ()).casefold()


def _other(server: Socket, by: str, processes: words.Processes) -> str:
    where = words.endpoint(server.laddr, server.v6only)
    if not server.owners:
        return (
            f"who listens on {where} cannot be told {words.owners_label(server, processes)}, so not whether it is {by}"
        )
    return f"{words.owners_label(server, processes)} listens on {where}, and is not {by}"
