"""How ``loopmon why`` is asked: arguments, standard input, pasted errors, the demo, other sources."""

from __future__ import annotations

import json

import pytest
from whys import pasted, why
from zoo import Child, Zoo, run_loopmon

from loopmon.why.target import ACCEPTED

NODE = """node:internal/process/promises:394
    triggerUncaughtException(err, true /* fromPromise */);
Error: connect ECONNREFUSED 127.0.0.1:{port}
    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1636:16) {{
  errno: -111, code: 'ECONNREFUSED', syscall: 'connect', address: '127.0.0.1', port: {port}
}}
"""
PYTHON = """Traceback (most recent call last):
  File "/usr/lib/python3.12/http/client.py", line 1003, in connect
ConnectionRefusedError: [Errno 111] Connection refused
requests.exceptions.ConnectionError: HTTPConnectionPool(host='127.0.0.1', port={port}): Max retries exceeded
"""
GO = "2026/01/02 12:03:04 listen tcp 127.0.0.1:{port}: bind: address already in use\nexit status 1\n"
CURL = "curl: (7) Failed to connect to 127.0.0.1 port {port} after 0 ms: Couldn't connect to server\n"
PSQL = """psql: error: connection to server at "127.0.0.1", port {port} failed: Connection refused
\tIs the server running on that host and accepting TCP/IP connections?
"""


@pytest.fixture
def child(zoo: Zoo) -> Child:
    return zoo.child()


@pytest.fixture
def port(child: Child) -> int:
    """That of a server that is well."""
    return child.listen().port


@pytest.mark.parametrize(
    ("text", "symptom"),
    [(NODE, "refused"), (PYTHON, "refused"), (GO, "in-use"), (CURL, "refused"), (PSQL, "refused")],
    ids=["node", "python", "go", "curl", "psql"],
)
def test_an_error_is_read_from_the_standard_input_and_from_arguments(child: Child, text: str, symptom: str) -> None:
    server = child.listen()
    line = text.format(port=server.port)
    done = pasted(line, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert (told["target"]["port"], told["target"]["host"]) == (server.port, "127.0.0.1")
    assert told["target"]["symptom"] == symptom
    remedy = "it is taken by " if symptom == "in-use" else "the trouble seems to be over"
    assert told["remedies"][0].startswith(remedy)
    assert str(child.pid) in told["headline"]
    child.close(server)
    gone = why(line)
    assert (gone["target"]["port"], gone["cause"]) == (server.port, "nobody-listens")


@pytest.mark.parametrize(
    "what", ["{}", ":{}", "127.0.0.1:{}", "localhost:{}", "http://127.0.0.1:{}/x?y=1", "port {}", "*:{}"]
)
def test_every_short_form_finds_the_server(port: int, what: str) -> None:
    assert why(what.format(port))["ok"]


def test_words_on_the_command_line_are_one_text(port: int) -> None:
    assert why("connection", "refused", "by", "127.0.0.1", "port", str(port))["target"]["symptom"] == "refused"


def test_bytes_that_are_no_text_are_passed_over(port: int) -> None:
    done = pasted(b"\xff\xfe\x00 127.0.0.1:%d refused \x80\r\n" % port)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"127.0.0.1:{port}: ")


@pytest.mark.parametrize("what", ["hello", "", "70000", "0", "Error: it does not work", "node:net:1636:16"])
def test_what_cannot_be_read_says_in_one_line_what_is_accepted(what: str) -> None:
    done = run_loopmon("why", what)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("loopmon: ")
    assert line.endswith(ACCEPTED)


def test_nothing_on_the_standard_input_cannot_be_read_either() -> None:
    done = pasted("")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"loopmon: the text is empty; {ACCEPTED}\n"


def test_nothing_at_all_is_wrong_usage() -> None:
    done = run_loopmon("why")
    assert (done.returncode, done.stdout) == (2, "")
    assert "WHAT" in done.stderr


def test_other_candidates_are_named(port: int) -> None:
    done = pasted(f"connect ECONNREFUSED 127.0.0.1:{port}\nused by http://localhost:1234/\n")
    assert done.stdout.splitlines()[-1] == "ALSO     in that text: http://localhost:1234"


def test_psutil_answers_as_far_as_it_knows(port: int) -> None:
    told = why("--source", "psutil", str(port))
    assert told["ok"]
    assert "timeout   cannot be told: this source knows no queues" in told["sections"]["fails"]


@pytest.mark.parametrize(
    ("what", "status", "words"),
    [
        ("3000", 0, "node 4312 (api) listens on 127.0.0.1:3000; nothing wrong is seen"),
        ("8000", 1, "python3 5120 (old-api) listens on 127.0.0.1:8000, and looks left over"),
        ("49342", 1, "port 49342 is the client port of chrome 7001"),
        ("45999", 1, "python3 5300 is connected to itself there"),
        ("127.0.0.1:8443", 1, "listens on 127.0.0.2:8443"),
        ("5353/udp", 0, "chrome 7001 listens on *:5353 (udp)"),
        ("localhost:1", 1, "nobody listens on port 1"),
    ],
)
def test_the_demo_has_something_of_everything(what: str, status: int, words: str) -> None:
    done = run_loopmon("why", "--demo", what)
    assert (done.returncode, done.stderr) == (status, "")
    assert words in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    "args", [("3000", "--demo", "--probe"), ("127.0.0.1:53/udp", "--probe"), ("3000", "--source", "none")]
)
def test_what_does_not_go_together_is_refused(args: tuple[str, ...]) -> None:
    done = run_loopmon("why", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
