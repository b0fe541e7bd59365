"""Following real files: grown, cut, replaced, huge, hostile."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from loopmon.observe.tail import FIRST_BYTES, LONGEST_LINE, LONGEST_WAIT, MOST_BYTES, Line, Tail


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "server.log"
    made.write_bytes(b"")
    return made


@pytest.fixture
def tail(path: Path) -> Iterator[Tail]:
    with closing(Tail(str(path))) as opened:
        yield opened


def add(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def texts(tail: Tail) -> list[str]:
    return [line.text for line in tail.read() if not line.is_notice]


def notices(lines: list[Line]) -> list[str]:
    return [line.text for line in lines if line.is_notice]


def test_what_is_there_comes_first_and_then_what_is_added(path: Path) -> None:
    add(path, b"one\ntwo\n")
    with closing(Tail(str(path))) as tail:
        assert texts(tail) == ["one", "two"]
        assert tail.read() == []
        add(path, b"three\r\n\nfour\n")
        assert texts(tail) == ["three", "", "four"]


def test_a_line_is_shown_once_it_has_ended_or_stands_still(path: Path, tail: Tail) -> None:
    add(path, b"begin")
    assert tail.read() == []
    add(path, b"ning\nprompt> ")
    assert texts(tail) == ["beginning"]
    assert texts(tail) == ["prompt> "]
    assert tail.read() == []


def test_a_character_in_two_parts_is_one(path: Path, tail: Tail) -> None:
    add(path, "grün".encode()[:3])
    tail.read()
    add(path, "grün\n".encode()[3:])
    assert texts(tail) == ["grün"]


def test_of_a_big_file_the_end_is_shown_from_a_whole_line_on(path: Path) -> None:
    add(path, b"".join(b"line %07d\n" % number for number in range(100_000)))
    with closing(Tail(str(path))) as tail:
        lines = tail.read()
        assert notices(lines) == ["1.2M bytes before this are not shown"]
        assert lines[-1].text == "line 0099999"
        assert 4_000 < len(lines) * 13 < FIRST_BYTES + 100
        assert all(len(line.text) == 12 for line in lines[1:])


def test_a_huge_sparse_file_is_not_read_whole(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(1 << 40)
        file.seek(0, os.SEEK_END)
        file.write(b"\nthe end\n")
    with closing(Tail(str(path))) as tail:
        lines = tail.read()
        assert [line.text for line in lines][1:] in (["the end"], ["", "the end"])
        assert "1.0T bytes before this" in lines[0].text


def test_of_a_flood_the_last_part_is_shown(path: Path, tail: Tail) -> None:
    tail.read()
    add(path, b"first\n")
    assert texts(tail) == ["first"]
    add(path, b"0123456789\n" * (MOST_BYTES // 5))
    lines = tail.read()
    assert len(notices(lines)) == 1
    assert len(lines) * 11 < FIRST_BYTES + 100
    assert tail.read() == []


def test_a_file_that_is_cut_begins_anew(path: Path, tail: Tail) -> None:
    add(path, b"old\nolder\nrest")
    tail.read()
    path.write_bytes(b"new\n")
    lines = tail.read()
    assert notices(lines) == ["the file was cut and begins anew"]
    assert [line.text for line in lines] == ["rest", "the file was cut and begins anew", "new"]


def test_a_hole_left_by_a_writer_that_goes_on_where_it_was_is_no_text(path: Path, tail: Tail) -> None:
    add(path, b"x" * 10 + b"\n")
    tail.read()
    path.write_bytes(b"")
    with path.open("r+b") as file:
        file.seek(11)
        tail.read()
        file.write(b"after\n")
    assert texts(tail) == ["after"]


def test_a_file_that_is_replaced_is_read_to_its_end_and_the_new_one_follows(path: Path, tail: Tail) -> None:
    add(path, b"old\n")
    tail.read()
    add(path, b"last\nrest")
    path.rename(path.with_suffix(".1"))
    path.write_bytes(b"new\n")
    lines = tail.read()
    assert [line.text for line in lines] == [
        "last",
        "rest",
        "the file was replaced by a new one, which follows",
        "new",
    ]
    add(path, b"newer\n")
    assert texts(tail) == ["newer"]


def test_a_file_that_has_gone_is_said_to_be_gone_once(path: Path, tail: Tail) -> None:
    with path.open("ab") as file:
        path.unlink()
        assert len(notices(tail.read())) == 1
        file.write(b"still written\n")
        file.flush()
        assert [line.text for line in tail.read()] == ["still written"]
    path.write_bytes(b"back\n")
    assert texts(tail) == ["back"]


def test_what_comes_in_its_place_and_is_no_file_is_left_alone(path: Path, tail: Tail) -> None:
    path.unlink()
    os.mkfifo(path)
    assert tail.read() == []
    path.unlink()
    path.mkdir()
    assert tail.read() == []


def test_what_is_no_file_cannot_be_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ".", "missing"):
        with pytest.raises(OSError):
            Tail(str(tmp_path / name))


def test_hostile_bytes_are_harmless(path: Path, tail: Tail) -> None:
    add(path, b"\x1b[31mred\x1b[0m \x1b]0;title\x07\x00 \xff\xfe \xe2\x80\xae\xc2\x9b [b]markup[/b]\r over\n")
    (text,) = texts(tail)
    assert text.startswith("red ")
    assert "[b]markup[/b]" in text
    assert not [character for character in text if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]


def test_binary_without_a_line_end_is_shown_in_bounded_lines(path: Path, tail: Tail) -> None:
    for _ in range(10):
        add(path, os.urandom(LONGEST_WAIT))
        assert all(len(line.text) < LONGEST_LINE + 40 for line in tail.read())
    add(path, b"\nx" * 10 + b"\n")
    assert texts(tail)[-1] == "x"


def test_a_long_line_is_cut_and_says_by_how_much(path: Path, tail: Tail) -> None:
    add(path, b"y" * 5_000 + b"\n")
    assert texts(tail) == ["y" * LONGEST_LINE + f"… (+{5_000 - LONGEST_LINE} characters)"]


def test_no_descriptor_stays_open(path: Path) -> None:
    before = set(os.listdir("/dev/fd"))  # noqa: PTH208
    with closing(Tail(str(path))) as tail:
        for _ in range(3):
            path.unlink()
            path.write_bytes(b"again\n")
            tail.read()
    assert len(set(os.listdir("/dev/fd"))) <= len(before)  # noqa: PTH208
