"""Whether a port is free after a stop: found out by looking, at real processes."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from servers import Servers, has_ended
from stops import Machine
from zoo import Child, Held, Zoo, wait_for

from loopmon.actions.proof import Found, prove
from loopmon.actions.supervisors import Supervisor
from loopmon.model import Snapshot, Status

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is left over is read as Linux has it")

SHORT_S = 0.3


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine() as found:
        yield found


@pytest.fixture
def servers() -> Iterator[Servers]:
    with Servers() as started:
        yield started


def test_a_port_that_was_let_go_is_free(zoo: Zoo, machine: Machine) -> None:
    child = zoo.child()
    server = child.listen()
    plan = machine.plan(server.port)
    child.close(server)
    proof = prove(plan, machine.look, SHORT_S)
    assert (proof.found, proof.is_free) == (Found.FREE, True)
    assert proof.words == f"127.0.0.1:{server.port} is free"


def test_several_addresses_are_named(zoo: Zoo, machine: Machine) -> None:
    child = zoo.child()
    server = child.listen()
    other = child.listen("::1", port=server.port)
    plan = machine.plan(server.port)
    child.close(server)
    child.close(other)
    told = prove(plan, machine.look, SHORT_S).words
    assert told == f"127.0.0.1:{server.port}, [::1]:{server.port} are free"


def test_it_is_watched_for_as_long_as_was_said_and_told(zoo: Zoo, machine: Machine) -> None:
    child = zoo.child()
    server = child.listen()
    plan = machine.plan(server.port)
    child.close(server)
    told: list[float] = []
    began = time.monotonic()
    prove(plan, machine.look, 0.5, told.append)
    assert 0.5 <= time.monotonic() - began < 5
    assert len(told) > 1
    assert told == sorted(told, reverse=True)
    assert 0 < told[-1] < told[0] <= 0.5


def test_a_survivor_is_named_at_once(zoo: Zoo, machine: Machine) -> None:
    child = zoo.child()
    server = child.listen()
    began = time.monotonic()
    proof = prove(machine.plan(server.port), machine.look, 60)
    assert time.monotonic() - began < 30
    assert (proof.found, proof.is_free) == (Found.SURVIVED, False)
    assert re.fullmatch(rf"127\.0\.0\.1:{server.port} is still held by \S+ {child.pid}", proof.words)


def test_an_heir_that_survives_is_named(servers: Servers, machine: Machine) -> None:
    server = servers.start("lender")
    plan = machine.plan(server.port)
    server.started.kill()
    wait_for(lambda: has_ended(server.pid), "the end of the server")
    proof = prove(plan, machine.look, 60)
    assert proof.found is Found.SURVIVED
    assert f"127.0.0.1:{server.port} is still held by sleep " in proof.words


def test_one_that_binds_it_again_has_come_back(zoo: Zoo, machine: Machine) -> None:
    first, second = zoo.child(), zoo.child()
    server = first.listen()
    plan = replace(machine.plan(server.port), supervisor=Supervisor("nodemon 700", "loopmon stop pid:700"))
    first.stop()

    def bind_meanwhile(_left_s: float) -> None:
        if not again:
            again.append(second.listen(port=server.port))

    again: list[Held] = []
    proof = prove(plan, machine.look, 60, bind_meanwhile)
    assert (proof.found, proof.is_free) == (Found.CAME_BACK, False)
    came = rf"127\.0\.0\.1:{server.port} came back as \S+ {second.pid} after \d+\.\d s"
    assert re.fullmatch(rf"{came}, started again by .+ \d+; stop it for good: loopmon stop pid:700", proof.words)


def test_one_that_takes_every_address_has_come_back_too(zoo: Zoo, machine: Machine) -> None:
    first, second = zoo.child(), zoo.child()
    server = first.listen()
    plan = machine.plan(server.port)
    first.stop()
    second.listen("0.0.0.0", port=server.port)
    proof = prove(plan, machine.look, SHORT_S)
    assert proof.found is Found.CAME_BACK
    assert f"*:{server.port} came back as " in proof.words


def test_a_server_beside_it_that_takes_ipv6_only_is_not_in_its_way(zoo: Zoo, machine: Machine) -> None:
    child, neighbour = zoo.child(), zoo.child()
    server = child.listen()
    neighbour.listen("::", port=server.port, v6only=True)
    plan = machine.plan(server.port, "127.0.0.1")
    child.close(server)
    assert prove(plan, machine.look, SHORT_S).found is Found.FREE


def test_a_neighbour_on_every_address_has_not_come_back_but_was_there(zoo: Zoo, machine: Machine) -> None:
    child, neighbour = zoo.child(), zoo.child()
    server = child.listen(share=True)
    neighbour.listen("0.0.0.0", port=server.port, share=True)
    plan = machine.plan(server.port, "127.0.0.1")
    child.close(server)
    proof = prove(plan, machine.look, SHORT_S)
    assert proof.found is Found.SURVIVED
    assert re.fullmatch(rf"\*:{server.port} is still held by \S+ {neighbour.pid}", proof.words)


# What is left in the kernel


def over(child: Child, client: Child, server: Held) -> None:
    """A connection that the server has closed first."""
    near = client.connect("127.0.0.1", server.port)
    far = child.accept(server)
    child.close(far)
    client.close(near)


def until_in_time_wait(machine: Machine, port: int) -> None:
    def is_so() -> bool:
        rows: Snapshot = machine.look()
        ends = [end.socket for row in rows.connections for end in (row.client, row.server) if end.socket]
        return any(end.laddr.port == port and end.status is Status.TIME_WAIT for end in ends)

    wait_for(is_so, "TIME_WAIT")


def test_old_connections_of_a_careless_server_block_it_and_for_how_long_is_said(zoo: Zoo, machine: Machine) -> None:
    """It had not set SO_REUSEADDR, so that nobody else's helps."""
    child, client = zoo.child(), zoo.child()
    server = child.listen()
    plan = machine.plan(server.port)
    over(child, client, server)
    child.close(server)
    until_in_time_wait(machine, server.port)
    proof = prove(plan, machine.look, SHORT_S)
    assert (proof.found, proof.is_free) == (Found.BLOCKED, False)
    begin = rf"127\.0\.0\.1:{server.port} cannot be bound: "
    assert re.fullmatch(rf"{begin}1 old connection in TIME_WAIT for (\d\d?s|1m) more", proof.words)


