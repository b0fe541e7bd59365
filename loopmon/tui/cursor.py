"""Where the cursor goes when rows come, go and change places. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def follow(before: Sequence[str], after: Sequence[str], cursor: int) -> int:
    """The cursor's new index: on the same key; where that has gone, on the nearest row that is left
    of those that stood below it, else above it; 0 where nothing is left.

    ``before`` and ``after`` hold distinct keys; ``cursor`` is an index into ``before``.
    """
    if not before or not after:
        return 0
    key = before[cursor]
    if cursor < len(after) and after[cursor] == key:
        return cursor
    if key in after:
        return after.index(key)
    places = {key: index for index, key in enumerate(after)}
    for key in (*before[cursor + 1 :], *reversed(before[:cursor])):
        if key in places:
            return places[key]
    return min(cursor, len(after) - 1)
