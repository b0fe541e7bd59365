"""Who holds a socket, on the real /proc: real children that fork, pass sockets on, exec, exit and use threads."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from zoo import TIMEOUT_S, run_python

from loopmon.model import Owner, ProcessId
from loopmon.sources.owners import TRIES, TURNS, Owners

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such a /proc")

LOOKS, SECONDS = 120, 5
OTHERS = ("fork", "end", "pass")
NOBODY = 65534

ACTOR = """
import contextlib, ctypes, json, os, signal, socket, sys, threading
life, hold = os.pipe()

def fork():
    ready, said = os.pipe()
    pid = os.fork()
    if not pid:
        [os.close(fd) for fd in (hold, ready, said)]
        os.read(life, 1)  # until whoever forked it ends
        os._exit(0)
    os.close(said)
    os.read(ready, 1)
    os.close(ready)
    return pid

end = lambda pid: (os.kill(pid, signal.SIGKILL), os.waitpid(pid, 0))
listen = lambda: socket.create_server(("127.0.0.1", 0)).detach()
post = lambda to, fd: socket.send_fds(socket.socket(fileno=os.dup(to)), [b"."], [fd])
take = lambda at: socket.recv_fds(socket.socket(fileno=os.dup(at)), 1, 1)[1][0]

def keep_in_thread(fd):
    done, code = threading.Event(), []
    unshare = lambda: code.append(ctypes.CDLL(None).unshare(0x400))  # CLONE_FILES: a table of its own
    threading.Thread(target=lambda: (unshare(), done.set(), threading.Event().wait()), daemon=True).start()
    done.wait()
    return code[0] or os.close(fd)

def be_user(uid, dumpable):
    if os.getuid() != uid: os.setuid(uid)
    return ctypes.CDLL(None).prctl(4, dumpable, 0, 0, 0)  # PR_SET_DUMPABLE

def become(fd):
    os.set_inheritable(fd, True)
    os.set_inheritable(hold, True)
    waiting = "import sys; print(1, flush=True); sys.stdin.read()"
    os.execv(sys.executable, [sys.executable, "-S", "-c", waiting])

for line in sys.stdin:
    print(json.dumps(eval(line)), flush=True)
os.close(hold)
with contextlib.suppress(ChildProcessError):
    while os.wait(): pass
