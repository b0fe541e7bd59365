"""Who would be signalled to free a port, in which order, and what else that does. Pure: nothing is touched here.

Only holders of the listening socket and what they have started are signalled, never a process that is merely
connected to the port. If one holder may not be signalled, none is: the port would stay taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from loopmon import words
from loopmon.actions.supervisors import PROXIES, Supervisor, supervisor_of
from loopmon.clean import clean
from loopmon.model import Connection, Listener, OwnerUnknown, Process, ProcessId, Snapshot, Status
from loopmon.roles import Role, roles_of


@dataclass(frozen=True, slots=True)
class Victim:
    process: Process
    why: str
    """``holds 127.0.0.1:3000``, ``worker of gunicorn 6001``, ``started by node 4312``."""
    inodes: frozenset[int] = frozenset()
    """The listening sockets that it must still hold when it is signalled; none for what a holder has started."""

    @property
    def label(self) -> str:
        return words.process_label(self.process.id, {self.process.id: self.process})


@dataclass(frozen=True, slots=True)
class Refusal:
    who: str
    why: str
    command: str | None = None
    """What can be typed instead."""
    is_permission: bool = False


@dataclass(frozen=True, slots=True)
class Self:
    """Who asks."""

    pid: int
    ancestors: frozenset[int]
    """The shell, the multiplexer and the terminal that it runs in."""
    user: str | None
    is_root: bool


@dataclass(frozen=True, slots=True)
class Plan:
    listeners: tuple[Listener, ...]
    """Which are to go."""
    victims: tuple[Victim, ...]
    """In the order in which they are signalled: a master before its workers, children after their parent."""
    refusals: tuple[Refusal, ...]
    survivors: tuple[str, ...]
    lose: tuple[str, ...]
    """Clients that lose connections, and how many."""
    also: tuple[str, ...]
    """Other addresses that are no longer listened on."""
    supervisor: Supervisor | None
    known: frozenset[str] = frozenset()
    """The ids of all listeners that were there, so that a new one can be told from a neighbour."""

    @property
    def is_possible(self) -> bool:
        return bool(self.victims) and not self.refusals

    @property
    def ports(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(row.laddr.port for row in self.listeners))


def make_plan(
    listeners: Sequence[Listener],
    snapshot: Snapshot,
    descendants: Mapping[ProcessId, Sequence[Process]],
    asker: Self,
    chosen: Process | None = None,
) -> Plan:
    """``descendants``: what each holder, or the ``chosen`` process, has started, parents before children. A ``chosen``
    process is stopped without the others that hold its sockets: those stay, and keep them."""
    refusals = [refusal for row in listeners for refusal in _unowned(row)]
    victims: dict[ProcessId, Victim] = {}
    survivors: list[str] = []
    for victim in [Victim(chosen, "chosen")] if chosen else _holders(listeners, snapshot):
        refusal = _refusal(victim, asker, listeners)
        if refusal:
            refusals.append(refusal)
        elif victim.process.id not in victims:
            victims[victim.process.id] = victim
    for victim in list(victims.values()):
        for child in descendants.get(victim.process.id, ()):
            if child.id in victims:
                continue
            heir = Victim(child, f"started by {victim.label}")
            refusal = _refusal(heir, asker, ())
            if refusal:
                survivors.append(f"{heir.label}: {refusal.why}")
            else:
                victims[child.id] = heir
    kept = [row for row in listeners if chosen and any(owner.process not in victims for owner in row.socket.owners)]
    survivors += _keepers(kept, victims, snapshot)
    listeners = [row for row in listeners if row not in kept]
    ordered = _in_order(victims, descendants)
    first = next(iter(ordered), None)
    supervisor = supervisor_of(first.process) if first else None
    return Plan(
        listeners=tuple(listeners),
        victims=ordered,
        refusals=tuple(dict.fromkeys(refusals)),
        survivors=(*survivors, *_parents(first)),
        lose=tuple(_losses(victims, snapshot)),
        also=tuple(_also(victims, listeners, snapshot)),
        supervisor=supervisor,
        known=frozenset(row.id for row in (*snapshot.listeners, *snapshot.out_of_scope)),
    )


def _in_order(
    victims: Mapping[ProcessId, Victim], descendants: Mapping[ProcessId, Sequence[Process]]
) -> tuple[Victim, ...]:
    """Each after all that are above it, whichever of them was chosen or holds which socket."""
    by_pid = {identity.pid: identity for identity in victims}
    parents = {identity: {above.process for above in each.process.parents} for identity, each in victims.items()}
    for identity, each in victims.items():
        if each.process.ppid in by_pid:
            parents[identity].add(by_pid[each.process.ppid])
        for child in descendants.get(identity, ()):
            if child.id in parents:
                parents[child.id].add(identity)

    def above(identity: ProcessId) -> set[ProcessId]:
        found: set[ProcessId] = set()
        waiting = [identity]
        while waiting:
            further = (parents[waiting.pop()] & victims.keys()) - found - {identity}
            found |= further
            waiting += further
        return found

    return tuple(sorted(victims.values(), key=lambda each: len(above(each.process.id))))


def _holders(listeners: Sequence[Listener], snapshot: Snapshot) -> Iterator[Victim]:
    """Masters first, each process once with all that it holds."""
    held: dict[ProcessId, set[int]] = {}
    why: dict[ProcessId, str] = {}
    for row in listeners:
        for owner, role in roles_of(row.socket.owners, snapshot.processes):
            held.setdefault(owner.process, set()).update({row.socket.inode} if row.socket.inode else set())
            part = f" as {role}" if role and role is not Role.SHARES else ""
            why.setdefault(owner.process, f"holds {words.listener_label(row)}{part}")
    for identity, inodes in held.items():
        process = snapshot.processes.get(identity) or Process(identity, "")
        yield Victim(process, why[identity], frozenset(inodes))


def _unowned(row: Listener) -> Iterator[Refusal]:
    if row.socket.owners:
        return
    where = words.listener_label(row)
    reason = row.socket.owner_unknown or OwnerUnknown.UNKNOWN
    if reason in {OwnerUnknown.OTHER_USER, OwnerUnknown.UNKNOWN, OwnerUnknown.UNREADABLE_PROCESS}:
        command = f"sudo loopmon stop {words.port(row)}"
        yield Refusal(where, words.OWNER_UNKNOWN_SENTENCE[reason], command, is_permission=True)
    else:
        yield Refusal(where, words.OWNER_UNKNOWN_SENTENCE[reason])


def _refusal(victim: Victim, asker: Self, listeners: Sequence[Listener]) -> Refusal | None:
    process, pid = victim.process, victim.process.id.pid
    if pid <= 1:
        return Refusal(victim.label, "it runs this machine", _socket_unit(process))
    if pid == asker.pid:
        return Refusal(victim.label, "it is loopmon itself")
    if pid in asker.ancestors:
        return Refusal(victim.label, "loopmon runs inside it")
    if process.name in PROXIES:
        port = next((row.laddr.port for row in listeners), None)
        command = f"docker stop $(docker ps -q --filter publish={port})" if port else None
        return Refusal(victim.label, "it holds the port for a container", command)
    if not asker.is_root and process.user is not None and process.user != asker.user:
        return Refusal(victim.label, f"it belongs to {clean(process.user, 32)}", f"sudo kill {pid}", is_permission=True)
    return None


def _socket_unit(process: Process) -> str | None:
    return "systemctl list-sockets names the unit to stop" if process.name == "systemd" else None


def _keepers(kept: Sequence[Listener], victims: Mapping[ProcessId, Victim], snapshot: Snapshot) -> Iterator[str]:
    for row in kept:
        others = dict.fromkeys(owner.process for owner in row.socket.owners if owner.process not in victims)
        names = ", ".join(words.process_label(identity, snapshot.processes) for identity in others)
        yield f"{words.listener_label(row)}: also held by {names}"


def _parents(first: Victim | None) -> Iterator[str]:
    if first and first.process.parents:
        above = first.process.parents[0]
        yield f"{clean(above.name)} {above.process.pid}: its parent, which is not signalled"


def _losses(victims: Mapping[ProcessId, Victim], snapshot: Snapshot) -> Iterator[str]:
    lost: Counter[str] = Counter()
    for row in snapshot.connections:
        if row.status is Status.TIME_WAIT or not _is_served(row, victims):
            continue
        if not any(owner.process in victims for owner in row.client.owners):
            lost[words.end_label(row.client, snapshot.processes)] += 1
    for label, number in lost.most_common():
        yield f"{label} loses {words.count(number, 'connection')}"


def _is_served(row: Connection, victims: Mapping[ProcessId, Victim]) -> bool:
    return any(owner.process in victims for owner in row.server.owners)


def _also(victims: Mapping[ProcessId, Victim], listeners: Sequence[Listener], snapshot: Snapshot) -> Iterator[str]:
    wanted = {row.id for row in listeners}
    for row in (*snapshot.listeners, *snapshot.out_of_scope):
        owners = {owner.process for owner in row.socket.owners}
        if row.id not in wanted and owners and owners <= victims.keys():
            yield words.listener_label(row)
