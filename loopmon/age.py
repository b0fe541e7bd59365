"""How old a row is, and how well that is known. Pure."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from loopmon.model import Connection, Listener, ProcessId


class AgeBasis(Enum):
    SEEN = "loopmon saw it open"
    PROCESS = "the age of the process that holds it: it can be younger"
    AT_LEAST = "it was there at the first look: it can be older"


class Age(NamedTuple):
    seconds: float
    basis: AgeBasis


def listener_age(listener: Listener, now: float) -> Age:
    """Since it was seen opening, else the age of its oldest holder, else since the first look."""
    if listener.seen_opening:
        return Age(now - listener.first_seen, AgeBasis.SEEN)
    created = [owner.process.create_time for owner in listener.socket.owners if owner.process.create_time]
    if created:
        return Age(now - min(created), AgeBasis.PROCESS)
    return Age(now - listener.first_seen, AgeBasis.AT_LEAST)


def connection_age(connection: Connection, now: float) -> Age:
    """Since it was seen opening or, where it was there before, since the first look."""
    basis = AgeBasis.SEEN if connection.seen_opening else AgeBasis.AT_LEAST
    return Age(now - connection.first_seen, basis)


def process_age(identity: ProcessId, now: float) -> float | None:
    """Seconds since it started; None where the system does not tell."""
    return now - identity.create_time if identity.create_time else None
