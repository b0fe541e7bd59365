"""Both ends of each connection, joined. Owns what must be remembered between looks to name them.

Which end is the server is decided by the listener on that port, else by what was seen before, else by the
ephemeral range. The result does not depend on the order of the sockets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import NamedTuple

from loopmon.address import WILDCARDS, is_loopback4
from loopmon.model import (
    Connection,
    End,
    Endpoint,
    Owner,
    OwnerBasis,
    Protocol,
    RoleBasis,
    Socket,
    Status,
)
from loopmon.ports import port_class

MAX_FORMER_LISTENERS = 4096

_PairKey = tuple[Protocol, Endpoint, Endpoint]
"""The two endpoints in sorted order, so that both ends give the same key."""


class ListenerIndex:
    """Finds the listener that answers at an endpoint."""

    def __init__(self, listeners: Iterable[Socket]) -> None:
        self._by_port: defaultdict[tuple[Protocol, int], list[Socket]] = defaultdict(list)
        for listener in listeners:
            self._by_port[listener.protocol, listener.laddr.port].append(listener)

    def at(self, protocol: Protocol, where: Endpoint, end: Socket | None = None) -> Socket | None:
        """The listener for ``where``; among equals the one that shares a holder with ``end``."""
        candidates = self._by_port.get((protocol, where.port))
        if not candidates:
            return None
        answering = [found for found in candidates if _answers(found, where.ip)]
        return min(answering, key=lambda found: _preference(found, where.ip, end), default=None)


def _answers(listener: Socket, ip: str) -> bool:
    bound = listener.laddr.ip
    if bound == ip:
        return True
    if bound == "0.0.0.0":
        return is_loopback4(ip)
    return bound == "::" and not (listener.v6only and is_loopback4(ip))


def _preference(listener: Socket, ip: str, end: Socket | None) -> tuple[bool, bool, bool, str]:
    """Smallest is best: the exact address, then the address's own family, then a shared holder."""
    holders = {owner.process for owner in listener.owners}
    shares = end is not None and any(owner.process in holders for owner in end.owners)
    other_family = (listener.laddr.ip == "::") == is_loopback4(ip)
    return (listener.laddr.ip in WILDCARDS, other_family, not shares, listener.id)


@dataclass(slots=True)
class _Remembered:
    """One connection from look to look."""

    connection: Connection
    owners: dict[Endpoint, tuple[Owner, ...]]
    """Who was last seen holding each end."""
    generation: int
    """Counts the connections that had these endpoints one after the other."""


_OVER = frozenset(
    {Status.TIME_WAIT, Status.FIN_WAIT1, Status.FIN_WAIT2, Status.CLOSE_WAIT, Status.LAST_ACK, Status.CLOSING}
)


class Brief(NamedTuple):
    """Connections that lived and died between two looks, with their last counters."""

    gone: list[Connection]
    remain: list[Connection]
    """Those of which one end is still in the table, closing, and thereby among the connections of the look."""
    seen: list[Connection]
    """Those that a look has seen alive, as they were in the end."""

    def extend(self, more: Brief) -> None:
        for mine, others in zip(self, more, strict=True):
            mine.extend(others)


