"""Whether a port can be bound: beside each kind of socket that may be in the way."""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from namespace import RefusedError, inside

from loopmon.actions import bind
from loopmon.actions.bind import Bind, bind_everywhere, try_bind
from loopmon.machine import unprivileged_start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="which sockets are in each other's way is Linux's")


@contextmanager
def opened(
    ip: str, port: int = 0, *, listens: bool = False, reuse: bool = False, v6only: bool = False
) -> Iterator[int]:
    """A bound socket's port."""
    with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM) as holding:
        holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        if ":" in ip:
            holding.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
        try:
            holding.bind((ip, port))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            pytest.skip(f"this system lacks the address {ip}")
        if listens:
            holding.listen()
        yield holding.getsockname()[1]


def free_at(port: int) -> dict[str, bool]:
    return {found.ip: found.free for found in bind_everywhere(port)}


def test_a_free_port_is_free_everywhere_and_stays_so() -> None:
    with opened("::" if socket.has_dualstack_ipv6() else "0.0.0.0") as port:
        pass
    for _ in range(3):
        assert bind_everywhere(port) == tuple(Bind(ip, port, True, False) for ip in bind.EVERYWHERE)


def test_the_port_is_named_in_use_beside_a_listener_on_the_same_address() -> None:
    with opened("127.0.0.1", listens=True, reuse=True) as port:
        assert try_bind("127.0.0.1", port) == Bind(
            "127.0.0.1", port, False, None, errno.EADDRINUSE, "the port is in use"
        )


def test_a_listener_on_one_address_blocks_the_wildcards_too_but_not_the_other_family() -> None:
    with opened("127.0.0.1", listens=True) as port:
        assert free_at(port) == {"127.0.0.1": False, "0.0.0.0": False, "::1": True, "::": False}
        assert try_bind("127.0.0.2", port).free


def test_a_listener_on_the_wildcard_blocks_each_address_of_its_family() -> None:
    with opened("0.0.0.0", listens=True, reuse=True) as port:
        assert free_at(port) == {"127.0.0.1": False, "0.0.0.0": False, "::1": True, "::": False}


def test_a_dual_stack_listener_blocks_everything() -> None:
    with opened("::", listens=True, reuse=True) as port:
        assert set(free_at(port).values()) == {False}


def test_an_ipv6_only_listener_leaves_ipv4_free() -> None:
    with opened("::", listens=True, v6only=True) as port:
        assert free_at(port) == {"127.0.0.1": True, "0.0.0.0": True, "::1": False, "::": False}


def test_a_socket_that_is_bound_but_does_not_listen_is_in_the_way() -> None:
    with opened("127.0.0.1") as port:
        assert try_bind("127.0.0.1", port).code == errno.EADDRINUSE


def test_a_client_s_own_port_is_in_the_way_whatever_is_set() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        port = client.getsockname()[1]
        assert free_at(port) == {"127.0.0.1": False, "0.0.0.0": False, "::1": True, "::": False}


def test_looking_leaves_the_port_to_a_server_without_reuse() -> None:
    with opened("127.0.0.1") as port:
        pass
    assert try_bind("127.0.0.1", port).free
    with opened("127.0.0.1", port, listens=True) as again:
        assert again == port


def test_an_address_of_another_machine_is_told_as_that() -> None:
    found = try_bind("192.0.2.1", 0)  # RFC 5737: nobody's
    assert (found.free, found.code) == (False, errno.EADDRNOTAVAIL)
    assert found.reason == "this machine does not have the address 192.0.2.1"


def test_a_system_without_the_family_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", refuse)
    assert try_bind("::1", 1).reason == "this system has no IPv6"


def test_ipv6_switched_off_is_told_as_that() -> None:
    assert inside(without_ipv6) == [errno.EADDRNOTAVAIL, "IPv6 is off on loopback"]


def without_ipv6() -> list[Any]:
    try:
        Path("/proc/sys/net/ipv6/conf/lo/disable_ipv6").write_text("1")
    except OSError as error:
        raise RefusedError(f"IPv6 cannot be switched off here: {error}") from error
    found = try_bind("::1", 0)
    return [found.code, found.reason]


def test_a_port_in_time_wait_is_free_for_servers_with_reuse_only() -> None:
    assert inside(after_a_server, True) == asdict(Bind("127.0.0.1", 4000, True, needs_reuse=True))


def test_a_port_in_time_wait_is_free_for_nobody_when_the_old_server_did_not_set_it() -> None:
    assert inside(after_a_server, False) == asdict(
        Bind("127.0.0.1", 4000, False, None, errno.EADDRINUSE, "the port is in use")
    )


def after_a_server(reuse: bool) -> dict[str, Any]:
    """A server closes its connection first and ends: its port stays in TIME_WAIT."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        server.bind(("127.0.0.1", 4000))
        server.listen()
        with socket.create_connection(("127.0.0.1", 4000)) as client:
            server.accept()[0].close()
            assert client.recv(1) == b""
    return asdict(try_bind("127.0.0.1", 4000))


@pytest.mark.parametrize("reuse", [True, False])
def test_an_old_connection_outlives_its_listener_and_keeps_the_port(reuse: bool) -> None:
    """As in TIME_WAIT, SO_REUSEADDR helps only where both have set it."""
    with opened_listener(reuse) as server, socket.create_connection(server.getsockname()), server.accept()[0] as kept:
        server.close()
        found = try_bind(*kept.getsockname())
        # Reset at the end, so that no other test meets the port in TIME_WAIT.
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert (found.free, found.needs_reuse) == ((True, True) if reuse else (False, None))


def opened_listener(reuse: bool) -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server


def test_a_low_port_needs_privilege() -> None:
    if os.geteuid() and (unprivileged_start() or 0) <= 80:
        pytest.skip("this system lets everybody bind port 80")
    code, reason = as_nobody(80) if os.geteuid() else inside(as_nobody, 80)
    assert code == errno.EACCES
    assert re.fullmatch(r"ports below \d+ are for root \(net.ipv4.ip_unprivileged_port_start\)", reason)


def as_nobody(port: int) -> list[Any]:
    """As a user who may bind no low port."""
    if os.geteuid() == 0:
        try:
            os.setgroups([])
            os.setuid(65534)
        except OSError as error:
            raise RefusedError(f"no other user can be taken here: {error}") from error
    found = try_bind("127.0.0.1", port)
    return [found.code, found.reason]
