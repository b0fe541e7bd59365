"""Facts into words: the only module that says how an endpoint, an age or an owner is written.

Everything here returns plain text that is safe to print; text from outside passes through ``clean``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from unicodedata import category, east_asian_width

from loopmon.age import Age, AgeBasis
from loopmon.clean import clean
from loopmon.model import (
    Change,
    ChangeKind,
    Connection,
    End,
    Endpoint,
    Listener,
    OwnerBasis,
    OwnerUnknown,
    Process,
    ProcessId,
    Protocol,
    Socket,
    Status,
)

AT_LEAST = "≥"

Processes = Mapping[ProcessId, Process]

OWNER_UNKNOWN_SHORT = {
    OwnerUnknown.OTHER_USER: "(other user)",
    OwnerUnknown.NOT_ACCEPTED: "(not accepted)",
    OwnerUnknown.KERNEL: "(no process)",
    OwnerUnknown.CLOSED_BY_PROCESS: "(closed)",
    OwnerUnknown.UNREADABLE_PROCESS: "(unreadable)",
    OwnerUnknown.NOT_FOUND: "(not found)",
    OwnerUnknown.UNKNOWN: "(unknown)",
}

OWNER_UNKNOWN_SENTENCE = {
    OwnerUnknown.OTHER_USER: "Another user's process holds it. Start loopmon with sudo to see which.",
    OwnerUnknown.NOT_ACCEPTED: "The server has not accepted this connection yet, so no process holds it.",
    OwnerUnknown.KERNEL: "The kernel keeps it by itself; no process holds a socket in this state.",
    OwnerUnknown.CLOSED_BY_PROCESS: "Its process has closed it; the kernel is finishing the connection.",
    OwnerUnknown.UNREADABLE_PROCESS: "One of your processes that may not be looked into holds it.",
    OwnerUnknown.NOT_FOUND: "No process that can be seen holds it.",
    OwnerUnknown.UNKNOWN: (
        "Its owner cannot be read. It may be another user's process: start loopmon with sudo to see."
    ),
}


def address(ip: str, v6only: bool | None = None) -> str:
    """``127.0.0.1``, ``[::1]``, ``*`` for a wildcard, ``[::]`` for one that takes IPv6 only."""
    if ip == "0.0.0.0" or (ip == "::" and not v6only):
        return "*"
    return f"[{ip}]" if ":" in ip else ip


def endpoint(where: Endpoint, v6only: bool | None = None) -> str:
    """``127.0.0.1:3000``, ``[::1]:3000``, ``*:3000``."""
    return f"{address(where.ip, v6only)}:{where.port}"


def duration(seconds: float) -> str:
    """Two to four characters, rounded down: ``4s``, ``59m``, ``2h``, ``12d``."""
    whole = max(0, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def age(known: Age) -> str:
    """``4s``, ``≥4s`` where it can be more, nothing where it was only just seen for the first time."""
    if known.basis is AgeBasis.AT_LEAST and known.seconds < 1:
        return ""
    more = AT_LEAST if known.basis is AgeBasis.AT_LEAST else ""
    return f"{more}{duration(known.seconds)}"


def width(text: str) -> int:
    """Terminal cells that cleaned text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if category(c) in {"Mn", "Me", "Cf"} else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def clock(at: float, now: float) -> str:
    """Local time, with the day where that is not today: ``10:02``, ``2 Jan 10:02``."""
    then, today = datetime.fromtimestamp(at), datetime.fromtimestamp(now)
    time_of_day = f"{then:%H:%M}"
    return time_of_day if then.date() == today.date() else f"{then.day} {then:%b} {time_of_day}"


def byte_count(count: int) -> str:
    """At most five characters in steps of 1024: ``512``, ``12k``, ``3.4M``."""
    size = float(count)
    for unit in ("", "k", "M", "G", "T"):
        if size < 1024 or unit == "T":
            return f"{size:.1f}{unit}" if unit and size < 10 else f"{int(size)}{unit}"
        size /= 1024
    raise AssertionError("unreachable: T ends the loop")


def rate(bytes_per_s: float) -> str:
    """``12k``; nothing for nothing."""
    return byte_count(round(bytes_per_s)) if bytes_per_s >= 1 else ""


