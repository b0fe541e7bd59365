"""The pictures in the README are what the code draws today."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from screenshots import FOLDER, PICTURES, draw

README = Path(__file__).parent.parent / "README.md"


@pytest.mark.parametrize("name", PICTURES)
async def test_the_file_is_what_is_drawn_today(name: str) -> None:
    """If not: python -m tests.screenshots"""
    drawn, kept = await draw(name), (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    assert words_of(drawn) == words_of(kept)
    assert drawn == kept, "the same words in other colours or places"


def test_the_readme_shows_every_picture_and_no_other() -> None:
    shown = re.findall(r"screenshots/([\w-]+)\.svg\)", README.read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(PICTURES)
    assert sorted(path.stem for path in FOLDER.glob("*.svg")) == sorted(PICTURES)


def words_of(svg: str) -> list[str]:
    """The lines of text in it."""
    return [html.unescape(text).replace("\xa0", " ") for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]
