"""The Linux source on real sockets: rows, every holder, honest reasons, traffic, identities and the cheap look."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from test_parity import by_source, by_ss, near
from zoo import Held, Zoo, wait_for

from loopmon.model import Endpoint, Family, OwnerUnknown, Protocol, Socket, Status
from loopmon.sources.psutil_source import PsutilSource
from loopmon.sources.sock_diag import SockDiagSource, SockDiagUnavailableError

if sys.platform != "linux":
    pytest.skip("sock_diag is Linux's", allow_module_level=True)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root sees every process, so only root can rule owners out")
KERNEL = tuple(int(number) for number in re.findall(r"\d+", os.uname().release)[:2])
BOUND_SINCE = (6, 8)
"""The first Linux that tells of sockets that are bound and do not listen."""
HOSTS = ("127.0.0.1", "127.0.0.2", "0.0.0.0", "::ffff:127.0.0.1", "::", "::1")


@pytest.fixture
def source() -> Iterator[SockDiagSource]:
    try:
        opened = SockDiagSource(follow=False)
        opened.check()
    except SockDiagUnavailableError as error:
        pytest.skip(f"this kernel has no {error}")
    yield opened
    opened.close()


def look(source: SockDiagSource | PsutilSource, *held: Held) -> list[Socket]:
    """One reading, of those sockets that are bound to one of these ports."""
    ports = {each.port for each in held}
    return [found for found in source.read().sockets if found.laddr.port in ports]


def only(rows: list[Socket]) -> Socket:
    assert len(rows) == 1, rows
    return rows[0]


def of_inode(source: SockDiagSource, inode: int) -> Socket:
    return only([found for found in source.read().sockets if found.inode == inode])


def holders(found: Socket) -> list[tuple[int, int]]:
    return [(owner.process.pid, owner.fd) for owner in found.owners]


def settled(source: SockDiagSource, held: Held, status: Status) -> Socket:
    """The connected socket of this port, as soon as it is in this state."""
    rows = wait_for(lambda: [found for found in look(source, held) if found.status is status], f"{status}")
    return only(rows)


def crowd(zoo: Zoo) -> list[Held]:
    """Servers on every kind of address, each with a connection that is accepted and one that is not."""
    serving, calling = zoo.child(), zoo.child()
    servers = [serving.listen(host) for host in HOSTS]
    for host, server in zip(HOSTS, servers, strict=True):
        target = {"0.0.0.0": "127.0.0.3", "::": "127.0.0.1"}.get(host, host)
        calling.connect(target, server.port)
        serving.accept(server)
        calling.close(calling.connect(target, server.port))
        calling.connect(target, server.port)
    return servers


@pytest.mark.skipif(shutil.which("ss") is None, reason="there is no ss to compare with")
def test_every_tcp_socket_is_the_one_that_ss_reports(zoo: Zoo, source: SockDiagSource) -> None:
    servers = crowd(zoo)
    wait_for(lambda: near(by_ss(), servers) == near(by_source(source.read()), servers), "both to see the same")
    assert {row.status for row in near(by_ss(), servers)} >= {Status.LISTEN, Status.ESTABLISHED, Status.CLOSE_WAIT}


def test_rows_and_holders_are_those_of_psutil(zoo: Zoo, source: SockDiagSource) -> None:
    servers = crowd(zoo)
    known = PsutilSource()

    def rows(of: SockDiagSource | PsutilSource) -> list[tuple[object, ...]]:
        found = look(of, *servers)
        return sorted((s.laddr, s.raddr or (), s.status, s.family, holders(s)) for s in found)

    wait_for(lambda: rows(source) == rows(known), "both sources to say the same")
    known.close()


def test_of_a_server_with_workers_every_holder_is_named_with_its_descriptor(zoo: Zoo, source: SockDiagSource) -> None:
    parent = zoo.child()
    server = parent.listen()
    workers = [parent.lend(server) for _ in range(4)]
    found = only(look(source, server))
    assert holders(found) == sorted((pid, server.fd) for pid in (parent.pid, *workers))
    assert found.owner_unknown is None
    workers.append(parent.lend(server))
    wait_for(lambda: len(only(look(source, server)).owners) == 6, "the fifth worker to be named")


def test_siblings_that_share_a_port_are_rows_of_their_own(zoo: Zoo, source: SockDiagSource) -> None:
    one, other = zoo.child(), zoo.child()
    server = one.listen(share=True)
    sibling = other.listen(port=server.port, share=True)
    rows = look(source, server)
    assert len({found.id for found in rows}) == 2
    assert sorted(map(holders, rows)) == sorted([[(one.pid, server.fd)], [(other.pid, sibling.fd)]])


def test_who_waits_to_be_accepted_is_counted_and_has_no_owner_yet(zoo: Zoo, source: SockDiagSource) -> None:
    child = zoo.child()
    server = child.listen(backlog=7)
    listener = only(look(source, server))
    assert (listener.recv_queue, listener.send_queue) == (0, 7)
    clients = [child.connect("127.0.0.1", server.port) for _ in range(3)]
    wait_for(lambda: child.is_called(server), "the server to be called")
    rows = {found.raddr.port if found.raddr else 0: found for found in look(source, server)}
    assert (rows[0].recv_queue, rows[0].send_queue) == (3, 7)
    for client in clients:
        waiting = rows[client.port]
        assert (waiting.owners, waiting.owner_unknown, waiting.uid) == ((), OwnerUnknown.NOT_ACCEPTED, None)
    accepted = child.accept(server)
    rows = {found.raddr.port if found.raddr else 0: found for found in look(source, server)}
    assert rows[0].recv_queue == 2
    assert sorted(holders(rows[client.port]) for client in clients) == [[], [], [(child.pid, accepted.fd)]]


def test_the_bytes_are_those_that_were_sent_either_way(source: SockDiagSource) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as stack:
        client = stack.enter_context(socket.create_connection(server.getsockname()))
        accepted = stack.enter_context(server.accept()[0])
        for sender, receiver, size in ((client, accepted, 1234), (accepted, client, 56789)):
            sender.sendall(b"x" * size)
            left = size
            while left:
                left -= len(receiver.recv(left))
        inodes = [os.fstat(end.fileno()).st_ino for end in (client, accepted)]

        def figures() -> list[Socket]:
            return [of_inode(source, inode) for inode in inodes]

        wait_for(lambda: figures()[1].bytes_sent == 56789, "everything to be acknowledged")
        one, other = figures()
        assert (one.bytes_received, other.bytes_received) == (56789, 1234)
        assert None not in (one.bytes_sent, one.rtt_us, other.rtt_us)
        assert (one.retransmits, other.retransmits) == (0, 0)
        client.sendall(b"unread")
        wait_for(lambda: figures()[1].recv_queue == 6, "six unread bytes")


def test_what_is_over_is_the_kernels(zoo: Zoo, source: SockDiagSource) -> None:
    child = zoo.child()
    server = child.listen()
    client = child.connect("127.0.0.1", server.port)
    accepted = child.accept(server)
    child.close(client)
    child.close(accepted)
    found = settled(source, client, Status.TIME_WAIT)
    assert (found.owners, found.owner_unknown) == ((), OwnerUnknown.KERNEL)
    assert settled(source, client, Status.TIME_WAIT) is found  # though the kernel counts down its time


def test_of_a_half_closed_connection_one_end_is_held_and_the_other_is_nobodys(zoo: Zoo, source: SockDiagSource) -> None:
    serving, calling = zoo.child(), zoo.child()
    server = serving.listen()
    client = calling.connect("127.0.0.1", server.port)
    accepted = serving.accept(server)
    calling.close(client)
    orphan = settled(source, client, Status.FIN_WAIT2)
    assert (orphan.owners, orphan.owner_unknown) == ((), OwnerUnknown.CLOSED_BY_PROCESS)
    left = settled(source, server, Status.CLOSE_WAIT)
    assert (holders(left), left.owner_unknown) == ([(serving.pid, accepted.fd)], None)


def test_mapped_addresses_are_told_as_ipv4_on_both_ends(zoo: Zoo, source: SockDiagSource) -> None:
    child = zoo.child()
    server = child.listen("::ffff:127.0.0.1")
    client = child.connect("::ffff:127.0.0.1", server.port)
    child.accept(server)
    far, near_end = Endpoint("127.0.0.1", server.port), Endpoint("127.0.0.1", client.port)
    rows = look(source, server, client)
    assert {(found.laddr, found.raddr) for found in rows} == {(far, None), (far, near_end), (near_end, far)}
    assert {found.family for found in rows} == {Family.IPV6}


@pytest.mark.parametrize(
    ("host", "asked", "told"), [("::", True, True), ("::", False, False), ("0.0.0.0", False, None)]
)
def test_a_wildcard_server_says_whether_ipv4_reaches_it(
    zoo: Zoo, source: SockDiagSource, host: str, asked: bool, told: bool | None
) -> None:
    assert only(look(source, zoo.child().listen(host, v6only=asked))).v6only is told


def test_udp_sockets_have_no_status_and_a_peer_only_when_connected(zoo: Zoo, source: SockDiagSource) -> None:
    child = zoo.child()
    alone, one, other = child.udp(), child.udp(), child.udp()
    child.join(one, other)
    rows = {found.laddr.port: found for found in look(source, alone, one)}
    assert {(found.protocol, found.status) for found in rows.values()} == {(Protocol.UDP, Status.NONE)}
    assert rows[alone.port].raddr is None
    assert rows[one.port].raddr == Endpoint("127.0.0.1", other.port)
    assert [holders(rows[each.port]) for each in (alone, one)] == [[(child.pid, alone.fd)], [(child.pid, one.fd)]]


@pytest.mark.skipif(KERNEL < BOUND_SINCE, reason="before Linux 6.8 the kernel does not tell of these")
def test_a_socket_that_is_bound_and_does_not_listen_is_there_with_its_holder(source: SockDiagSource) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        found = of_inode(source, os.fstat(bound.fileno()).st_ino)
        assert (found.status, found.raddr, holders(found)) == (Status.CLOSE, None, [(os.getpid(), bound.fileno())])


def test_an_unchanged_row_is_the_same_object_while_others_come_and_go(zoo: Zoo, source: SockDiagSource) -> None:
    child = zoo.child()
    server = child.listen()
    client = child.connect("127.0.0.1", server.port)
    child.accept(server)
    first = look(source, server, client)
    passing = child.listen()
    assert len(look(source, passing)) == 1
    child.close(passing)
    last = look(source, server, client)
    assert len(first) == 3
    assert {id(found) for found in first} == {id(found) for found in last}


def test_where_nothing_has_changed_the_rows_are_the_same_tuple(source: SockDiagSource) -> None:
    wait_for(lambda: source.read().sockets is source.read().sockets, "a quiet moment")


def test_an_id_lasts_as_long_as_the_socket_and_no_longer(zoo: Zoo, source: SockDiagSource) -> None:
    child = zoo.child()
    server = child.listen()
    first = only(look(source, server))
    child.connect("127.0.0.1", server.port)
    wait_for(lambda: child.is_called(server), "the server to be called")
    (changed,) = [found for found in look(source, server) if found.status is Status.LISTEN]
    assert (changed.recv_queue, changed.id) == (1, first.id)
    again = child.listen()
    before = only(look(source, again))
    child.close(again)
    child.listen(port=again.port)
    assert only(look(source, again)).id != before.id


@as_root
def test_a_socket_in_nobodys_hands_is_called_so_only_when_that_is_sure(source: SockDiagSource) -> None:
    """Its descriptor is under way from one end of a pair to the other: it lives, and no process has it."""
    source.read()
    one, other = socket.socketpair()
    with one, other:
        with socket.create_server(("127.0.0.1", 0)) as server:
            inode = os.fstat(server.fileno()).st_ino
            socket.send_fds(one, [b"x"], [server.fileno()])
        assert of_inode(source, inode).owner_unknown is OwnerUnknown.UNKNOWN
        wait_for(lambda: of_inode(source, inode).owner_unknown is OwnerUnknown.NOT_FOUND, "a second search")
        _, (received,), _, _ = socket.recv_fds(other, 1, 1)
        with socket.socket(fileno=received):
            wait_for(lambda: holders(of_inode(source, inode)) == [(os.getpid(), received)], "its new holder")


def test_a_cheap_look_says_nothing_where_no_listener_came_or_went(zoo: Zoo, source: SockDiagSource) -> None:
    child = zoo.child()
    server = child.listen()
    client = child.connect("127.0.0.1", server.port)

    def quiet() -> bool:
        source.read()
        child.close(child.connect("127.0.0.1", server.port))
        return source.read_listeners() is None

    wait_for(quiet, "a moment in which no server comes or goes")
    assert len(look(source, client)) == 1


def test_a_cheap_look_gives_a_partial_reading_where_a_listener_came_or_went(zoo: Zoo, source: SockDiagSource) -> None:
    child = zoo.child()
    server = child.listen()
    source.read()
    client = child.connect("127.0.0.1", server.port)
    new = child.listen()
    for expected in (1, 0):
        reading = wait_for(source.read_listeners, "a reading")
        assert reading is not None and reading.partial
        rows = [found for found in reading.sockets if found.laddr.port == new.port]
        assert [holders(found) for found in rows] == [[(child.pid, new.fd)]] * expected
        assert client.port not in {found.laddr.port for found in reading.sockets}  # all else is as it was
        if expected:
            child.close(new)
    assert not source.read().partial
