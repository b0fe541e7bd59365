"""What each of several holders of one socket is to the others. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from loopmon.model import Owner, Process, ProcessId


class Role(StrEnum):
    MASTER = "master"
    """Others that hold it descend from it."""
    WORKER = "worker"
    """It descends from another holder and is the same program."""
    INHERITED = "inherited"
    """It descends from another holder and is another program: it was started with the socket open, more often
    than not by accident."""
    SHARES = "shares"
    """It holds the socket as well; how it came by it is not known."""


def roles_of(owners: Iterable[Owner], processes: Mapping[ProcessId, Process]) -> list[tuple[Owner, Role | None]]:
    """Masters first. A sole holder has no role."""
    held = list({owner.process: owner for owner in owners}.values())
    if len(held) < 2:
        return [(owner, None) for owner in held]
    above = {owner.process: _ancestors(owner.process, processes) for owner in held}
    masters = {owner.process for owner in held if any(owner.process in chain for chain in above.values())}
    roles: list[tuple[Owner, Role | None]] = []
    for owner in held:
        masters_above = above[owner.process] & masters
        if owner.process in masters and not masters_above:
            roles.append((owner, Role.MASTER))
        elif masters_above:
            same = any(_same_program(owner.process, master, processes) for master in masters_above)
            roles.append((owner, Role.WORKER if same else Role.INHERITED))
        else:
            roles.append((owner, Role.SHARES))
    order = list(Role)
    return sorted(roles, key=lambda entry: (order.index(entry[1] or Role.SHARES), entry[0].process))


def _ancestors(identity: ProcessId, processes: Mapping[ProcessId, Process]) -> set[ProcessId]:
    process = processes.get(identity)
    return {above.process for above in process.parents} if process else set()


def _same_program(one: ProcessId, other: ProcessId, processes: Mapping[ProcessId, Process]) -> bool:
    """By executable where both can be read, else by name."""
    first, second = processes.get(one), processes.get(other)
    if first is None or second is None:
        return False
    if first.exe and second.exe:
        return first.exe == second.exe
    return first.name == second.name
