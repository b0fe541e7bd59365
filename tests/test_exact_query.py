"""One connection asked for by itself gives what a dump gives of it, and nothing once it has gone."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest
from talk import HOSTS, Begin, Talk, begin, listen
from zoo import wait_for

from loopmon.sources import inet_diag as wire
from loopmon.sources.inet_diag import Row
from loopmon.sources.netlink import CONNECTION_DUMPS, Dump, Netlink

if sys.platform != "linux":
    pytest.skip("sock_diag is Linux's", allow_module_level=True)


@pytest.fixture
def kernel() -> Iterator[Netlink]:
    try:
        opened = Netlink()
    except OSError as error:
        pytest.skip(f"this kernel has no sock_diag: {error}")
    yield opened
    opened.close()


@pytest.fixture
def talk() -> Iterator[Begin]:
    with ExitStack() as stack:
        yield partial(begin, stack)


Asked = dict[int, tuple[Dump, bytes]]


def dumped(kernel: Netlink, ports: set[int]) -> Asked:
    """By inode, the messages of a dump about the connected sockets of these ports."""
    found: Asked = {}
    for dump in CONNECTION_DUMPS:
        for buffer in kernel.datagrams(dump):
            for kind, _, start, end in wire.messages(buffer):
                if kind == wire.SOCK_DIAG_BY_FAMILY and wire.parse_row(buffer[start:end]).laddr.port in ports:
                    found[wire.parse_row(buffer[start:end]).inode] = (dump, buffer[start:end])
    return found


def head(payload: bytes) -> bytes:
    return payload[: wire.ROW.size]


def identity(row: Row) -> tuple[object, ...]:
    return (row.family, row.status, row.laddr, row.raddr, row.cookie, row.uid, row.inode, row.rqueue, row.wqueue)


@pytest.mark.parametrize("host", HOSTS)
def test_each_end_of_a_connection_is_found_as_the_dump_has_it(host: str, talk: Begin, kernel: Netlink) -> None:
    ends = talk(host)
    ends.client.sendall(b"unread")
    asked = wait_for(lambda: _if_queued(dumped(kernel, ends.ports), 6), "the bytes to arrive")
    assert asked is not None
    assert asked.keys() == {os.fstat(end.fileno()).st_ino for end in ends}
    for dump, message in asked.values():
        answer = kernel.find(head(message), dump)
        assert answer is not None
        one, other = wire.parse_row(answer), wire.parse_row(message)
        assert identity(one) == identity(other)
        assert one.info is not None and other.info is not None
        assert (one.info.bytes_received, one.info.bytes_sent) == (other.info.bytes_received, other.info.bytes_sent)


def _if_queued(asked: Asked, size: int) -> Asked | None:
    """Both ends, as soon as the one has got everything and the other knows."""
    parsed = [wire.parse_row(message) for _, message in asked.values()]
    return asked if sorted((row.rqueue, row.wqueue) for row in parsed) == [(0, 0), (size, 0)] else None


@pytest.mark.parametrize("host", HOSTS)
def test_of_a_connection_that_has_gone_nothing_is_found(host: str, talk: Begin, kernel: Netlink) -> None:
    ends = talk(host)
    asked = dumped(kernel, ends.ports)
    ends.reset()
    wait_for(lambda: not dumped(kernel, ports_of(asked)), "it to be gone")
    assert len(asked) == 2
    assert [kernel.find(head(message), dump) for dump, message in asked.values()] == [None, None]


def ports_of(asked: Asked) -> set[int]:
    return {wire.parse_row(message).laddr.port for _, message in asked.values()}


@pytest.mark.parametrize("host", HOSTS)
def test_another_connection_between_the_same_ports_is_not_taken_for_the_old_one(
    host: str, talk: Begin, kernel: Netlink
) -> None:
    ends = talk(host)
    own, served = ends.client.getsockname(), ends.client.getpeername()
    asked = dumped(kernel, ends.ports)
    ends.reset()
    with listen(*served[:2]) as server, socket.socket(server.family) as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(own)
        again.connect(served)
        with server.accept()[0] as accepted:
            assert ports_of(dumped(kernel, {own[1], served[1]})) == {own[1], served[1]}
            assert [kernel.find(head(message), dump) for dump, message in asked.values()] == [None, None]
            Talk(again, accepted).reset()


def test_after_a_query_for_what_has_gone_the_next_answers_are_still_the_right_ones(
    talk: Begin, kernel: Netlink
) -> None:
    gone, lives = talk(), talk()
    asked, alive = dumped(kernel, gone.ports), dumped(kernel, lives.ports)
    gone.reset()
    for (dump, message), (_, other) in zip(asked.values(), alive.values(), strict=True):
        assert kernel.find(head(message), dump) is None
        answer = kernel.find(head(other), dump)
        assert answer is not None
        assert wire.parse_row(answer).cookie == wire.parse_row(other).cookie
