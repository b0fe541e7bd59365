"""The nouns: what loopmon knows, frozen.

Facts only. No I/O, no words for people (``words`` has those), nothing that changes after it is made.
The names are psutil's and the kernel's where they have one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Protocol(StrEnum):
    TCP = "tcp"
    UDP = "udp"


class Family(StrEnum):
    """The socket's own family: an IPv4 address on an IPv6 socket stays IPV6 here."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


class Status(StrEnum):
    """TCP states as the kernel and psutil name them; UDP sockets are NONE."""

    ESTABLISHED = "ESTABLISHED"
    SYN_SENT = "SYN_SENT"
    SYN_RECV = "SYN_RECV"
    FIN_WAIT1 = "FIN_WAIT1"
    FIN_WAIT2 = "FIN_WAIT2"
    TIME_WAIT = "TIME_WAIT"
    CLOSE = "CLOSE"
    CLOSE_WAIT = "CLOSE_WAIT"
    LAST_ACK = "LAST_ACK"
    LISTEN = "LISTEN"
    CLOSING = "CLOSING"
    NONE = "NONE"


class OwnerUnknown(StrEnum):
    """Why a socket has no owner on the screen."""

    OTHER_USER = "other-user"
    NOT_ACCEPTED = "not-accepted"
    KERNEL = "kernel"
    CLOSED_BY_PROCESS = "closed-by-process"
    UNREADABLE_PROCESS = "unreadable-process"
    NOT_FOUND = "not-found"
    UNKNOWN = "unknown"


class PortClass(StrEnum):
    """IANA's three ranges (RFC 6335), or EPHEMERAL: inside this system's own range, which wins."""

    WELL_KNOWN = "well-known"
    REGISTERED = "registered"
    DYNAMIC = "dynamic"
    EPHEMERAL = "ephemeral"


class Endpoint(NamedTuple):
    """An address and a port. ``ip`` is canonical text with IPv4-mapped addresses already unmapped."""

    ip: str
    port: int


class ProcessId(NamedTuple):
    """A process for its whole life: pids are used again, so a pid alone names nobody.

    ``create_time`` is in seconds since the epoch, as psutil gives it.
    """

    pid: int
    create_time: float

    @property
    def subject(self) -> str:
        """As a finding about it names it."""
        return f"process:{self.pid}"


class Owner(NamedTuple):
    """A process that holds a socket, and the descriptor it holds it by (-1 where that is not known)."""

    process: ProcessId
    fd: int


@dataclass(frozen=True, slots=True)
class Socket:
    """One kernel socket as a source reported it.

    A field that the source cannot know is None. ``id`` is stable for the socket's life.
    """

    id: str
    protocol: Protocol
    family: Family
    status: Status
    laddr: Endpoint
    raddr: Endpoint | None = None
    owners: tuple[Owner, ...] = ()
    owner_unknown: OwnerUnknown | None = None
    inode: int | None = None
    uid: int | None = None
    v6only: bool | None = None
    recv_queue: int | None = None
    """Unread bytes; for a LISTEN socket the connections that wait to be accepted."""
    send_queue: int | None = None
    """Unacknowledged bytes; for a LISTEN socket the backlog."""
    bytes_sent: int | None = None
    bytes_received: int | None = None
    rtt_us: int | None = None
    """None also as long as nothing has answered."""
    retransmits: int | None = None
    active_at: float | None = None
    """When data last went either way, in seconds since the epoch."""
    heard_at: float | None = None
    """When the peer last acknowledged anything: for a connection that waits to be accepted, since when."""
    expires_at: float | None = None
    """In TIME_WAIT: when the kernel forgets it, in seconds since the epoch."""


class Ancestor(NamedTuple):
    """A process above another one, as far as it is shown."""

    process: ProcessId
    name: str


DELETED = " (deleted)"
"""What the kernel writes behind the path of something that has been removed (proc(5))."""


@dataclass(frozen=True, slots=True)
class Ties:
    """What ties a process to where it was started. What could not be read is None."""

    session: int | None = None
    """The pid of the session's leader, as a rule a shell; the process's own pid in a session of its own."""
    session_gone: bool | None = None
    """That leader has ended."""
    parent_gone: bool | None = None
    """Whoever started it has ended, and another process, often pid 1, has taken its place."""
    streams: tuple[str, ...] | None = None
    """What descriptors 0 to 2 point at, as the kernel writes it."""
    cgroup: str | None = None
    container: str | None = None
    """The container that it is in and loopmon is not, as its control group names it."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process. What could not be read is None."""

    id: ProcessId
    name: str
    cmdline: tuple[str, ...] | None = None
    exe: str | None = None
    cwd: str | None = None
    user: str | None = None
    status: str | None = None
    ppid: int | None = None
    parents: tuple[Ancestor, ...] = ()
    """From the parent up to the top."""
    tty: str | None = None
    rss_bytes: int | None = None
    cpu_percent: float | None = None
    """Of one core, over the time since the reading before; None at the first."""
    project: str | None = None
    project_path: str | None = None
    branch: str | None = None
    ties: Ties = Ties()


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP socket in LISTEN or an unconnected bound UDP socket that a loopback client can reach."""

    socket: Socket
    exposed: bool
    """Reachable from outside this machine too: bound to a wildcard address."""
    port_class: PortClass
    service: str | None
    connections: int
    """How many connections have this listener at their server end, those in TIME_WAIT left out."""
    first_seen: float
    seen_opening: bool
    """False when it was there at the first look: then ``first_seen`` is only a lower bound of its age."""

    @property
    def id(self) -> str:
        return self.socket.id

    @property
    def subject(self) -> str:
        """As a finding about it names it."""
        return f"listener:{self.id}"

    @property
    def laddr(self) -> Endpoint:
        return self.socket.laddr


class OwnerBasis(StrEnum):
    """How the owners at one end of a connection are known."""

    HOLDS = "holds"
    """The source says that they hold the socket now."""
    HELD = "held"
    """They held it when it was last seen with an owner; by nature it has none now."""
    LISTENS = "listens"
    """The socket has no owner yet or is not in the table; they hold the listener at that address."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class End:
    """One end of a connection."""

    addr: Endpoint
    socket: Socket | None
    """None: the table does not have it (it is gone, or in another namespace)."""
    owners: tuple[Owner, ...]
    basis: OwnerBasis
    port_class: PortClass


