"""What is found about real servers on one port, on one socket, or on every address."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from strays import Strays
from watching import Found, seen_afresh, wait_to_see
from zoo import Zoo

from loopmon.model import FindingId, Severity

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems name no holder without root")
BY_HAND = ("/bin/sh", "-c", '"$@"; exit', "sh")
"""From a shell."""


@pytest.fixture
def strays(tmp_path: Path) -> Iterator[Strays]:
    with Strays(tmp_path) as kept:
        yield kept


def severity(found: Found, kind: FindingId) -> Severity | None:
    return found[kind].severity if kind in found else None


# Shadowed


def test_two_servers_that_localhost_may_mean_are_found(strays: Strays, zoo: Zoo) -> None:
    one, _ = strays.start("serve", below=BY_HAND)
    other = zoo.child()
    other.listen("::1", port=one.port)
    finding = wait_to_see(FindingId.SHADOWED, one.port)
    assert finding.severity is Severity.WARNING
    assert finding.evidence[0].startswith(f"127.0.0.1:{one.port} is ")
    assert finding.evidence[0].endswith(f" {one.pid}")
    assert finding.evidence[1].startswith(f"[::1]:{one.port} is ")
    assert finding.evidence[1].endswith(f" {other.pid}")


def test_one_server_on_both_addresses_gets_no_finding(zoo: Zoo) -> None:
    child = zoo.child()
    port = child.listen().port
    child.listen("::1", port=port)
    assert not seen_afresh(port)


def test_a_server_on_another_loopback_address_is_not_in_the_way(strays: Strays, zoo: Zoo) -> None:
    """As name servers live on 127.0.0.53 beside one on 127.0.0.1."""
    server, _ = strays.start("serve", below=BY_HAND)
    zoo.child().listen("127.0.0.53", port=server.port)
    assert not seen_afresh(server.port)


# Shared


def test_strangers_that_share_a_port_are_a_warning(strays: Strays) -> None:
    first, _ = strays.start("serve")
    strays.start("serve", port=first.port, below=BY_HAND)
    finding = wait_to_see(FindingId.SHARED, first.port)
    assert finding.severity is Severity.WARNING
    assert finding.title == "2 sockets share this port"


def test_a_master_and_its_worker_that_share_a_port_are_only_noted(strays: Strays) -> None:
    master, _ = strays.start("workers")
    assert severity(seen_afresh(master.port), FindingId.SHARED) is Severity.NOTE


def test_two_processes_with_one_socket_are_only_noted(zoo: Zoo) -> None:
    child = zoo.child()
    server = child.listen()
    heir = child.lend(server)
    finding = wait_to_see(FindingId.SHARED, server.port)
    assert finding.severity is Severity.NOTE
    assert finding.title == "2 processes share this socket"
    assert f" {child.pid}" in finding.evidence[0]
    assert f" {heir}" in finding.evidence[0]


# Exposed


def test_a_server_on_every_address_is_only_noted(zoo: Zoo) -> None:
    server = zoo.child().listen("0.0.0.0")
    found = seen_afresh(server.port)
    assert list(found) == [FindingId.EXPOSED]
    assert severity(found, FindingId.EXPOSED) is Severity.NOTE
    assert f"*:{server.port}" in found[FindingId.EXPOSED].evidence[0]
