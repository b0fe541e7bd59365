"""What the kernel said of each socket at the last look, and what that means as a ``Socket``. Pure.

Keeps the parts of the message that tell whether a socket has changed, so that an unchanged one is not parsed
again and stays the same object.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace

from loopmon.model import Endpoint, Family, OwnerUnknown, Protocol, Socket, Status
from loopmon.sources import inet_diag as wire

COOKIE, EXPIRES = slice(44, 52), slice(52, 56)
"""Where struct inet_diag_msg has them."""

_HEARD_FIN = frozenset({Status.CLOSE_WAIT, Status.LAST_ACK, Status.CLOSING})
"""The kernel counts the peer's FIN among the bytes received."""


@dataclass(slots=True, eq=False)
class Known:
    """A socket as the kernel last described it, by the parts of the message that tell whether it has changed."""

    head: bytes
    """struct inet_diag_msg, the whole of it."""
    counters: bytes
    counters_at: int
    inode: int
    uid: int
    found: Socket
    settled: bool = False
    """Whether its owners, or why there are none, have been said for good as long as nothing changes."""
    place: int = -1
    """In the order of its dump."""


class Table:
    """The sockets of one dump, in the kernel's order."""

    def __init__(self, order: list[Known]) -> None:
        self.by_cookie = {known.head[COOKIE]: known for known in order}
        self.order = list(self.by_cookie.values())
        for place, known in enumerate(self.order):
            known.place = place

    def put(self, known: Known) -> None:
        """In the place of what was known of the same socket."""
        cookie = known.head[COOKIE]
        known.place = self.by_cookie[cookie].place
        self.by_cookie[cookie] = self.order[known.place] = known


NOTHING = Table([])
NOBODY = Known(b"\0" * wire.ROW.size, b"", 0, 0, 0, Socket("", Protocol.TCP, Family.IPV4, Status.NONE, Endpoint("", 0)))
"""Matches no message: no family is 0."""


def learn(payload: bytes, protocol: int, taken_at: float, before: Known | None) -> Known:
    """What a message says. Who held the socket before holds it still, as far as is known."""
    row = wire.parse_row(payload)
    start, stop = wire.counters_span(payload)
    found = to_socket(row, protocol, taken_at)
    settled = before is not None and before.settled and bool(before.found.owners) and before.inode == row.inode
    if before is not None and settled:
        found = replace(found, owners=before.found.owners)
    return Known(
        head=payload[: wire.ROW.size],
        counters=payload[start:stop],
        counters_at=start,
        inode=row.inode,
        uid=row.uid,
        found=found,
        settled=settled,
    )


def to_socket(row: wire.Row, number: int, taken_at: float) -> Socket:
    protocol = Protocol.TCP if number == socket.IPPROTO_TCP else Protocol.UDP
    info = row.info
    return Socket(
        id=f"{protocol}:{row.cookie:x}",
        protocol=protocol,
        family=Family.IPV4 if row.family == socket.AF_INET else Family.IPV6,
        status=Status.NONE if protocol is Protocol.UDP else row.status,
        laddr=row.laddr,
        raddr=row.raddr if row.raddr.port else None,
        inode=row.inode,
        uid=row.uid if row.inode else None,
        v6only=row.v6only,
        recv_queue=row.rqueue,
        send_queue=row.wqueue,
        bytes_sent=info.payload_sent if info else None,
        bytes_received=max(0, info.bytes_received - (row.status in _HEARD_FIN)) if info else None,
        rtt_us=(info.rtt_us or None) if info else None,
        retransmits=info.total_retrans if info else None,
        active_at=taken_at - min(info.last_data_sent_ms, info.last_data_recv_ms) / 1000 if info else None,
        expires_at=taken_at + row.expires_ms / 1000 if row.status is Status.TIME_WAIT and row.expires_ms else None,
        heard_at=taken_at - info.last_ack_recv_ms / 1000 if info else None,
    )


def closed(row: wire.Row, taken_at: float) -> Socket:
    found = to_socket(row, socket.IPPROTO_TCP, taken_at)
    return replace(found, status=Status.CLOSE, owner_unknown=OwnerUnknown.CLOSED_BY_PROCESS)