def sparkline(values: Sequence[float], cells: int, *, ascii_only: bool = False) -> str:
    """The last values as bars, the highest of all as a full one; each bar stands for the most of its share."""
    bars = ".:-=+*#@" if ascii_only else "▁▂▃▄▅▆▇█"
    top = max(values, default=0)
    if top < 1:
        return ""
    step = max(1, -(-len(values) // cells))
    shares = [max(values[max(0, end - step) : end]) for end in range(len(values), 0, -step)][:cells]
    return "".join(bars[min(7, int(share / top * 8))] for share in reversed(shares)).rjust(cells)


def milliseconds(us: int) -> str:
    """``0.08ms``, ``12ms``."""
    return f"{us / 1000:.2f}ms" if us < 10_000 else f"{us // 1000}ms"


def count(number: int, noun: str) -> str:
    """``1 listener``, ``2 listeners``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def process_label(identity: ProcessId, processes: Processes) -> str:
    """``node 4312``; ``pid 4312`` where the name could not be read."""
    process = processes.get(identity)
    return f"{clean(process.name)} {identity.pid}" if process and process.name else f"pid {identity.pid}"


def owners_label(socket: Socket, processes: Processes) -> str:
    """The first owner and how many more there are, or why there is none."""
    if not socket.owners:
        return OWNER_UNKNOWN_SHORT[socket.owner_unknown or OwnerUnknown.UNKNOWN]
    return _first_and_more([owner.process for owner in socket.owners], processes)


def end_label(end: End, processes: Processes) -> str:
    """Who is at this end: the holders, ``was X`` for former ones, else why nobody is named."""
    if end.owners:
        label = _first_and_more([owner.process for owner in end.owners], processes)
        return f"was {label}" if end.basis is OwnerBasis.HELD else label
    if end.socket is None:
        return "(not in the table)"
    return OWNER_UNKNOWN_SHORT[end.socket.owner_unknown or OwnerUnknown.UNKNOWN]


def project_of(identities: Iterable[ProcessId], processes: Processes) -> str:
    """The project of the first process that has one, else nothing."""
    for identity in identities:
        process = processes.get(identity)
        if process and process.project:
            return clean(process.project)
    return ""


def command_line(process: Process, limit: int | None = None) -> str:
    """The command line as a shell would show it, or nothing where it cannot be read."""
    return clean(" ".join(process.cmdline or ()), limit)


def parents_chain(process: Process, arrow: str = "←") -> str:
    """``zsh 4100 ← tmux 900 ← systemd 1``."""
    return f" {arrow} ".join(
        f"{clean(above.name) if above.name else 'pid'} {above.process.pid}" for above in process.parents
    )


def port(listener: Listener) -> str:
    """``3000``, ``5353/udp``."""
    suffix = "/udp" if listener.socket.protocol is Protocol.UDP else ""
    return f"{listener.laddr.port}{suffix}"


def state(connection: Connection) -> str:
    """The client end's state; both, where the server end's differs."""
    client, server = connection.client.socket, connection.server.socket
    if client and server and client.status is not server.status:
        return f"{client.status}/{server.status}"
    return "" if connection.status is Status.NONE else str(connection.status)


def listener_label(listener: Listener) -> str:
    udp = " (udp)" if listener.socket.protocol is Protocol.UDP else ""
    return f"{endpoint(listener.laddr, listener.socket.v6only)}{udp}"


def change_sentence(change: Change, processes: Processes) -> str:
    """``+ node 4312 listens on 127.0.0.1:3000``."""
    subject = change.subject
    if isinstance(subject, Listener):
        return _listener_change(change, subject, processes)
    pair = f"{_who_where(subject.client, processes)} to {_who_where(subject.server, processes)}"
    match change.kind:
        case ChangeKind.OPENED:
            return f"+ {pair} opened"
        case ChangeKind.CLOSED:
            return f"- {pair} closed"
        case ChangeKind.STATUS:
            assert isinstance(change.before, Connection)
            return f"~ {pair}: {change.before.status} to {subject.status}"
        case ChangeKind.OWNER:
            return f"~ {pair}: other owners"


def _who_where(end: End, processes: Processes) -> str:
    """``node 4312 at 127.0.0.1:3000``."""
    return f"{end_label(end, processes)} at {endpoint(end.addr)}"


def _listener_change(change: Change, listener: Listener, processes: Processes) -> str:
    who = owners_label(listener.socket, processes)
    where = listener_label(listener)
    match change.kind:
        case ChangeKind.OPENED:
            return f"+ {who} listens on {where}"
        case ChangeKind.CLOSED:
            return f"- {who} stopped listening on {where}"
        case _:
            return f"~ {where} is now held by {who}"


def _first_and_more(identities: list[ProcessId], processes: Processes) -> str:
    distinct = list(dict.fromkeys(identities))
    more = f" +{len(distinct) - 1}" if len(distinct) > 1 else ""
    return f"{process_label(distinct[0], processes)}{more}"
