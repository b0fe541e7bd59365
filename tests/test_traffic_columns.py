"""Queues, rates and round-trip times on the screen, where the source knows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from making import (
    NOW,
    PORTS,
    both_ends,
    connection,
    end,
    listener,
    listening,
    process,
    process_id,
    snapshot,
)
from stage import WIDE, Stage, line_of, lines, on_stage, shown

from loopmon.model import Ancestor, Connection, Listener, Owner, ProcessId, Protocol, Rate, Snapshot, Socket
from loopmon.sources import Reading
from loopmon.tui.columns import Cell, Tone
from loopmon.tui.drill_down import Line, describe
from loopmon.tui.glyphs import ASCII, Glyphs
from loopmon.tui.listeners import Listeners
from loopmon.tui.subject import Subject
from loopmon.tui.view import View

API, WEB, LAST = (listening(f"127.0.0.1:{port}", pid) for port, pid in ((3000, 4312), (5173, 4401), (9000, 5100)))


def queue(found: Socket, waiting: int, backlog: int = 128) -> Socket:
    return replace(found, recv_queue=waiting, send_queue=backlog)


class Meter:
    """A source that counts: a test says how much has gone to which port; each reading is a second later."""

    name = "meter"
    has_listener_lane = False

    def __init__(self, *sockets: Socket) -> None:
        self.sockets = list(sockets)
        self.carried: dict[int, int] = {}
        """By the listener's port: what one connection to it has carried."""
        self.destroyed: tuple[Socket, ...] = ()
        self._second = -1

    def read(self, focus: ProcessId | None = None) -> Reading:
        self._second += 1
        links = [end for port, count in self.carried.items() for end in counted(port, count)]
        gone, self.destroyed = self.destroyed, ()
        return Reading(NOW + self._second, (*self.sockets, *links), (), {}, PORTS, destroyed=gone)

    def read_listeners(self, focus: ProcessId | None = None) -> Reading | None:
        return None

    def close(self) -> None:
        self.sockets.clear()


def counted(port: int, count: int, rtt_us: int = 80) -> tuple[Socket, Socket]:
    near, far = both_ends(f"127.0.0.1:{40000 + port}", f"127.0.0.1:{port}")
    return replace(near, bytes_sent=count, bytes_received=0, rtt_us=rtt_us), far


def title(stage: Stage) -> tuple[str, str]:
    """Of the listeners' and the clients' columns."""
    return lines(stage.listeners)[0], lines(stage.clients)[0]


def ports(stage: Stage) -> list[int]:
    return [row.laddr.port for row in stage.listeners.rows]


async def test_a_source_that_knows_nothing_of_queues_and_bytes_gets_no_empty_columns() -> None:
    near, far = both_ends("127.0.0.1:49342", "127.0.0.1:3000")
    source = Meter(API, near, far)
    async with on_stage(source) as stage:
        above, below = title(stage)
        assert not any(name in above for name in ("QUEUE", "RATE"))
        assert not any(name in below for name in ("RATE", "RTT"))
        source.carried = {3000: 0}
        await stage.tick()
        assert "RTT" in title(stage)[1], "as soon as the bytes of one connection are counted"


async def test_a_source_that_knows_them_gets_their_columns_before_the_age() -> None:
    source = Meter(queue(API, 0))
    source.carried = {3000: 0}
    async with on_stage(source) as stage:
        above, below = title(stage)
        assert above.split()[-3:] == ["QUEUE", "RATE", "AGE"]
        assert below.split()[-3:] == ["RATE", "RTT", "AGE"]
        assert "0/128" in line_of(stage.listeners, "3000")
        assert "0.08ms" in line_of(stage.clients, "43000")


async def test_clients_by_process_have_no_columns_of_traffic() -> None:
    source = Meter(queue(API, 0))
    source.carried = {3000: 0}
    async with on_stage(source) as stage:
        await stage.press("g")
        assert "COUNT" in title(stage)[1]
        assert "RTT" not in title(stage)[1]
        await stage.press("g")
        assert "RTT" in title(stage)[1]


async def test_the_rate_of_both_panes_follows_the_counters() -> None:
    source = Meter(queue(API, 0))
    source.carried = {3000: 0}
    async with on_stage(source) as stage:
        source.carried[3000] = 12 * 1024
        await stage.tick()
        assert " 12k " in line_of(stage.listeners, "3000")
        assert "█" in line_of(stage.listeners, "3000")
        assert " 12k " in line_of(stage.clients, "43000")
        await stage.tick()
        assert "█▁" in line_of(stage.listeners, "3000"), "idle again, and the last minute is remembered"
        assert " 12k " not in shown(stage.clients)


