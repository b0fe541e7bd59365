"""Text in two columns: a label where a part begins, and lines that wrap within theirs. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content

LABEL_STYLE = "$text-accent bold"
LEAST_WIDTH = 20


def labelled(lines: Iterable[tuple[str, Content]], label_width: int, width: int) -> Content:
    """``width`` is that of both columns."""
    room = max(LEAST_WIDTH, width - label_width)
    drawn: list[Content] = []
    for label, body in lines:
        for number, part in enumerate(body.wrap(room) or [Content("")]):
            drawn.append(Content.assemble(((label if number == 0 else "").ljust(label_width), LABEL_STYLE), part))
    return Content("\n").join(drawn)
