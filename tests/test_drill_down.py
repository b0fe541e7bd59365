"""What the process pane says of a row and its process."""

from __future__ import annotations

from dataclasses import replace

from making import (
    HOSTILE,
    NOW,
    at,
    both_ends,
    connection,
    end,
    listener,
    listening,
    process,
    process_id,
    snapshot,
    socket,
)

from loopmon.model import (
    Ancestor,
    Connection,
    Listener,
    Owner,
    OwnerUnknown,
    Process,
    ProcessId,
    Protocol,
    RoleBasis,
    Snapshot,
    Status,
)
from loopmon.tui.drill_down import dealings_of, describe, title_of
from loopmon.tui.glyphs import Glyphs
from loopmon.tui.subject import Subject

NODE = replace(
    process(4312, "node", cmdline=("node", "server.js", "--port", "3000")),
    cwd="/home/me/src/api",
    project="api",
    branch="feat/login",
    user="me",
    tty="/dev/pts/3",
    status="sleeping",
    cpu_percent=2.5,
    rss_bytes=142 * 1024 * 1024,
    parents=(Ancestor(process_id(4100), "zsh"), Ancestor(ProcessId(1, 1.0), "systemd")),
)
CHROME = process(7001, "chrome")
API = listener(listening("127.0.0.1:3000", 4312), connections=1)


def joined(
    client: str = "127.0.0.1:49342",
    server: str = "127.0.0.1:3000",
    client_pid: int = 7001,
    server_pid: int = 4312,
    status: Status = Status.ESTABLISHED,
) -> Connection:
    near, far = both_ends(client, server, client_pid, server_pid)
    near = replace(near, status=status)
    return replace(connection(end(client, near), end(server, far), listener_id=API.id), roles=RoleBasis.LISTENER)


def said(subject: Subject, seen: Snapshot) -> str:
    """All of it as one text, a line for a line."""
    dealings = list(dealings_of(subject.process, seen, Glyphs())) if subject.process else []
    return "\n".join(f"{line.label:12}{line.text}" for line in describe(subject, seen, Glyphs(), dealings))


def of(
    row: Listener | Connection, *processes: Process, pid: int | None = None, rows: tuple[Connection, ...] = ()
) -> str:
    listeners = [row] if isinstance(row, Listener) else []
    connections = [*rows, *([row] if isinstance(row, Connection) else [])]
    identity = process_id(pid) if pid is not None else None
    return said(Subject(identity, row), snapshot(listeners, connections, processes))


def test_it_names_the_command_the_folder_the_project_and_the_user() -> None:
    text = of(API, NODE, pid=4312)
    for words in ("node server.js --port 3000", "/home/me/src/api", "api  git feat/login", "me", "/dev/pts/3"):
        assert words in text
    assert "2.5% cpu" in text
    assert "142M memory" in text


def test_it_names_the_parents_up_to_the_top() -> None:
    assert "zsh 4100 ← systemd 1" in of(API, NODE, pid=4312)


def test_what_cannot_be_read_is_said_to_be_so() -> None:
    text = of(API, process(4312, "node"), pid=4312)
    assert text.count("(not readable)") == 2


def test_a_process_that_ended_too_early_is_named_by_its_pid() -> None:
    assert "pid 4312 ended before it could be read" in of(API, Process(process_id(4312), ""), pid=4312)


def test_an_exposed_listener_says_so_and_others_do_not() -> None:
    assert "exposed" in of(listener(listening("0.0.0.0:5353", 4312, protocol=Protocol.UDP)), NODE, pid=4312)
    assert "exposed" not in of(API, NODE, pid=4312)


def test_a_listener_without_a_readable_owner_says_why() -> None:
    text = of(listener(listening("127.0.0.1:9000", unknown=OwnerUnknown.OTHER_USER)))
    assert "Another user's process holds it" in text
    assert "COMMAND" not in text


def test_every_holder_of_a_shared_listener_is_named() -> None:
    shared = listener(listening("127.0.0.1:8080", 11, 12))
    text = of(shared, process(11, "gunicorn"), process(12, "gunicorn"), pid=11)
    held_by = text.partition("HELD BY")[2]
    assert "gunicorn 11" in held_by
    assert "gunicorn 12" in held_by


def test_a_udp_socket_without_peers_is_not_said_to_have_no_clients() -> None:
    text = of(listener(listening("127.0.0.1:8125", 4312, protocol=Protocol.UDP)), NODE, pid=4312)
    assert "127.0.0.1:8125 (udp)" in text
    assert "0 clients" not in text


