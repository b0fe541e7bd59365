"""``loopmon why`` and ``loopmon ls`` about one port of this machine, as data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from zoo import TIMEOUT_S, run_loopmon, wait_for

Told = dict[str, Any]
EVERY_FINDING = ("connections", "listeners")


def why(*args: str) -> Told:
    """What it says; its exit status, which agrees with that, is checked here."""
    done = run_loopmon("why", "--json", *args)
    assert done.returncode in {0, 1}, done.stderr
    assert done.stderr == ""
    told: Told = json.loads(done.stdout)
    assert done.returncode == (0 if told["ok"] else 1)
    assert told["ok"] == (told["cause"] == "healthy")
    return told


def why_until(cause: str, *args: str) -> Told:
    """For what is not so at once: a connection that is only just being closed, two looks under load."""
    last: list[Told] = []

    def is_so() -> bool:
        last[:] = [why(*args)]
        return bool(last[0]["cause"] == cause)

    wait_for(is_so, f"{cause} of {args}")
    return last[0]


def pasted(text: str | bytes, *args: str) -> subprocess.CompletedProcess[str]:
    """``loopmon why -`` with that on its standard input."""
    done = subprocess.run(
        [sys.executable, "-m", "loopmon", "why", *args, "-"],
        input=text.encode() if isinstance(text, str) else text,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        timeout=TIMEOUT_S,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def listed(port: int) -> Told:
    """That port as ``loopmon ls`` has it, IPv6 included."""
    found: Told = json.loads(run_loopmon("ls", "--json", "--ipv6", f"port:{port}").stdout)
    return found


def marks(port: int) -> set[str]:
    """The findings about the rows with that port."""
    found = listed(port)
    return {mark for part in EVERY_FINDING for row in found[part] for mark in row["findings"]}


def told_words(told: Told) -> str:
    """The verdict: what is wrong, what was seen and what to do."""
    return "\n".join((told["headline"], *told["evidence"], *told["remedies"]))


def part(told: Told, name: str) -> str:
    return "\n".join(told["sections"][name])
