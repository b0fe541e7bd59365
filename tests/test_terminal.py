"""The installed command in a real terminal, beside a real server."""

from __future__ import annotations

from pathlib import Path

import pytest
from terminal import LOOPMON
from tmux import Tmux
from zoo import Zoo


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder that is a project of its own, named so that it can be found on a screen."""
    folder = tmp_path / "fjord-api"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/tidal\n", encoding="utf-8")
    return folder


def test_a_server_that_starts_appears_and_can_be_found_opened_and_left(zoo: Zoo, project: Path) -> None:
    with Tmux((160, 45)) as terminal:
        terminal.run(f"{LOOPMON} --interval 0.2; echo left-with-$?")
        terminal.wait_for("live 0.2s")
        assert terminal.state("alternate_on") == "1"

        server = zoo.child("--for-the-screen", cwd=project)
        port = server.listen().port
        client = zoo.child("--a-client")
        held = client.connect("127.0.0.1", port)
        assert f" {port} " in terminal.wait_for(f" {port} ")

        terminal.press("/")
        terminal.type(f"port:{port}")
        assert "esc drops" in terminal.wait_for(f"port:{port}")
        terminal.wait_for(f" {server.pid} ")
        terminal.wait_for(f" {held.port} ")
        terminal.press("Enter")
        terminal.wait_until_gone("esc drops")
        terminal.press("Enter")
        terminal.wait_until_gone("ephemeral ports")
        seen = terminal.wait_for(f" {client.pid} on :{port} ")
        assert all(words in seen for words in ("--for-the-screen", "fjord-api", "tidal"))
        terminal.press("Escape")
        terminal.wait_for("ephemeral ports")
        terminal.press("Escape")
        terminal.wait_until_gone("esc Back")

        server.stop()
        assert " gone " in terminal.wait_for(f"stopped listening on 127.0.0.1:{port}")
        terminal.press("q")
        assert "left-with-0" in terminal.wait_for("\nleft-with-")


def test_it_follows_the_terminal_when_that_changes_its_size() -> None:
    with Tmux((160, 45)) as terminal:
        terminal.run(f"{LOOPMON} --demo; echo left-with-$?")
        terminal.wait_for("server.js --port 3000")
        terminal.resize(80, 24)
        terminal.wait_until_gone("server.js --port 3000")
        terminal.wait_for("node 4312")
        terminal.resize(40, 10)
        terminal.wait_for("needs 60x15")
        terminal.resize(80, 24)
        assert "needs" not in terminal.wait_for("node 4312")
        terminal.resize(160, 45)
        terminal.wait_for("server.js --port 3000")
        terminal.press("q")
        assert "left-with-0" in terminal.wait_for("\nleft-with-")


@pytest.mark.parametrize(("key", "status"), [("q", 0), ("C-c", 130)])
def test_it_leaves_the_terminal_as_it_was(key: str, status: int, tmp_path: Path) -> None:
    with Tmux((100, 30)) as terminal:
        terminal.run(f"cd {tmp_path}; echo still-here; stty -a > before; stty -a | head -1")
        before = terminal.wait_for("speed")
        assert "still-here" in before
        terminal.run(f"{LOOPMON} --demo; echo left-with-$?")
        terminal.wait_for("q Quit")
        assert "still-here" not in terminal.text
        terminal.press(key)
        seen = terminal.wait_for("\nleft-with-")
        assert f"left-with-{status}" in seen
        assert "still-here" in seen
        assert "Traceback" not in seen
        assert terminal.state("alternate_on") == "0"
        assert terminal.state("cursor_flag") == "1"
        assert terminal.state("mouse_any_flag") == "0"
        terminal.run("stty -a > after; echo typed-and-seen")
        assert terminal.wait_for("\ntyped-and-seen").count("typed-and-seen") == 2
        assert (tmp_path / "after").read_text() == (tmp_path / "before").read_text()
