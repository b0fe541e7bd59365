"""How much goes through each connection and each listener, from the byte counters of two looks. Pure but for
what it remembers of the last minute. Says nothing where the source counts no bytes.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from loopmon.model import Connection, Listener, Rate
from loopmon.observe.pairing import Brief

HISTORY_S = 60
MIN_STEP_S = 0.05
"""Two looks closer than this tell no rate."""


def bytes_of(connection: Connection) -> tuple[int | None, int | None]:
    """To the server and to the client, as the sender counted them, else as the receiver did."""
    client, server = connection.client.socket, connection.server.socket
    sent, received = (client.bytes_sent, client.bytes_received) if client else (None, None)
    answered, taken = (server.bytes_sent, server.bytes_received) if server else (None, None)
    return _first_known(sent, taken), _first_known(answered, received)


class Traffic:
    """Fed with every whole look."""

    def __init__(self) -> None:
        self._at: float | None = None
        self._before: Mapping[str, Connection] = {}
        self._brief = Brief([], [], [])
        self._history: defaultdict[str, deque[tuple[float, float]]] = defaultdict(deque)
        """By listener: when, and bytes per second."""
        self._rates: Mapping[str, Rate] = MappingProxyType({})

    def update(
        self, after: Mapping[str, Connection], brief: Brief, listeners: Mapping[str, Listener], now: float
    ) -> Mapping[str, Rate]:
        """The rates since the last look; ``brief`` are those of the connections that have gone since then. A look
        too soon after the last one changes nothing: what it brings counts at the next."""
        self._brief.extend(brief)
        step_s = now - self._at if self._at is not None else None
        if step_s is not None and 0 <= step_s < MIN_STEP_S:
            return self._rates
        before, brief, self._brief = self._before, self._brief, Brief([], [], [])
        self._at, self._before = now, after
        if step_s is None:
            return self._rates
        if step_s < 0:  # the clock was set back
            self._history.clear()
            return self._rates
        rates: dict[str, Rate] = {}
        moved, opened = Counter[str](), Counter[str]()
        for connection, count, is_new in _differences(before, after, brief):
            if count and connection.id in after:
                rates[connection.id] = Rate(count / step_s)
            if connection.listener_id:
                moved[connection.listener_id] += count
                opened[connection.listener_id] += is_new
        for listener_id in listeners:
            history = self._remember(listener_id, moved[listener_id] / step_s, now)
            if opened[listener_id] or any(history):
                rates[listener_id] = Rate(moved[listener_id] / step_s, opened[listener_id] / step_s, history)
        for gone in self._history.keys() - listeners.keys():
            del self._history[gone]
        self._rates = MappingProxyType(rates)
        return self._rates

    def _remember(self, listener_id: str, bytes_per_s: float, now: float) -> tuple[float, ...]:
        history = self._history[listener_id]
        history.append((now, bytes_per_s))
        while history[0][0] <= now - HISTORY_S:
            history.popleft()
        return tuple(rate for _, rate in history)


def _differences(
    before: Mapping[str, Connection], after: Mapping[str, Connection], brief: Brief
) -> Iterator[tuple[Connection, int, bool]]:
    """Each connection that has changed: how many bytes went through it, and whether it is new."""
    for key, connection in after.items():
        old = before.get(key)
        if old is connection:
            continue
        count = _total(connection) - (_total(old) if old else 0)
        if old or connection.seen_opening:
            yield connection, max(0, count), old is None
    for connection in brief.gone:
        yield connection, _total(connection), True
    for connection in brief.remain:
        yield connection, _total(connection), False  # counted as new by its end that remains
    for connection in brief.seen:
        old = before.get(connection.id)
        if old:
            yield connection, max(0, _total(connection) - _total(old)), False
        elif connection.id not in after:
            yield connection, _total(connection), True  # seen only in a look too soon after the one before


def _total(connection: Connection) -> int:
    return sum(count or 0 for count in bytes_of(connection))


def _first_known(*numbers: int | None) -> int | None:
    return next((number for number in numbers if number is not None), None)
