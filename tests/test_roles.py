"""What each of several holders of one socket is to the others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from making import owner, process, process_id

from loopmon.model import Ancestor, Owner, Process, ProcessId
from loopmon.roles import Role, roles_of

SHELL = 4100


def child(pid: int, *above: int, name: str = "gunicorn", exe: str | None = None) -> Process:
    """A process and those above it, from its parent up."""
    parents = tuple(Ancestor(process_id(parent), "") for parent in above)
    return replace(process(pid, name), parents=parents, exe=exe)


def roles(owners: list[Owner], *processes: Process) -> list[tuple[int, Role | None]]:
    known = {process.id: process for process in processes}
    return [(holder.process.pid, role) for holder, role in roles_of(owners, known)]


def test_a_sole_holder_has_no_role() -> None:
    assert roles([owner(10)], child(10, SHELL)) == [(10, None)]


def test_nobody_has_no_roles() -> None:
    assert roles([]) == []


def test_one_process_with_two_descriptors_is_a_sole_holder() -> None:
    assert roles([owner(10, fd=3), owner(10, fd=9)], child(10, SHELL)) == [(10, None)]


def test_a_holder_with_two_descriptors_is_named_once_among_others() -> None:
    held = [owner(11, fd=3), owner(10, fd=3), owner(11, fd=9)]
    assert roles(held, child(10, SHELL), child(11, 10, SHELL)) == [(10, Role.MASTER), (11, Role.WORKER)]


def test_workers_descend_from_their_master_and_are_the_same_program() -> None:
    held = [owner(12), owner(11), owner(10)]
    processes = child(10, SHELL), child(11, 10, SHELL), child(12, 10, SHELL)
    assert roles(held, *processes) == [(10, Role.MASTER), (11, Role.WORKER), (12, Role.WORKER)]


def test_another_program_below_the_master_has_inherited_the_socket() -> None:
    held = [owner(10), owner(11)]
    processes = child(10, SHELL, name="node"), child(11, 10, SHELL, name="esbuild")
    assert roles(held, *processes) == [(10, Role.MASTER), (11, Role.INHERITED)]


def test_the_same_name_from_another_file_is_another_program() -> None:
    held = [owner(10), owner(11)]
    processes = child(10, exe="/usr/bin/python3"), child(11, 10, exe="/opt/bin/python3")
    assert roles(held, *processes) == [(10, Role.MASTER), (11, Role.INHERITED)]


def test_a_master_that_does_not_hold_the_socket_any_more_makes_siblings_that_share() -> None:
    held = [owner(12), owner(11)]
    assert roles(held, child(11, 10, SHELL), child(12, 10, SHELL)) == [(11, Role.SHARES), (12, Role.SHARES)]


def test_holders_without_a_common_history_share() -> None:
    held = [owner(11), owner(10)]
    assert roles(held, child(10, SHELL), child(11, 1)) == [(10, Role.SHARES), (11, Role.SHARES)]


def test_holders_of_which_nothing_is_known_share() -> None:
    assert roles([owner(11), owner(10)]) == [(10, Role.SHARES), (11, Role.SHARES)]


def test_a_stranger_beside_a_master_and_its_worker_shares() -> None:
    held = [owner(9), owner(11), owner(10)]
    processes = child(9, 1), child(10, SHELL), child(11, 10, SHELL)
    assert roles(held, *processes) == [(10, Role.MASTER), (11, Role.WORKER), (9, Role.SHARES)]


def test_a_worker_with_children_of_its_own_is_no_second_master() -> None:
    held = [owner(12), owner(11), owner(10)]
    processes = child(10, SHELL), child(11, 10, SHELL), child(12, 11, 10, SHELL)
    assert roles(held, *processes) == [(10, Role.MASTER), (11, Role.WORKER), (12, Role.WORKER)]


def test_a_process_between_them_that_does_not_hold_the_socket_changes_nothing() -> None:
    held = [owner(10), owner(12)]
    processes = child(10, SHELL), child(11, 10, SHELL, name="sh"), child(12, 11, 10, SHELL)
    assert roles(held, *processes) == [(10, Role.MASTER), (12, Role.WORKER)]


def test_a_parent_pid_that_was_used_again_is_no_ancestor() -> None:
    former = ProcessId(10, 1.0)
    late = replace(process(11), parents=(Ancestor(former, "node"),))
    assert roles([owner(10), owner(11)], process(10), late) == [(10, Role.SHARES), (11, Role.SHARES)]


def test_masters_come_first_then_workers_then_the_inherited_then_the_rest() -> None:
    held = [owner(pid) for pid in (1, 14, 13, 12, 20, 21)]
    processes = (
        child(20, SHELL),
        child(12, 20, SHELL),
        child(21, SHELL),
        child(13, 21, SHELL),
        child(14, 20, SHELL, name="curl"),
        child(1),
    )
    expected = [
        (20, Role.MASTER),
        (21, Role.MASTER),
        (12, Role.WORKER),
        (13, Role.WORKER),
        (14, Role.INHERITED),
        (1, Role.SHARES),
    ]
    assert roles(held, *processes) == expected


@pytest.mark.parametrize("turn", range(3))
def test_the_order_of_the_owners_does_not_matter(turn: int) -> None:
    held = [owner(10), owner(11), owner(12)]
    processes = child(10, SHELL), child(11, 10, SHELL), child(12, 10, SHELL, name="curl")
    turned = held[turn:] + held[:turn]
    assert roles(turned, *processes) == [(10, Role.MASTER), (11, Role.WORKER), (12, Role.INHERITED)]
