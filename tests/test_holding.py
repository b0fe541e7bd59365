"""Which server a client reaches, and what is told where there is none: on made sockets."""

from __future__ import annotations

import pytest
from making import both_ends, listening, process, reading, socket
from zoo import wait_for

from loopmon.commands.lookout import Lookout
from loopmon.holding import Obstacle, servers, why_no_server, why_not_free
from loopmon.model import Endpoint, Process, ProcessId, Protocol, Socket, Status
from loopmon.sources import Reading, SourceError

NODE, CURL = process(4312), process(8123, "curl")
PROCESSES: dict[ProcessId, Process] = {NODE.id: NODE, CURL.id: CURL}
HERE, V6 = Endpoint("127.0.0.1", 3000), Endpoint("::1", 3000)
CLIENT, SERVER = both_ends("127.0.0.1:3000", "127.0.0.1:9000", 8123, 4312)
BOUND = socket("127.0.0.1:3000", None, 4312, status=Status.CLOSE)
TIME_WAIT = socket("127.0.0.1:3000", "127.0.0.1:49342", status=Status.TIME_WAIT)
UDP = listening("127.0.0.1:3000", 4312, protocol=Protocol.UDP)


@pytest.mark.parametrize(
    ("laddr", "v6only", "ipv4", "ipv6"),
    [
        ("127.0.0.1:3000", None, True, False),
        ("127.0.0.2:3000", None, False, False),
        ("0.0.0.0:3000", None, True, False),
        ("[::]:3000", False, True, True),
        ("[::]:3000", None, True, True),
        ("[::]:3000", True, False, True),
        ("[::1]:3000", None, False, True),
        ("127.0.0.1:3001", None, False, False),
    ],
)
def test_reach(laddr: str, v6only: bool | None, ipv4: bool, ipv6: bool) -> None:
    found = listening(laddr, 4312, v6only=v6only)
    assert bool(servers([found], HERE)) is ipv4
    assert bool(servers([found], V6)) is ipv6


def test_the_one_bound_to_the_very_address_answers() -> None:
    every, own = listening("[::]:3000", 1), listening("127.0.0.1:3000", 2)
    shared = listening("127.0.0.1:3000", 3, id="shared")
    assert servers([every, own, shared], HERE) == [own, shared]
    assert servers([every, own], V6) == [every]


def test_only_what_listens_is_a_server() -> None:
    assert servers([BOUND, UDP, CLIENT, TIME_WAIT], HERE) == []


@pytest.mark.parametrize(
    ("sockets", "said"),
    [
        ([], Obstacle("nobody listens on port 3000", False)),
        ([UDP], Obstacle("nobody listens on port 3000", False)),
        (
            [listening("[::1]:3000", 4312), BOUND],
            Obstacle("node 4312 listens on [::1]:3000, which a client of 127.0.0.1 does not reach", True),
        ),
        ([TIME_WAIT, BOUND], Obstacle("node 4312 holds 127.0.0.1:3000 but does not listen", True)),
        (
            [CLIENT],
            Obstacle(
                "nobody listens on port 3000; curl 8123 has 127.0.0.1:3000 for its connection to 127.0.0.1:9000", False
            ),
        ),
        (
            [TIME_WAIT],
            Obstacle(
                "nobody listens on port 3000; an old connection of 127.0.0.1:3000 to 127.0.0.1:49342 is in TIME_WAIT",
                False,
            ),
        ),
    ],
)
def test_why_there_is_no_server(sockets: list[Socket], said: Obstacle) -> None:
    assert why_no_server(sockets, HERE, PROCESSES) == said


@pytest.mark.parametrize(
    ("laddr", "in_the_way_of"),
    [
        ("127.0.0.1:3000", {"127.0.0.1", "0.0.0.0", "::"}),
        ("0.0.0.0:3000", {"127.0.0.1", "0.0.0.0", "::"}),
        ("[::1]:3000", {"::1", "::"}),
        ("127.0.0.1:3001", set()),
    ],
)
def test_what_is_in_the_way_of_a_server(laddr: str, in_the_way_of: set[str]) -> None:
    found = [listening(laddr, 4312)]
    blocked = {ip for ip in ("127.0.0.1", "0.0.0.0", "::1", "::") if why_not_free(found, Endpoint(ip, 3000), PROCESSES)}
    assert blocked == in_the_way_of


@pytest.mark.parametrize(
    ("v6only", "in_the_way_of"), [(True, {"::1", "::"}), (False, {"127.0.0.1", "0.0.0.0", "::1", "::"})]
)
def test_one_on_every_ipv6_address_is_in_the_way_of(v6only: bool, in_the_way_of: set[str]) -> None:
    found = [listening("[::]:3000", 4312, v6only=v6only)]
    blocked = {ip for ip in ("127.0.0.1", "0.0.0.0", "::1", "::") if why_not_free(found, Endpoint(ip, 3000), PROCESSES)}
    assert blocked == in_the_way_of


class Table:
    """A source with a lane; it counts."""

    name = "table"

    def __init__(self, *, has_listener_lane: bool = True) -> None:
        self.has_listener_lane = has_listener_lane
        self.whole = self.glances = 0
        self.fails = False

    def read(self, focus: ProcessId | None = None) -> Reading:
        if self.fails:
            raise SourceError("gone")
        self.whole += 1
        return reading(BOUND)

    def read_listeners(self, focus: ProcessId | None = None) -> Reading | None:
        self.glances += 1
        return reading(UDP) if self.glances == 2 else None

    def close(self) -> None: ...


def test_the_lookout_glances_where_that_is_cheap() -> None:
    table = Table()
    lookout = Lookout(table)
    lookout.look()
    lookout.look()
    assert (table.whole, table.glances, lookout.sockets) == (1, 1, (BOUND,))
    lookout.look()
    assert (table.whole, table.glances, lookout.sockets) == (1, 2, (UDP,))
    lookout.look(whole=True)
    lookout.look_closer()
    assert (table.whole, table.glances, lookout.sockets) == (2, 2, (BOUND,))


def test_the_lookout_looks_at_everything_where_it_must() -> None:
    table = Table(has_listener_lane=False)
    lookout = Lookout(table)
    lookout.look()
    lookout.look()
    assert (table.whole, table.glances) == (2, 0)


def test_a_source_that_fails_later_is_noticed() -> None:
    table = Table()
    lookout = Lookout(table)
    lookout.look()
    table.fails = True

    def has_failed() -> bool:
        try:
            lookout.look()
        except SourceError:
            return True
        return False

    wait_for(has_failed, "a whole look")
