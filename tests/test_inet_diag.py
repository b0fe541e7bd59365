"""The messages of sock_diag: laid out by hand as the kernel does, cut off and garbled; the filter on real sockets."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import sys
from contextlib import ExitStack, suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from making import quick

from loopmon.address import is_loopback
from loopmon.model import Endpoint, Status
from loopmon.sources import inet_diag as wire
from loopmon.sources.inet_diag import DiagError

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has sock_diag")

LOCALHOST = bytes([127, 0, 0, 1])
MAPPED, IPV6_ONE = bytes(10) + b"\xff\xff" + LOCALHOST, bytes(15) + b"\x01"
ROW_BYTES, INFO_BYTES = 72, 136
INFO, SHUTDOWN, V6ONLY, CGROUP = 2, 8, 11, 21
ERROR, DONE, DIAG = 2, 3, 20
STATES = "ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING SYN_RECV"
"""linux/tcp_states.h, from 1 on."""


class RequestV2(ctypes.Structure):
    """struct inet_diag_req_v2 of linux/inet_diag.h"""

    _fields_ = [
        *((name, ctypes.c_uint8) for name in ("family", "protocol", "ext", "pad")),
        ("states", ctypes.c_uint32),
        ("ports", ctypes.c_uint16 * 2),
        *((name, ctypes.c_uint32 * 4) for name in ("src", "dst")),
        ("if_and_cookie", ctypes.c_uint32 * 3),
    ]


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def row(family: int, state: int, src: bytes, sport: int, dst: bytes = b"", dport: int = 0, rest: bytes = b"") -> bytes:
    """A socket message: timer 2, retransmits 3, cookie 0x1_0000_0007, and 40, 50, 60, 1000, 31337 to its end."""
    start = bytes([family, state, 2, 3]) + struct.pack("!HH", sport, dport) + src.ljust(16, b"\0")
    return start + dst.ljust(16, b"\0") + struct.pack("=I2I5I", 0, 7, 1, 40, 50, 60, 1000, 31337) + rest


def tcp_info() -> bytes:
    """Each field holds a number of its own; all bytes between them are 0xFF."""
    info = bytearray(b"\xff" * 280)
    info[2] = 1
    for offset, number in ((44, 2), (52, 3), (56, 4), (68, 5), (100, 6)):
        struct.pack_into("=I", info, offset, number)
    struct.pack_into("=QQ", info, 120, 7 << 32, 8 << 32)
    struct.pack_into("=QQ", info, 200, 9 << 32, 10 << 32)
    return bytes(info)


def message(kind: int, payload: bytes = b"", flags: int = 0, sequence: int = 9) -> bytes:
    return struct.pack("=IHHII", 16 + len(payload), kind, flags, sequence, 0) + payload + bytes(-len(payload) % 4)


ATTRIBUTES = attribute(INFO, tcp_info()) + attribute(SHUTDOWN, b"\x02") + attribute(CGROUP, struct.pack("=Q", 1 << 40))
FULL = row(socket.AF_INET, 1, LOCALHOST, 5432, bytes([127, 0, 0, 2]), 40000, ATTRIBUTES)
DONE_MESSAGE = message(DONE, bytes(4))


def test_every_field_of_an_ipv4_connection_is_read_from_its_place() -> None:
    read = wire.parse_row(FULL)
    assert (read.family, read.status, read.timer, read.retrans) == (socket.AF_INET, Status.ESTABLISHED, 2, 3)
    assert (read.laddr, read.raddr) == (Endpoint("127.0.0.1", 5432), Endpoint("127.0.0.2", 40000))
    assert (read.cookie, read.expires_ms, read.rqueue, read.wqueue) == (0x1_0000_0007, 40, 50, 60)
    assert (read.uid, read.inode) == (1000, 31337)
    assert (read.shutdown, read.v6only, read.cgroup_id) == (2, None, 1 << 40)
    info = read.info
    assert info
    assert (info.retransmits, info.last_data_sent_ms, info.last_data_recv_ms, info.last_ack_recv_ms) == (1, 2, 3, 4)
    assert (info.rtt_us, info.total_retrans, info.bytes_acked, info.bytes_received) == (5, 6, 7 << 32, 8 << 32)
    assert (info.bytes_sent, info.bytes_retrans) == (9 << 32, 10 << 32)


@pytest.mark.parametrize(
    ("address", "text"),
    [(MAPPED, "127.0.0.1"), (IPV6_ONE, "::1"), (bytes(16), "::"), (b"\xfe\x80" + bytes(13) + b"\x09", "fe80::9")],
)
def test_ipv6_addresses_are_read_and_mapped_ones_unmapped(address: bytes, text: str) -> None:
    read = wire.parse_row(row(socket.AF_INET6, 1, address, 1, address, 65535))
    assert (read.laddr, read.raddr) == (Endpoint(text, 1), Endpoint(text, 65535))


@pytest.mark.parametrize(("value", "v6only"), [(b"\x01", True), (b"\x00", False), (b"", None)])
def test_a_listener_says_whether_it_is_for_ipv6_only(value: bytes, v6only: bool | None) -> None:
    read = wire.parse_row(row(socket.AF_INET6, 10, bytes(16), 80, rest=attribute(V6ONLY, value)))
    assert (read.status, read.v6only) == (Status.LISTEN, v6only)
    assert (read.info, read.shutdown, read.cgroup_id) == (None, None, None)


@pytest.mark.parametrize(("size", "held"), [(215, True), (INFO_BYTES, True), (INFO_BYTES - 1, False), (0, False)])
def test_tcp_info_of_a_kernel_too_old_for_the_counters_is_as_if_absent(size: int, held: bool) -> None:
    rest = attribute(SHUTDOWN, b"\1") + attribute(INFO, tcp_info()[:size])
    payload = row(socket.AF_INET, 1, LOCALHOST, 80, rest=rest)
    read = wire.parse_row(payload)
    assert (read.info is not None, read.shutdown) == (held, 1)
    assert read.info is None or read.info.bytes_sent is None
    start, stop = wire.counters_span(payload)
    assert payload[start:stop] == (struct.pack("=QQ", 7 << 32, 8 << 32) if held else b"")


def test_unknown_attributes_are_passed_over_wherever_they_stand() -> None:
    known = (attribute(INFO, tcp_info()), attribute(SHUTDOWN, b"\x03"), attribute(CGROUP, struct.pack("=Q", 5)))
    strange = (attribute(0, b""), attribute(0x8001, b"x"), attribute(200, bytes(61)), attribute(22, b"\xff\xff"))
    mixed = strange[0] + known[0] + strange[1] + known[1] + strange[2] + known[2] + strange[3]
    for rest in (mixed, mixed[:-2]):  # the last needs no padding
        plain = row(socket.AF_INET, 1, LOCALHOST, 80, rest=b"".join(known))
        assert wire.parse_row(row(socket.AF_INET, 1, LOCALHOST, 80, rest=rest)) == wire.parse_row(plain)


def test_every_state_has_a_name_and_those_to_come_are_closed() -> None:
    expected = dict(enumerate(STATES.split(), 1))
    for state in range(256):
        read = wire.parse_row(row(socket.AF_INET, state, LOCALHOST, 80))
        assert read.status.name == expected.get(state, "CLOSE")


def test_no_other_address_family_is_believed() -> None:
    for family in set(range(256)) - {socket.AF_INET, socket.AF_INET6}:
        with pytest.raises(DiagError, match=f"family {family}$"):
            wire.parse_row(row(family, 1, LOCALHOST, 80))


def test_a_socket_cut_off_anywhere_is_read_up_to_there_or_an_error() -> None:
    info_end = ROW_BYTES + 4 + 280
    shutdown_end = info_end + 4 + 1
    whole = {ROW_BYTES + more for more in range(4)} | {info_end + more for more in range(4)}
    whole |= {shutdown_end + more for more in range(3 + 4)}  # its padding, then a part of the next header
    for size in range(len(FULL)):
        if size in whole:
            read = wire.parse_row(FULL[:size])
            said = (read.inode, read.info is not None, read.shutdown, read.cgroup_id)
            assert said == (31337, size >= info_end, 2 if size >= shutdown_end else None, None)
        else:
            with pytest.raises(DiagError):
                wire.parse_row(FULL[:size])


@pytest.mark.parametrize("length", [0, 1, 3, 9, 0xFFFF])
def test_an_attribute_of_an_impossible_length_is_an_error(length: int) -> None:
    payload = row(socket.AF_INET, 1, LOCALHOST, 80, rest=struct.pack("=HHI", length, SHUTDOWN, 0))
    for read in (wire.parse_row, wire.counters_span):
        with pytest.raises(DiagError, match=f"attribute {SHUTDOWN} of {length} bytes"):
            read(payload)


@pytest.mark.parametrize("length", [0, 15, 37, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_message_of_an_impossible_length_is_an_error_after_the_good_ones(length: int) -> None:
    buffer = message(DIAG, b"good") + struct.pack("=IHHII", length, DIAG, 0, 0, 0) + bytes(20)
    found = wire.messages(buffer)
    assert next(found) == (DIAG, 0, 16, 20)
    with pytest.raises(DiagError, match=f"message of {length} bytes"):
        next(found)


def test_messages_follow_each_other_at_four_bytes() -> None:
    buffer = message(DIAG, b"12345", flags=0x12) + message(DIAG) + message(DONE, b"1234")
    spans = [(kind, flags, buffer[start:end]) for kind, flags, start, end in wire.messages(buffer)]
    assert spans == [(DIAG, 0x12, b"12345"), (DIAG, 0, b""), (DONE, 0, b"1234")]
    assert wire.sequence_of(buffer) == 9


def test_a_datagram_cut_off_anywhere_is_read_up_to_there_or_an_error() -> None:
    buffer = message(DIAG, FULL) + message(DIAG, FULL) + DONE_MESSAGE
    whole = {0, len(message(DIAG, FULL)), 2 * len(message(DIAG, FULL)), len(buffer)}
    for size in range(len(buffer) + 1):
        if size in whole:
            assert len(list(wire.messages(buffer[:size]))) == sorted(whole).index(size)
        else:
            with pytest.raises(DiagError):
                list(wire.messages(buffer[:size]))
        assert wire.ending(buffer[:size]) == (size == len(buffer), 0)
        if size < 16:
            with pytest.raises(DiagError):
                wire.sequence_of(buffer[:size])


def test_the_end_of_a_dump_is_found_behind_the_last_sockets_and_alone() -> None:
    assert wire.ending(message(DIAG, FULL)) == (False, 0)
    for before in (b"", message(DIAG, FULL) * 3):
        assert wire.ending(before + DONE_MESSAGE) == (True, 0)
        assert wire.ending(before + message(DONE, struct.pack("=i", -errno.EINTR))) == (True, errno.EINTR)
        assert wire.ending(before + message(DONE, bytes(4), flags=0x12)) == (True, 0)


def test_a_refusal_comes_alone_and_has_a_number() -> None:
    asked = wire.request(socket.AF_INET, socket.IPPROTO_TCP, wire.ALL_STATES, 0, b"", sequence=1)
    assert wire.ending(message(ERROR, struct.pack("=i", -errno.ENOENT) + asked)) == (True, errno.ENOENT)
    assert wire.ending(message(ERROR, bytes(4) + asked[:16])) == (True, 0)
    for size in range(4):
        with pytest.raises(DiagError, match="without its number"):
            wire.ending(message(ERROR)[:16] + bytes(size))


SMALL = st.binary(max_size=60)
PAYLOADS = st.builds(
    row,
    st.sampled_from([socket.AF_INET, socket.AF_INET6, 0]), st.integers(0, 255), st.binary(min_size=16, max_size=16),
    st.integers(0, 65535), rest=st.one_of(SMALL, st.builds(attribute, st.integers(0, 30), st.binary(max_size=200))),
)  # fmt: skip


READERS = (wire.parse_row, wire.counters_span, wire.sequence_of, wire.ending, lambda data: [*wire.messages(data)])


@quick
@given(st.one_of(SMALL, PAYLOADS, st.builds(lambda a, b: a + b, PAYLOADS, SMALL)))
@example(b"\xff" * 400)
def test_random_bytes_are_sockets_or_an_error(payload: bytes) -> None:
    for buffer in (payload, message(DIAG, payload), message(DIAG, FULL) + payload, payload + DONE_MESSAGE):
        for read in READERS:
            with suppress(DiagError):
                read(buffer)


@pytest.mark.parametrize("bytecode", [b"", b"\1\4\10\0"])
def test_a_request_is_laid_out_as_the_c_headers_say(bytecode: bytes) -> None:
    sent = wire.request(socket.AF_INET6, socket.IPPROTO_UDP, 0x2FFF, wire.extension(INFO), bytecode, sequence=77)
    assert struct.unpack_from("=IHHII", sent) == (len(sent), DIAG, 0x301, 77, 0)
    body = RequestV2.from_buffer_copy(sent, 16)
    assert (body.family, body.protocol, body.ext, body.pad, body.states) == (socket.AF_INET6, 17, 2, 0, 0x2FFF)
    assert bytes(body)[RequestV2.ports.offset :] == bytes(48)
    assert sent[16 + ctypes.sizeof(RequestV2) :] == (attribute(1, bytecode) if bytecode else b"")
    assert (ctypes.sizeof(RequestV2), RequestV2.states.offset, RequestV2.ports.offset) == (wire.REQUEST.size, 4, 8)


def dump(family: int, protocol: int, bytecode: bytes) -> dict[int, wire.Row]:
    """What the kernel answers, by inode."""
    found: dict[int, wire.Row] = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, wire.NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(20)
        netlink.send(wire.request(family, protocol, wire.ALL_STATES, wire.extension(INFO), bytecode, sequence=5))
        ended, code = False, 0
        while not ended:
            buffer = netlink.recv(1 << 18)
            assert wire.sequence_of(buffer) == 5
            for kind, _, start, end in wire.messages(buffer):
                if kind == wire.SOCK_DIAG_BY_FAMILY:
                    read = wire.parse_row(buffer[start:end])
                    found[read.inode] = read
            ended, code = wire.ending(buffer)
    assert not code, os.strerror(code)
    return found


@on_linux
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize(
    ("family", "hosts"),
    [
        (socket.AF_INET, ("127.0.0.1", "127.0.0.2", "127.255.255.254", "0.0.0.0")),
        (socket.AF_INET6, ("::1", "::ffff:127.0.0.1", "::ffff:127.9.8.7", "::", "::ffff:0.0.0.0")),
    ],
)
def test_the_kernel_lets_through_what_is_bound_to_loopback_and_nothing_else(
    family: socket.AddressFamily, hosts: tuple[str, ...], kind: socket.SocketKind
) -> None:
    if family == socket.AF_INET6 and not socket.has_dualstack_ipv6():
        pytest.skip("this system has no IPv6")
    protocol = socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else socket.IPPROTO_UDP
    with ExitStack() as stack:
        expected: dict[int, tuple[str, int]] = {}
        for host in hosts:
            opened = stack.enter_context(socket.socket(family, kind))
            if family == socket.AF_INET6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            opened.bind((host, 0))
            if kind == socket.SOCK_STREAM:
                opened.listen()
                client = stack.enter_context(socket.socket(family, kind))
                client.connect(opened.getsockname())
            expected[os.fstat(opened.fileno()).st_ino] = host.removeprefix("::ffff:"), opened.getsockname()[1]
        everything = dump(family, protocol, b"")
        filtered = dump(family, protocol, wire.loopback_bytecode(family))
    assert {inode: tuple(everything[inode].laddr) for inode in expected} == expected
    inside = {inode for inode, (ip, _) in expected.items() if is_loopback(ip)}
    assert len(inside) == 3
    assert filtered.keys() & expected.keys() == inside
    assert all(is_loopback(each.laddr.ip) for each in filtered.values())
    if kind == socket.SOCK_STREAM:  # the clients, connected from loopback to each of them
        states = [
            each.status for each in filtered.values() if each.raddr.port in {port for _, port in expected.values()}
        ]
        assert states.count(Status.ESTABLISHED) >= len(hosts)