class RoleBasis(StrEnum):
    """How it was decided which end is the server."""

    LISTENER = "listener"
    SEEN = "seen"
    EPHEMERAL_RANGE = "ephemeral-range"
    GUESS = "guess"


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection, both its ends joined. Either socket may be missing; the addresses never are."""

    id: str
    protocol: Protocol
    client: End
    server: End
    roles: RoleBasis
    listener_id: str | None
    """The listener that the server end belongs to, if it is still there."""
    first_seen: float
    seen_opening: bool

    @property
    def subject(self) -> str:
        """As a finding about it names it."""
        return f"connection:{self.id}"

    @property
    def status(self) -> Status:
        """The client end's state, or the server's where the client end is not in the table."""
        shown = self.client.socket or self.server.socket
        return shown.status if shown else Status.NONE


class ChangeKind(StrEnum):
    OPENED = "opened"
    CLOSED = "closed"
    STATUS = "status"
    OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two snapshots.

    ``subject`` is as it is after the change, or as it was before it closed.
    """

    kind: ChangeKind
    at: float
    subject: Listener | Connection
    before: Listener | Connection | None = None


class FindingId(StrEnum):
    """Everything that loopmon can find worth looking at."""

    LEFT_OVER = "left-over"
    STOPPED = "stopped"
    NOT_ACCEPTING = "not-accepting"
    BACKLOG_FULL = "backlog-full"
    INHERITED = "inherited"
    UNSEEN_OWNER = "unseen-owner"
    EXPOSED = "exposed"
    SHADOWED = "shadowed"
    SHARED = "shared"
    CLOSE_WAIT = "close-wait"
    NOT_READING = "not-reading"
    PORT_EXHAUSTION = "port-exhaustion"
    BOUND_NOT_LISTENING = "bound-not-listening"
    PORT_STOLEN = "port-stolen"


class Certainty(StrEnum):
    CERTAIN = "certain"
    LIKELY = "likely"
    POSSIBLE = "possible"


class Severity(StrEnum):
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth looking at: what was seen, how sure that is, and what to do."""

    id: FindingId
    severity: Severity
    certainty: Certainty
    subject: str
    """``listener:ID``, ``connection:ID``, ``process:PID`` or ``system``."""
    title: str
    evidence: tuple[str, ...]
    remedy: str
    where: Endpoint | None = None
    """The address that one about the system concerns, if any."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which sockets are looked at. See ``observe.scope`` for the rules."""

    ipv6: bool = False
    bound_only: bool = False


@dataclass(frozen=True, slots=True)
class Hidden:
    """Rows that are there but outside the scope."""

    ipv6_loopback: int = 0
    wildcard: int = 0


@dataclass(frozen=True, slots=True)
class Ports:
    """What this system says of port numbers."""

    ephemeral: tuple[int, int]
    """Inclusive."""
    services: Mapping[tuple[int, Protocol], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rate:
    """What went through a connection, or all connections of a listener, since the look before."""

    bytes_per_s: float
    connections_per_s: float = 0.0
    """New ones, those that lived and died between two looks included."""
    history: tuple[float, ...] = ()
    """Of a listener: bytes per second at the looks of the last minute, the latest last."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything known at one instant."""

    taken_at: float
    """Seconds since the epoch."""
    source: str
    scope: Scope
    ports: Ports
    listeners: tuple[Listener, ...]
    connections: tuple[Connection, ...]
    in_time_wait: int
    """How many of the connections are over and only wait in TIME_WAIT."""
    processes: Mapping[ProcessId, Process]
    hidden: Hidden
    limits: tuple[str, ...]
    """What could not be seen, in words."""
    findings: tuple[Finding, ...] = ()
    out_of_scope: tuple[Listener, ...] = ()
    """Listeners that the scope leaves out; a client that says ``localhost`` may reach one of them."""
    bound: tuple[Socket, ...] = ()
    """TCP sockets that have a port on loopback or on every address, and neither listen nor are connected."""
    rates: Mapping[str, Rate] = field(default_factory=dict)
    """By the id of the listener or connection; one that is missing was idle, or the source counts no bytes."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What the monitor hands over once a tick."""

    number: int
    snapshot: Snapshot | None
    """The last good one; None while no reading has succeeded yet."""
    changes: tuple[Change, ...]
    stale: str | None
    """Why the last reading failed; None when the snapshot is fresh."""
    interval_s: float
    """The time to the next reading, which may be longer than the one asked for."""
    slowed: str | None
    """Why it is longer."""
    poll_s: float
    """How long this reading took."""
    cpu_percent: float
    """loopmon's own use of one core since the frame before."""
