"""Addresses: unmapping, what is loopback, and reading what people paste."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import any_text, at, quick

from loopmon import words
from loopmon.address import WILDCARDS, Address, is_loopback, is_loopback4, matches, parse_address, parse_port, unmap
from loopmon.model import Endpoint

ipv4 = st.ip_addresses(v=4).map(str)
ipv6 = st.ip_addresses(v=6)
ports = st.integers(0, 65535)
address_like = st.text("0123456789abcdf.:[]/@%*-?#localhostp ", max_size=30)


@quick
@given(ipv4)
def test_a_mapped_address_becomes_plain_ipv4_however_it_is_spelt(ip: str) -> None:
    hexadecimal = f"{int(ipaddress.IPv4Address(ip)):08x}"
    assert unmap(ip) == ip
    assert unmap(f"::ffff:{ip}") == ip
    assert unmap(f"::FFFF:{hexadecimal[:4]}:{hexadecimal[4:]}") == ip
    assert unmap(f"0:0:0:0:0:ffff:{ip}") == ip


@quick
@given(st.integers(0, 2**24 - 1))
def test_a_compatible_loopback_address_as_macos_gives_it_becomes_plain_ipv4(low: int) -> None:
    ip = str(ipaddress.IPv4Address((127 << 24) + low))
    assert unmap(f"::{ip}") == ip


@quick
@given(ipv6)
def test_any_other_ipv6_address_keeps_its_value_and_gets_its_canonical_text(ip: ipaddress.IPv6Address) -> None:
    if ip.ipv4_mapped is None and int(ip) >> 24 != 127:
        assert unmap(ip.exploded) == str(ip)


@quick
@given(st.one_of(ipv4, ipv6.map(str), ipv4.map(lambda ip: f"::ffff:{ip}")))
def test_unmapping_twice_changes_nothing(ip: str) -> None:
    assert unmap(unmap(ip)) == unmap(ip)


@pytest.mark.parametrize(
    ("given_ip", "plain"),
    [
        ("::1", "::1"),
        ("::", "::"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:127.0.0.1%lo", "127.0.0.1"),
        ("2001:db8::7f00:1", "2001:db8::7f00:1"),
    ],
)
def test_ipv6_loopback_zones_and_addresses_that_only_end_like_ours(given_ip: str, plain: str) -> None:
    assert unmap(given_ip) == plain


@quick
@given(st.one_of(ipv4, st.ip_addresses(network="127.0.0.0/8").map(str)))
def test_loopback_is_the_whole_of_127_8(ip: str) -> None:
    assert is_loopback4(ip) == is_loopback(ip) == (ipaddress.IPv4Address(ip) in ipaddress.IPv4Network("127.0.0.0/8"))


def test_ipv6_has_one_loopback_address_and_it_is_not_in_127_8() -> None:
    assert is_loopback("::1")
    assert not is_loopback4("::1")
    assert not is_loopback("::")
    assert not is_loopback("::2")


@quick
@given(st.one_of(ipv4, ipv6.map(str).map(unmap)), ports)
def test_an_endpoint_reads_back_as_it_was_printed_alone_or_in_a_url(ip: str, port: int) -> None:
    if ip not in WILDCARDS:
        printed = words.endpoint(Endpoint(ip, port))
        assert parse_address(printed) == Address(ip, port)
        assert parse_address(f"http://{printed}/path:1?query#fragment") == Address(ip, port)


@pytest.mark.parametrize(
    ("text", "ip", "port"),
    [
        ("127.0.0.1:49342", "127.0.0.1", 49342),
        ("[::1]:3000", "::1", 3000),
        ("[::ffff:127.0.0.1]:3000", "127.0.0.1", 3000),
        ("::ffff:127.0.0.1", "127.0.0.1", None),
        ("localhost:3000", None, 3000),
        ("LocalHost", None, None),
        ("*:3000", None, 3000),
        (":3000", None, 3000),
        ("3000", None, 3000),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("127.0.0.1", "127.0.0.1", None),
        ("[::1]", "::1", None),
        ("::1", "::1", None),
        ("http://localhost:5173/a/b?c=d:1", None, 5173),
        ("HTTPS://127.0.0.1", "127.0.0.1", 443),
        ("http://[::1]/", "::1", 80),
        ("postgres://me:secret@localhost:5432/shop", None, 5432),
        ("redis://127.0.0.1", "127.0.0.1", None),
        ("http://localhost:0", None, 0),
        ("http://localhost:/", None, 80),
        ("127.0.0.1:", "127.0.0.1", None),
        ("127.0.0.1:3000/items/7", "127.0.0.1", 3000),
        ("[::1]:3000/", "::1", 3000),
        (":3000/index.html", None, 3000),
        ("127.0.0.1:3000,", "127.0.0.1", 3000),
        ("127.0.0.1:3000.", "127.0.0.1", 3000),
        (" http://localhost:3000/. ", None, 3000),
        ("localhost:3000;", None, 3000),
        ("app.localhost:3000", None, 3000),
        ("http://shop.App.LocalHost/cart", None, 80),
    ],
)
def test_what_people_paste_is_understood(text: str, ip: str | None, port: int | None) -> None:
    assert parse_address(text) == Address(ip, port)


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "/", ",", "nohost", "127.0.0.1:65536", "127.0.0.1:-1", "65536", "[::1]3000", "[::1", "1.2.3:4", "٣"),
        *("notlocalhost:3000", "localhost.example:3000", "http://localhost.example/"),
    ],
)
def test_what_is_no_address_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        parse_address(text)


@quick
@given(st.one_of(any_text, address_like, address_like.map(lambda text: f"http://{text}")))
def test_any_text_is_read_or_refused_with_a_value_error(text: str) -> None:
    try:
        found = parse_address(text)
    except ValueError:
        return
    assert found.port is None or 0 <= found.port <= 65535
    assert found.ip is None or unmap(str(ipaddress.ip_address(found.ip))) == found.ip


@quick
@given(st.one_of(st.integers(-10, 99999).map(str), any_text))
def test_a_port_is_a_plain_decimal_number_up_to_65535(text: str) -> None:
    is_port = text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= 65535
    if is_port:
        assert parse_port(text) == int(text)
    else:
        with pytest.raises(ValueError, match="is not a port"):
            parse_port(text)


def test_an_endpoint_matches_its_own_address_and_port() -> None:
    assert matches(at("127.0.0.1:3000"), Address("127.0.0.1", 3000))
    assert not matches(at("127.0.0.1:3000"), Address("127.0.0.1", 300))
    assert not matches(at("127.0.0.1:3000"), Address("127.0.0.2", 3000))
    assert not matches(at("127.0.0.1:3000"), Address("::1", 3000))


def test_an_address_without_port_matches_every_port_and_one_without_ip_every_address() -> None:
    assert matches(at("127.0.0.1:3000"), Address("127.0.0.1", None))
    assert matches(at("[::1]:3000"), Address(None, 3000))


@pytest.mark.parametrize("wildcard", ["0.0.0.0:3000", "[::]:3000"])
def test_a_wildcard_endpoint_answers_for_every_address_on_its_port(wildcard: str) -> None:
    assert matches(at(wildcard), Address("127.0.0.1", 3000))
    assert not matches(at(wildcard), Address("127.0.0.1", 3001))
