"""Who is signalled to free a port, in which order, and what that does to others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from looks import joined
from making import HOSTILE, listening, process, process_id, socket
from plans import SERVER, below, pids, plan

from loopmon.actions.preview import Part, preview
from loopmon.actions.supervisors import Supervisor, supervisor_of
from loopmon.clean import clean
from loopmon.model import Ancestor, Process, Status, Ties

ON_3000 = "127.0.0.1:3000"
CLIENT = 7001


# Who, and in which order


def test_the_holder_is_signalled_and_must_still_hold_the_socket() -> None:
    made = plan(replace(listening(ON_3000, SERVER), inode=77))
    (victim,) = made.victims
    assert (victim.label, victim.why, victim.inodes) == ("node 4312", f"holds {ON_3000}", frozenset({77}))
    assert made.is_possible
    assert made.ports == (3000,)


def test_the_master_comes_before_its_workers() -> None:
    made = plan(listening(ON_3000, 11, 12, 10), processes=[below(10), below(11, 10), below(12, 10)])
    assert pids(made) == [10, 11, 12]
    assert [victim.why for victim in made.victims] == [
        f"holds {ON_3000} as master",
        f"holds {ON_3000} as worker",
        f"holds {ON_3000} as worker",
    ]


def test_the_master_comes_first_also_where_each_has_a_socket_of_its_own() -> None:
    sockets = [listening(ON_3000, 11, id="a"), listening(ON_3000, 10, id="b")]
    made = plan(*sockets, processes=[below(10), below(11, 10)])
    assert pids(made) == [10, 11]


def test_of_several_holders_only_the_chosen_one_is_stopped_and_what_stays_is_said() -> None:
    worker = below(11, 10)
    made = plan(listening(ON_3000, 10, 11), processes=[below(10), worker], chosen=worker)
    assert pids(made) == [11]
    assert made.listeners == ()
    assert any("127.0.0.1:3000: also held by" in line for line in made.survivors)


def test_children_come_after_their_parents_and_say_who_started_them() -> None:
    children = {SERVER: [below(21, SERVER), below(22, 21)]}
    made = plan(listening(ON_3000, SERVER), children=children)
    assert pids(made) == [SERVER, 21, 22]
    assert made.victims[1].why == f"started by node {SERVER}"
    assert made.victims[1].inodes == frozenset()


def test_a_holder_comes_after_the_one_between_it_and_the_master() -> None:
    """Else that one would start it again."""
    between, worker, last = below(11, 10), below(12, 11, 10), below(13, 12)
    children = {10: [between, worker, last], 12: [last]}
    made = plan(listening(ON_3000, 10, 12), processes=[below(10), worker], children=children)
    assert pids(made) == [10, 11, 12, 13]


def test_each_is_signalled_once_whatever_it_holds() -> None:
    sockets = [replace(listening(where, SERVER), inode=n) for n, where in enumerate((ON_3000, "[::1]:3000"), 1)]
    made = plan(*sockets)
    assert pids(made) == [SERVER]
    assert made.victims[0].inodes == {1, 2}


def test_a_process_without_sockets_can_be_chosen() -> None:
    made = plan(chosen=below(60))
    assert pids(made) == [60]
    assert (made.victims[0].why, made.is_possible) == ("chosen", True)


def test_nobody_that_is_only_connected_is_signalled() -> None:
    held = listening(ON_3000, SERVER)
    client, far = socket("127.0.0.1:40000", ON_3000, CLIENT), socket(ON_3000, "127.0.0.1:40000", SERVER)
    outgoing = joined(socket("127.0.0.1:3000", "127.0.0.1:5432", CLIENT), socket("127.0.0.1:5432", ON_3000, 811))
    made = plan(held, connections=[joined(client, far, held), outgoing])
    assert pids(made) == [SERVER]


# Who else notices


def test_clients_are_counted_by_process_the_most_first() -> None:
    held = listening(ON_3000, SERVER)
    ends = [(40000, 7002), (40001, CLIENT), (40002, CLIENT), (40003, SERVER)]
    rows = [
        joined(socket(f"127.0.0.1:{port}", ON_3000, pid), socket(ON_3000, f"127.0.0.1:{port}", SERVER), held)
        for port, pid in ends
    ]
    over = joined(socket("127.0.0.1:40009", ON_3000, status=Status.TIME_WAIT), None, held)
    made = plan(held, connections=[*rows, over], processes=[process(CLIENT, "firefox"), process(7002, "curl")])
    assert made.lose == ("firefox 7001 loses 2 connections", "curl 7002 loses 1 connection")


def test_other_addresses_go_only_with_their_last_holder() -> None:
    others = [
        listening("127.0.0.1:9229", SERVER),
        listening("127.0.0.1:6000", SERVER, 99),
        listening("127.0.0.1:6001", 99),
        listening("127.0.0.1:6002"),
    ]
    assert plan(listening(ON_3000, SERVER), others=others).also == ("127.0.0.1:9229",)


def test_the_parent_is_said_to_stay() -> None:
    made = plan(listening(ON_3000, SERVER), processes=[below(SERVER, 4300, name="zsh")])
    assert made.survivors == ("zsh 4300: its parent, which is not signalled",)


def test_all_listeners_are_known_so_that_a_new_one_is_told_from_a_neighbour() -> None:
    made = plan(listening(ON_3000, SERVER), others=[listening("0.0.0.0:3000", 99)])
    assert made.known == {"tcp:127.0.0.1:3000", "tcp:0.0.0.0:3000"}


# Who starts it again

SERVICE = "/system.slice/nginx.service"
USERS = "/user.slice/user-1000.slice/user@1000.service/app.slice/my app.service"
TERMINAL = "/user.slice/user-1000.slice/user@1000.service/app.slice/gnome-terminal-server.service"


def tied(cgroup: str | None = None, container: str | None = None, *parents: str) -> Process:
    above = tuple(Ancestor(process_id(700 + n), name) for n, name in enumerate(parents))
    return replace(process(SERVER), parents=above, ties=Ties(cgroup=cgroup, container=container))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (tied(SERVICE), ("systemd service nginx.service", "sudo systemctl stop nginx.service")),
        (tied(USERS), ("systemd service my app.service", "systemctl --user stop 'my app.service'")),
        (tied(None, "0123456789abcdef"), ("container 0123456789ab", "docker stop 0123456789ab")),
        (tied(None, None, "nodemon"), ("nodemon 700", "loopmon stop pid:700")),
        (tied(None, None, "sh", "nodemon"), ("nodemon 701", "loopmon stop pid:701")),
        (tied(None, None, "PM2 v5.3.0: God"), ("pm2 700", "pm2 stop NAME")),
        (tied(None, None, "supervisord"), ("supervisord 700", "supervisorctl stop NAME")),
        (tied(TERMINAL, None, "zsh", "gnome-terminal-"), None),
        (tied("/user.slice/user-1000.slice/session-2.scope", None, "bash", "sshd"), None),
        (tied(), None),
    ],
)
def test_the_supervisor_and_the_better_command_are_named(found: Process, expected: Supervisor | None) -> None:
    assert supervisor_of(found) == expected


# In words


def test_the_preview_says_what_matters_in_its_order() -> None:
    held = listening(ON_3000, SERVER)
    holder = replace(
        below(SERVER, 700, name="nodemon"), name="node", cmdline=("node", "server.js"), project="shop", ties=Ties()
    )
    client = joined(socket("127.0.0.1:40000", ON_3000, CLIENT), socket(ON_3000, "127.0.0.1:40000", SERVER), held)
    made = plan(held, connections=[client], processes=[holder], others=[listening("127.0.0.1:9229", SERVER)])
    assert preview(made) == [
        (Part.STOP, f"1. node 4312 (shop), holds {ON_3000}"),
        (Part.STOP, "   node server.js"),
        (Part.BETTER, "nodemon 700 may start it again: loopmon stop pid:700"),
        (Part.ALSO, "no longer listens on 127.0.0.1:9229"),
        (Part.CLIENTS, "node 7001 loses 1 connection"),
        (Part.STAYS, "nodemon 700: its parent, which is not signalled"),
    ]


def test_the_preview_says_that_no_client_loses_anything() -> None:
    assert (Part.CLIENTS, "no client loses a connection") in preview(plan(listening(ON_3000, SERVER)))


def test_hostile_names_are_harmless_in_every_line() -> None:
    held = listening(ON_3000, SERVER)
    parent = Ancestor(process_id(700), HOSTILE)
    evil = replace(
        process(SERVER, HOSTILE, cmdline=(HOSTILE, "x" * 4000)),
        project=HOSTILE,
        user="ada",
        parents=(parent,),
        ties=Ties(cgroup=f"/system.slice/{HOSTILE.replace('/', '')}.service"),
    )
    client = joined(socket("127.0.0.1:40000", ON_3000, CLIENT), socket(ON_3000, "127.0.0.1:40000", SERVER), held)
    children = {SERVER: [below(21, SERVER, name=HOSTILE), below(22, SERVER, name=HOSTILE, user=HOSTILE)]}
    known = [evil, process(CLIENT, HOSTILE)]
    lines = [text for _, text in preview(plan(held, connections=[client], processes=known, children=children))]
    assert len(lines) > 5
    for line in lines:
        assert line == clean(line)
        assert len(line) < 400
