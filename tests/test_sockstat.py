"""How many sockets the kernel counts, and that a look which leaves out empty tables hides no socket by it."""

from __future__ import annotations

import random
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from namespace import inside
from zoo import wait_for

from loopmon.model import Status
from loopmon.sources.netlink import CONNECTION_DUMPS, UDP_DUMPS, Dump
from loopmon.sources.sock_diag import SockDiagSource
from loopmon.sources.sockstat import Counts, SockStat

if sys.platform != "linux":
    pytest.skip("only Linux has /proc/net/sockstat", allow_module_level=True)

STEPS = 120
MANY = 12
"""So many sockets at most are open at a time, so that the tables are often empty again."""
SOCKSTAT = """\
sockets: used 290
TCP: inuse 7 orphan 1 tw 3 alloc 12 mem 2
UDP: inuse 5 mem 1
UDPLITE: inuse 40
RAW: inuse 41
FRAG: inuse 42 memory 0
"""
SOCKSTAT6 = "TCP6: inuse 4\nUDP6: inuse 2\nUDPLITE6: inuse 43\nRAW6: inuse 44\nFRAG6: inuse 45 memory 0\n"
HOSTS = {"ipv4": "127.0.0.1", "mapped": "::ffff:127.0.0.1", "ipv6": "::1"}
"""By what a connection over the address is called here."""

# What the kernel counts, and how its files are read


def stat_of(folder: Path, **texts: str) -> Counts | None:
    for name, text in texts.items():
        (folder / name).write_text(text)
    stat = SockStat(str(folder))
    try:
        return stat.read()
    finally:
        stat.close()


def test_the_figures_are_those_of_the_kernels_files(tmp_path: Path) -> None:
    assert stat_of(tmp_path, sockstat=SOCKSTAT, sockstat6=SOCKSTAT6) == Counts(7, 4, 5, 2, 3)


@pytest.mark.parametrize("missing", ["sockstat", "sockstat6", "both"])
def test_without_one_of_the_files_the_kernel_says_nothing(missing: str, tmp_path: Path) -> None:
    texts = {"sockstat": SOCKSTAT, "sockstat6": SOCKSTAT6}
    assert stat_of(tmp_path, **{name: text for name, text in texts.items() if missing not in (name, "both")}) is None


@pytest.mark.parametrize("kind", ["TCP:", "UDP:", "TCP6:", "UDP6:"])
def test_without_one_of_the_figures_the_kernel_says_nothing(kind: str, tmp_path: Path) -> None:
    def without(text: str) -> str:
        return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(kind))

    assert stat_of(tmp_path, sockstat=without(SOCKSTAT), sockstat6=without(SOCKSTAT6)) is None


@pytest.mark.parametrize("text", ["", "TCP: inuse\n", "TCP: inuse x orphan 0 tw 0\n", "TCP: used 1\n"])
def test_a_file_of_another_kind_says_nothing(text: str, tmp_path: Path) -> None:
    assert stat_of(tmp_path, sockstat=text, sockstat6=SOCKSTAT6) is None


def test_what_is_closed_says_nothing_and_can_be_closed_again() -> None:
    stat = SockStat()
    assert stat.read() is not None
    stat.close()
    stat.close()
    assert stat.read() is None


def opened(stack: ExitStack, host: str) -> tuple[socket.socket, socket.socket, socket.socket]:
    """A server, a client and the accepted end."""
    server = stack.enter_context(listen(host))
    client = stack.enter_context(connect(host, server))
    return server, client, stack.enter_context(server.accept()[0])


def listen(host: str) -> socket.socket:
    server = socket.socket(family_of(host))
    server.bind((host, 0))
    server.listen()
    return server


def connect(host: str, server: socket.socket) -> socket.socket:
    client = socket.socket(family_of(host))
    client.connect((host, server.getsockname()[1]))
    return client