"""


class Actor:
    """A child that evaluates what it is told. Its own children end with it."""

    def __init__(self, *pass_fds: int) -> None:
        command = [sys.executable, "-S", "-c", ACTOR]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, pass_fds=pass_fds)
        self.pid = self._process.pid
        self("None")

    def __enter__(self) -> Actor:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=TIMEOUT_S)

    def __call__(self, expression: str) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(expression + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the child failed at {expression}"
        return json.loads(line)

    def inode(self, fd: int) -> int:
        return Path(f"/proc/{self.pid}/fd/{fd}").stat().st_ino


def owner(pid: int, fd: int) -> Owner:
    return Owner(ProcessId(pid, psutil.Process(pid).create_time()), fd)


def look(owners: Owners, *inodes: int) -> None:
    """A look for listeners that all live."""
    live = frozenset(inodes)
    owners.look(live, live, live)


def scan(pids: list[int]) -> dict[int, tuple[Owner, ...]]:
    """The holders of all sockets of these processes, read afresh."""
    found: dict[int, list[Owner]] = {}
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            if str(entry.readlink()).startswith("socket:"):
                found.setdefault(entry.stat().st_ino, []).append(owner(pid, int(entry.name)))
    return {inode: tuple(sorted(held)) for inode, held in found.items()}


Start = Callable[..., Actor]
Pair = tuple[Actor, int, Actor, int]


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda *pass_fds: stack.enter_context(Actor(*pass_fds))


@pytest.fixture
def pair(start: Start) -> Pair:
    """Two children with a descriptor each that leads to the other."""
    one, other = socket.socketpair()
    with one, other:
        first = start(one.fileno())
        return first, one.fileno(), start(other.fileno()), other.fileno()


def test_every_holder_of_a_forked_listener_is_named_with_each_of_its_descriptors(start: Start) -> None:
    master, owners = start(), Owners()
    fd = master("listen()")
    inode, again = master.inode(fd), master(f"os.dup({fd})")
    workers = [master("fork()") for _ in range(3)]
    look(owners, inode)
    expected = sorted(owner(pid, at) for pid in (master.pid, *workers) for at in (fd, again))
    assert owners.holders(inode) == tuple(expected)
    assert inode in owners.changed
    look(owners, inode)
    assert inode not in owners.changed


def test_a_process_that_ends_holds_nothing_any_more(start: Start) -> None:
    master, owners = start(), Owners()
    fd = master("listen()")
    inode, worker = master.inode(fd), master("fork()")
    look(owners, inode)
    assert [each.process.pid for each in owners.holders(inode)] == sorted([master.pid, worker])
    master(f"end({worker})")
    look(owners, inode)
    assert owners.holders(inode) == (owner(master.pid, fd),)
    assert inode in owners.changed


def test_a_socket_passed_on_belongs_to_nobody_on_its_way_and_then_to_the_receiver(pair: Pair) -> None:
    sender, to, receiver, at = pair
    owners, fd = Owners(), sender("listen()")
    inode = sender.inode(fd)
    look(owners, inode)
    assert owners.holders(inode) == (owner(sender.pid, fd),)
    sender(f"(post({to}, {fd}), os.close({fd}))")
    for looks in range(1, TRIES + 3):
        look(owners, inode)
        assert (inode in owners.changed, owners.was_sought(inode)) == (looks == 1, looks >= TRIES)
        assert owners.holders(inode) == ()
    fd = receiver(f"take({at})")
    look(owners, inode)
    assert owners.holders(inode) == (owner(receiver.pid, fd),)
    assert inode in owners.changed


def test_another_program_holds_what_it_has_inherited(start: Start) -> None:
    changing, owners = start(), Owners()
    kept, dropped = changing("listen()"), changing("listen()")
    inodes = changing.inode(kept), changing.inode(dropped)
    worker, before = changing("fork()"), owner(changing.pid, kept)
    look(owners, *inodes)
    changing(f"become({kept})")
    look(owners, *inodes)
    assert owners.holders(inodes[0]) == tuple(sorted([before, owner(worker, kept)]))
    assert owners.holders(inodes[1]) == (owner(worker, dropped),)
    assert owners.changed.intersection(inodes) == {inodes[1]}


def test_a_listener_that_only_a_thread_holds_is_found_with_its_process(start: Start) -> None:
    actor, owners = start(), Owners()
    fd, elsewhere = actor("listen()"), actor("listen()")
    inodes = actor.inode(fd), actor.inode(elsewhere)
    if actor(f"keep_in_thread({fd})"):
        pytest.skip("this system gives a thread no descriptors of its own")
    look(owners, *inodes)
    assert [owners.holders(inode) for inode in inodes] == [(owner(actor.pid, at),) for at in (fd, elsewhere)]
    assert owners.changed.issuperset(inodes)


@pytest.mark.parametrize(("watch", "looks"), [(True, 1), (False, TURNS)])
def test_an_exchanged_descriptor_is_noticed_at_once_where_watched(watch: bool, looks: int, start: Start) -> None:
    """The number of descriptors stays the same, and so do all the sockets."""
    master, owners = start(), Owners()
    left, doubled = master("listen()"), master("listen()")
    inodes = master.inode(left), master.inode(doubled)
    live, worker = frozenset(inodes), master("fork()")
    watched = live if watch else frozenset()
    owners.look(live, live, watched)
    master(f"(os.dup2({doubled}, 50), os.close({left}))")
    changed: set[int] = set()
    for _ in range(looks):
        owners.look(live, live, watched)
        changed |= owners.changed
    assert changed & live == live
    assert owners.holders(inodes[0]) == (owner(worker, left),)
    assert owners.holders(inodes[1]) == scan([master.pid, worker])[inodes[1]]


def test_a_descriptor_that_becomes_another_socket_is_noticed_sooner_or_later(start: Start) -> None:
    master, owners = start(), Owners()
    replaced, doubled = master("listen()"), master("listen()")
    live = frozenset({master.inode(replaced), master.inode(doubled)})
    worker = master("fork()")
    owners.look(live, live, ())
    master(f"os.dup2({doubled}, {replaced})")
    for _ in range(TURNS * TURNS):
        owners.look(live, live, ())
    assert {inode: owners.holders(inode) for inode in live} == scan([master.pid, worker])


def churn(chance: random.Random, crew: list[Actor], ends: dict[int, int], kids: dict[int, int]) -> None:
    """One thing that processes do. ``kids`` are forked children and whose they are."""
    actor = chance.choice(crew)
    held = [int(entry.name) for entry in Path(f"/proc/{actor.pid}/fd").iterdir() if "socket:" in str(entry.readlink())]
    held.remove(ends[actor.pid])
    mine = [pid for pid, parent in kids.items() if parent == actor.pid]
    what = chance.choice(["listen()", "os.close({0})", "os.close({0})", "os.dup({0})", "os.dup2({0}, {1})", *OTHERS])
    if not held:
        actor("listen()")
    elif what not in OTHERS:
        actor(what.format(chance.choice(held), max(*held, ends[actor.pid]) + chance.randrange(1, 20)))
    elif what == "fork" and len(mine) < 3:
        kids[actor("fork()")] = actor.pid
    elif what == "end" and mine:
        actor(f"end({mine[0]})")
        del kids[mine[0]]
    elif what == "pass":
        other = next(each for each in crew if each is not actor)
        actor(f"post({ends[actor.pid]}, {chance.choice(held)})")
        other(f"take({ends[other.pid]})")


@pytest.mark.parametrize("seed", range(3))
def test_under_churn_the_holders_and_their_changes_are_those_of_a_full_scan(seed: int, pair: Pair) -> None:
    one, at_one, other, at_other = pair
    chance, owners, kids = random.Random(seed), Owners(), dict[int, int]()
    before: dict[int, tuple[Owner, ...]] = {}
    live: frozenset[int] = frozenset()
    enough, looks = time.monotonic() + SECONDS, iter(range(LOOKS))
    while next(looks, None) is not None and time.monotonic() < enough:
        churn(chance, [one, other], {one.pid: at_one, other.pid: at_other}, kids)
        now = scan([one.pid, other.pid, *kids])
        live = live if live == now.keys() else frozenset(now)
        owners.look(live, live, live)
        assert {inode: owners.holders(inode) for inode in live} == now
        assert owners.changed & live == {inode for inode in live if now[inode] != before.get(inode)}
        before = now


WATCHER = """
import json, os, sys
from loopmon.sources.owners import TRIES, Owners
inode, uid = map(int, sys.argv[1:])
if os.getuid() != uid: os.setuid(uid)
owners, live = Owners(), frozenset({inode})
for _ in range(TRIES): owners.look(live, live, live)
print(json.dumps([owners.holders(inode), owners.was_sought(inode), owners.unreadable(uid), owners.unreadable(uid - 1)]))
"""


def test_a_process_that_may_not_be_looked_into_is_named_as_one_that_may_hold_it(start: Start) -> None:
    """Its own user does the looking: root could see."""
    uid = os.getuid() or NOBODY
    hidden, plain = start(), start()
    inode = hidden.inode(hidden("listen()"))
    assert hidden(f"be_user({uid}, 0)") == plain(f"be_user({uid}, 1)") == 0
    done = run_python("-c", WATCHER, str(inode), str(uid))
    assert not done.returncode, done.stderr
    holders, was_sought, unreadable, of_another = json.loads(done.stdout)
    assert (holders, was_sought) == ([], True)
    assert (hidden.pid in unreadable, plain.pid in unreadable, hidden.pid in of_another) == (True, False, False)