class Pairing:
    """Joins the sockets of one look after another. A look costs what has changed since the one before."""

    def __init__(self, ephemeral: tuple[int, int]) -> None:
        self._ephemeral = ephemeral
        self._sockets: dict[int, Socket] = {}
        """By the identity of the object: an unchanged socket is the same object."""
        self._seen: set[str] = set()
        """The ids of the sockets of this look and of the last one that differed."""
        self._groups: dict[_PairKey, list[Socket]] = {}
        self._pair_ids: dict[_PairKey, list[str]] = {}
        self._remembered: dict[str, _Remembered] = {}
        self._halves: set[_PairKey] = set()
        """The brief connections of the last look of which one end only had been told of."""
        self._connections: list[Connection] | None = None
        self._listeners: list[tuple[str, tuple[Owner, ...]]] = []
        self._former_listeners: dict[tuple[Protocol, Endpoint], None] = {}

    def join(self, sockets: Iterable[Socket], listeners: Sequence[Socket], now: float) -> list[Connection]:
        """The connections of these connected sockets, in the order of their endpoints.

        Unchanged ones are the same objects, and where nothing has changed so is the list.
        """
        touched = self._regroup({id(found): found for found in sockets})
        signature = sorted((found.id, found.owners) for found in listeners)
        if signature != self._listeners:
            self._listeners = signature
            touched |= self._groups.keys()
        if touched or self._connections is None:
            index = ListenerIndex(listeners)
            for key in touched:
                self._rejoin(key, index, now)
            ordered = sorted(self._remembered.items(), key=lambda item: item[0])
            self._connections = [remembered.connection for _, remembered in ordered]
        self._keep_former(listeners)
        return self._connections

    def brief(self, destroyed: Iterable[Socket], listeners: Sequence[Socket], now: float) -> Brief:
        """What became of sockets that have gone without any look having seen them alive."""
        groups: dict[_PairKey, list[Socket]] = {}
        for found in destroyed:
            groups.setdefault(_key(found), []).append(found)
        index = ListenerIndex(listeners)
        brief = Brief([], [], [])
        halves_before, self._halves = self._halves, set()
        for key, members in groups.items():
            there = self._groups.get(key, ())
            for pair in _pairs(key, members):
                gone_ends = {found.laddr for found in pair if found}
                over = any(found.status in _OVER or found.laddr not in gone_ends for found in there)
                ids = [found.id for found in pair if found]
                is_seen = any(each in self._seen for each in ids)
                if len(ids) == 1 and not is_seen:
                    if key in halves_before:
                        continue  # the other half of what was told at the last look
                    self._halves.add(key)
                pair_id = _pair_id(key, 1) if is_seen else f"{_pair_id(key, 1)}!{ids[0]}"
                connection = replace(self._joined(pair_id, key, pair, index, None, now).connection, seen_opening=True)
                (brief.seen if is_seen else brief.remain if over else brief.gone).append(connection)
        return brief

    def _regroup(self, current: dict[int, Socket]) -> set[_PairKey]:
        """Take in which sockets there are now. Returns the keys of the pairs that this concerns."""
        touched: set[_PairKey] = set()
        for gone in self._sockets.keys() - current.keys():
            key = _key(self._sockets[gone])
            left = [found for found in self._groups[key] if id(found) != gone]
            self._groups[key] = left
            touched.add(key)
        for come in current.keys() - self._sockets.keys():
            key = _key(current[come])
            self._groups.setdefault(key, []).append(current[come])
            touched.add(key)
        if touched:
            self._seen = {found.id for found in self._sockets.values()} | {found.id for found in current.values()}
        self._sockets = current
        return touched

    def _rejoin(self, key: _PairKey, index: ListenerIndex, now: float) -> None:
        """Make the connections of one pair of endpoints anew."""
        before = {pair_id: self._remembered.pop(pair_id) for pair_id in self._pair_ids.pop(key, ())}
        members = self._groups.get(key)
        if not members:
            self._groups.pop(key, None)
            return
        for ordinal, pair in enumerate(_pairs(key, members), start=1):
            pair_id = _pair_id(key, ordinal)
            self._remembered[pair_id] = self._joined(pair_id, key, pair, index, before.get(pair_id), now)
            self._pair_ids.setdefault(key, []).append(pair_id)

    def _joined(
        self,
        pair_id: str,
        key: _PairKey,
        sockets: tuple[Socket | None, Socket | None],
        index: ListenerIndex,
        known: _Remembered | None,
        now: float,
    ) -> _Remembered:
        protocol, one, other = key
        generation = known.generation if known else 1
        if known and _is_another(known.connection, sockets):
            known, generation = None, generation + 1
        server, roles = self._server(key, index, known.connection if known else None)
        client = other if server == one else one
        by_address = {other: sockets[1], one: sockets[0]}  # one socket where it is connected to itself
        listener = index.at(protocol, server, by_address[server])
        owners = dict(known.owners) if known else {}
        owners.update((found.laddr, found.owners) for found in sockets if found and found.owners)
        connection = Connection(
            id=pair_id if generation == 1 else f"{pair_id}~{generation}",
            protocol=protocol,
            client=self._end(client, by_address[client], owners, None),
            server=self._end(server, by_address[server], owners, listener),
            roles=roles,
            listener_id=listener.id if listener else None,
            first_seen=known.connection.first_seen if known else now,
            seen_opening=known.connection.seen_opening if known else self._connections is not None,
        )
        if known and connection == known.connection:
            connection = known.connection
        return _Remembered(connection, owners, generation)

    def _server(self, key: _PairKey, index: ListenerIndex, known: Connection | None) -> tuple[Endpoint, RoleBasis]:
        protocol, one, other = key
        one_listens = index.at(protocol, one) is not None
        if one_listens != (index.at(protocol, other) is not None):
            return (one if one_listens else other), RoleBasis.LISTENER
        if known:
            was_listener = known.roles is RoleBasis.LISTENER
            return known.server.addr, RoleBasis.SEEN if was_listener else known.roles
        one_listened = self._listened(protocol, one)
        if one_listened != self._listened(protocol, other):
            return (one if one_listened else other), RoleBasis.SEEN
        one_ephemeral = self._is_ephemeral(one)
        if one_ephemeral != self._is_ephemeral(other):
            return (other if one_ephemeral else one), RoleBasis.EPHEMERAL_RANGE
        return min(one, other, key=lambda end: (end.port, end.ip)), RoleBasis.GUESS

    def _end(
        self,
        addr: Endpoint,
        socket: Socket | None,
        held: Mapping[Endpoint, tuple[Owner, ...]],
        listener: Socket | None,
    ) -> End:
        owners: tuple[Owner, ...] = ()
        basis = OwnerBasis.UNKNOWN
        if socket and socket.owners:
            owners, basis = socket.owners, OwnerBasis.HOLDS
        elif addr in held:
            owners, basis = held[addr], OwnerBasis.HELD
        elif listener and listener.owners:
            owners, basis = listener.owners, OwnerBasis.LISTENS
        return End(addr, socket, owners, basis, port_class(addr.port, self._ephemeral))

    def _is_ephemeral(self, where: Endpoint) -> bool:
        first, last = self._ephemeral
        return first <= where.port <= last

    def _listened(self, protocol: Protocol, where: Endpoint) -> bool:
        addresses = (where.ip, "::", "0.0.0.0") if is_loopback4(where.ip) else (where.ip, "::")
        return any((protocol, Endpoint(ip, where.port)) in self._former_listeners for ip in addresses)

    def _keep_former(self, listeners: Iterable[Socket]) -> None:
        former = self._former_listeners
        for listener in listeners:
            former.pop((listener.protocol, listener.laddr), None)
            former[listener.protocol, listener.laddr] = None
        while len(former) > MAX_FORMER_LISTENERS:
            del former[next(iter(former))]


