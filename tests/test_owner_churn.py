"""Who holds what, look by look, while children exchange, pass on, share and drop their sockets."""

from __future__ import annotations

import random
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from test_owners import Actor, look, scan

from loopmon.model import Owner
from loopmon.sources.owners import TRIES, TURNS, Owners

if sys.platform != "linux":
    pytest.skip("only Linux has such a /proc", allow_module_level=True)

LOOKS = 400
MANY = 24
"""So many descriptors of sockets at most has a child."""
KIDS = 3
LAG = TURNS * TURNS
"""So many looks at most until a descriptor that is exchanged without a trace has been read again."""
LISTEN = "0A"
"""As /proc/net/tcp has it."""


class Crew:
    """Two children that do things to their sockets, and theirs."""

    def __init__(self, stack: ExitStack, seed: int) -> None:
        self.chance = random.Random(seed)
        one, other = socket.socketpair()
        with one, other:
            self.ends = (one.fileno(), other.fileno())
            self.actors = [stack.enter_context(Actor(end)) for end in self.ends]
        self.kids: dict[int, list[int]] = {actor.pid: [] for actor in self.actors}

    @property
    def pids(self) -> list[int]:
        return [*self.kids, *(pid for kids in self.kids.values() for pid in kids)]

    def held(self, actor: Actor) -> dict[int, int]:
        """The inodes of the sockets of one child, by descriptor, without its end of the pair."""
        entries = list(Path(f"/proc/{actor.pid}/fd").iterdir())
        found = {int(entry.name): entry.stat().st_ino for entry in entries if "socket:" in str(entry.readlink())}
        return {fd: inode for fd, inode in found.items() if fd not in self.ends}

    def act(self, choices: tuple[str, ...]) -> str:
        """Do one of these things. Returns which."""
        what = self.chance.choice(choices)
        number = self.chance.randrange(2)
        actor, other = self.actors[number], self.actors[1 - number]
        held = list(self.held(actor))
        kids = self.kids[actor.pid]
        if len(held) > MANY:
            actor(f"[os.close(fd) for fd in {self.chance.sample(held, MANY // 2)}]")
        elif what == "listen" or len(held) < 3:
            actor("listen()")
        elif what == "connect":
            # Sockets of the other kind, which are not watched; to who holds them it is all one what they talk.
            actor("[end.detach() for end in socket.socketpair()]")
        elif what == "close":
            actor(f"os.close({self.chance.choice(held)})")
        elif what == "double":
            actor(f"os.dup({self.chance.choice(held)})")
        elif what == "exchange":
            old, new = self.chance.sample(held, 2)
            actor(f"os.dup2({new}, {old})")
        elif what == "renew":
            # The same number, and so many descriptors as before, but another socket.
            fd = self.chance.choice(held)
            actor(f"(os.close({fd}), os.dup2(new := listen(), {fd}), new == {fd} or os.close(new))")
        elif what == "pass":
            actor(f"post({self.ends[number]}, {self.chance.choice(held)})")
            other(f"take({self.ends[1 - number]})")
        elif what == "hand over":
            fd = self.chance.choice(held)
            actor(f"(post({self.ends[number]}, {fd}), os.close({fd}))")
            other(f"take({self.ends[1 - number]})")
        elif what == "fork" and len(kids) < KIDS:
            kids.append(actor("fork()"))
        elif what == "end" and kids:
            actor(f"end({kids.pop()})")
        return what


LISTENERS_ONLY = ("listen", "close", "close", "double", "exchange", "renew", "pass", "hand over", "fork", "end")
EVERYTHING = (*LISTENERS_ONLY, "connect", "exchange")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def listening() -> set[int]:
    """The inodes of the TCP servers on this machine."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return {int(fields[9]) for fields in map(str.split, lines) if fields[3] == LISTEN}


@pytest.mark.parametrize("seed", range(3))
def test_what_is_watched_has_the_right_holders_at_every_look(seed: int, stack: ExitStack) -> None:
    crew, owners = Crew(stack, seed), Owners()
    live: frozenset[int] = frozenset()
    for turn in range(LOOKS):
        what = crew.act(LISTENERS_ONLY)
        now = scan(crew.pids)
        live = live if live == now.keys() else frozenset(now)
        owners.look(live, live, live)
        assert {inode: owners.holders(inode) for inode in live} == now, f"look {turn}: {what}"


@pytest.mark.parametrize("seed", range(2))
def test_where_only_listeners_are_watched_all_else_is_right_in_time(seed: int, stack: ExitStack) -> None:
    crew, owners = Crew(stack, seed), Owners()
    live: frozenset[int] = frozenset()
    since: dict[tuple[int, Owner], int] = {}
    """At which look each thing that is said wrongly or not at all began to be wrong."""
    unheld: dict[int, int] = {}
    """For how many looks nobody has been said to hold a server."""
    for turn in range(LOOKS):
        what = crew.act(EVERYTHING)
        now = scan(crew.pids)
        live = live if live == now.keys() else frozenset(now)
        watched = listening() & live
        owners.look(live, live, watched)
        told = {(inode, owner) for inode in live for owner in owners.holders(inode)}
        true = {(inode, owner) for inode in live for owner in now[inode]}
        since = {each: since.get(each, turn) for each in told ^ true}
        assert not {inode for inode, _ in told - true} & watched, f"look {turn}, {what}: one who holds no server"
        unheld = {inode: unheld.get(inode, 0) + 1 for inode in watched if not owners.holders(inode)}
        assert all(looks < TRIES for looks in unheld.values()), f"look {turn}, {what}: a server without holders"
        assert all(turn - began < LAG for began in since.values()), f"look {turn}, {what}"
    for _ in range(LAG):
        owners.look(live, live, frozenset())
    assert {inode: owners.holders(inode) for inode in live} == now


@pytest.mark.parametrize("focused", [True, False])
def test_a_new_server_in_the_place_of_a_file_is_named_at_once(focused: bool, stack: ExitStack) -> None:
    """Its process has so many descriptors as before, under the same numbers."""
    actor, owners = stack.enter_context(Actor()), Owners()
    fd = actor("os.open('/dev/null', 0)")
    owners.look(frozenset(), frozenset(), ())
    assert actor(f"(os.close({fd}), listen())[1]") == fd
    live = frozenset({actor.inode(fd)})
    owners.look(live, live, live, actor.pid if focused else None)
    assert owners.holders(next(iter(live))) == scan([actor.pid])[next(iter(live))]


def test_what_has_been_found_is_sought_again_when_its_holder_lets_it_go(stack: ExitStack) -> None:
    crew, owners = Crew(stack, 0), Owners()
    (one, other), (at_one, at_other) = crew.actors, crew.ends
    fd = one("listen()")
    inode = one.inode(fd)
    one(f"(post({at_one}, {fd}), os.close({fd}))")
    for _ in range(TRIES + 1):
        look(owners, inode)
    assert owners.was_sought(inode)
    fd = other(f"take({at_other})")
    look(owners, inode)
    assert owners.holders(inode) == scan(crew.pids)[inode]
    other(f"(post({at_other}, {fd}), os.close({fd}))")
    look(owners, inode)
    assert not owners.was_sought(inode)
