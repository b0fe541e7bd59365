"""What this machine says of its loopback network: through an injected resolver, own files, and a network of its own."""

from __future__ import annotations

import errno
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from namespace import RefusedError, inside
from zoo import TIMEOUT_S

from loopmon.firewall import Firewall
from loopmon.machine import (
    has_ipv6_loopback,
    hosts_file_says,
    loopback_up,
    parse_ranges,
    read_machine,
    resolve_localhost,
    unprivileged_start,
)


class Resolver:
    """Answers as socket.getaddrinfo does."""

    def __init__(self, *addresses: str, error: OSError | None = None) -> None:
        self._addresses = addresses
        self._error = error
        self.asked: list[Any] = []

    def __call__(self, host: str, port: None, **hints: Any) -> Iterator[tuple[Any, ...]]:
        self.asked.append(host)
        if self._error:
            raise self._error
        for ip in self._addresses:
            family = socket.AF_INET6 if ":" in ip else socket.AF_INET
            yield family, socket.SOCK_STREAM, 6, "", (ip, 0, 0, 0) if ":" in ip else (ip, 0)


# localhost


@pytest.mark.parametrize(
    ("addresses", "told"),
    [
        (["::1", "127.0.0.1"], ("::1", "127.0.0.1")),
        (["127.0.0.1", "::1"], ("127.0.0.1", "::1")),
        (["127.0.0.1", "127.0.0.1"], ("127.0.0.1",)),
        (["::ffff:127.0.0.1", "127.0.0.1"], ("127.0.0.1",)),
        (["fe80::1%lo", "127.0.1.1"], ("127.0.1.1",)),
    ],
)
def test_localhost_keeps_the_resolver_s_order_and_each_loopback_address_once(
    addresses: list[str], told: tuple[str, ...]
) -> None:
    resolver = Resolver(*addresses)
    assert resolve_localhost(resolver) == (told, None)
    assert resolver.asked == ["localhost"]


def test_localhost_that_is_another_machine_is_told() -> None:
    assert resolve_localhost(Resolver("192.0.2.1", "127.0.0.1")) == (("127.0.0.1",), None)
    why = "localhost is 192.0.2.1, which is not a loopback address"
    assert resolve_localhost(Resolver("192.0.2.1")) == ((), why)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
            "localhost does not resolve: no name server answers, and no hosts file has it",
        ),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "localhost does not resolve: nobody knows the name",
        ),
        (socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure"), "Non-recoverable failure"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
    ],
)
def test_localhost_that_does_not_resolve_says_why(error: OSError, words: str) -> None:
    assert resolve_localhost(Resolver(error=error)) == ((), words)


def test_a_resolver_that_does_not_answer_is_left_behind() -> None:
    over = threading.Event()

    def hang(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        over.wait(TIMEOUT_S)
        return []

    try:
        assert resolve_localhost(hang, timeout_s=0.05) == ((), "the resolver did not answer within 0.05 s")
    finally:
        over.set()


def test_this_machine_s_resolver_is_asked_by_default() -> None:
    addresses, error = resolve_localhost()
    assert bool(addresses) != bool(error)


# The hosts file


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("127.0.0.1 localhost\n::1 localhost ip6-localhost\n", ("127.0.0.1", "::1")),
        ("::1\tip6-localhost LocalHost # here\n127.0.0.1 localhost", ("::1", "127.0.0.1")),
        ("127.0.0.1 host.localhost localhost.localdomain\n", ()),
        ("#127.0.0.1 localhost\n192.0.2.1 localhost\n", ("192.0.2.1",)),
        ("127.0.0.1 localhost\n127.0.0.1 localhost\nnonsense localhost\n\n127.0.0.1\n", ("127.0.0.1",)),
        ("", ()),
    ],
)
def test_the_hosts_file_is_read_as_the_resolver_does(tmp_path: Path, text: str, told: tuple[str, ...]) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text(text)
    assert hosts_file_says(str(hosts)) == told


def test_no_hosts_file_and_one_that_is_no_text_give_nothing(tmp_path: Path) -> None:
    assert hosts_file_says(str(tmp_path / "none")) == ()
    (tmp_path / "hosts").write_bytes(b"\xff\xfe localhost\n127.0.0.1 localhost\n")
    assert hosts_file_says(str(tmp_path / "hosts")) == ("127.0.0.1",)


# The kernel's settings


@pytest.mark.parametrize(
    ("text", "ranges"),
    [("\n", ()), ("8080\n", ((8080, 8080),)), ("8080,9148-9150\n", ((8080, 8080), (9148, 9150))), ("rubbish", ())],
)
def test_reserved_ports_are_read(text: str, ranges: tuple[tuple[int, int], ...]) -> None:
    assert parse_ranges(text) == ranges


def test_the_machine_is_read_from_its_files(tmp_path: Path) -> None:
    (tmp_path / "ip_local_reserved_ports").write_text("3000-3002\n")
    (tmp_path / "ip_unprivileged_port_start").write_text("80\n")
    rules = Firewall(None, "not now")
    found = read_machine(Resolver("127.0.0.1"), str(tmp_path), lambda: rules)
    assert (found.reserved, found.unprivileged_start) == (((3000, 3002),), 80)
    assert (found.localhost, found.localhost_error, found.firewall) == (("127.0.0.1",), None, rules)
    assert found.has_ipv6_loopback == has_ipv6_loopback()


def test_a_machine_without_such_files_says_that_it_does_not_know(tmp_path: Path) -> None:
    found = read_machine(Resolver("127.0.0.1"), str(tmp_path), None)
    assert (found.reserved, found.unprivileged_start, found.firewall) == ((), None, None)
    (tmp_path / "ip_unprivileged_port_start").write_text("no number\n")
    assert unprivileged_start(str(tmp_path)) is None


# Loopback itself


def test_loopback_is_up_where_tests_run() -> None:
    assert loopback_up() is True


class Stats:
    def __init__(self, isup: bool) -> None:
        self.isup = isup


@pytest.mark.parametrize(
    ("interfaces", "told"),
    [
        ({"en0": Stats(True), "lo0": Stats(False)}, False),
        ({"Ethernet": Stats(False), "Loopback Pseudo-Interface 1": Stats(True)}, True),
        ({"en0": Stats(True)}, None),
    ],
)
def test_other_systems_ask_psutil(
    monkeypatch: pytest.MonkeyPatch, interfaces: dict[str, Stats], told: bool | None
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(psutil, "net_if_stats", lambda: interfaces)
    assert loopback_up() is told


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")


@needs_linux
def test_settings_of_another_network_are_that_network_s() -> None:
    assert inside(change_settings) == [[[4000, 4000], [4100, 4110]], 0, True]


def change_settings() -> list[Any]:
    _set("ipv4/ip_local_reserved_ports", "4000,4100-4110")
    _set("ipv4/ip_unprivileged_port_start", "0")
    found = read_machine(Resolver("127.0.0.1"))
    return [found.reserved, found.unprivileged_start, found.loopback_up]


@needs_linux
def test_ipv6_that_is_switched_off_is_not_there() -> None:
    assert inside(switch_ipv6_off) is False


def switch_ipv6_off() -> bool:
    _set("ipv6/conf/lo/disable_ipv6", "1")
    return has_ipv6_loopback()


def _set(name: str, value: str) -> None:
    try:
        Path("/proc/sys/net", name).write_text(value)
    except OSError as error:
        raise RefusedError(f"{name} cannot be set here: {error}") from error
