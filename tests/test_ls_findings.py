"""``loopmon ls --findings``: the findings alone, as text and JSON, filtered, with an exit status for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from strays import Stray, Strays
from zoo import run_loopmon

from loopmon.findings.kinds import KINDS
from loopmon.model import FindingId

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the folder of a process is read from /proc")


@pytest.fixture
def strays(tmp_path: Path) -> Iterator[Strays]:
    with Strays(tmp_path) as kept:
        yield kept


@pytest.fixture
def left_over(strays: Strays, tmp_path: Path) -> Stray:
    """Its folder is deleted."""
    folder = tmp_path / "shop"
    folder.mkdir()
    server, _ = strays.start("serve", cwd=folder)
    folder.rmdir()
    return server


def test_as_text_each_finding_says_where_what_was_seen_and_what_to_do(left_over: Stray, tmp_path: Path) -> None:
    done = run_loopmon("ls", "--findings", f"port:{left_over.port}")
    lines = done.stdout.splitlines()
    word = KINDS[FindingId.LEFT_OVER].word
    assert (done.returncode, done.stderr) == (1, "")
    assert lines[0] == f"warning: 127.0.0.1:{left_over.port}: {word} (likely)"
    assert lines[1].startswith("  looks left over (1 of ")
    assert lines[2] == f"  its folder, {tmp_path / 'shop'}, is deleted"
    assert lines[3].startswith("  -> if nobody needs ")
    assert lines[3].endswith(f" {left_over.pid}: x, or loopmon stop {left_over.port}")


def test_as_json_a_finding_has_its_fields_and_its_listener(left_over: Stray) -> None:
    done = run_loopmon("ls", "--json", "--findings", f"port:{left_over.port}")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    (finding,) = told["findings"]
    assert (finding["id"], finding["severity"], finding["certainty"]) == ("left-over", "warning", "likely")
    assert finding["subject"].startswith("listener:tcp:")
    assert finding["title"].startswith("looks left over")
    assert finding["evidence"]
    assert str(left_over.pid) in finding["remedy"]


@pytest.mark.parametrize("flag", ["is:left-over", "is:leftover", "is:LEFT-OVER"])
def test_the_filter_takes_the_id_with_and_without_its_hyphen(left_over: Stray, flag: str) -> None:
    asked = run_loopmon("ls", "--findings", flag, f"port:{left_over.port}")
    assert asked.returncode == 1
    assert f"127.0.0.1:{left_over.port}: " in asked.stdout
    listed = run_loopmon("ls", "--listeners", flag, f"port:{left_over.port}")
    assert listed.returncode == 0
    assert str(left_over.port) in listed.stdout


def test_what_the_filter_leaves_out_is_not_there(left_over: Stray) -> None:
    for words in (["is:stopped", f"port:{left_over.port}"], ["--", "-is:leftover", f"port:{left_over.port}"]):
        done = run_loopmon("ls", "--findings", *words)
        assert (done.returncode, done.stdout) == (0, "")


def test_of_a_healthy_server_there_is_nothing_and_the_status_says_so(strays: Strays) -> None:
    server, _ = strays.start("serve")
    text = run_loopmon("ls", "--findings", f"port:{server.port}")
    assert (text.returncode, text.stdout, text.stderr) == (0, "", "loopmon: nothing to look at\n")
    as_json = run_loopmon("ls", "--json", "--findings", f"port:{server.port}")
    assert (as_json.returncode, json.loads(as_json.stdout)["findings"]) == (0, [])


def test_without_asking_for_findings_they_are_in_the_json_and_change_no_status(left_over: Stray) -> None:
    done = run_loopmon("ls", "--json", f"port:{left_over.port}")
    assert done.returncode == 0
    assert [finding["id"] for finding in json.loads(done.stdout)["findings"]] == ["left-over"]


@pytest.mark.parametrize("other", ["--csv", "--listeners", "--clients", "--processes"])
def test_findings_go_with_json_and_a_filter_only(other: str) -> None:
    done = run_loopmon("ls", "--findings", other)
    assert done.returncode == 2
    assert "--findings goes with" in done.stderr


@pytest.mark.parametrize("source", ["psutil", "sock_diag"])
def test_both_sources_tell_what_a_process_looks_like(left_over: Stray, source: str) -> None:
    done = run_loopmon("ls", "--source", source, "--findings", "is:leftover", f"port:{left_over.port}")
    assert done.returncode == 1, done.stderr
    assert "its folder" in done.stdout
