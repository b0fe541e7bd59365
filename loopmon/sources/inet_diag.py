"""The wire layout of Linux's sock_diag, and the parser of its messages. Pure: opens no socket.

Layouts are those of linux/netlink.h, linux/inet_diag.h and linux/tcp.h; netlink(7) and sock_diag(7)
describe them. All integers are in host order but ports, which are in network order. A message that does not
fit its layout raises DiagError; attributes that are not known are passed over.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from loopmon.address import unmap
from loopmon.model import Endpoint, Status

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_REQUEST = 0x1
NLM_F_DUMP = 0x300
NLM_F_DUMP_INTR = 0x10

DESTROY_GROUPS = 1 << (1 - 1) | 1 << (3 - 1)
"""SKNLGRP_INET_TCP_DESTROY and SKNLGRP_INET6_TCP_DESTROY, as bind() takes them."""

INET_DIAG_INFO = 2
INET_DIAG_SHUTDOWN = 8
INET_DIAG_SKV6ONLY = 11
INET_DIAG_CGROUP_ID = 21
INET_DIAG_REQ_BYTECODE = 1

TCP_LISTEN = 10
ALL_STATES = 0xFFFF
"""Bit 13 is the kernel's bound-but-not-listening state (6.8 and later); older ones ignore it."""
LISTEN_STATE = 1 << TCP_LISTEN
BOUND_STATE = 1 << 13

STATES = {
    1: Status.ESTABLISHED,
    2: Status.SYN_SENT,
    3: Status.SYN_RECV,
    4: Status.FIN_WAIT1,
    5: Status.FIN_WAIT2,
    6: Status.TIME_WAIT,
    7: Status.CLOSE,
    8: Status.CLOSE_WAIT,
    9: Status.LAST_ACK,
    10: Status.LISTEN,
    11: Status.CLOSING,
    12: Status.SYN_RECV,
}
"""linux/tcp_states.h; 12 is TCP_NEW_SYN_RECV, a request that is not a socket yet."""

HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence number, port id."""
START = struct.Struct("=IHH")
"""Its first three fields."""
ATTRIBUTE = struct.Struct("=HH")
"""struct nlattr: length, type."""
ERROR_CODE = struct.Struct("=i")
REQUEST = struct.Struct("=BBBxI48s")
"""struct inet_diag_req_v2: family, protocol, extensions, states, socket id."""
ROW = struct.Struct("=BBBB2s2s16s16sIQIIIII")
"""struct inet_diag_msg: family, state, timer, retransmits, source and destination port, source and destination
address, interface, cookie, expires in ms, receive queue, send queue, uid, inode."""
SOCKID = slice(4, 52)
"""Where it has its struct inet_diag_sockid: ports, addresses, interface and cookie."""
GONE = frozenset({errno.ENOENT, errno.ESTALE})
"""How the kernel says that there is no such socket, or that another one has its addresses now."""
PORT = struct.Struct("!H")
BYTECODE_OP = struct.Struct("=BBH")
HOST_CONDITION = struct.Struct("=BBxxi")
"""struct inet_diag_hostcond: family, prefix length, port; the address follows."""
BC_JMP, BC_S_COND, ANY_PORT = 1, 7, -1

TCP_INFO = struct.Struct("=2xB41xI4xII8xI28xI16xQQ")
"""struct tcp_info as far as it is read: retransmits, last_data_sent and last_data_recv and last_ack_recv in ms,
rtt in us, total_retrans, bytes_acked, bytes_received. Linux 4.2 and later send at least this much."""


SENT, SENT_AT = struct.Struct("=QQ"), 200
"""bytes_sent and bytes_retrans."""
COUNTERS = slice(120, 136)
"""bytes_acked and bytes_received within it."""


class DiagError(ValueError):
    """A message that does not fit its layout. The text says where."""


@dataclass(frozen=True, slots=True)
class TcpInfo:
    retransmits: int
    """Of the segment that is on its way now."""
    last_data_sent_ms: int
    last_data_recv_ms: int
    last_ack_recv_ms: int
    rtt_us: int
    total_retrans: int
    bytes_acked: int
    """With one for the SYN and one for the FIN."""
    bytes_received: int
    """With one for the peer's FIN."""
    bytes_sent: int | None = None
    """Data only, retransmitted data counted each time; Linux 4.19 and later."""
    bytes_retrans: int | None = None

    @property
    def payload_sent(self) -> int:
        if self.bytes_sent is None or self.bytes_retrans is None:
            return self.bytes_acked
        return self.bytes_sent - self.bytes_retrans


