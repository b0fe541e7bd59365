"""The observer on real sockets and processes: scope, pairs, and what is known of who holds them."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from zoo import Child, Held, Zoo, wait_for

from loopmon.model import (
    Change,
    ChangeKind,
    Connection,
    Endpoint,
    Hidden,
    Listener,
    OwnerBasis,
    OwnerUnknown,
    Process,
    ProcessId,
    Protocol,
    RoleBasis,
    Scope,
    Snapshot,
    Status,
)
from loopmon.observe.observer import Observer
from loopmon.observe.processes import KEEP_S, REFRESH_S
from loopmon.sources.psutil_source import PsutilSource
from loopmon.words import change_sentence

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists sockets that no process holds")


class Watch:
    """An observer of this machine, narrowed to chosen ports so that what others do here counts for nothing."""

    def __init__(self) -> None:
        self.source = PsutilSource()
        self._observer = Observer(self.source.name, lambda: time.monotonic() + self._later_s)
        self._ports: set[int] = set()
        self._later_s = 0.0
        self.changes: list[Change] = []
        """Those of the last look."""

    def on(self, *held: Held) -> None:
        self._ports |= {each.port for each in held}

    def pass_time(self, seconds: float) -> None:
        self._later_s += seconds

    def look(self, scope: Scope | None = None, focus: ProcessId | None = None) -> Snapshot:
        reading = self.source.read()
        near = [s for s in reading.sockets if s.laddr.port in self._ports or (s.raddr and s.raddr.port in self._ports)]
        narrowed = replace(reading, sockets=tuple(near), taken_at=reading.taken_at + self._later_s)
        snapshot, changes = self._observer.observe(narrowed, scope or Scope(), focus)
        self.changes = list(changes)
        return snapshot

    def process(self, child: Child, *, fresh: bool = False) -> Process:
        """What is known of a child that listens."""
        identity = next(found for found in self.look().processes if found.pid == child.pid)
        return self.look(focus=identity if fresh else None).processes[identity]


@pytest.fixture
def watch() -> Iterator[Watch]:
    watching = Watch()
    yield watching
    watching.source.close()


def addresses(snapshot: Snapshot) -> set[tuple[str, int]]:
    return {(listener.laddr.ip, listener.laddr.port) for listener in snapshot.listeners}


def listener_at(snapshot: Snapshot, held: Held) -> Listener:
    found = [listener for listener in snapshot.listeners if listener.laddr.port == held.port]
    assert len(found) == 1, found
    return found[0]


def only_connection(snapshot: Snapshot) -> Connection:
    assert len(snapshot.connections) == 1, snapshot.connections
    return snapshot.connections[0]


class Servers:
    """One of every kind that IPv4 loopback clients reach, and one that they do not."""

    def __init__(self, child: Child) -> None:
        self.plain = child.listen("127.0.0.1")
        self.second = child.listen("127.0.0.2")
        self.mapped = child.listen("::ffff:127.0.0.1")
        self.any4 = child.listen("0.0.0.0")
        self.dual = child.listen("::")
        self.udp = child.udp("127.0.0.1")
        self.ipv6 = child.listen("::1")
        self.bound = {
            ("127.0.0.1", self.plain.port),
            ("127.0.0.2", self.second.port),
            ("127.0.0.1", self.mapped.port),
            ("127.0.0.1", self.udp.port),
        }
        self.wild = {("0.0.0.0", self.any4.port), ("::", self.dual.port)}
        self.all = (self.plain, self.second, self.mapped, self.any4, self.dual, self.udp, self.ipv6)


@pytest.fixture
def servers(zoo: Zoo, watch: Watch) -> Servers:
    opened = Servers(zoo.child())
    watch.on(*opened.all)
    return opened


def test_by_default_everything_that_an_ipv4_client_reaches_is_in_scope(watch: Watch, servers: Servers) -> None:
    snapshot = watch.look()
    assert addresses(snapshot) == servers.bound | servers.wild
    assert snapshot.hidden == Hidden(ipv6_loopback=1, wildcard=0)


def test_what_ipv6_alone_reaches_comes_in_when_asked_for(watch: Watch, servers: Servers) -> None:
    snapshot = watch.look(Scope(ipv6=True))
    assert addresses(snapshot) == servers.bound | servers.wild | {("::1", servers.ipv6.port)}
    assert snapshot.hidden == Hidden(ipv6_loopback=0, wildcard=0)


def test_wildcards_go_when_only_bound_ones_are_asked_for(watch: Watch, servers: Servers) -> None:
    snapshot = watch.look(Scope(bound_only=True))
    assert addresses(snapshot) == servers.bound
    assert snapshot.hidden == Hidden(ipv6_loopback=1, wildcard=2)
    both = watch.look(Scope(ipv6=True, bound_only=True))
    assert addresses(both) == servers.bound | {("::1", servers.ipv6.port)}
    assert both.hidden == Hidden(ipv6_loopback=0, wildcard=2)


def test_wildcards_are_exposed_and_nothing_else_is(watch: Watch, servers: Servers) -> None:
    listeners = watch.look(Scope(ipv6=True)).listeners
    assert {(found.laddr.ip, found.laddr.port) for found in listeners if found.exposed} == servers.wild


def test_changing_the_scope_opens_and_closes_nothing(watch: Watch, servers: Servers) -> None:
    assert listener_at(watch.look(), servers.any4)
    for scope in (Scope(ipv6=True), Scope(bound_only=True), Scope()):
        watch.look(scope)
        assert watch.changes == []


def test_an_ipv6_only_wildcard_is_shown_while_it_cannot_be_told_from_others(zoo: Zoo, watch: Watch) -> None:
    server = zoo.child().listen("::", v6only=True)
    watch.on(server)
    found = listener_at(watch.look(), server)
    assert found.socket.v6only is None
    assert found.exposed


def test_a_connection_on_ipv6_loopback_is_counted_and_shown_when_asked_for(zoo: Zoo, watch: Watch) -> None:
    child = zoo.child()
    server = child.listen("::1")
    client = child.connect("::1", server.port)
    child.accept(server)
    watch.on(server)
    hiding = watch.look()
    assert (hiding.listeners, hiding.connections) == ((), ())
    assert hiding.hidden.ipv6_loopback == 2
    showing = watch.look(Scope(ipv6=True))
    assert only_connection(showing).client.addr == Endpoint("::1", client.port)
    assert showing.hidden.ipv6_loopback == 0


@pytest.mark.parametrize(
    ("bound", "called"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "127.0.0.1"),
        ("::", "::ffff:127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "::ffff:127.0.0.1"),
    ],
)
def test_a_connection_has_both_its_ends_and_both_its_holders(zoo: Zoo, watch: Watch, bound: str, called: str) -> None:
    serving, calling = zoo.child(), zoo.child()
    server = serving.listen(bound)
    client = calling.connect(called, server.port)
    accepted = serving.accept(server)
    watch.on(server)
    snapshot = watch.look()
    found = only_connection(snapshot)
    ip = called.removeprefix("::ffff:")
    assert (found.client.addr.port, found.server.addr) == (client.port, Endpoint(ip, server.port))
    assert [(owner.process.pid, owner.fd) for owner in found.client.owners] == [(calling.pid, client.fd)]
    assert [(owner.process.pid, owner.fd) for owner in found.server.owners] == [(serving.pid, accepted.fd)]
    assert (found.client.basis, found.server.basis) == (OwnerBasis.HOLDS, OwnerBasis.HOLDS)
    assert (found.roles, found.status) == (RoleBasis.LISTENER, Status.ESTABLISHED)
    assert found.listener_id == listener_at(snapshot, server).id
    assert listener_at(snapshot, server).connections == 1
    assert {found.client.owners[0].process, found.server.owners[0].process} <= snapshot.processes.keys()


def test_of_servers_that_share_a_port_the_one_that_accepted_has_the_connection(zoo: Zoo, watch: Watch) -> None:
    children = [zoo.child(), zoo.child()]
    server = children[0].listen(share=True)
    other = children[1].listen(port=server.port, share=True)
    held = dict(zip(children, (server, other), strict=True))
    watch.on(server)
    zoo.child().connect("127.0.0.1", server.port)
    called = wait_for(lambda: next((c for c in children if c.is_called(held[c])), None), "the kernel's choice")
    assert called is not None
    called.accept(held[called])
    snapshot = watch.look()
    counts = {found.socket.owners[0].process.pid: found.connections for found in snapshot.listeners}
    assert counts == {child.pid: int(child is called) for child in children}


def test_the_server_stays_the_server_when_it_no_longer_listens(zoo: Zoo, watch: Watch) -> None:
    serving, calling = zoo.child(), zoo.child()
    server = serving.listen()
    calling.connect("127.0.0.1", server.port)
    serving.accept(server)
    watch.on(server)
    before = only_connection(watch.look())
    serving.close(server)
    after = only_connection(watch.look())
    assert (after.id, after.server.addr) == (before.id, before.server.addr)
    assert (before.roles, after.roles) == (RoleBasis.LISTENER, RoleBasis.SEEN)
    assert after.listener_id is None


def test_a_connection_that_waits_to_be_accepted_names_the_listeners_holder(zoo: Zoo, watch: Watch) -> None:
    serving, calling = zoo.child(), zoo.child()
    server = serving.listen()
    calling.connect("127.0.0.1", server.port)
    watch.on(server)
    found = only_connection(watch.look())
    assert found.client.basis is OwnerBasis.HOLDS
    if found.server.socket is not None:  # macOS lists no socket without a descriptor
        assert found.server.socket.owners == ()
    assert found.server.basis is OwnerBasis.LISTENS
    assert [owner.process.pid for owner in found.server.owners] == [serving.pid]


@on_linux
def test_a_connection_that_nobody_answers_has_one_end(zoo: Zoo, watch: Watch) -> None:
    serving, calling = zoo.child(), zoo.child()
    server = serving.listen(backlog=0)
    calling.connect("127.0.0.1", server.port)
    refused = calling.knock("127.0.0.1", server.port)  # the queue is full, so its SYN is dropped
    watch.on(server)
    found = {each.client.addr.port: each for each in watch.look().connections}[refused.port]
    assert (found.status, found.server.socket) == (Status.SYN_SENT, None)
    assert found.server.addr == Endpoint("127.0.0.1", server.port)
    assert [owner.process.pid for owner in found.client.owners] == [calling.pid]


@on_linux
def test_who_held_a_closed_end_is_remembered(zoo: Zoo, watch: Watch) -> None:
    serving, calling = zoo.child(), zoo.child()
    server = serving.listen()
    client = calling.connect("127.0.0.1", server.port)
    accepted = serving.accept(server)
    watch.on(server)
    watch.look()
    calling.close(client)
    serving.close(accepted)
    wait_for(lambda: only_connection(watch.look()).status is Status.TIME_WAIT, "TIME_WAIT")
    wait_for(lambda: only_connection(watch.look()).server.socket is None, "the other end to go")
    snapshot = watch.look()
    found = only_connection(snapshot)
    assert found.client.socket is not None
    assert (found.client.socket.owners, found.client.socket.owner_unknown) == ((), OwnerUnknown.KERNEL)
    assert found.client.basis is OwnerBasis.HELD
    assert [owner.process.pid for owner in found.client.owners] == [calling.pid]
    assert found.server.socket is None
    assert listener_at(snapshot, server).connections == 0


def test_an_unconnected_udp_socket_is_a_listener_and_two_connected_ones_are_a_connection(
    zoo: Zoo, watch: Watch
) -> None:
    one_side, other_side = zoo.child(), zoo.child()
    alone, one, other = one_side.udp(), one_side.udp(), other_side.udp()
    one_side.join(one, other)
    other_side.join(other, one)
    watch.on(alone, one, other)
    snapshot = watch.look()
    listener = listener_at(snapshot, alone)
    assert (listener.socket.protocol, listener.laddr.ip) == (Protocol.UDP, "127.0.0.1")
    found = only_connection(snapshot)
    assert found.protocol is Protocol.UDP
    assert {found.client.addr.port, found.server.addr.port} == {one.port, other.port}
    holders = {owner.process.pid for end in (found.client, found.server) for owner in end.owners}
    assert holders == {one_side.pid, other_side.pid}
    assert (found.client.basis, found.server.basis) == (OwnerBasis.HOLDS, OwnerBasis.HOLDS)


def test_what_opens_changes_and_closes_is_told_once(zoo: Zoo, watch: Watch) -> None:
    serving, calling = zoo.child(), zoo.child()
    old = serving.listen()
    watch.on(old)
    assert not watch.look().listeners[0].seen_opening
    assert watch.changes == []
    server = serving.listen()
    watch.on(server)
    assert listener_at(watch.look(), server).seen_opening
    assert [(change.kind, change.subject.id) for change in watch.changes] == [
        (ChangeKind.OPENED, listener_at(watch.look(), server).id)
    ]
    assert watch.changes == []
    client = calling.connect("127.0.0.1", server.port)
    serving.accept(server)
    watch.look()
    assert ChangeKind.OPENED in {change.kind for change in watch.changes if isinstance(change.subject, Connection)}
    calling.close(client)
    wait_for(lambda: watch.look() and watch.changes, "the change of state")
    assert {change.kind for change in watch.changes} == {ChangeKind.STATUS}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "src" / "deep").mkdir(parents=True)
    (folder / "pyproject.toml").touch()
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/feat/login\n")
    return folder


def test_a_process_is_known_by_where_and_how_it_was_started(zoo: Zoo, watch: Watch, project: Path) -> None:
    child = zoo.child("--port", "3000", cwd=project / "src" / "deep")
    watch.on(child.listen())
    found = watch.process(child)
    assert found.name == psutil.Process(child.pid).name()
    assert found.cmdline is not None
    assert (found.cmdline[0], found.cmdline[-2:]) == (sys.executable, ("--port", "3000"))
    assert found.cwd == str((project / "src" / "deep").resolve())
    assert (found.project, found.project_path) == ("shop", str(project.resolve()))
    assert found.branch == "feat/login"
    assert found.user == pwd.getpwuid(os.getuid()).pw_name
    assert found.status in {psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING}
    assert found.rss_bytes is not None
    assert found.rss_bytes > 1 << 20
    assert found.tty is None


def test_a_process_outside_every_project_has_none(zoo: Zoo, watch: Watch) -> None:
    child = zoo.child(cwd=Path("/"))
    watch.on(child.listen())
    found = watch.process(child)
    assert (found.cwd, found.project, found.branch) == ("/", None, None)


def test_the_branch_follows_the_repository(zoo: Zoo, watch: Watch, project: Path) -> None:
    child = zoo.child(cwd=project)
    watch.on(child.listen())
    assert watch.process(child).branch == "feat/login"
    (project / ".git" / "HEAD").write_text("0123456789abcdef0123456789abcdef01234567\n")
    assert watch.process(child, fresh=True).branch == "detached at 0123456"


def test_the_parents_lead_from_the_child_to_the_top(zoo: Zoo, watch: Watch) -> None:
    child = zoo.child()
    watch.on(child.listen())
    found = watch.process(child)
    chain = [above.process.pid for above in found.parents]
    assert found.ppid == chain[0] == os.getpid()
    assert chain == [above.pid for above in psutil.Process(child.pid).parents()]
    assert found.parents[0].name == psutil.Process().name()


def test_use_of_the_processor_is_unknown_at_first_and_measured_from_then_on(zoo: Zoo, watch: Watch) -> None:
    child = zoo.child()
    watch.on(child.listen())
    assert watch.process(child).cpu_percent is None
    measured = watch.process(child, fresh=True).cpu_percent
    assert measured is not None
    assert measured >= 0


def test_a_process_that_becomes_another_program_is_named_anew(zoo: Zoo, watch: Watch) -> None:
    cat = shutil.which("cat")
    if cat is None:
        pytest.skip("there is no cat to become")
    child = zoo.child()
    server = child.listen()
    watch.on(server)
    before = watch.process(child)
    child.become(cat, "-")
    wait_for(lambda: psutil.Process(child.pid).cmdline() == [cat, "-"], "the new program")
    after = watch.process(child, fresh=True)
    assert after.id == before.id
    assert (after.name, after.cmdline) == ("cat", (cat, "-"))
    assert [owner.process for owner in listener_at(watch.look(), server).socket.owners] == [before.id]
    assert watch.changes == []


def test_details_are_read_again_after_a_while_without_being_asked_for(zoo: Zoo, watch: Watch) -> None:
    cat = shutil.which("cat")
    if cat is None:
        pytest.skip("there is no cat to become")
    child = zoo.child()
    watch.on(child.listen())
    watch.process(child)
    child.become(cat, "-")
    wait_for(lambda: psutil.Process(child.pid).cmdline() == [cat, "-"], "the new program")
    watch.pass_time(REFRESH_S)
    assert watch.process(child).cmdline == (cat, "-")


def test_a_process_that_ends_can_still_be_named_for_a_while(zoo: Zoo, watch: Watch) -> None:
    child = zoo.child()
    server = child.listen()
    watch.on(server)
    before = watch.process(child)
    child.stop()
    snapshot = watch.look()
    assert snapshot.listeners == ()
    (change,) = watch.changes
    assert change.kind is ChangeKind.CLOSED
    assert change_sentence(change, snapshot.processes) == (
        f"- {before.name} {child.pid} stopped listening on 127.0.0.1:{server.port}"
    )
    watch.pass_time(KEEP_S)
    assert before.id not in watch.look().processes
