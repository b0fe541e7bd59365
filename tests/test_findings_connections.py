"""The rules about connections and ports: whom they accuse, whom they do not, and the figures they name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from looks import CLIENT, SERVER, found, half_closed, joined, look, one, side
from making import NOW, at, listening, process, socket

from loopmon.model import Certainty, Connection, FindingId, Ports, RoleBasis, Severity, Snapshot, Socket, Status

# close-wait


def leak(count: int, heard_s: float | None = -60) -> list[Connection]:
    return [half_closed(40000 + number, SERVER, heard_s=heard_s) for number in range(count)]


def test_a_process_that_closes_nothing_is_told_with_how_many_and_the_oldest() -> None:
    clients = [*leak(2, -7), *leak(3, -60)[2:]]
    finding = one(FindingId.CLOSE_WAIT, look(connections=clients), look(connections=clients, after_s=1))
    assert (finding.severity, finding.certainty) == (Severity.WARNING, Certainty.CERTAIN)
    assert finding.subject == f"process:{SERVER}"
    assert "3 connections" in finding.title
    assert finding.evidence == ("3 sockets in CLOSE_WAIT, the oldest for 1m",)


def test_close_wait_needs_two_looks() -> None:
    assert not found(FindingId.CLOSE_WAIT, look(connections=leak(9)))


@pytest.mark.parametrize(("count", "heard_s"), [(2, -60.0), (9, -3.0), (9, None)])
def test_few_young_or_ageless_ones_are_no_leak(count: int, heard_s: float | None) -> None:
    clients = leak(count, heard_s)
    assert not found(FindingId.CLOSE_WAIT, look(connections=clients), look(connections=clients, after_s=1))


def test_a_busy_program_that_closes_late_has_others_at_each_look() -> None:
    looks = [
        look(connections=[half_closed(40000 + 9 * n + m, SERVER, heard_s=-6) for m in range(9)], after_s=n)
        for n in range(4)
    ]
    assert not found(FindingId.CLOSE_WAIT, *looks)


def test_each_process_is_counted_for_itself() -> None:
    clients = [half_closed(40000 + n, SERVER + n % 3, heard_s=-60) for n in range(6)]
    assert not found(FindingId.CLOSE_WAIT, look(connections=clients), look(connections=clients, after_s=1))


# not-reading


def unread(
    count: int | None, active_s: float | None, status: Status = Status.ESTABLISHED, *, held: bool = True
) -> Connection:
    server = socket("127.0.0.1:9000", "127.0.0.1:40000", *([SERVER] if held else []), status=status)
    server = replace(server, recv_queue=count, active_at=None if active_s is None else NOW + active_s)
    return joined(socket("127.0.0.1:40000", "127.0.0.1:9000", CLIENT), server)


def test_bytes_that_nobody_reads_are_told_with_how_many_and_for_how_long() -> None:
    finding = one(FindingId.NOT_READING, look(connections=[unread(12_345, -8)]))
    assert (finding.severity, finding.certainty) == (Severity.WARNING, Certainty.LIKELY)
    assert finding.subject == "connection:tcp:127.0.0.1|40000-127.0.0.1|9000"
    assert finding.evidence == ("12k bytes unread for 8s",)
    assert f"node {SERVER}" in finding.title


@pytest.mark.parametrize(
    "reader", [unread(0, -60), unread(None, -60), unread(99, None), unread(99, -4), unread(99, -60, held=False)]
)
def test_what_is_read_new_unheld_or_unknown_is_nothing_to_look_at(reader: Connection) -> None:
    assert not found(FindingId.NOT_READING, look(connections=[reader]))


def test_the_other_sides_farewell_is_no_unread_byte() -> None:
    """The kernel counts it as one; a client that keeps connections in store does not notice until it uses them."""
    assert not found(FindingId.NOT_READING, look(connections=[unread(1, -60, Status.CLOSE_WAIT)]))
    assert found(FindingId.NOT_READING, look(connections=[unread(8, -60, Status.CLOSE_WAIT)]))
    assert found(FindingId.NOT_READING, look(connections=[unread(1, -60)]))


# port-exhaustion

ROOM = 1000


def narrow(connections: list[Connection]) -> Snapshot:
    """On a system with a thousand ephemeral ports."""
    return replace(look(connections=connections), ports=Ports((40000, 40999)))


def crowd(count: int, status: Status = Status.ESTABLISHED) -> list[Connection]:
    client = socket("127.0.0.1:40000", "127.0.0.1:9000", CLIENT, status=status)
    return [replace(joined(client, None), id=str(number)) for number in range(count)]


@pytest.mark.parametrize(
    ("share", "severity"), [(0.7, None), (0.85, Severity.WARNING), (0.97, Severity.WARNING), (0.99, Severity.PROBLEM)]
)
def test_client_ports_run_out_by_degrees(share: float, severity: Severity | None) -> None:
    used = int(share * ROOM)
    findings = found(FindingId.PORT_EXHAUSTION, narrow(crowd(used, Status.TIME_WAIT)))
    assert [finding.severity for finding in findings] == ([severity] if severity else [])
    for finding in findings:
        assert finding.subject == "system"
        assert "127.0.0.1:9000" in finding.title
        assert f"{used} of {ROOM} ports (40000 to 40999)" in finding.evidence[0]


def test_a_server_that_waits_in_time_wait_itself_takes_no_client_port() -> None:
    server = socket("127.0.0.1:9000", "127.0.0.1:40000", status=Status.TIME_WAIT)
    gone = [replace(joined(None, server), id=str(number)) for number in range(ROOM)]
    assert not found(FindingId.PORT_EXHAUSTION, narrow(gone))


def test_other_destinations_have_ports_of_their_own() -> None:
    other = replace(crowd(1)[0], server=side(None, at("127.0.0.1:9001")))
    half = crowd(ROOM // 2)
    assert not found(FindingId.PORT_EXHAUSTION, narrow([*half, *[other] * (ROOM // 2)]))


# bound-not-listening


def bound(port: int = 3000, pid: int = SERVER) -> Socket:
    return socket(f"127.0.0.1:{port}", None, pid, status=Status.CLOSE)


def test_a_port_that_is_bound_for_a_while_is_noted_with_its_holder() -> None:
    finding = one(FindingId.BOUND_NOT_LISTENING, look(bound=[bound()]), look(bound=[bound()], after_s=1))
    assert (finding.severity, finding.subject) == (Severity.NOTE, "system")
    assert "port 3000" in finding.title
    assert f"node {SERVER} is bound to 127.0.0.1:3000" in finding.evidence[0]
    assert finding.remedy == f"kill {SERVER}"


def test_every_server_is_bound_for_a_moment_before_it_listens() -> None:
    assert not found(FindingId.BOUND_NOT_LISTENING, look(bound=[bound()]))
    assert not found(FindingId.BOUND_NOT_LISTENING, look(bound=[bound()]), look(bound=[bound()], after_s=0.1))
    assert not found(FindingId.BOUND_NOT_LISTENING, look(), look(bound=[bound()], after_s=60))


def test_a_bound_socket_of_unknown_holder_says_how_to_find_out() -> None:
    unheld = replace(bound(), owners=())
    finding = one(FindingId.BOUND_NOT_LISTENING, look(bound=[unheld]), look(bound=[unheld], after_s=1))
    assert finding.remedy == "ss -tanp sport = :3000"


# port-stolen


def to_itself(status: Status = Status.ESTABLISHED, port: int = 40000) -> Connection:
    own = socket(f"127.0.0.1:{port}", f"127.0.0.1:{port}", CLIENT, status=status)
    return joined(own, own)


@pytest.mark.parametrize("port", [40000, 3000])
def test_a_client_that_is_connected_to_itself_is_a_problem(port: int) -> None:
    finding = one(FindingId.PORT_STOLEN, look(connections=[to_itself(port=port)]))
    assert (finding.severity, finding.certainty) == (Severity.PROBLEM, Certainty.CERTAIN)
    assert finding.title == f"node {CLIENT} is connected to itself on port {port}"
    assert finding.remedy == f"end the client: kill {CLIENT}"


def test_what_was_connected_to_itself_and_is_over_steals_nothing() -> None:
    assert not found(FindingId.PORT_STOLEN, look(connections=[to_itself(Status.TIME_WAIT)]))


def test_unread_bytes_of_a_client_connected_to_itself_are_told_once() -> None:
    own = to_itself().client.socket
    assert own is not None
    own = replace(own, recv_queue=5, active_at=NOW - 9)
    assert len(found(FindingId.NOT_READING, look(connections=[joined(own, own)]))) == 1


def from_port(port: int, roles: RoleBasis = RoleBasis.LISTENER) -> Connection:
    server = listening("127.0.0.1:9000", SERVER)
    client = socket(f"127.0.0.1:{port}", "127.0.0.1:9000", CLIENT)
    return joined(client, socket("127.0.0.1:9000", f"127.0.0.1:{port}", SERVER), server, roles=roles)


def test_a_client_on_a_well_known_port_is_likely_to_be_in_a_servers_way() -> None:
    finding = one(FindingId.PORT_STOLEN, look(connections=[from_port(80)]))
    assert (finding.severity, finding.certainty) == (Severity.WARNING, Certainty.LIKELY)
    assert "it is a well-known port, kept for servers" in finding.evidence


def test_a_client_on_a_port_that_a_server_has_had_names_that_server() -> None:
    assert not found(FindingId.PORT_STOLEN, look(connections=[from_port(3000)]))
    before = look([listening("127.0.0.1:3000", 5)], processes=[process(5, "vite")])
    finding = one(FindingId.PORT_STOLEN, before, look(connections=[from_port(3000)], after_s=1))
    assert "vite listened there before" in finding.evidence


@pytest.mark.parametrize("roles", [RoleBasis.GUESS, RoleBasis.EPHEMERAL_RANGE])
def test_of_ends_told_apart_by_guess_nobody_is_called_a_thief(roles: RoleBasis) -> None:
    assert not found(FindingId.PORT_STOLEN, look(connections=[from_port(80, roles)]))


def test_a_port_on_which_a_server_listens_is_not_stolen() -> None:
    """A server may call another one from its own port."""
    assert not found(FindingId.PORT_STOLEN, look([listening("127.0.0.1:80", CLIENT)], [from_port(80)]))


def test_an_ephemeral_port_that_was_served_is_everybodys() -> None:
    before = look([listening("127.0.0.1:45000", 5)])
    assert not found(FindingId.PORT_STOLEN, before, look(connections=[from_port(45000)], after_s=1))
