"""The help screen, made from the declared keys, filter keys and marks."""

from __future__ import annotations

import textwrap
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from loopmon import words
from loopmon.facts import FLAGS
from loopmon.filter import KEYS
from loopmon.findings.kinds import KINDS
from loopmon.tui.glyphs import FINDING, GONE, NEW, Glyphs
from loopmon.tui.keys import SECTIONS, key_name

KEY_WIDTH = 22
MEANING_WIDTH = 47
"""Fits 80 columns."""
FILTER_EXAMPLES = (
    ("word", "anywhere in the row; all words must match"),
    ("-word", "excludes"),
    ("127.0.0.1:49342", "that endpoint; also :3000, localhost:5173 and URLs"),
    ("port:3000-3999", "a port or a range, at either end"),
    ("age>1h", "age>, age< with s, m, h or d"),
)
SIGNS = (
    (f"{NEW} new", "appeared in the last seconds"),
    (f"{FINDING} stopped", "worth looking at: LOOK AT names it, enter explains it"),
    (f"{GONE} gone", "has gone; stays for some seconds"),
    ("≥4s", "at least: it was there when loopmon started"),
    ("was node 4312", "held it until its process let go"),
    ("node 4312 +3", "four processes hold the same listener"),
    ("QUEUE 1/5", "one client waits to be accepted, five may"),
    ("5 +12/s", "five clients, twelve new ones each second"),
    ("AGE", "of a listener: its process's, unless it was seen opening"),
)


class HelpScreen(ModalScreen[None]):
    """Escape, q or ? leaves it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "dismiss", "Close", key_display="esc"),
        Binding("ctrl+c", "app.interrupt", "Interrupt", show=False, priority=True),
    ]

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(classes="-ascii" if glyphs.ascii_only else None)
        self._glyphs = glyphs

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help") as box:
            box.border_title = "Keys"
            box.border_subtitle = "esc closes"
            yield Static(help_text(self._glyphs), id="help-text")


def help_text(glyphs: Glyphs) -> Content:
    sections = [
        (title, [(key_name(binding), f"{binding.description}: {binding.tooltip}") for binding in bindings])
        for title, bindings in SECTIONS.items()
    ]
    keys = ", ".join(f"{key}:" for key in KEYS)
    sections.append(("Filter", [*FILTER_EXAMPLES, ("keys", keys), ("is:", ", ".join(FLAGS))]))
    sections.append(("Findings (! goes to the next)", [(f"is:{name}", kind.meaning) for name, kind in KINDS.items()]))
    sections.append(("Signs", list(SIGNS)))
    lines: list[Content] = []
    for title, entries in sections:
        lines.append(Content.styled(title, "bold $text-accent"))
        for name, meaning in entries:
            first, *more = textwrap.wrap(meaning, MEANING_WIDTH)
            lines.append(Content.assemble("  ", (name.ljust(KEY_WIDTH), "bold"), " ", first))
            lines += [Content(" " * (KEY_WIDTH + 3) + line) for line in more]
        lines.append(Content(""))
    text = Content("\n").join(lines[:-1])
    return Content(text.plain.replace(words.AT_LEAST, ">")) if glyphs.ascii_only else text
