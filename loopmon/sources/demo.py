"""A scripted machine for ``--demo``, tests and screenshots: every kind of row, changing over time.

What it shows is a pure function of the seed and of how often it was read; each reading is one second of
the script's own clock. It touches no socket of this machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random

from loopmon.model import Endpoint, Family, Owner, OwnerUnknown, Process, ProcessId, Protocol, Socket, Status
from loopmon.sources import demo_cast as cast
from loopmon.sources.reading import Reading

LOCAL = "127.0.0.1"
TIME_WAIT_S = 60
MAX_PEOPLE = 100
VISIT_PERIOD_S = 45
"""A small server comes up for 30 of every 45 seconds."""


class DemoSource:
    name = "demo"
    has_listener_lane = False

    def __init__(self, seed: int = 7) -> None:
        self._seed = seed
        self._second = -1
        self._sockets: dict[Socket, Socket] = {}
        self._people: dict[ProcessId, Process] = {p.id: p for p in cast.RESIDENTS}
        """Those that have gone can still be named, for a while."""

    def read(self, focus: ProcessId | None = None) -> Reading:
        self._second += 1
        scene = [*_listeners(), *_steady(self._second), *_troubled()]
        for process, sockets in (*_visiting_server(self._second), *_short_clients(self._seed, self._second)):
            self._people[process.id] = process
            scene.extend(sockets)
        while len(self._people) > MAX_PEOPLE:
            del self._people[next(i for i in self._people if i not in cast.RESIDENT_IDS)]
        self._sockets = {found: self._sockets.get(found, found) for found in scene}
        return Reading(
            taken_at=cast.START + self._second,
            sockets=tuple(self._sockets.values()),
            limits=("owners of other users' sockets cannot be read without root",),
            processes=dict(self._people),
            ports=cast.PORTS,
        )

    def read_listeners(self, focus: ProcessId | None = None) -> Reading | None:
        return None

    def close(self) -> None:
        self._sockets.clear()


def _owned_by(processes: Iterable[Process], fd: int) -> tuple[Owner, ...]:
    return tuple(Owner(process.id, fd) for process in processes)


def _listen(
    ip: str,
    port: int,
    *owners: Process,
    protocol: Protocol = Protocol.TCP,
    unknown: OwnerUnknown | None = None,
    v6only: bool | None = None,
    sibling: int = 1,
    waiting: int = 0,
    backlog: int = 511,
) -> Socket:
    return Socket(
        id=f"{protocol}:{ip}|{port}" + (f"#{sibling}" if sibling > 1 else ""),
        protocol=protocol,
        family=Family.IPV6 if ":" in ip else Family.IPV4,
        status=Status.LISTEN if protocol is Protocol.TCP else Status.NONE,
        laddr=Endpoint(ip, port),
        owners=_owned_by(owners, 19),
        owner_unknown=unknown,
        inode=70_000 + port + sibling,
        uid=1000 if owners else 0,
        v6only=v6only,
        recv_queue=waiting,
        send_queue=backlog if protocol is Protocol.TCP else 0,
    )


def _end(
    laddr: Endpoint,
    raddr: Endpoint,
    status: Status,
    owner: Process | None,
    unknown: OwnerUnknown | None = None,
    *,
    sent: int = 0,
    received: int = 0,
    unread: int = 0,
) -> Socket:
    lives = status is not Status.TIME_WAIT
    return Socket(
        id=f"tcp:{laddr.ip}|{laddr.port}>{raddr.ip}|{raddr.port}",
        protocol=Protocol.TCP,
        family=Family.IPV6 if ":" in laddr.ip else Family.IPV4,
        status=status,
        laddr=laddr,
        raddr=raddr,
        owners=_owned_by([owner], 23) if owner else (),
        owner_unknown=None if owner else unknown or OwnerUnknown.KERNEL,
        inode=80_000 + laddr.port if owner else 0,
        uid=1000 if owner else None,
        recv_queue=unread,
        send_queue=0,
        bytes_sent=sent if lives else None,
        bytes_received=received if lives else None,
        rtt_us=20 + laddr.port % 70 if lives else None,
        retransmits=0 if lives else None,
    )


def _pair(
    client_port: int, client: Process | None, port: int, server: Process | None, ip: str = LOCAL, *, moved: int = 0
) -> tuple[Socket, Socket]:
    """Both ends of a connection; ``moved`` bytes went to the client, and a sixteenth of that to the server."""
    near, far = Endpoint(ip, client_port), Endpoint(ip, port)
    live, hidden = Status.ESTABLISHED, OwnerUnknown.OTHER_USER
    asked = moved // 16
    return (
        _end(near, far, live, client, hidden, sent=asked, received=moved),
        _end(far, near, live, server, hidden, sent=moved, received=asked),
    )


def _listeners() -> Iterator[Socket]:
    other_user = OwnerUnknown.OTHER_USER
    yield _listen(LOCAL, 3000, cast.API)
    yield _listen("0.0.0.0", 5173, cast.WEB)
    yield _listen(LOCAL, 8000, cast.OLD_API, waiting=1, backlog=5)
    yield _listen(LOCAL, 5432, cast.POSTGRES, backlog=200)
    yield _listen("::1", 5432, cast.POSTGRES, backlog=200)
    yield _listen(LOCAL, 6379, cast.REDIS)
    yield _listen(LOCAL, 8080, *cast.GUNICORN, backlog=2048)
    yield _listen("::", 8081, cast.JAVA, v6only=False)
    yield _listen("::", 6006, cast.STORYBOOK, v6only=True)
    yield _listen("0.0.0.0", 9000, unknown=other_user)
    yield _listen(LOCAL, 34567, cast.CODE)
    for number, worker in enumerate(cast.NGINX, start=1):
        yield _listen("127.0.0.2", 8443, worker, sibling=number)
    yield _listen(LOCAL, 8125, protocol=Protocol.UDP, unknown=other_user)
    yield _listen("0.0.0.0", 5353, cast.CHROME, protocol=Protocol.UDP)


def _steady(second: int) -> Iterator[Socket]:
    """Connections that stay for as long as the demo runs; some of them are busy."""
    for port in (49342, 49350, 49366, 49402):
        yield from _pair(port, cast.CHROME, 3000, cast.API, moved=_moved(second, port % 7 * 1500))
    yield from _pair(51920, cast.CHROME, 5173, cast.WEB, moved=_moved(second // 4 * 4, 9000))
    yield from _pair(52044, cast.WEB, 3000, cast.API, moved=_moved(second, 700))
    for port in (40112, 40126, 40134, 40150, 40162):
        yield from _pair(port, cast.API, 5432, cast.POSTGRES, moved=_moved(second, port % 5 * 2400))
    yield from _pair(44210, cast.API, 6379, cast.REDIS, moved=_moved(second, 40_000))
    for port, worker in zip((40318, 40322, 40340), cast.GUNICORN[1:], strict=True):
        yield from _pair(port, worker, 5432, cast.POSTGRES, moved=7_200)
    yield from _pair(40500, cast.PSQL, 5432, cast.POSTGRES, ip="::1", moved=1_900)
    yield from _pair(47800, cast.JAVA, 9000, None, moved=512)
    yield from _pair(57573, None, 5432, cast.POSTGRES, moved=310)


def _moved(second: int, bytes_per_s: int) -> int:
    """A load that rises and falls."""
    return sum(bytes_per_s * (1 + step % 5) // 3 for step in range(second % 3600 + 60))


def _troubled() -> Iterator[Socket]:
    """Ends that are missing, waiting, closing or their own other end."""
    probe, server = Endpoint(LOCAL, 50100), Endpoint(LOCAL, 8000)
    yield _end(probe, server, Status.ESTABLISHED, cast.PROBE, sent=85)
    waits = _end(server, probe, Status.ESTABLISHED, None, OwnerUnknown.NOT_ACCEPTED, received=85, unread=85)
    yield replace(waits, heard_at=cast.START - 12)
    gone = Endpoint(LOCAL, 50088)
    yield _end(server, gone, Status.CLOSE_WAIT, cast.OLD_API)
    yield _end(gone, server, Status.FIN_WAIT2, None, OwnerUnknown.CLOSED_BY_PROCESS)
    yield _end(Endpoint(LOCAL, 58210), Endpoint(LOCAL, 9443), Status.SYN_SENT, cast.WGET)
    itself = Endpoint(LOCAL, 45999)
    yield _end(itself, itself, Status.ESTABLISHED, cast.LOOPER)


def _visiting_server(second: int) -> Iterator[tuple[Process, list[Socket]]]:
    visit, phase = divmod(second, VISIT_PERIOD_S)
    if not 3 <= phase < 33:
        return
    started = visit * VISIT_PERIOD_S + 3
    process = cast.person(
        9100 + visit, "python3", "python3 -m http.server 4000 --bind 127.0.0.1", -float(started),
        cwd="/home/me/src/notes", branch="main", tty="/dev/pts/10", rss_mib=22,
    )  # fmt: skip
    sockets = [_listen(LOCAL, 4000, process)]
    if phase >= 5:
        sockets += _pair(53010 + visit % 1000, cast.CHROME, 4000, process)
    yield process, sockets


def _short_clients(seed: int, second: int) -> Iterator[tuple[Process, list[Socket]]]:
    """curl calls the API now and then: a second or two of work, then a minute of TIME_WAIT."""
    for born in range(second - TIME_WAIT_S - 3, second + 1):
        chance = Random(f"{seed}:{born}")
        if chance.random() > 0.15:
            continue
        port, lifetime = 33000 + 2 * (born % 900), chance.choice((1, 2))
        if second - born > lifetime + TIME_WAIT_S:
            continue
        process = cast.person(
            20000 + born % 5000, "curl", "curl -s http://127.0.0.1:3000/items", -float(born), tty="/dev/pts/9",
            cwd="/home/me",
        )  # fmt: skip
        if second - born < lifetime:
            yield process, list(_pair(port, process, 3000, cast.API))
        else:
            near, far = Endpoint(LOCAL, port), Endpoint(LOCAL, 3000)
            yield process, [_end(near, far, Status.TIME_WAIT, None, OwnerUnknown.KERNEL)]