async def test_the_bars_are_ascii_where_the_terminal_is() -> None:
    source = Meter(queue(API, 0))
    source.carried = {3000: 0}
    async with on_stage(source, glyphs=ASCII) as stage:
        source.carried[3000] = 1000
        await stage.tick()
        source.carried[3000] = 1500
        await stage.tick()
        assert "@+   500" in line_of(stage.listeners, "3000")
        assert shown(stage.listeners).isascii()


async def test_sorting_by_rate_follows_rates_that_change_and_the_cursor_its_row() -> None:
    source = Meter(*(queue(found, 0) for found in (API, WEB, LAST)))
    source.carried = {3000: 0, 5173: 0, 9000: 0}
    async with on_stage(source) as stage:
        stage.listeners.sort_by("rate", reverse=True)
        stage.clients.sort_by("rate", reverse=True)
        held = stage.listeners.cursor_key
        for faster, slower in ((3000, 9000), (9000, 5173), (5173, 3000), (3000, 5173)):
            source.carried[faster] += 5000
            source.carried[slower] += 100
            await stage.tick()
            assert ports(stage)[:2] == [faster, slower]
            assert str(40000 + faster) in lines(stage.clients)[1]
            assert stage.listeners.cursor_key == held
        assert "RATE▼" in title(stage)[0]


async def test_new_clients_a_second_stand_beside_those_that_are_there() -> None:
    source = Meter(queue(API, 0))
    source.carried = {3000: 0}
    async with on_stage(source) as stage:
        assert "/s" not in shown(stage.listeners)
        source.destroyed = tuple(
            found for port in range(50000, 50012) for found in both_ends(f"127.0.0.1:{port}", "127.0.0.1:3000")
        )
        await stage.tick()
        assert " 1 +12/s " in line_of(stage.listeners, "3000")
        await stage.tick()
        assert "/s" not in shown(stage.listeners)


@pytest.mark.parametrize("size", [(80, 24), (60, 20), WIDE], ids=str)
async def test_every_line_is_as_wide_as_its_pane_whatever_columns_there_are(size: tuple[int, int]) -> None:
    source = Meter(queue(API, 999_999, 4096), queue(WEB, 0))
    source.carried = {3000: 0, 5173: 0}
    async with on_stage(source, size=size) as stage:
        source.carried = {3000: 2**60, 5173: 3}
        await stage.tick()
        for table in (stage.listeners, stage.clients):
            assert {len(line) for line in lines(table)} == {table.scrollable_content_region.width}
        assert "3000" in lines(stage.listeners)[1]


def cells(row: Listener, rate: Rate | None = None, glyphs: Glyphs | None = None) -> dict[str, Cell]:
    """What the listeners' table says of one row, by column."""
    view = View(snapshot=replace(snapshot([row]), rates={row.id: rate} if rate else {}))
    table = Listeners(view, glyphs or Glyphs())
    return {column.id: column.cell(row) for column in (*table._columns_of_listeners(), *table._columns_of_traffic())}


@pytest.mark.parametrize(
    ("waiting", "backlog", "text", "tone"),
    [
        (0, 128, "0/128", Tone.DIM),
        (3, 128, "3/128", Tone.WARNING),
        (128, 128, "128/128", Tone.WARNING),
        (129, 128, "129/128", Tone.BAD),
        (1, 0, "1/0", Tone.BAD),
    ],
)
def test_a_queue_that_is_longer_than_its_backlog_is_bad(waiting: int, backlog: int, text: str, tone: Tone) -> None:
    assert cells(listener(queue(API, waiting, backlog)))["queue"] == Cell(text, tone)


def test_udp_and_what_is_not_known_has_no_queue() -> None:
    udp = queue(listening("127.0.0.1:5353", 9, protocol=Protocol.UDP), 700, 0)
    assert cells(listener(udp))["queue"].text == ""
    assert cells(listener(API))["queue"].text == ""


@pytest.mark.parametrize(
    ("there", "come", "text"),
    [(0, 0.0, ""), (5, 0.0, "5"), (5, 0.9, "5"), (5, 12.4, "5 +12/s"), (0, 300.0, "0 +300/s")],
)
def test_clients_that_come_are_told_from_one_a_second_on(there: int, come: float, text: str) -> None:
    assert cells(listener(API, there), Rate(0.0, come))["clients"].text == text


