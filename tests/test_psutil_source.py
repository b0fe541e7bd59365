"""The psutil source on real sockets: rows, holders, identities that last, and honest reasons."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from zoo import Child, Held, Zoo, wait_for

from loopmon.model import Endpoint, Family, OwnerUnknown, Protocol, Socket, Status
from loopmon.observe.processes import CLOCK_STEP_S
from loopmon.sources import SourceChoice, SourceDeniedError, SourceError, open_source
from loopmon.sources.psutil_source import PsutilSource

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root sees every process, so only root can rule owners out")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists sockets that no process holds")


@pytest.fixture
def source() -> Iterator[PsutilSource]:
    opened = PsutilSource()
    yield opened
    opened.close()


def look(source: PsutilSource, *held: Held) -> list[Socket]:
    """One reading, of those sockets that are bound to one of these ports."""
    ports = {each.port for each in held}
    return [found for found in source.read().sockets if found.laddr.port in ports]


def only(rows: list[Socket]) -> Socket:
    assert len(rows) == 1, rows
    return rows[0]


@pytest.mark.parametrize(
    ("host", "ip", "family"),
    [
        ("127.0.0.1", "127.0.0.1", Family.IPV4),
        ("127.0.0.2", "127.0.0.2", Family.IPV4),
        ("0.0.0.0", "0.0.0.0", Family.IPV4),
        ("::ffff:127.0.0.1", "127.0.0.1", Family.IPV6),
        ("::", "::", Family.IPV6),
        ("::1", "::1", Family.IPV6),
    ],
)
def test_a_server_is_one_row_with_its_holder(
    zoo: Zoo, source: PsutilSource, host: str, ip: str, family: Family
) -> None:
    child = zoo.child()
    server = child.listen(host)
    found = only(look(source, server))
    assert (found.protocol, found.family, found.status) == (Protocol.TCP, family, Status.LISTEN)
    assert found.laddr == Endpoint(ip, server.port)
    assert found.raddr is None
    assert [(owner.process.pid, owner.fd) for owner in found.owners] == [(child.pid, server.fd)]
    assert found.owner_unknown is None


def test_what_psutil_cannot_know_is_none(zoo: Zoo, source: PsutilSource) -> None:
    found = only(look(source, zoo.child().listen("::", v6only=True)))
    unknown = (found.inode, found.uid, found.v6only, found.recv_queue, found.send_queue, found.rtt_us)
    assert unknown == (None,) * 6


def test_a_holder_is_known_by_the_time_it_started(zoo: Zoo, source: PsutilSource) -> None:
    before = time.time()
    child = zoo.child()
    found = only(look(source, child.listen()))
    created = found.owners[0].process.create_time
    assert before - CLOCK_STEP_S < created < time.time() + CLOCK_STEP_S
    assert created == pytest.approx(psutil.Process(child.pid).create_time(), abs=CLOCK_STEP_S)


def test_a_connection_is_a_row_for_either_end_whatever_their_families(zoo: Zoo, source: PsutilSource) -> None:
    serving, calling = zoo.child(), zoo.child()
    server = serving.listen("::")
    client = calling.connect("127.0.0.1", server.port)
    accepted = serving.accept(server)
    far, near = Endpoint("127.0.0.1", server.port), Endpoint("127.0.0.1", client.port)
    ends = {found.laddr: found for found in look(source, server, client) if found.raddr}
    assert ends.keys() == {far, near}
    assert [(ends[far].raddr, ends[far].family), (ends[near].raddr, ends[near].family)] == [
        (near, Family.IPV6),
        (far, Family.IPV4),
    ]
    assert {found.status for found in ends.values()} == {Status.ESTABLISHED}
    holders = {end: [(owner.process.pid, owner.fd) for owner in ends[end].owners] for end in ends}
    assert holders == {far: [(serving.pid, accepted.fd)], near: [(calling.pid, client.fd)]}


def test_udp_sockets_have_no_status_and_a_peer_only_when_connected(zoo: Zoo, source: PsutilSource) -> None:
    child = zoo.child()
    alone, one, other = child.udp(), child.udp(), child.udp()
    child.join(one, other)
    rows = {found.laddr.port: found for found in look(source, alone, one) if found.protocol is Protocol.UDP}
    assert {found.status for found in rows.values()} == {Status.NONE}
    assert rows[alone.port].raddr is None
    assert rows[one.port].raddr == Endpoint("127.0.0.1", other.port)
    assert {owner.process.pid for found in rows.values() for owner in found.owners} == {child.pid}


def test_an_unchanged_row_is_the_same_object_while_others_come_and_go(zoo: Zoo, source: PsutilSource) -> None:
    child = zoo.child()
    server = child.listen()
    first = only(look(source, server))
    passing = child.listen()
    second = only(look(source, server))
    child.close(passing)
    third = only(look(source, server))
    assert first is second
    assert second is third


def test_a_row_that_changes_keeps_its_id(zoo: Zoo, source: PsutilSource) -> None:
    serving, calling = zoo.child(), zoo.child()
    server = serving.listen()
    client = calling.connect("127.0.0.1", server.port)
    serving.accept(server)

    def server_end() -> Socket:
        return only([found for found in look(source, server) if found.raddr])

    before = server_end()
    calling.close(client)
    wait_for(lambda: server_end() is not before, "the close to arrive")
    after = server_end()
    assert (before.status, after.status) == (Status.ESTABLISHED, Status.CLOSE_WAIT)
    assert before.id == after.id


def test_no_two_rows_share_an_id(zoo: Zoo, source: PsutilSource) -> None:
    child = zoo.child()
    server = child.listen("::")
    for _ in range(3):
        child.connect("127.0.0.1", server.port)
        child.accept(server)
    child.udp("::")
    ids = [found.id for found in source.read().sockets]
    assert len(ids) == len(set(ids))


def test_servers_that_share_a_port_keep_their_ids_when_one_of_them_goes(zoo: Zoo, source: PsutilSource) -> None:
    children = [zoo.child(), zoo.child(), zoo.child()]
    server = children[0].listen(share=True)
    for child in children[1:]:
        child.listen(port=server.port, share=True)

    def by_pid() -> dict[int, Socket]:
        return {found.owners[0].process.pid: found for found in look(source, server)}

    before = by_pid()
    assert before.keys() == {child.pid for child in children}
    assert len({found.id for found in before.values()}) == 3
    assert by_pid() == before
    first = min(before.values(), key=lambda found: found.id)
    gone = next(child for child in children if child.pid == first.owners[0].process.pid)
    gone.stop()
    after = by_pid()
    assert after.keys() == before.keys() - {gone.pid}
    assert all(after[pid] is before[pid] for pid in after)


def test_a_newcomer_to_a_shared_port_takes_no_survivors_id(zoo: Zoo, source: PsutilSource) -> None:
    first, second = zoo.child(), zoo.child()
    server = first.listen(share=True)
    second.listen(port=server.port, share=True)
    before = {found.owners[0].process.pid: found.id for found in look(source, server)}
    first.stop()
    third = zoo.child()
    third.listen(port=server.port, share=True)
    after = {found.owners[0].process.pid: found.id for found in look(source, server)}
    assert after.keys() == {second.pid, third.pid}
    assert after[second.pid] == before[second.pid]
    assert after[third.pid] != after[second.pid]


def test_one_process_with_two_sockets_on_a_port_has_two_rows(zoo: Zoo, source: PsutilSource) -> None:
    child = zoo.child()
    server = child.listen(share=True)
    other = child.listen(port=server.port, share=True)
    rows = look(source, server)
    assert {owner.fd for found in rows for owner in found.owners} == {server.fd, other.fd}
    assert len({found.id for found in rows}) == 2
    child.close(server)
    survivor = only(look(source, server))
    assert survivor is next(found for found in rows if found.owners[0].fd == other.fd)


@on_linux
def test_the_kernel_keeps_what_waits_after_closing(zoo: Zoo, source: PsutilSource) -> None:
    child = zoo.child()
    server = child.listen()
    client = child.connect("127.0.0.1", server.port)
    accepted = child.accept(server)
    child.close(client)
    child.close(accepted)

    def waiting() -> list[Socket]:
        return [found for found in look(source, client) if found.status is Status.TIME_WAIT]

    found = only(wait_for(waiting, "TIME_WAIT"))
    assert (found.owners, found.owner_unknown) == ((), OwnerUnknown.KERNEL)


@on_linux
@as_root
def test_a_connection_is_called_not_accepted_only_at_the_second_look(zoo: Zoo, source: PsutilSource) -> None:
    serving, calling = zoo.child(), zoo.child()
    server = serving.listen()
    calling.connect("127.0.0.1", server.port)

    def server_end() -> Socket:
        return only([found for found in look(source, server) if found.raddr])

    reasons = [server_end().owner_unknown, server_end().owner_unknown, server_end().owner_unknown]
    assert reasons == [OwnerUnknown.UNKNOWN, OwnerUnknown.NOT_ACCEPTED, OwnerUnknown.NOT_ACCEPTED]
    assert server_end() is server_end()
    serving.accept(server)
    assert server_end().owner_unknown is None
    assert [owner.process.pid for owner in server_end().owners] == [serving.pid]


@on_linux
@as_root
def test_an_end_that_its_process_has_closed_says_so(zoo: Zoo, source: PsutilSource) -> None:
    serving, calling = zoo.child(), zoo.child()
    server = serving.listen()
    client = calling.connect("127.0.0.1", server.port)
    serving.accept(server)
    calling.close(client)

    def acknowledged() -> list[Socket]:
        return [found for found in look(source, client) if found.status is Status.FIN_WAIT2]

    wait_for(acknowledged, "FIN_WAIT2")
    found = only(look(source, client))
    assert (found.owners, found.owner_unknown) == ((), OwnerUnknown.CLOSED_BY_PROCESS)


def test_a_holder_that_ended_during_the_look_leaves_its_row_without_owner(
    zoo: Zoo, source: PsutilSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = zoo.child()
    server = child.listen()
    seen = psutil.net_connections("inet")
    child.stop()
    monkeypatch.setattr(psutil, "net_connections", lambda _kind: seen)
    found = only(look(source, server))
    assert (found.owners, found.owner_unknown) == ((), OwnerUnknown.UNKNOWN)


LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


def born_again(zoo: Zoo, pid: int) -> Child:
    """A new process with a pid that was used before; others on this machine may snatch it, so this tries again."""

    def same_pid() -> Child | None:
        try:
            LAST_PID.write_text(str(pid - 1))
        except OSError as error:
            pytest.skip(f"this user may not choose the next process's pid: {error}")
        child = zoo.child()
        if child.pid == pid:
            return child
        child.stop()
        return None

    child = wait_for(same_pid, f"pid {pid} to be given again")
    assert child is not None
    return child


@pytest.mark.skipif(not LAST_PID.exists(), reason="this system does not let anybody choose the next process's pid")
def test_a_pid_that_is_given_again_is_another_holder(zoo: Zoo, source: PsutilSource) -> None:
    child = zoo.child()
    server = child.listen()
    before = only(look(source, server)).owners[0]
    child.stop()
    other = born_again(zoo, child.pid)
    again = other.listen(port=server.port)
    after = only(look(source, server)).owners[0]
    assert (again.fd, after.process.pid) == (server.fd, before.process.pid)
    assert after.process.create_time > before.process.create_time


def refuse(*_: object) -> list[object]:
    raise psutil.AccessDenied


def test_where_the_system_call_is_refused_the_processes_are_asked(
    zoo: Zoo, source: PsutilSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving, calling = zoo.child(), zoo.child()
    server = serving.listen("::")
    client = calling.connect("127.0.0.1", server.port)
    serving.accept(server)
    alone, joined = calling.udp(), calling.udp()
    calling.join(joined, alone)
    held = (server, client, alone, joined)
    whole = look(source, *held)
    assert len(whole) == 5
    monkeypatch.setattr(psutil, "net_connections", refuse)
    assert set(look(source, *held)) == set(whole)
    assert set(look(PsutilSource(), *held)) == set(whole)
    assert source.read().limits[0] == "without root this system shows only your own processes' sockets"


def test_an_inherited_socket_is_one_row_however_it_is_asked_for(
    zoo: Zoo, source: PsutilSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = zoo.child()
    server = child.listen()
    holders = {child.pid, child.lend(server)}
    named = {owner.process.pid for owner in only(look(source, server)).owners}
    assert len(named & holders) == 1  # the system call names one of them only
    monkeypatch.setattr(psutil, "net_connections", refuse)
    assert {owner.process.pid for owner in only(look(source, server)).owners} == holders


def test_where_every_process_is_refused_the_source_is_denied(
    source: PsutilSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "net_connections", refuse)
    monkeypatch.setattr(psutil.Process, "net_connections", refuse)
    with pytest.raises(SourceDeniedError, match="does not let this user read"):
        source.read()


@pytest.mark.parametrize(
    "error",
    [OSError(5, "Input/output error"), RuntimeError("error while parsing /proc/net/tcp"), psutil.Error("odd")],
)
def test_a_look_that_fails_says_why_and_the_next_one_works(
    zoo: Zoo, source: PsutilSource, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_kind: str) -> list[object]:
        raise error

    server = zoo.child().listen()
    before = only(look(source, server))
    with monkeypatch.context() as broken:
        broken.setattr(psutil, "net_connections", fail)
        with pytest.raises(SourceError) as raised:
            source.read()
    assert not isinstance(raised.value, SourceDeniedError)
    assert str(raised.value) == f"psutil could not read the sockets: {error}"
    assert only(look(source, server)) is before


def test_psutil_is_what_is_opened_by_name(zoo: Zoo) -> None:
    opened = open_source(SourceChoice.PSUTIL)
    assert opened.name == "psutil"
    server = zoo.child().listen()
    assert server.port in {found.laddr.port for found in opened.read().sockets}
    opened.close()
