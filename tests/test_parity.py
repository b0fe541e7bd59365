"""The same sockets as ``ss`` reports, none missing and none invented."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import pytest
from zoo import TIMEOUT_S, Held, Zoo, wait_for

from loopmon.address import unmap
from loopmon.model import Endpoint, Protocol, Scope, Socket, Status
from loopmon.observe.observer import Observer
from loopmon.sources import Reading
from loopmon.sources.psutil_source import PsutilSource

pytestmark = pytest.mark.skipif(shutil.which("ss") is None, reason="there is no ss to compare with")

STATES = {
    "ESTAB": Status.ESTABLISHED,
    "SYN-SENT": Status.SYN_SENT,
    "SYN-RECV": Status.SYN_RECV,
    "FIN-WAIT-1": Status.FIN_WAIT1,
    "FIN-WAIT-2": Status.FIN_WAIT2,
    "TIME-WAIT": Status.TIME_WAIT,
    "UNCONN": Status.CLOSE,
    "CLOSE-WAIT": Status.CLOSE_WAIT,
    "LAST-ACK": Status.LAST_ACK,
    "LISTEN": Status.LISTEN,
    "CLOSING": Status.CLOSING,
}


class Row(NamedTuple):
    status: Status
    laddr: Endpoint
    raddr: Endpoint | None


def parse_ss(text: str) -> list[Row]:
    """``State Recv-Q Send-Q Local:Port Peer:Port``; an address can carry a zone, ``*`` is a dual-stack ``[::]``."""
    rows = []
    for line in text.splitlines():
        state, _, _, local, peer, *_ = line.split()
        laddr = _endpoint(local)
        assert laddr is not None, line
        rows.append(Row(STATES[state], laddr, _endpoint(peer)))
    return rows


def _endpoint(text: str) -> Endpoint | None:
    ip, port = text.rsplit(":", 1)
    if port == "*":
        return None
    ip = re.sub(r"%[^\]]*", "", ip).strip("[]")
    return Endpoint("::" if ip == "*" else unmap(ip), int(port))


def by_ss() -> list[Row]:
    asked = subprocess.run(["ss", "-Htan"], capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    return parse_ss(asked.stdout)


def by_source(reading: Reading) -> list[Row]:
    return [_row(found) for found in reading.sockets if found.protocol is Protocol.TCP]


def _row(found: Socket) -> Row:
    return Row(found.status, found.laddr, found.raddr)


def near(rows: Iterable[Row], held: Iterable[Held]) -> Counter[Row]:
    """Those that touch one of these ports; others come and go on a machine that is in use."""
    ports = {each.port for each in held}
    return Counter(row for row in rows if row.laddr.port in ports or (row.raddr and row.raddr.port in ports))


@pytest.fixture
def held(zoo: Zoo) -> list[Held]:
    """Sockets of every kind and in every state that lasts; ports of servers only."""
    serving, calling = zoo.child(), zoo.child()
    hosts = ("127.0.0.1", "127.0.0.2", "0.0.0.0", "::ffff:127.0.0.1", "::", "::1")
    servers = {host: serving.listen(host) for host in hosts}
    servers["v6only"] = serving.listen("::", v6only=True)
    for host, called in [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("0.0.0.0", "127.0.0.3"),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
        ("::", "127.0.0.1"),
        ("::", "::ffff:127.0.0.1"),
        ("::", "::1"),
        ("::1", "::1"),
        ("v6only", "::1"),
    ]:
        calling.connect(called, servers[host].port)
        serving.accept(servers[host])
    half_closed = calling.connect("127.0.0.1", servers["127.0.0.1"].port)
    serving.accept(servers["127.0.0.1"])
    calling.close(half_closed)
    over = calling.connect("127.0.0.1", servers["127.0.0.1"].port)
    accepted = serving.accept(servers["127.0.0.1"])
    calling.close(over)
    serving.close(accepted)
    calling.connect("127.0.0.1", servers["127.0.0.1"].port)  # never accepted
    full = servers["full"] = serving.listen("127.0.0.1", backlog=0)
    calling.connect("127.0.0.1", full.port)
    calling.knock("127.0.0.1", full.port)
    shared = servers["shared"] = serving.listen("127.0.0.1", share=True)
    calling.listen("127.0.0.1", port=shared.port, share=True)
    return list(servers.values())


def test_every_tcp_socket_is_the_one_that_ss_reports(held: list[Held]) -> None:
    wait_for(lambda: _settled(near(by_ss(), held)), "every connection to reach its last state")
    source = PsutilSource()
    expected, found = near(by_ss(), held), near(by_source(source.read()), held)
    source.close()
    assert found - expected == Counter()
    assert expected - found == Counter()
    assert {row.status for row in found} == {
        Status.LISTEN,
        Status.ESTABLISHED,
        Status.CLOSE_WAIT,
        Status.FIN_WAIT2,
        Status.TIME_WAIT,
        Status.SYN_SENT,
    }


def test_the_snapshot_keeps_every_one_of_them(held: list[Held]) -> None:
    wait_for(lambda: _settled(near(by_ss(), held)), "every connection to reach its last state")
    source = PsutilSource()
    snapshot = Observer(source.name).observe(source.read(), Scope(ipv6=True)).snapshot
    source.close()
    sockets = [listener.socket for listener in snapshot.listeners]
    for connection in snapshot.connections:
        sockets += [end.socket for end in (connection.client, connection.server) if end.socket]
    shown = near((_row(found) for found in sockets if found.protocol is Protocol.TCP), held)
    assert shown == near(by_ss(), held)


def _settled(rows: Counter[Row]) -> bool:
    passing = {Status.FIN_WAIT1, Status.SYN_RECV, Status.LAST_ACK, Status.CLOSING}
    statuses = {row.status for row in rows}
    return {Status.TIME_WAIT, Status.FIN_WAIT2} <= statuses and not statuses & passing


def test_the_reader_of_ss_knows_its_spellings() -> None:
    text = (
        "LISTEN    0 4096 127.0.0.53%lo:53              0.0.0.0:*\n"
        "LISTEN    0 5                *:8080                  *:*\n"
        "LISTEN    0 5             [::]:8081               [::]:*\n"
        "ESTAB     0 0 [::ffff:127.0.0.1]:8080 [::ffff:127.0.0.1]:40000\n"
        "TIME-WAIT 0 0            [::1]:40001             [::1]:8081\n"
    )
    assert parse_ss(text) == [
        Row(Status.LISTEN, Endpoint("127.0.0.53", 53), None),
        Row(Status.LISTEN, Endpoint("::", 8080), None),
        Row(Status.LISTEN, Endpoint("::", 8081), None),
        Row(Status.ESTABLISHED, Endpoint("127.0.0.1", 8080), Endpoint("127.0.0.1", 40000)),
        Row(Status.TIME_WAIT, Endpoint("::1", 40001), Endpoint("::1", 8081)),
    ]