def family_of(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


@pytest.mark.parametrize(("over", "expected"), [("ipv4", (3, 0)), ("mapped", (0, 3)), ("ipv6", (0, 3))])
def test_on_the_real_machine_the_counts_go_up_with_what_is_opened(over: str, expected: tuple[int, int]) -> None:
    stat = SockStat()

    def step() -> bool:
        """Others may open and close sockets at the same moment."""
        before = stat.read()
        with ExitStack() as stack:
            opened(stack, HOSTS[over])
            after = stat.read()
        assert before is not None and after is not None
        return (after.tcp - before.tcp, after.tcp6 - before.tcp6) == expected

    wait_for(step, "a server and both ends of a connection to be counted")
    stat.close()


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", (1, 0)), ("::1", (0, 1))])
def test_on_the_real_machine_the_counts_go_up_with_udp(host: str, expected: tuple[int, int]) -> None:
    stat = SockStat()

    def step() -> bool:
        before = stat.read()
        with socket.socket(family_of(host), socket.SOCK_DGRAM) as bound:
            bound.bind((host, 0))
            after = stat.read()
        assert before is not None and after is not None
        return (after.udp - before.udp, after.udp6 - before.udp6) == expected

    wait_for(step, "one more socket to be counted")
    stat.close()


# In a network of its own, which is empty but for what the test opens there


class Both:
    """A source that leaves out empty tables, and one that asks for all of them."""

    def __init__(self) -> None:
        self.skipping, self.full = SockDiagSource(follow=False), SockDiagSource(follow=False)
        with TemporaryDirectory() as nothing:
            self.full._stat = SockStat(nothing)
        self.asked = {source: self._count(source) for source in (self.skipping, self.full)}
        self.same()

    def _count(self, source: SockDiagSource) -> Counter[Dump]:
        """Notes every dump that the source asks for."""
        asked: Counter[Dump] = Counter()
        ask: Callable[[Dump], Iterator[bytes]] = source._kernel.datagrams

        def noted(dump: Dump) -> Iterator[bytes]:
            asked[dump] += 1
            return ask(dump)

        source._kernel.datagrams = noted  # type: ignore[method-assign]
        return asked

    def same(self) -> dict[str, Status]:
        """What both see at a moment in which nothing changes."""

        def unchanging() -> tuple[dict[str, Status], dict[str, Status]] | None:
            before, between, after = rows(self.full), rows(self.skipping), rows(self.full)
            return (before, between) if before == after else None

        answer = wait_for(unchanging, "a moment in which nothing changes")
        assert answer is not None
        assert answer[1] == answer[0]
        return answer[0]


def rows(source: SockDiagSource) -> dict[str, Status]:
    return {found.id: found.status for found in source.read().sockets}


def reset(ended: socket.socket) -> None:
    """Close it so that nothing is left of the connection."""
    if ended.type == socket.SOCK_STREAM:
        ended.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ended.close()


def see_what_opens_and_closes(kind: str) -> list[list[Status]]:
    both, seen = Both(), list[list[Status]]()
    for _ in range(3):
        both.same()  # a table that has held something is asked for until it holds nothing
        both.skipping._looks = 1  # and each of them at the first of every WALK_EVERY looks
        asked = both.asked[both.skipping].copy()
        seen.append(sorted(rows(both.skipping).values()))
        assert not {*CONNECTION_DUMPS, *UDP_DUMPS} & (both.asked[both.skipping] - asked).keys(), "an empty table"
        if kind.startswith("udp"):
            held = [socket.socket(family_of(kind[4:]), socket.SOCK_DGRAM)]
            held[0].bind((kind[4:], 0))
        elif kind == "dual-stack":
            server = listen("::")
            held = [server, connect("127.0.0.1", server), server.accept()[0]]
        else:
            server = listen(HOSTS[kind])
            held = [server, connect(HOSTS[kind], server), server.accept()[0]]
        seen.append(sorted(rows(both.skipping).values()))
        both.same()
        for each in reversed(held):
            reset(each)
        wait_for(lambda: not rows(both.full), "nothing to be left")
    return seen


@pytest.mark.parametrize("kind", ["ipv4", "mapped", "ipv6", "dual-stack", "udp 127.0.0.1", "udp ::1"])
def test_what_opens_where_nothing_was_is_seen_at_the_next_look(kind: str) -> None:
    there = [Status.NONE] if kind.startswith("udp") else [Status.ESTABLISHED, Status.ESTABLISHED, Status.LISTEN]
    assert inside(see_what_opens_and_closes, kind) == [[], there] * 3


def leave_one_in_time_wait(over: str) -> list[Status]:
    both = Both()
    server = listen(HOSTS[over])
    client = connect(HOSTS[over], server)
    accepted, _ = server.accept()
    for each in (client, accepted, server):
        each.close()
    wait_for(lambda: set(rows(both.full).values()) == {Status.TIME_WAIT}, "nothing but one in TIME_WAIT")
    return list(both.same().values())


@pytest.mark.parametrize("over", HOSTS)
def test_one_in_time_wait_alone_is_seen(over: str) -> None:
    assert inside(leave_one_in_time_wait, over) == [Status.TIME_WAIT]


def open_and_close_at_random(seed: int, in_order: bool) -> list[int]:
    """Returns how many tables were left out, how often there was nothing at all, and the most sockets at a time."""
    chance, both, held = random.Random(seed), Both(), list[socket.socket]()
    empty, most = 0, 0
    for _ in range(STEPS):
        change(chance, held, in_order)
        seen = both.same()
        empty, most = empty + (not seen), max(most, len(seen))
    # In each comparison the one that asks for all of them looks twice, the other one once.
    left_out = sum(both.asked[both.full][dump] // 2 - both.asked[both.skipping][dump] for dump in both.asked[both.full])
    return [left_out, empty, most]


def change(chance: random.Random, held: list[socket.socket], in_order: bool) -> None:
    """Open something, or close something or all of it; what is closed ``in_order`` may stay in TIME_WAIT."""
    servers = [each for each in held if each.type == socket.SOCK_STREAM and each.getsockopt(*ACCEPTING)]
    what = chance.choice(["listen", "udp", "connect", "connect", "close", "close", "clear"])
    host = chance.choice([*HOSTS.values(), "0.0.0.0", "::"])
    if len(held) > MANY or what == "clear":
        while held:
            reset(held.pop(chance.randrange(len(held))))
    elif what == "listen":
        held.append(listen(host))
    elif what == "udp":
        held.append(socket.socket(family_of(host), socket.SOCK_DGRAM))
        held[-1].bind((host, 0))
        if chance.random() < 0.5:
            held[-1].connect(held[-1].getsockname())
    elif what == "connect" and servers:
        server = chance.choice(servers)
        bound = server.getsockname()[0]
        held.append(
            connect({"0.0.0.0": "127.0.0.1", "::": chance.choice(["127.0.0.1", "::1"])}.get(bound, bound), server)
        )
        if chance.random() < 0.8:
            held.append(server.accept()[0])
    elif held and what != "connect":
        ended = held.pop(chance.randrange(len(held)))
        (socket.socket.close if in_order else reset)(ended)


ACCEPTING = (socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


@pytest.mark.parametrize(("seed", "in_order"), [(1, False), (2, False), (3, True)])
def test_whatever_opens_and_closes_no_row_is_hidden(seed: int, in_order: bool) -> None:
    left_out, empty, most = inside(open_and_close_at_random, seed, in_order)
    assert left_out > STEPS / 4
    assert empty > 0
    assert most > MANY / 2
