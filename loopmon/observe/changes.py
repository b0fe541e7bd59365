"""What differs between two looks, by the identity of the row. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from loopmon.model import Change, ChangeKind, Connection, End, Listener, Owner, OwnerBasis, ProcessId

Row = TypeVar("Row", Listener, Connection)


def by_id(rows: Iterable[Row]) -> dict[str, Row]:
    return {row.id: row for row in rows}


def differences(before: Mapping[str, Row], after: Mapping[str, Row], now: float) -> list[Change]:
    """Closed rows first, then opened and changed ones, each in the order of its mapping.

    An unchanged row that is the same object costs one comparison.
    """
    changes = [Change(ChangeKind.CLOSED, now, row) for key, row in before.items() if key not in after]
    for key, row in after.items():
        old = before.get(key)
        if old is row:
            continue
        if old is None:
            changes.append(Change(ChangeKind.OPENED, now, row))
        elif (kind := _kind(old, row)) is not None:
            changes.append(Change(kind, now, row, old))
    return changes


def _kind(old: Row, new: Row) -> ChangeKind | None:
    """A connection that lost its owner because its state changed is a change of state."""
    if isinstance(old, Connection) and isinstance(new, Connection):
        if old.status is not new.status:
            return ChangeKind.STATUS
        same = _holders(old.client) == _holders(new.client) and _holders(old.server) == _holders(new.server)
        return None if same else ChangeKind.OWNER
    if isinstance(old, Listener) and isinstance(new, Listener):
        before, after = _owners(old.socket.owners), _owners(new.socket.owners)
        return ChangeKind.OWNER if before and after and before != after else None
    raise TypeError("a listener and a connection cannot share an id")


def _holders(end: End) -> set[ProcessId]:
    """Those that hold the socket or held it last: nobody changes hands by not being seen for a look."""
    return _owners(end.owners) if end.basis in {OwnerBasis.HOLDS, OwnerBasis.HELD} else set()


def _owners(owners: tuple[Owner, ...]) -> set[ProcessId]:
    return {owner.process for owner in owners}
