"""What a port number means: its class and its service name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import any_text, quick

from loopmon.model import PortClass, Protocol
from loopmon.ports import IANA_DYNAMIC, parse_services, port_class, system_ports

NO_PORT = (0, 0)
ports = st.integers(1, 65535)


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (1, PortClass.WELL_KNOWN),
        (1023, PortClass.WELL_KNOWN),
        (1024, PortClass.REGISTERED),
        (32767, PortClass.REGISTERED),
        (32768, PortClass.EPHEMERAL),
        (60999, PortClass.EPHEMERAL),
        (61000, PortClass.DYNAMIC),
        (65535, PortClass.DYNAMIC),
    ],
)
def test_each_class_begins_and_ends_where_iana_and_the_system_say(port: int, expected: PortClass) -> None:
    assert port_class(port, (32768, 60999)) is expected


@pytest.mark.parametrize(("port", "expected"), [(49151, PortClass.REGISTERED), (49152, PortClass.DYNAMIC)])
def test_dynamic_begins_where_registered_ends(port: int, expected: PortClass) -> None:
    assert port_class(port, NO_PORT) is expected


@quick
@given(ports, ports, ports)
def test_the_systems_range_wins_and_nothing_outside_it_is_ephemeral(port: int, one: int, other: int) -> None:
    ephemeral = (min(one, other), max(one, other))
    inside = ephemeral[0] <= port <= ephemeral[1]
    assert (port_class(port, ephemeral) is PortClass.EPHEMERAL) == inside
    if not inside:
        assert port_class(port, ephemeral) is port_class(port, NO_PORT)


def test_services_are_read_with_comments_and_aliases_and_the_first_name_wins() -> None:
    text = """
# a comment line
http            80/tcp          www  # WorldWideWeb HTTP
domain\t\t53/udp
ignored 80/tcp
http 80/udp
"""
    assert parse_services(text) == {
        (80, Protocol.TCP): "http",
        (53, Protocol.UDP): "domain",
        (80, Protocol.UDP): "http",
    }


@pytest.mark.parametrize("line", ["", "lonely", "name 80", "name tcp/80", "name 80/sctp", "name /tcp", "#http 80/tcp"])
def test_a_line_that_names_no_tcp_or_udp_port_is_passed_over(line: str) -> None:
    assert parse_services(f"{line}\nhttp 80/tcp") == {(80, Protocol.TCP): "http"}


@pytest.mark.parametrize("number", ["65536", "100000", "9" * 5000], ids=len)
def test_a_number_that_is_no_port_is_passed_over_however_long_it_is(number: str) -> None:
    text = f"high {number}/tcp\nlast 65535/tcp"
    assert parse_services(text) == {(65535, Protocol.TCP): "last"}


@quick
@given(st.one_of(any_text, st.text("ab 0123456789/tcpud#\n\t", max_size=60)))
def test_any_services_text_gives_names_without_spaces_or_nothing(text: str) -> None:
    for (port, protocol), name in parse_services(text).items():
        assert 0 <= port <= 65535
        assert protocol in Protocol
        assert name
        assert name == "".join(name.split())


def test_this_systems_ephemeral_range_is_a_range_of_ports() -> None:
    first, last = system_ports().ephemeral
    assert 1 <= first <= last <= 65535


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("content", ["", "32768", "lots few", "1 2 3"])
def test_a_range_that_cannot_be_read_is_ianas(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = tmp_path / "ip_local_port_range"
    if content:
        setting.write_text(content)
    monkeypatch.setattr("loopmon.ports._LINUX_RANGE", setting)
    assert system_ports().ephemeral == IANA_DYNAMIC


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_range_that_the_administrator_has_set_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = tmp_path / "ip_local_port_range"
    setting.write_text("10000\t20000\n")
    monkeypatch.setattr("loopmon.ports._LINUX_RANGE", setting)
    assert system_ports().ephemeral == (10000, 20000)
