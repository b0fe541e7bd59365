"""The psutil source where the system call is refused as a whole, as on macOS: each process is asked in turn.

The processes are made up here, because no test can take that right away from the whole system.
"""

from __future__ import annotations

from collections.abc import Callable
from socket import AF_INET, AF_INET6, SOCK_DGRAM, SOCK_STREAM
from typing import NamedTuple

import psutil
import pytest

from loopmon.model import Endpoint, Family, Protocol, Socket, Status
from loopmon.sources import SourceDeniedError
from loopmon.sources.psutil_source import PsutilSource

BORN = 1_767_355_000.0


class Held(NamedTuple):
    """One row of a process, with psutil's own names."""

    fd: int
    laddr: tuple[str, int] | tuple[()] = ("127.0.0.1", 3000)
    raddr: tuple[str, int] | tuple[()] = ()
    status: str = "LISTEN"
    family: int = AF_INET
    type: int = SOCK_STREAM


class FakeProcess:
    """Stands in for ``psutil.Process``."""

    def __init__(self, pid: int, *held: Held, refuses: type[psutil.Error] | None = None, born: bool = True) -> None:
        self.pid = pid
        self._held = held
        self._refuses = refuses
        self._born = born

    def net_connections(self, kind: str) -> list[Held]:
        assert kind == "inet"
        if self._refuses:
            raise self._refuses(self.pid)
        return list(self._held)

    def create_time(self) -> float:
        if not self._born:
            raise psutil.AccessDenied(self.pid)
        return BORN + self.pid

    def is_running(self) -> bool:
        return True


Run = Callable[..., None]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Say which processes run from now on."""
    running: dict[int, FakeProcess] = {}

    def refuse(_kind: str) -> list[Held]:
        raise psutil.AccessDenied

    def find(pid: int) -> FakeProcess:
        if pid not in running:
            raise psutil.NoSuchProcess(pid)
        return running[pid]

    def these(*processes: FakeProcess) -> None:
        running.clear()
        running.update((process.pid, process) for process in processes)

    monkeypatch.setattr(psutil, "net_connections", refuse)
    monkeypatch.setattr(psutil, "pids", lambda: list(running))
    monkeypatch.setattr(psutil, "Process", find)
    return these


def only(source: PsutilSource) -> Socket:
    (found,) = source.read().sockets
    return found


def holders(found: Socket) -> list[tuple[int, int]]:
    return [(owner.process.pid, owner.fd) for owner in found.owners]


def test_what_several_processes_hold_is_one_socket_with_all_of_them(run: Run) -> None:
    run(FakeProcess(12, Held(5)), FakeProcess(11, Held(3)), FakeProcess(13, Held(5)))
    found = only(PsutilSource())
    assert holders(found) == [(11, 3), (12, 5), (13, 5)]
    assert [owner.process.create_time for owner in found.owners] == [BORN + 11, BORN + 12, BORN + 13]
    assert found.owner_unknown is None


def test_the_order_in_which_the_processes_are_asked_does_not_matter(run: Run) -> None:
    source = PsutilSource()
    run(FakeProcess(11, Held(3)), FakeProcess(12, Held(5)))
    before = only(source)
    run(FakeProcess(12, Held(5)), FakeProcess(11, Held(3)))
    assert only(source) is before


def test_a_socket_keeps_its_id_while_holders_join_and_leave(run: Run) -> None:
    source = PsutilSource()
    seen = []
    for pids in ((11,), (11, 12), (12, 13), (13,)):
        run(*(FakeProcess(pid, Held(3)) for pid in pids))
        seen.append(only(source))
        assert [pid for pid, _ in holders(seen[-1])] == list(pids)
    assert len({found.id for found in seen}) == 1


def test_sockets_that_differ_in_anything_else_stay_apart(run: Run) -> None:
    client = Held(4, ("127.0.0.1", 49342), ("127.0.0.1", 3000), "ESTABLISHED")
    rows = (
        Held(3),
        Held(5, ("127.0.0.2", 3000)),
        Held(6, ("127.0.0.1", 3000), type=SOCK_DGRAM, status="NONE"),
        Held(7, ("::1", 3000), family=AF_INET6),
        Held(8, ("127.0.0.1", 3000), ("127.0.0.1", 49342), "CLOSE_WAIT"),
    )
    run(FakeProcess(11, *rows), FakeProcess(12, client, rows[4]))
    found = {(each.protocol, each.family, each.status, each.laddr): each for each in PsutilSource().read().sockets}
    assert len({each.id for each in found.values()}) == 6
    assert {key: [pid for pid, _ in holders(each)] for key, each in found.items()} == {
        (Protocol.TCP, Family.IPV4, Status.LISTEN, Endpoint("127.0.0.1", 3000)): [11],
        (Protocol.TCP, Family.IPV4, Status.LISTEN, Endpoint("127.0.0.2", 3000)): [11],
        (Protocol.UDP, Family.IPV4, Status.NONE, Endpoint("127.0.0.1", 3000)): [11],
        (Protocol.TCP, Family.IPV6, Status.LISTEN, Endpoint("::1", 3000)): [11],
        (Protocol.TCP, Family.IPV4, Status.CLOSE_WAIT, Endpoint("127.0.0.1", 3000)): [11, 12],
        (Protocol.TCP, Family.IPV4, Status.ESTABLISHED, Endpoint("127.0.0.1", 49342)): [12],
    }


@pytest.mark.parametrize("refusal", [psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess])
def test_a_process_that_cannot_be_asked_costs_only_itself(run: Run, refusal: type[psutil.Error]) -> None:
    run(FakeProcess(10, refuses=refusal), FakeProcess(11, Held(3)), FakeProcess(12, refuses=refusal))
    reading = PsutilSource().read()
    assert [holders(found) for found in reading.sockets] == [[(11, 3)]]
    assert reading.limits[0] == "without root this system shows only your own processes' sockets"


def test_where_none_can_be_asked_the_source_is_denied_and_where_one_has_no_socket_it_is_not(run: Run) -> None:
    refused = FakeProcess(10, refuses=psutil.AccessDenied)
    run(refused)
    with pytest.raises(SourceDeniedError):
        PsutilSource().read()
    run(refused, FakeProcess(11))
    assert PsutilSource().read().sockets == ()


def test_a_holder_whose_start_is_not_told_is_still_one_of_them(run: Run) -> None:
    run(FakeProcess(11, Held(3), born=False), FakeProcess(12, Held(3)))
    assert [tuple(owner.process) for owner in only(PsutilSource()).owners] == [(11, 0.0), (12, BORN + 12)]


def test_a_holder_that_ended_during_the_look_leaves_the_others(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, stays = FakeProcess(11, Held(3)), FakeProcess(12, Held(3))
    run(stays)
    monkeypatch.setattr(psutil, "pids", lambda: [ended.pid, stays.pid])
    assert holders(only(PsutilSource())) == [(12, 3)]


def test_a_mapped_address_as_macos_gives_it_is_plain_and_one_without_port_is_no_row(run: Run) -> None:
    run(FakeProcess(11, Held(3, ("::127.0.0.1", 3000), family=AF_INET6), Held(4, ())))
    found = only(PsutilSource())
    assert (found.laddr, found.family) == (Endpoint("127.0.0.1", 3000), Family.IPV6)
