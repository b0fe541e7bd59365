"""``loopmon ls --json``, schema 1: every key is there, and what is unknown is null."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from making import (
    HOSTILE,
    both_ends,
    connection,
    end,
    listener,
    listening,
    owner,
    process,
    process_id,
    snapshot,
    socket,
)

from loopmon.commands.schema import document
from loopmon.commands.selection import Parts, select
from loopmon.filter import Filter, parse_filter
from loopmon.model import (
    Ancestor,
    Certainty,
    Finding,
    FindingId,
    Hidden,
    Owner,
    OwnerBasis,
    OwnerUnknown,
    Process,
    ProcessId,
    Scope,
    Severity,
    Snapshot,
    Status,
)
from loopmon.observe.observer import Observer
from loopmon.sources.demo import DemoSource

TOP = (
    "schema", "taken_at", "source", "scope", "ephemeral_range", "limits",
    "listeners", "connections", "processes", "findings",
)  # fmt: skip
LISTENER = (
    "id", "protocol", "family", "address", "port", "service", "port_class", "exposed", "v6only", "inode", "uid", "user",
    "owners", "owner_unknown", "queue", "backlog", "connections", "findings",
)  # fmt: skip
CONNECTION = ("id", "client", "server", "bytes_to_server", "bytes_to_client", "rtt_ms", "retransmits", "findings")
END = (
    "address", "port", "port_class", "status", "inode", "uid", "owners", "owner_unknown", "recv_queue", "send_queue",
)  # fmt: skip
OWNER = ("pid", "create_time", "name", "fd")
PROCESS = (
    "pid", "create_time", "name", "cmdline", "cwd", "project", "branch", "user", "status", "ppid", "parents", "tty",
    "findings",
)  # fmt: skip
FINDING = ("id", "severity", "certainty", "subject", "title", "evidence", "remedy")

API = replace(listening("127.0.0.1:3000", 4312), inode=812, uid=1000, recv_queue=0, send_queue=511)
CLIENT, SERVER = both_ends("127.0.0.1:49342", "127.0.0.1:3000")
FULL = replace(CLIENT, bytes_sent=512, bytes_received=20480, rtt_us=80, retransmits=1, recv_queue=0, send_queue=7)
NODE = Process(
    id=process_id(4312),
    name="node",
    cmdline=("node", "server.js"),
    cwd="/home/me/src/api",
    user="me",
    status="sleeping",
    ppid=4100,
    parents=(Ancestor(process_id(4100), "zsh"),),
    tty="/dev/pts/3",
    project="api",
    branch="feat/login",
)
CHROME = process(7001, "chrome")
PAIR = connection(end("127.0.0.1:49342", FULL), end("127.0.0.1:3000", replace(SERVER, retransmits=2)))
KNOWN = snapshot([listener(API, 1)], [PAIR], [NODE, CHROME])
BARE = snapshot(
    [listener(listening("127.0.0.1:9000", unknown=OwnerUnknown.OTHER_USER))],
    [connection(end("127.0.0.1:49342", socket("127.0.0.1:49342", "127.0.0.1:9000")), end("127.0.0.1:9000"))],
)
DEMO = Observer("demo").observe(DemoSource().read(), Scope(ipv6=True)).snapshot


def encoded(shown: Snapshot, wanted: str = "", parts: Parts | None = None) -> dict[str, Any]:
    """As a reader of the output gets it."""
    text = json.dumps(document(shown, select(shown, parse_filter(wanted), parts or Parts())), allow_nan=False)
    decoded: dict[str, Any] = json.loads(text)
    return decoded


def missing(keys: Iterable[str], found: dict[str, Any]) -> set[str]:
    return set(keys) - found.keys()


@pytest.mark.parametrize("shown", [KNOWN, BARE, DEMO], ids=["known", "bare", "demo"])
def test_every_key_of_the_schema_is_there_whatever_is_known(shown: Snapshot) -> None:
    said = encoded(shown)
    assert not missing(TOP, said)
    assert not missing(["network", "ipv6", "bound_only", "hidden"], said["scope"])
    for row in said["listeners"]:
        assert not missing(LISTENER, row)
        assert not [key for owner in row["owners"] for key in missing(OWNER, owner)]
    for row in said["connections"]:
        assert not missing(CONNECTION, row)
        for side in ("client", "server"):
            assert not missing(END, row[side])
            assert not [key for owner in row[side]["owners"] for key in missing(OWNER, owner)]
    for row in said["processes"]:
        assert not missing(PROCESS, row)
    assert [len(said[part]) for part in ("listeners", "connections")] == [len(shown.listeners), len(shown.connections)]


def test_the_frame_says_when_where_and_how_it_was_looked() -> None:
    shown = replace(KNOWN, hidden=Hidden(ipv6_loopback=1, wildcard=2), limits=("some are not yours",))
    said = encoded(shown)
    assert (said["schema"], said["taken_at"], said["source"]) == (1, "2026-01-02T12:03:04.000+00:00", "made")
    assert said["scope"] == {
        "network": "127.0.0.0/8",
        "ipv6": False,
        "bound_only": False,
        "hidden": {"ipv6_loopback": 1, "wildcard": 2},
    }
    assert (said["ephemeral_range"], said["limits"], said["findings"]) == ([32768, 60999], ["some are not yours"], [])


def test_a_listener_is_told_with_its_owners() -> None:
    row = encoded(KNOWN)["listeners"][0]
    assert (row["protocol"], row["family"], row["address"], row["port"]) == ("tcp", "ipv4", "127.0.0.1", 3000)
    assert (row["port_class"], row["service"], row["exposed"], row["v6only"]) == ("registered", None, False, None)
    assert (row["inode"], row["uid"], row["user"], row["queue"], row["backlog"]) == (812, 1000, "me", 0, 511)
    assert row["owners"] == [{"pid": 4312, "create_time": NODE.id.create_time, "name": "node", "fd": 3}]
    assert (row["owner_unknown"], row["connections"], row["findings"]) == (None, 1, [])


def test_a_connection_is_told_with_both_its_ends_and_what_went_over_it() -> None:
    row = encoded(KNOWN)["connections"][0]
    assert (row["bytes_to_server"], row["bytes_to_client"], row["rtt_ms"], row["retransmits"]) == (512, 20480, 0.08, 3)
    client, server = row["client"], row["server"]
    assert (client["address"], client["port"]) == ("127.0.0.1", 49342)
    assert (client["status"], client["recv_queue"], client["send_queue"]) == ("ESTABLISHED", 0, 7)
    assert [owner["name"] for end in (client, server) for owner in end["owners"]] == ["chrome", "node"]


def test_what_only_the_server_end_counted_is_told_from_its_side() -> None:
    counted = replace(SERVER, bytes_sent=20480, bytes_received=512, rtt_us=90)
    half = connection(end("127.0.0.1:49342"), end("127.0.0.1:3000", counted))
    row = encoded(snapshot([], [half]))["connections"][0]
    assert (row["bytes_to_server"], row["bytes_to_client"], row["rtt_ms"]) == (512, 20480, 0.09)


def test_a_process_is_told_with_its_parents() -> None:
    row = next(row for row in encoded(KNOWN)["processes"] if row["pid"] == 4312)
    assert (row["name"], row["cmdline"], row["cwd"]) == ("node", ["node", "server.js"], "/home/me/src/api")
    assert (row["project"], row["branch"], row["user"], row["status"]) == ("api", "feat/login", "me", "sleeping")
    assert (row["ppid"], row["parents"], row["tty"]) == (4100, [{"pid": 4100, "name": "zsh"}], "/dev/pts/3")


def test_what_is_unknown_is_null() -> None:
    said = encoded(BARE)
    row, pair = said["listeners"][0], said["connections"][0]
    assert [row[key] for key in ("service", "v6only", "inode", "uid", "user", "queue", "backlog")] == [None] * 7
    assert [pair[key] for key in ("bytes_to_server", "bytes_to_client", "rtt_ms", "retransmits")] == [None] * 4
    assert [pair["server"][key] for key in ("status", "inode", "uid", "recv_queue", "send_queue")] == [None] * 5
    assert (row["owners"], row["owner_unknown"]) == ([], "other-user")
    assert (pair["server"]["owners"], pair["server"]["owner_unknown"]) == ([], "not-found")
    unread = encoded(snapshot([listener(API)], [], [process(4312)]))["processes"][0]
    unknown = [key for key in PROCESS if key not in {"pid", "create_time", "name", "parents", "findings"}]
    assert [unread[key] for key in unknown] == [None] * len(unknown)


@pytest.mark.parametrize("reason", list(OwnerUnknown))
def test_no_owner_has_its_reason_and_an_owner_has_none(reason: OwnerUnknown) -> None:
    row = encoded(snapshot([listener(listening("127.0.0.1:9000", unknown=reason))]))["listeners"][0]
    assert (row["owners"], row["owner_unknown"]) == ([], reason.value)


def test_a_missing_owner_is_never_without_reason_and_an_owner_never_with_one() -> None:
    unexplained = replace(CLIENT, owners=(), owner_unknown=None)
    explained = replace(SERVER, owner_unknown=OwnerUnknown.KERNEL)
    row = connection(end("127.0.0.1:49342", unexplained), end("127.0.0.1:3000", explained))
    said = encoded(snapshot([listener(replace(API, owners=(), owner_unknown=None))], [row]))
    assert said["listeners"][0]["owner_unknown"] == "unknown"
    assert [said["connections"][0][side]["owner_unknown"] for side in ("client", "server")] == ["unknown", None]


def test_a_name_or_a_start_that_could_not_be_read_is_null() -> None:
    unread = ProcessId(77, 0.0)
    nameless = Process(unread, "", parents=(Ancestor(process_id(4100), ""),))
    said = encoded(snapshot([listener(replace(API, owners=(Owner(unread, 3),)))], [], [nameless]))
    row = said["processes"][0]
    assert (row["pid"], row["name"], row["create_time"]) == (77, None, None)
    assert row["parents"] == [{"pid": 4100, "name": None}]
    assert said["listeners"][0]["owners"] == [{"pid": 77, "create_time": None, "name": None, "fd": 3}]


def test_each_number_comes_from_the_end_that_counted_it() -> None:
    client, server = replace(CLIENT, bytes_sent=0), replace(SERVER, bytes_received=9, bytes_sent=7, rtt_us=90)
    pair = connection(end("127.0.0.1:49342", client), end("127.0.0.1:3000", server))
    row = encoded(snapshot([], [pair]))["connections"][0]
    assert (row["bytes_to_server"], row["bytes_to_client"], row["rtt_ms"]) == (0, 7, 0.09)


def test_what_a_socket_that_is_connected_to_itself_sent_again_counts_once() -> None:
    itself = replace(socket("127.0.0.1:45999", "127.0.0.1:45999", 5300), retransmits=4)
    row = connection(end("127.0.0.1:45999", itself), end("127.0.0.1:45999", itself))
    assert encoded(snapshot([], [row]))["connections"][0]["retransmits"] == 4


def test_an_owner_of_whom_only_the_pid_is_known_has_no_name_and_an_unknown_descriptor_is_null() -> None:
    held = replace(API, owners=(owner(99, fd=-1),))
    row = encoded(snapshot([listener(held)]))["listeners"][0]
    assert row["owners"] == [{"pid": 99, "create_time": process_id(99).create_time, "name": None, "fd": None}]


def test_a_former_owner_is_not_told_as_one_that_holds_the_socket() -> None:
    waiting = replace(CLIENT, status=Status.TIME_WAIT, owners=(), owner_unknown=OwnerUnknown.KERNEL)
    held = connection(end("127.0.0.1:49342", waiting, OwnerBasis.HELD, 7001), end("127.0.0.1:3000"))
    client = encoded(snapshot([], [held], [CHROME]))["connections"][0]["client"]
    assert (client["owners"], client["owner_unknown"], client["owners_basis"]) == ([], "kernel", "held")
    assert [known["name"] for known in client["known_owners"]] == ["chrome"]


def test_a_part_that_was_not_asked_for_is_null_and_one_without_rows_is_empty() -> None:
    said = encoded(KNOWN, "port:1", Parts(listeners=True))
    assert (said["listeners"], said["connections"], said["processes"]) == ([], None, None)


def test_the_processes_are_those_that_the_kept_rows_name() -> None:
    assert [row["pid"] for row in encoded(KNOWN, "is:listener")["processes"]] == [4312]
    assert [row["pid"] for row in encoded(KNOWN, "chrome", Parts(processes=True))["processes"]] == [7001]


def test_hostile_names_arrive_as_text_without_lone_surrogates() -> None:
    shown = snapshot(
        [listener(API)], [], [replace(NODE, name=HOSTILE, cmdline=(HOSTILE,), cwd=HOSTILE, branch=HOSTILE)]
    )
    row = encoded(shown)["processes"][0]
    expected = HOSTILE.replace("\ud800", "\N{REPLACEMENT CHARACTER}")
    assert [row["name"], *row["cmdline"], row["cwd"], row["branch"]] == [expected] * 4
    json.dumps(row, ensure_ascii=False).encode()


def test_a_finding_is_told_in_full_and_named_at_its_row() -> None:
    found = Finding(
        id=FindingId.LEFT_OVER,
        severity=Severity.WARNING,
        certainty=Certainty.LIKELY,
        subject=f"listener:{API.id}",
        title="node looks left over (3 of 5 signs)",
        evidence=("its terminal is gone",),
        remedy="press x to stop it",
    )
    said = encoded(replace(KNOWN, findings=(found,)))
    assert [set(row) for row in said["findings"]] == [set(FINDING)]
    assert (said["findings"][0]["id"], said["findings"][0]["evidence"]) == ("left-over", ["its terminal is gone"])
    assert said["listeners"][0]["findings"] == ["left-over"]
    assert [row["findings"] for row in (*said["connections"], *said["processes"])] == [[], [], []]


def test_no_row_has_findings_where_nothing_was_found() -> None:
    said = encoded(DEMO)
    assert said["findings"] == []
    rows = [*said["listeners"], *said["connections"], *said["processes"]]
    assert all(row["findings"] == [] for row in rows)
    assert document(DEMO, select(DEMO, Filter(), Parts()))["findings"] == []
