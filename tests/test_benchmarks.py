"""What it costs, printed: ``pytest -n 0 -m benchmark -s``. Nothing here fails because a machine is slow."""

from __future__ import annotations

import gc
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial

import psutil
import pytest
from crowd import churn, crowd, real_crowd, turn_over
from stage import WIDE, Puppet, Stage, on_stage
from terminal import LOOPMON, Terminal

from loopmon.findings import Judge
from loopmon.model import Frame, Scope
from loopmon.observe.observer import Observer
from loopmon.sources import Source, SourceChoice, open_source
from loopmon.sources.psutil_source import PsutilSource

pytestmark = pytest.mark.benchmark

SIZES = (1_000, 5_000, 20_000)
SHARES = (0.0, 0.01, 0.1)
SS = ("ss", "-Htanp")


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    print(f"\n\n{title}")
    for name, *cells in (head, *rows):
        print("  ", name.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)))


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def mib(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def best(work: Callable[[], object], times: int = 5) -> float:
    """The fastest of some runs: the one that the rest of the machine disturbed least."""
    return min(timed(work) for _ in range(times))


def look(source: Source, observer: Observer) -> None:
    observer.observe(source.read(), Scope())


def run(*argv: str) -> None:
    subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def affordable(connections: int) -> int:
    """As many as one process may have descriptors for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return connections if soft == resource.RLIM_INFINITY else min(connections, soft - 64)


def test_a_poll_beside_ss_psutil_and_lsof() -> None:
    rows = []
    for connections in (affordable(200), affordable(2_000), affordable(10_000)):
        with real_crowd(connections):
            costs = {}
            for source in sources():
                observer = Observer(source.name)
                for _ in range(4):
                    look(source, observer)  # until every owner is known
                costs[f"{source.name}: a poll"] = best(source.read)
                costs[f"{source.name}: with its observation"] = best(partial(look, source, observer))
                if source.has_listener_lane:
                    costs[f"{source.name}: a look at the listeners"] = best(source.read_listeners)
                source.close()
            costs["psutil.net_connections"] = best(partial(psutil.net_connections, "inet"))
            for tool in (SS, ("lsof", "-nP", "-iTCP")):
                if shutil.which(tool[0]):
                    costs[" ".join(tool)] = best(partial(run, *tool), times=3)
        unit = costs.get("ss -Htanp", costs["psutil.net_connections"])
        title = f"{2 * connections:,} sockets"
        rows += [
            (f"{title}: {name}", ms(cost), f"{cost / unit:.3f}", f"{cost / costs['psutil.net_connections']:.3f}")
            for name, cost in costs.items()
        ]
    table("One poll, nothing changing, in the same run", ("", "best", "to ss", "to psutil"), rows)


def sources() -> Iterator[Source]:
    yield PsutilSource()
    if sys.platform == "linux":
        yield open_source(SourceChoice.SOCK_DIAG)


def test_an_observation() -> None:
    rows = []
    for connections in SIZES:
        source, observer = crowd(connections), Observer("crowd")
        first = timed(partial(look, source, observer))
        same = best(partial(look, source, observer))
        changed = []
        for generation in range(1, 4):
            churn(source, 0.1, generation)
            changed.append(timed(partial(look, source, observer)))
        turn_over(source)
        anew = timed(partial(look, source, observer))
        rows.append((f"{connections:,} connections", ms(first), ms(same), ms(min(changed)), ms(anew)))
    table("One observation", ("", "the first", "unchanged", "10 % changed", "all new objects"), rows)


async def test_the_screen() -> None:
    shown_rows, painted_rows = [], []
    for connections in SIZES:
        source = crowd(connections)
        async with on_stage(source, size=WIDE) as stage:
            name = f"{connections:,} connections"
            costs = [[await tick(stage, source, share) for _ in range(5)] for share in SHARES]
            shown_rows.append((name, *(ms(min(shown for shown, _ in found)) for found in costs)))
            painted = [statistics.median(cpu for _, cpu in found) for found in costs]
            keys = [await spent(stage.listeners.focus, partial(stage.pilot.press, "down")) for _ in range(5)]
            painted_rows.append((name, *(ms(cost) for cost in (*painted, statistics.median(cpu for _, cpu in keys)))))
    head = ("", "unchanged", "1 % changed", "10 % changed")
    table("The screen at 160x45: one call of _show_frame", head, shown_rows)
    table("The same, processor time until it is painted", (*head, "a key"), painted_rows)


async def tick(stage: Stage, source: Puppet, share: float) -> tuple[float, float]:
    churn(source, share, stage.monitor.last.number)
    frames: list[Frame] = []
    stage.monitor.hand_to(frames.append)
    stage.monitor.tick()
    return await spent(partial(stage.app._show_frame, frames[0]), stage.pilot.pause)


async def spent(work: Callable[[], object], settle: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Time in ``work``, and processor time until everything that follows from it is done."""
    cpu = time.process_time()
    took = timed(work)
    await settle()
    return took, time.process_time() - cpu


def test_starting() -> None:
    python = best(partial(run, sys.executable, "-c", "pass"))
    costs = {"python -c pass": python}
    for words in ("--version", "--help", "ls", "ls --json", "ls --demo"):
        costs[f"loopmon {words}"] = best(partial(run, LOOPMON, *words.split()))
    for words in ("", "--demo"):
        costs[f"loopmon {words} to the first full frame"] = min(first_frame(*words.split()) for _ in range(3))
    if shutil.which("ss"):
        costs["ss -Htanp"] = best(partial(run, *SS))
    rows = [(name, ms(cost), f"{cost / python:.1f}") for name, cost in costs.items()]
    table("Starting (ratio to an empty Python)", ("", "best", "ratio"), rows)


def first_frame(*words: str) -> float:
    started = time.perf_counter()
    with Terminal(LOOPMON, *words) as terminal:
        terminal.wait_for(b"own cpu")
        return time.perf_counter() - started


def test_staying_open() -> None:
    rows = []
    for connections in (0, affordable(4_000)):
        with real_crowd(connections):
            for words in ("--demo", "--source psutil", ""):
                with Terminal(LOOPMON, *words.split()) as terminal:
                    terminal.wait_for(b"own cpu")
                    rows.append((f"{2 * connections:,} sockets: loopmon {words}", *watched(terminal)))
    table("Open for 20 s at one look a second", ("", "processor", "written", "RSS", "RSS later"), rows)


def watched(terminal: Terminal, seconds: float = 20.0) -> tuple[str, str, str, str]:
    process = psutil.Process(terminal.pid)
    drain(terminal, 3.0)
    cpu, written, memory = sum(process.cpu_times()[:2]), len(terminal.output), process.memory_info().rss
    drain(terminal, seconds)
    used = sum(process.cpu_times()[:2]) - cpu
    rate = (len(terminal.output) - written) / seconds / 1024
    return f"{100 * used / seconds:.1f} %", f"{rate:.1f} KiB/s", mib(memory), mib(process.memory_info().rss)


def drain(terminal: Terminal, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        terminal.read(0.1)


def test_memory_over_many_observations() -> None:
    source, observer = crowd(8_000), Observer("crowd")
    process = psutil.Process()
    rows = []
    for generation in range(1, 401):
        churn(source, 0.02, generation)
        look(source, observer)
        if generation == 1 or generation % 100 == 0:
            gc.collect()
            rows.append((f"after {generation} observations", mib(process.memory_info().rss)))
    table("Memory: 8,000 connections, 2 % of them new at each observation", ("", "RSS"), rows)


def test_memory_over_ten_thousand_polls() -> None:
    """Of the real kernel, with a server, 200 connections and one more that comes and goes at each poll."""
    rows = []
    process = psutil.Process()
    with real_crowd(200), socket.create_server(("127.0.0.1", 0)) as server:
        source, observer, judge = open_source(SourceChoice.AUTO), Observer("real"), Judge()
        for poll in range(1, 10_001):
            with socket.create_connection(server.getsockname()), server.accept()[0]:
                judge.judge(observer.observe(source.read(), Scope()).snapshot)
            if poll in {1, 1_000} or poll % 2_500 == 0:
                gc.collect()
                rows.append((f"after {poll:,} polls", mib(process.memory_info().rss)))
        source.close()
    table("Memory: sock_diag, observer and findings", ("", "RSS"), rows)