@dataclass(frozen=True, slots=True)
class Row:
    """One inet_diag_msg with the attributes that are read."""

    family: int
    status: Status
    timer: int
    retrans: int
    laddr: Endpoint
    raddr: Endpoint
    cookie: int
    expires_ms: int
    rqueue: int
    wqueue: int
    uid: int
    inode: int
    info: TcpInfo | None = None
    shutdown: int | None = None
    v6only: bool | None = None
    cgroup_id: int | None = None


def request(family: int, protocol: int, states: int, extensions: int, bytecode: bytes, *, sequence: int) -> bytes:
    """A dump of all sockets of one family and protocol that are in ``states`` and pass ``bytecode``, if any."""
    body = REQUEST.pack(family, protocol, extensions, states, bytes(48))
    if bytecode:
        body += ATTRIBUTE.pack(ATTRIBUTE.size + len(bytecode), INET_DIAG_REQ_BYTECODE) + bytecode
    length = HEADER.size + len(body)
    return HEADER.pack(length, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, sequence, 0) + body


def exact_request(head: bytes, protocol: int, extensions: int, *, sequence: int) -> bytes:
    """The one socket that a struct inet_diag_msg describes; its struct inet_diag_sockid is asked for as it came."""
    body = REQUEST.pack(head[0], protocol, extensions, ALL_STATES, head[SOCKID])
    return HEADER.pack(HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, sequence, 0) + body


def extension(attribute: int) -> int:
    """The bit of ``idiag_ext`` that asks for an attribute."""
    return 1 << (attribute - 1)


def messages(buffer: bytes) -> Iterator[tuple[int, int, int, int]]:
    """The type, flags, start and end of each message's payload in one datagram. Raises DiagError."""
    offset, size = 0, len(buffer)
    while offset < size:
        if size - offset < HEADER.size:
            raise DiagError(f"a header is cut off after {size - offset} bytes")
        length, kind, flags, _, _ = HEADER.unpack_from(buffer, offset)
        if length < HEADER.size or offset + length > size:
            raise DiagError(f"a message of {length} bytes does not fit into {size - offset}")
        yield kind, flags, offset + HEADER.size, offset + length
        offset += (length + 3) & ~3


def sequence_of(buffer: bytes) -> int:
    """Of the first message. Raises DiagError."""
    if len(buffer) < HEADER.size:
        raise DiagError(f"a header is cut off after {len(buffer)} bytes")
    sequence: int = HEADER.unpack_from(buffer)[3]
    return sequence


def ending(buffer: bytes) -> tuple[bool, int]:
    """Whether a datagram is the last of its dump, and the errno of a refusal or 0.

    A refusal comes alone. The end comes behind the last sockets or alone; it is looked for at its place, so
    that the sockets need not be walked through for it. Raises DiagError.
    """
    if len(buffer) >= HEADER.size and START.unpack_from(buffer)[1] == NLMSG_ERROR:
        return True, error_number(buffer, HEADER.size, len(buffer))
    at = len(buffer) - HEADER.size - ERROR_CODE.size
    if at >= 0 and START.unpack_from(buffer, at)[:2] == (HEADER.size + ERROR_CODE.size, NLMSG_DONE):
        return True, error_number(buffer, at + HEADER.size, len(buffer))
    return False, 0


def error_number(buffer: bytes, start: int, end: int) -> int:
    """The errno of an NLMSG_ERROR or NLMSG_DONE payload; 0 is no error. Raises DiagError."""
    if end - start < ERROR_CODE.size:
        raise DiagError("an error message without its number")
    code: int = ERROR_CODE.unpack_from(buffer, start)[0]
    return -code