def test_bars_are_measured_by_the_listener_s_own_highest_rate() -> None:
    assert cells(listener(API), Rate(500.0, history=(0.0, 1000.0, 500.0)))["rate"].text == "  ▁█▅   500"
    assert cells(listener(API), Rate(5e6, history=(0.0, 1e7, 5e6)))["rate"].text == "  ▁█▅  4.8M"
    ascii_text = cells(listener(API), Rate(500.0, history=(0.0, 1000.0, 500.0)), ASCII)["rate"].text
    assert ascii_text == "  .@+   500"
    assert cells(listener(API))["rate"].text == "", "and nothing without a rate"


def of_row(row: Listener | Connection, seen: Snapshot) -> list[Line]:
    return describe(Subject(None, row), seen, Glyphs(), [])


def texts(row: Listener | Connection, seen: Snapshot) -> list[str]:
    return [line.text for line in of_row(row, seen)]


def busy(near: Socket | None = None, far: Socket | None = None) -> Connection:
    return connection(end("127.0.0.1:43000", near), end("127.0.0.1:3000", far), listener_id=API.id)


def test_a_connection_s_traffic_is_told_in_two_lines() -> None:
    near, far = both_ends("127.0.0.1:43000", "127.0.0.1:3000")
    near = replace(near, bytes_sent=2048, bytes_received=512, rtt_us=80, retransmits=1, active_at=NOW - 90)
    row = busy(near, replace(far, retransmits=2, active_at=NOW - 61))
    said = texts(row, replace(snapshot(connections=[row]), rates={row.id: Rate(3500.0)}))
    assert "2.0k to the server · 512 to the client · 3.4k a second" in said
    assert "rtt 0.08ms · 3 retransmits · idle 1m" in said


def test_what_only_the_server_s_end_knows_is_told_too() -> None:
    _, far = both_ends("127.0.0.1:43000", "127.0.0.1:3000")
    row = busy(None, replace(far, bytes_received=7, rtt_us=12_000, retransmits=1))
    said = texts(row, snapshot(connections=[row]))
    assert "7 to the server" in said
    assert "rtt 12ms · 1 retransmit" in said


def test_a_source_that_knows_no_traffic_makes_no_lines_of_it() -> None:
    row = busy(*both_ends("127.0.0.1:43000", "127.0.0.1:3000"))
    said = " ".join(texts(row, snapshot(connections=[row])))
    assert not any(word in said for word in ("to the", "rtt", "retransmit", "idle", "unread", "a second"))


@pytest.mark.parametrize(("queues", "name"), [((3000, 0), "client"), ((None, 3000), "server")])
def test_unread_bytes_warn_at_the_end_that_does_not_read(queues: tuple[int | None, ...], name: str) -> None:
    ends = both_ends("127.0.0.1:43000", "127.0.0.1:3000")
    row = busy(*(replace(found, recv_queue=unread) for found, unread in zip(ends, queues, strict=True)))
    unread = [line for line in of_row(row, snapshot(connections=[row])) if "unread" in line.text]
    assert unread == [Line("", f"2.9k unread at the {name}", Tone.WARNING)]


@pytest.mark.parametrize(("waiting", "tone"), [(0, Tone.DIM), (5, Tone.WARNING)])
def test_connections_that_wait_to_be_accepted_are_told_of_a_tcp_listener(waiting: int, tone: Tone) -> None:
    row = listener(queue(API, waiting))
    assert Line("", f"{waiting} of at most 128 wait to be accepted", tone) in of_row(row, snapshot([row]))


def test_nothing_waits_at_a_udp_socket_or_where_the_source_does_not_know() -> None:
    udp = queue(listening("127.0.0.1:5353", 9, protocol=Protocol.UDP), 5)
    for row in (listener(udp), listener(API)):
        assert "wait to be accepted" not in " ".join(texts(row, snapshot([row])))


def holders(*pids: int, above: Iterable[int] = ()) -> list[tuple[str, str]]:
    """What is said of those who hold a listener; the first of ``above`` is the parent of all but itself."""
    parents = tuple(Ancestor(process_id(pid), "") for pid in above)
    found = replace(API, owners=tuple(Owner(process_id(pid), 3) for pid in pids))
    known = [replace(process(pid, "gunicorn"), parents=() if pid in above else parents) for pid in pids]
    row = listener(found)
    return [
        (line.label, line.text) for line in of_row(row, snapshot([row], processes=known)) if "gunicorn" in line.text
    ]


def test_several_holders_are_named_with_their_roles_the_master_first() -> None:
    assert holders(12, 11, 10, above=[10]) == [
        ("HELD BY", "gunicorn 10  master"),
        ("", "gunicorn 11  worker"),
        ("", "gunicorn 12  worker"),
    ]


def test_a_sole_holder_is_not_listed() -> None:
    assert holders(10) == []