def _key(found: Socket) -> _PairKey:
    laddr, raddr = found.laddr, found.raddr
    assert raddr is not None, "only connected sockets are paired"
    return (found.protocol, laddr, raddr) if laddr <= raddr else (found.protocol, raddr, laddr)


def _pairs(key: _PairKey, members: list[Socket]) -> Iterable[tuple[Socket | None, Socket | None]]:
    """Each pair once: the sockets at the key's first and second endpoint; one that is connected to itself is
    at the first."""
    ones = sorted((s for s in members if s.laddr == key[1]), key=lambda s: s.id)
    others = sorted((s for s in members if s.laddr != key[1]), key=lambda s: s.id)
    return zip_longest(ones, others)


def _is_another(known: Connection, sockets: tuple[Socket | None, Socket | None]) -> bool:
    """Whether these are the ends of a new connection between the same endpoints: one that is over cannot live
    again, and a source that knows sockets apart gives new ones other ids."""
    ends = [
        (before.socket, now)
        for before in (known.client, known.server)
        for now in sockets
        if before.socket and now and now.laddr == before.addr
    ]
    if any(before.status is Status.TIME_WAIT and now.status is not Status.TIME_WAIT for before, now in ends):
        return True
    return bool(ends) and all(before.id != now.id for before, now in ends)


def _pair_id(key: _PairKey, ordinal: int) -> str:
    protocol, one, other = key
    suffix = f"#{ordinal}" if ordinal > 1 else ""
    return f"{protocol}:{one.ip}|{one.port}-{other.ip}|{other.port}{suffix}"