def parse_row(payload: bytes) -> Row:
    """One socket. Raises DiagError."""
    if len(payload) < ROW.size:
        raise DiagError(f"a socket message of {len(payload)} bytes; {ROW.size} are the least")
    fields = ROW.unpack_from(payload)
    family, state = fields[0], fields[1]
    if family not in {socket.AF_INET, socket.AF_INET6}:
        raise DiagError(f"address family {family}")
    found = dict(attributes(payload, ROW.size))
    return Row(
        family=family,
        status=STATES.get(state, Status.CLOSE),
        timer=fields[2],
        retrans=fields[3],
        laddr=_endpoint(family, fields[6], fields[4]),
        raddr=_endpoint(family, fields[7], fields[5]),
        cookie=fields[9],
        expires_ms=fields[10],
        rqueue=fields[11],
        wqueue=fields[12],
        uid=fields[13],
        inode=fields[14],
        info=_tcp_info(payload, found.get(INET_DIAG_INFO)),
        shutdown=_integer(payload, found.get(INET_DIAG_SHUTDOWN), 1),
        v6only=_flag(_integer(payload, found.get(INET_DIAG_SKV6ONLY), 1)),
        cgroup_id=_integer(payload, found.get(INET_DIAG_CGROUP_ID), 8),
    )


def attributes(payload: bytes, start: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """The type and the span of each attribute's value. Raises DiagError."""
    offset, size = start, len(payload)
    while size - offset >= ATTRIBUTE.size:
        length, kind = ATTRIBUTE.unpack_from(payload, offset)
        if length < ATTRIBUTE.size or offset + length > size:
            raise DiagError(f"attribute {kind} of {length} bytes does not fit into {size - offset}")
        yield kind, (offset + ATTRIBUTE.size, offset + length)
        offset += (length + 3) & ~3


def counters_span(payload: bytes) -> tuple[int, int]:
    """Where bytes_acked and bytes_received stand; nowhere, (0, 0), in a message without them."""
    for kind, (start, end) in attributes(payload, ROW.size):
        if kind == INET_DIAG_INFO and end - start >= TCP_INFO.size:
            return start + COUNTERS.start, start + COUNTERS.stop
    return (0, 0)


def loopback_bytecode(family: int) -> bytes:
    """Only sockets whose own address is in 127.0.0.0/8 or, for IPv6, mapped into it or ``::1``.

    A program of struct inet_diag_bc_op {code, yes, no}: a condition that holds goes on by ``yes`` bytes, one
    that does not by ``no``; the end accepts, four bytes past the end refuse. A condition on an IPv4 prefix
    matches mapped addresses as well (inet_diag_bc_run in net/ipv4/inet_diag.c).
    """
    inside_127 = _source_condition(socket.AF_INET, 8, bytes([127, 0, 0, 0]), otherwise=4)
    if family == socket.AF_INET:
        return inside_127
    jump_to_end = BYTECODE_OP.pack(BC_JMP, BYTECODE_OP.size, BYTECODE_OP.size + len(inside_127))
    is_one = _source_condition(socket.AF_INET6, 128, bytes(15) + b"\1", otherwise=len(jump_to_end))
    return is_one + jump_to_end + inside_127


def _source_condition(family: int, prefix_length: int, address: bytes, *, otherwise: int) -> bytes:
    """INET_DIAG_BC_S_COND; where it does not hold, ``otherwise`` bytes behind it are passed over as well."""
    length = BYTECODE_OP.size + HOST_CONDITION.size + len(address)
    operation = BYTECODE_OP.pack(BC_S_COND, length, length + otherwise)
    return operation + HOST_CONDITION.pack(family, prefix_length, ANY_PORT) + address


def _endpoint(family: int, address: bytes, port: bytes) -> Endpoint:
    return Endpoint(_ip(family, address), PORT.unpack(port)[0])


@lru_cache(maxsize=1024)
def _ip(family: int, address: bytes) -> str:
    """Kept, as the same few addresses stand in thousands of rows."""
    return unmap(socket.inet_ntop(family, address[: 4 if family == socket.AF_INET else 16]))


def _tcp_info(payload: bytes, span: tuple[int, int] | None) -> TcpInfo | None:
    """None where the kernel gave none, or one too old to hold the byte counters."""
    if span is None or span[1] - span[0] < TCP_INFO.size:
        return None
    sent = SENT.unpack_from(payload, span[0] + SENT_AT) if span[1] - span[0] >= SENT_AT + SENT.size else (None, None)
    return TcpInfo(*TCP_INFO.unpack_from(payload, span[0]), *sent)


def _integer(payload: bytes, span: tuple[int, int] | None, size: int) -> int | None:
    if span is None or span[1] - span[0] < size:
        return None
    return int.from_bytes(payload[span[0] : span[0] + size], sys.byteorder)


def _flag(number: int | None) -> bool | None:
    return None if number is None else bool(number)