def test_old_connections_of_a_careful_server_are_no_obstacle_to_its_like(
    servers: Servers, zoo: Zoo, machine: Machine
) -> None:
    server, client = servers.start("serve"), zoo.child()
    plan = machine.plan(server.port)
    near = client.connect("127.0.0.1", server.port)
    server.started.send_signal(signal.SIGTERM)
    wait_for(lambda: has_ended(server.pid), "the end of the server")
    client.close(near)
    until_in_time_wait(machine, server.port)
    proof = prove(plan, machine.look, SHORT_S)
    assert proof.found is Found.FREE
    begin = rf"127\.0\.0\.1:{server.port} is free for servers that set SO_REUSEADDR, as most do; "
    assert re.fullmatch(rf"{begin}1 old connection in TIME_WAIT for (\d\d?s|1m) more", proof.words)


def test_a_client_that_keeps_its_end_open_is_counted(servers: Servers, zoo: Zoo, machine: Machine) -> None:
    server, client = servers.start("serve"), zoo.child()
    plan = machine.plan(server.port)
    client.connect("127.0.0.1", server.port)
    server.started.send_signal(signal.SIGTERM)
    wait_for(lambda: has_ended(server.pid), "the end of the server")
    proof = prove(plan, machine.look, SHORT_S)
    assert proof.found is Found.FREE
    assert proof.words.endswith("as most do; 1 old connection still open")


def test_one_that_is_bound_without_listening_blocks_it(zoo: Zoo, machine: Machine) -> None:
    """The test itself."""
    child = zoo.child()
    server = child.listen()
    plan = machine.plan(server.port)
    child.stop()
    with socket.socket() as own:
        own.bind(("127.0.0.1", server.port))
        proof = prove(plan, machine.look)
    assert (proof.found, proof.is_free) == (Found.BLOCKED, False)
    begin = rf"127\.0\.0\.1:{server.port} cannot be bound: "
    shown = rf"\S+ {os.getpid()} holds 127\.0\.0\.1:{server.port} but does not listen"
    assert re.fullmatch(rf"{begin}({shown}|the port is in use)", proof.words)
