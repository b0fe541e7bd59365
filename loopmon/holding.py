"""Who has a port, for one address: the servers that a client reaches, and what is in the way otherwise.

Pure, and of TCP only. Says in half a sentence what one socket shows; the whole story is for others to tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from loopmon import words
from loopmon.address import WILDCARDS
from loopmon.model import Endpoint, Protocol, Socket, Status


class Obstacle(NamedTuple):
    """Why something is not so yet."""

    words: str
    is_news: bool
    """Worth telling while it is waited for; that nobody is there yet goes without saying."""


def servers(sockets: Iterable[Socket], to: Endpoint) -> list[Socket]:
    """The listeners that get a client's connection to this address: of those that could, the kernel takes the ones
    bound to the most of it. Several share the port."""
    able = [found for found in sockets if _listens(found) and found.laddr.port == to.port and reaches(found, to.ip)]
    for ip in (to.ip, "0.0.0.0", "::"):
        chosen = [found for found in able if found.laddr.ip == ip]
        if chosen:
            return chosen
    return []


def why_no_server(sockets: Iterable[Socket], to: Endpoint, processes: words.Processes) -> Obstacle:
    """Why a client of this address finds nobody, where ``servers`` finds none."""
    found = _most_telling(found for found in sockets if found.laddr.port == to.port)
    nobody = f"nobody listens on port {to.port}"
    if found is None:
        return Obstacle(nobody, is_news=False)
    said = _shown_by(found, processes)
    if _listens(found):
        return Obstacle(f"{said}, which a client of {words.address(to.ip)} does not reach", is_news=True)
    if found.raddr is None:
        return Obstacle(said, is_news=True)
    return Obstacle(f"{nobody}; {said}", is_news=False)


def why_not_free(sockets: Iterable[Socket], at: Endpoint, processes: words.Processes) -> Obstacle | None:
    """What keeps a server from this address; None where the table does not show it."""
    found = _most_telling(found for found in sockets if found.laddr.port == at.port and _collides(found, at.ip))
    return Obstacle(_shown_by(found, processes), is_news=True) if found else None


def _listens(found: Socket) -> bool:
    return found.protocol is Protocol.TCP and found.status is Status.LISTEN


def reaches(found: Socket, ip: str) -> bool:
    """``::`` takes IPv4 too unless it is known not to, and ``0.0.0.0`` takes IPv4 only."""
    bound = found.laddr.ip
    if bound == "::":
        return ":" in ip or not found.v6only
    return bound == ip or (bound == "0.0.0.0" and ":" not in ip)


def _collides(found: Socket, ip: str) -> bool:
    """Whether both cannot be had at once; a server on ``::`` wants all of IPv4 as well."""
    if found.laddr.ip in WILDCARDS and reaches(found, ip):
        return True
    return ip in {found.laddr.ip, "::"} or (ip == "0.0.0.0" and ":" not in found.laddr.ip)


def _most_telling(sockets: Iterable[Socket]) -> Socket | None:
    tcp = [found for found in sockets if found.protocol is Protocol.TCP]
    return min(tcp, key=_weight, default=None)


def _weight(found: Socket) -> int:
    if _listens(found):
        return 0
    if found.raddr is None:
        return 1
    return 3 if found.status is Status.TIME_WAIT else 2


def _shown_by(found: Socket, processes: words.Processes) -> str:
    where = words.endpoint(found.laddr, found.v6only)
    who = words.owners_label(found, processes)
    if _listens(found):
        return f"{who} listens on {where}"
    if found.raddr is None:
        return f"{who} holds {where} but does not listen"
    far = words.endpoint(found.raddr)
    if found.status is Status.TIME_WAIT:
        return f"an old connection of {where} to {far} is in TIME_WAIT"
    return f"{who} has {where} for its connection to {far}"