def test_a_connection_names_both_its_ends() -> None:
    text = of(joined(), NODE, CHROME, pid=7001)
    assert "127.0.0.1:49342 → 127.0.0.1:3000" in text
    assert "client chrome 7001" in text
    assert "server node 4312" in text
    assert "ESTABLISHED" in text


def test_an_end_that_is_not_in_the_table_is_explained() -> None:
    near = socket("127.0.0.1:49342", "127.0.0.1:3000", 7001)
    text = of(connection(end("127.0.0.1:49342", near), end("127.0.0.1:3000")), CHROME, pid=7001)
    assert "This end is not in the table" in text


def test_a_connection_to_itself_is_called_that() -> None:
    own = socket("127.0.0.1:45999", "127.0.0.1:45999", 7001)
    row = connection(end("127.0.0.1:45999", own), end("127.0.0.1:45999", own))
    assert "connected to itself" in of(row, CHROME, pid=7001)


def test_a_guess_about_which_end_serves_is_called_a_guess() -> None:
    assert "guess" in of(replace(joined(), roles=RoleBasis.GUESS), NODE, CHROME, pid=7001)
    assert "guess" not in of(joined(), NODE, CHROME, pid=7001)


def test_it_counts_whom_the_process_serves_and_whom_it_uses() -> None:
    served = tuple(joined(f"127.0.0.1:{port}") for port in (49342, 49350))
    used = joined("127.0.0.1:40112", "127.0.0.1:5432", 4312, 811)
    text = of(API, NODE, CHROME, process(811, "postgres"), pid=4312, rows=(*served, used))
    assert "SERVES      chrome 7001 on :3000 ×2" in text
    assert "USES        postgres 811 :5432 ×1" in text
    assert "LISTENS     127.0.0.1:3000  1 client" in text


def test_what_is_over_is_counted_apart() -> None:
    rows = (joined(), joined("127.0.0.1:49350", status=Status.TIME_WAIT))
    text = of(API, NODE, CHROME, pid=4312, rows=rows)
    assert "chrome 7001 on :3000 ×1" in text
    assert "1 more, over and in TIME_WAIT" in text


def test_peers_of_one_name_and_two_pids_are_two_lines() -> None:
    rows = (joined(), joined("127.0.0.1:49350", client_pid=7002))
    text = of(API, NODE, CHROME, process(7002, "chrome"), pid=4312, rows=rows)
    assert "chrome 7001 on :3000 ×1" in text
    assert "chrome 7002 on :3000 ×1" in text


def test_a_holder_that_is_not_the_first_has_dealings_too() -> None:
    row = joined()
    far = row.server.socket
    assert far is not None
    both = (Owner(process_id(811), 3), Owner(process_id(4312), 4))
    shared = replace(row, server=replace(row.server, owners=both, socket=replace(far, owners=both)))
    assert "SERVES      chrome 7001 on :3000 ×1" in of(API, NODE, CHROME, pid=4312, rows=(shared,))


def test_the_title_names_process_project_and_branch() -> None:
    seen = snapshot([API], [], [NODE])
    assert title_of(Subject(NODE.id, API), seen, Glyphs()) == "node 4312 · api · feat/login"


def test_the_title_names_the_address_where_nobody_can_be_named() -> None:
    row = listener(listening("127.0.0.1:9000"))
    assert "127.0.0.1:9000" in title_of(Subject(None, row), snapshot([row]), Glyphs())


def test_nothing_from_outside_leaves_its_line_or_brings_control_characters() -> None:
    evil = replace(
        NODE, name=HOSTILE, cmdline=(HOSTILE,), cwd=HOSTILE, project=HOSTILE, branch=HOSTILE, user=HOSTILE, tty=HOSTILE,
        status=HOSTILE, parents=(Ancestor(process_id(1), HOSTILE),),
    )  # fmt: skip
    seen = snapshot([API], [joined()], [evil])
    lines = describe(Subject(evil.id, API), seen, Glyphs(), list(dealings_of(evil.id, seen, Glyphs())))
    assert lines
    for text in [*(line.text for line in lines), title_of(Subject(evil.id, API), seen, Glyphs())]:
        assert text.isprintable()


def test_the_start_of_a_process_is_told_by_clock_and_by_age() -> None:
    started = replace(NODE, id=ProcessId(4312, NOW - 2 * 3600))
    row = replace(API, socket=replace(API.socket, owners=(Owner(started.id, 3),)))
    text = said(Subject(started.id, row), snapshot([row], [], [started]))
    assert "since 10:03 (2h)" in text
    assert at("127.0.0.1:3000") == row.laddr
