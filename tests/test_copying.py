"""What can be copied of a row, and that the commands mean what they say."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence

import pytest
from hypothesis import given
from making import any_text, connection, end, listener, listening, process, process_id, quick, socket
from zoo import Zoo

from loopmon.clean import clean
from loopmon.copying import LONGEST, address_of, capture_filter, copyables
from loopmon.model import Connection, Endpoint, Listener, Protocol
from loopmon.url import reachable, server_of, url_of

CLIENT_ROW = connection(
    end("127.0.0.1:49342", socket("127.0.0.1:49342", "127.0.0.1:3000", 7001)),
    end("127.0.0.1:3000", socket("127.0.0.1:3000", "127.0.0.1:49342", 4312)),
)
SERVER_ROW = listener(listening("127.0.0.1:3000", 4312))
NODE = process(4312, "node", cmdline=("node", "my server.js"))


def texts(row: Listener | Connection | None, platform: str = "linux") -> dict[str, str]:
    return dict(copyables(row, NODE.id, NODE, platform))


def between(client: str, server: str) -> Connection:
    return connection(end(client), end(server))


def test_everything_of_a_connection() -> None:
    assert texts(CLIENT_ROW) == {
        "address": "127.0.0.1:49342",
        "server": "127.0.0.1:3000",
        "pid": "4312",
        "command line": "node 'my server.js'",
        "curl": "curl -i http://127.0.0.1:3000/",
        "ss": "ss -tanp '( src 127.0.0.1:49342 and dst 127.0.0.1:3000 ) or ( src 127.0.0.1:3000 and dst "
        "127.0.0.1:49342 )'",
        "lsof": "lsof -nP -iTCP@127.0.0.1:49342",
        "capture filter": "host 127.0.0.1 and port 49342 and port 3000",
        "tcpdump": "sudo tcpdump -i lo -nn -A 'host 127.0.0.1 and port 49342 and port 3000'",
        "tshark": "sudo tshark -i lo -n -f 'host 127.0.0.1 and port 49342 and port 3000'",
    }


def test_everything_of_a_listener() -> None:
    found = texts(SERVER_ROW)
    assert "server" not in found
    assert found["address"] == "127.0.0.1:3000"
    assert found["ss"] == "ss -tlnp 'sport = :3000'"
    assert found["lsof"] == "lsof -nP -iTCP:3000 -sTCP:LISTEN"
    assert found["capture filter"] == "host 127.0.0.1 and port 3000"


def test_only_what_applies() -> None:
    udp = texts(listener(listening("127.0.0.1:5353", 811, protocol=Protocol.UDP)))
    assert "curl" not in udp
    assert udp["ss"] == "ss -ulnp 'sport = :5353'"
    assert udp["lsof"] == "lsof -nP -iUDP:5353"
    assert udp["capture filter"] == "udp and host 127.0.0.1 and port 5353"
    assert list(texts(None)) == ["pid", "command line"]
    assert "pid" not in dict(copyables(SERVER_ROW, None, None, "linux"))
    assert "command line" not in dict(copyables(SERVER_ROW, NODE.id, process(4312), "linux"))
    assert "ss" not in texts(SERVER_ROW, "darwin")
    assert "-i lo0 " in texts(SERVER_ROW, "darwin")["tcpdump"]
    assert not {"ss", "lsof", "tcpdump", "tshark"} & texts(SERVER_ROW, "win32").keys()


def test_a_wildcard_is_copied_as_clients_reach_it_and_captured_on_every_address() -> None:
    for address, v6only, copied in (
        ("0.0.0.0:3000", None, "127.0.0.1:3000"),
        ("[::]:3000", False, "127.0.0.1:3000"),
        ("[::]:3000", True, "[::1]:3000"),
    ):
        row = listener(listening(address, 4312, v6only=v6only))
        assert address_of(row) == copied
        assert capture_filter(row) == "port 3000"


def test_two_addresses_are_two_hosts_and_one_port_is_one() -> None:
    assert capture_filter(between("127.0.0.1:4", "127.0.0.2:5")) == (
        "host 127.0.0.1 and host 127.0.0.2 and port 4 and port 5"
    )
    assert capture_filter(between("127.0.0.1:4", "127.0.0.1:4")) == "host 127.0.0.1 and port 4"


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("127.0.0.1:3000", "http://127.0.0.1:3000/"),
        ("127.0.0.5:80", "http://127.0.0.5:80/"),
        ("0.0.0.0:8443", "https://127.0.0.1:8443/"),
        ("[::]:443", "https://127.0.0.1:443/"),
        ("[::1]:4443", "https://[::1]:4443/"),
        ("[::1]:9443", "https://[::1]:9443/"),
        ("[::1]:8080", "http://[::1]:8080/"),
    ],
)
def test_the_url_of_a_server(address: str, url: str) -> None:
    assert url_of(listener(listening(address, 1))) == url
    assert url_of(between("127.0.0.1:49342", address)) == url


def test_a_certificate_need_not_be_trusted() -> None:
    assert texts(listener(listening("127.0.0.1:8443", 1)))["curl"] == "curl -ik https://127.0.0.1:8443/"


def test_an_address_that_is_none_of_the_wildcards_stays() -> None:
    assert reachable(Endpoint("127.9.9.9", 1)) == Endpoint("127.9.9.9", 1)
    assert server_of(CLIENT_ROW) == Endpoint("127.0.0.1", 3000)


@quick
@given(argument=any_text)
def test_whatever_a_command_line_holds_one_harmless_line_is_copied(argument: str) -> None:
    program = process(4312, "node", cmdline=("node", argument))
    text = dict(copyables(None, process_id(4312), program, "linux"))["command line"]
    assert text == clean(text)
    assert text.encode()


def test_an_endless_command_line_is_cut() -> None:
    program = process(4312, "node", cmdline=("x" * 1_000_000,))
    text = dict(copyables(None, program.id, program, "linux"))["command line"]
    assert len(text) < LONGEST + 50
    assert "characters)" in text


def said(command: str, tool: str) -> str:
    """What the copied line prints, as a shell splits it."""
    words: Sequence[str] = shlex.split(command)
    assert words[0] == tool
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not here")
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60).stdout


@pytest.mark.parametrize("tool", ["ss", "lsof"])
def test_the_tools_show_the_same_rows(tool: str) -> None:
    with Zoo() as zoo:
        child = zoo.child()
        server = child.listen()
        client = child.connect("127.0.0.1", server.port)
        child.accept(server)
        row = between(f"127.0.0.1:{client.port}", f"127.0.0.1:{server.port}")
        both = said(texts(row)[tool], tool)
        assert f":{client.port}" in both
        assert f":{server.port}" in both
        assert len(both.splitlines()) == 3
        listening_only = said(texts(listener(listening(f"127.0.0.1:{server.port}", 1)))[tool], tool)
        assert f"127.0.0.1:{server.port}" in listening_only
        assert len(listening_only.splitlines()) == 2


def test_curl_finds_the_server() -> None:
    with Zoo() as zoo:
        server = zoo.child().listen()
        command = shlex.split(texts(listener(listening(f"127.0.0.1:{server.port}", 1)))["curl"])
        if shutil.which("curl") is None:
            pytest.skip("curl is not here")
        done = subprocess.run([*command, "-v", "-m", "0.3"], capture_output=True, text=True, check=False, timeout=60)
        assert f"127.0.0.1:{server.port}" in done.stderr or f"port {server.port}" in done.stderr
