"""Which source is used: the kernel's dump where it works, else psutil, and what is said of that."""

from __future__ import annotations

import errno
import json
import os
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from zoo import Zoo

from loopmon.commands.front import run
from loopmon.exit_status import ExitStatus
from loopmon.sources import Source, SourceChoice, SourceError, open_source

if sys.platform != "linux":
    pytest.skip("sock_diag is Linux's", allow_module_level=True)

HEADER = struct.Struct("=IHHII")
NLMSG_ERROR = 2
FALLBACK = "psutil is used, which sees less: sock_diag: "


class NoNetlink(socket.socket):
    """As where a sandbox or the kernel's configuration leaves netlink out."""

    refusal = 0

    def __init__(self, family: int = -1, *arguments: Any, **more: Any) -> None:
        if family == socket.AF_NETLINK:
            raise OSError(self.refusal, os.strerror(self.refusal))
        super().__init__(family, *arguments, **more)


class NoDump(socket.socket):
    """As where netlink is there and its sock_diag, or the module behind it, is not."""

    refusal = 0
    opened: list[NoDump]

    def __init__(self, family: int = -1, *arguments: Any, **more: Any) -> None:
        super().__init__(family, *arguments, **more)
        if family == socket.AF_NETLINK:
            self.opened.append(self)

    def send(self, request: Any, *arguments: Any) -> int:
        if self.family == socket.AF_NETLINK:
            self._sequence = HEADER.unpack_from(request)[3]
            return len(request)
        return super().send(request, *arguments)

    def recv(self, *arguments: Any) -> bytes:
        if self.family != socket.AF_NETLINK or not hasattr(self, "_sequence"):
            return super().recv(*arguments)
        payload = struct.pack("=i", -self.refusal) + HEADER.pack(72, 20, 0x301, self._sequence, 0)
        return HEADER.pack(HEADER.size + len(payload), NLMSG_ERROR, 0, self._sequence, 0) + payload


@pytest.fixture(
    params=[
        pytest.param((how, number), id=f"{how.__name__}-{errno.errorcode[number]}")
        for how, numbers in [
            (NoNetlink, (errno.EPROTONOSUPPORT, errno.EPERM, errno.EAFNOSUPPORT)),
            (NoDump, (errno.ENOENT, errno.EINVAL, errno.EOPNOTSUPP)),
        ]
        for number in numbers
    ]
)
def refusal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A kernel that refuses, and its word for it."""
    how, number = request.param
    monkeypatch.setattr(how, "refusal", number)
    if how is NoDump:
        monkeypatch.setattr(NoDump, "opened", [], raising=False)
    monkeypatch.setattr(socket, "socket", how)
    return os.strerror(number)


@pytest.fixture
def opened() -> Iterator[list[Source]]:
    """What is put here is closed."""
    sources: list[Source] = []
    yield sources
    for source in sources:
        source.close()


def kernel_tells() -> bool:
    try:
        open_source(SourceChoice.SOCK_DIAG, follow=False).close()
    except SourceError:
        return False
    return True


with_sock_diag = pytest.mark.skipif(not kernel_tells(), reason="this kernel has no sock_diag")


@with_sock_diag
@pytest.mark.parametrize("choice", [SourceChoice.AUTO, SourceChoice.SOCK_DIAG])
def test_the_kernels_dump_is_used_where_it_works(opened: list[Source], choice: SourceChoice) -> None:
    opened.append(open_source(choice))
    assert opened[0].name == "sock_diag"
    assert not [limit for limit in opened[0].read().limits if "psutil" in limit]


def test_where_the_kernel_refuses_psutil_is_used_says_why_and_works(
    zoo: Zoo, refusal: str, opened: list[Source]
) -> None:
    child = zoo.child()
    server = child.listen()
    opened.append(open_source())
    assert opened[0].name == "psutil"
    for _ in range(2):
        reading = opened[0].read()
        assert FALLBACK + refusal in reading.limits
        (found,) = [found for found in reading.sockets if found.laddr.port == server.port]
        assert [(owner.process.pid, owner.fd) for owner in found.owners] == [(child.pid, server.fd)]


def test_a_source_that_was_asked_for_and_refused_is_an_error_that_says_why(refusal: str) -> None:
    with pytest.raises(SourceError, match=f"sock_diag: {refusal}"):
        open_source(SourceChoice.SOCK_DIAG)


@pytest.mark.usefixtures("refusal")
def test_what_was_opened_in_vain_is_closed(opened: list[Source]) -> None:
    opened.append(open_source())
    assert {tried.fileno() for tried in getattr(NoDump, "opened", [])} <= {-1}


def test_psutil_that_was_asked_for_needs_no_excuse(opened: list[Source]) -> None:
    opened.append(open_source(SourceChoice.PSUTIL))
    assert opened[0].name == "psutil"
    assert not [limit for limit in opened[0].read().limits if "sees less" in limit]


def test_the_command_ends_with_status_3_and_one_line(refusal: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["ls", "--source", "sock_diag"])
    said = capsys.readouterr()
    assert status == 3
    assert (said.out, said.err) == ("", f"loopmon: sock_diag: {refusal}\n")


def test_the_command_falls_back_and_says_so_on_the_error_stream(
    zoo: Zoo, refusal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server = zoo.child().listen()
    status = run(["ls", f"port:{server.port}"])
    said = capsys.readouterr()
    assert status == ExitStatus.OK
    assert str(server.port) in said.out
    assert f"loopmon: {FALLBACK}{refusal}\n" in said.err


def test_the_document_names_the_source_it_fell_back_to(refusal: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ls", "--json"]) == ExitStatus.OK
    document = json.loads(capsys.readouterr().out)
    assert document["source"] == "psutil"
    assert FALLBACK + refusal in document["limits"]


@with_sock_diag
@pytest.mark.parametrize(
    ("arguments", "name"),
    [((), "sock_diag"), (("--source", "auto"), "sock_diag"), *((("--source", n), n) for n in ("sock_diag", "psutil"))],
)
def test_the_document_names_the_source_that_was_used(
    zoo: Zoo, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], name: str
) -> None:
    child = zoo.child()
    server = child.listen()
    assert run(["ls", "--json", *arguments, f"port:{server.port}"]) == ExitStatus.OK
    document = json.loads(capsys.readouterr().out)
    assert document["source"] == name
    (listener,) = document["listeners"]
    assert [(owner["pid"], owner["fd"]) for owner in listener["owners"]] == [(child.pid, server.fd)]
