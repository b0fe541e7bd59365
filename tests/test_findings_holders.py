"""The rules about who holds a port: whom they accuse, whom they do not, and the figures they name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from looks import SERVER, found, in_state, look, one, told
from making import listening, process, process_id

from loopmon.model import Ancestor, Certainty, FindingId, OwnerUnknown, Process, Protocol, Severity, Socket

HERE = listening("127.0.0.1:3000", SERVER)
INSIDE = listening("127.0.0.1:3000", SERVER, SERVER + 1)


def child(pid: int, *parents: int, name: str = "node", exe: str | None = None, above: str = "gunicorn") -> Process:
    """``parents`` are from the parent up, all of them called ``above``; none means pid 1."""
    known = tuple(Ancestor(process_id(each), above) for each in parents)
    return replace(process(pid, name), parents=known, exe=exe, ppid=parents[0] if parents else 1)


# inherited


def inherited(heir: Process, server: Process) -> bool:
    both = listening("127.0.0.1:3000", SERVER, heir.id.pid)
    alone = replace(both, owners=both.owners[1:])
    return bool(found(FindingId.INHERITED, look([both], processes=[server, heir]), look([alone], processes=[heir])))


def test_the_program_that_outlives_the_server_with_its_socket_is_told() -> None:
    both, alone = listening("127.0.0.1:3000", SERVER, 5), listening("127.0.0.1:3000", 5, id="tcp:127.0.0.1:3000")
    player, server = process(5, "mpv-player"), process(SERVER, "qbittorrent")
    finding = one(FindingId.INHERITED, look([both], processes=[server, player]), look([alone], processes=[player]))
    assert (finding.severity, finding.certainty) == (Severity.PROBLEM, Certainty.LIKELY)
    assert f"qbittorrent {SERVER} had it before" in finding.evidence[0]
    assert finding.remedy.startswith("kill 5")


def test_a_worker_that_outlives_its_master_is_no_heir() -> None:
    assert not inherited(process(5, "node"), process(SERVER, "node"))
    assert inherited(process(5, "sleep"), process(SERVER, "node"))


def test_a_server_that_was_upgraded_under_way_is_no_heir() -> None:
    old, new = "/usr/sbin/nginx (deleted)", "/usr/sbin/nginx"
    assert not inherited(child(5, name="nginx", exe=new), child(SERVER, name="nginx", exe=old))
    assert inherited(child(5, name="nginx", exe="/bin/esbuild"), child(SERVER, name="nginx", exe=old))


def test_a_launcher_that_became_the_server_is_no_heir_of_itself() -> None:
    """The same process, another program: exec(2)."""
    looks = [look([HERE], processes=[process(SERVER, name)]) for name in ("launcher", "node")]
    assert not found(FindingId.INHERITED, *looks)


@pytest.mark.parametrize(("name", "accused"), [("sleep", True), ("bash", True), ("node", False), ("nc", False)])
def test_a_program_that_never_serves_is_no_server_at_the_first_look(name: str, accused: bool) -> None:
    assert bool(found(FindingId.INHERITED, look([HERE], processes=[process(SERVER, name)]))) is accused


def test_beside_its_server_the_heir_is_nothing_to_look_at() -> None:
    assert not found(FindingId.INHERITED, look([INSIDE], processes=[process(SERVER), process(SERVER + 1, "sleep")]))


# unseen-owner


def test_a_thread_of_a_dead_leader_is_named_with_what_ends_it() -> None:
    finding = one(FindingId.UNSEEN_OWNER, look([HERE], processes=[in_state(SERVER, "zombie")]))
    assert finding.severity is Severity.WARNING
    assert f"node {SERVER}" in finding.title
    assert f"kill -KILL {SERVER}" in finding.remedy


def test_a_listener_that_nobody_holds_after_all_were_searched_is_noted() -> None:
    nobodys = listening("127.0.0.1:3000", unknown=OwnerUnknown.NOT_FOUND)
    assert one(FindingId.UNSEEN_OWNER, look([nobodys])).severity is Severity.NOTE


@pytest.mark.parametrize("reason", [reason for reason in OwnerUnknown if reason is not OwnerUnknown.NOT_FOUND])
def test_what_could_not_be_searched_is_not_called_unseen(reason: OwnerUnknown) -> None:
    assert not found(FindingId.UNSEEN_OWNER, look([listening("127.0.0.1:3000", unknown=reason)]))


# shared


def siblings(*pids: int) -> list[Socket]:
    return [listening("127.0.0.1:3000", pid, id=f"tcp:{pid}") for pid in pids]


def test_strangers_on_one_port_are_a_warning_for_each() -> None:
    findings = found(FindingId.SHARED, look(siblings(10, 20), processes=[child(10), child(20)]))
    assert [(finding.subject, finding.severity) for finding in findings] == [
        ("listener:tcp:10", Severity.WARNING),
        ("listener:tcp:20", Severity.WARNING),
    ]
    assert "node 20" in findings[0].evidence[0]


@pytest.mark.parametrize(
    "processes",
    [
        pytest.param([child(10, 5), child(20, 5)], id="workers whose program cannot be read"),
        pytest.param([child(10, 5, exe="/a"), child(20, 5, exe="/a")], id="workers of one master"),
        pytest.param([child(10, 5), child(20, 10, 5)], id="master and worker"),
    ],
)
def test_a_family_on_one_port_is_only_noted(processes: list[Process]) -> None:
    findings = found(FindingId.SHARED, look(siblings(10, 20), processes=processes))
    assert [finding.severity for finding in findings] == [Severity.NOTE] * 2


def test_several_processes_with_one_socket_are_noted() -> None:
    finding = one(FindingId.SHARED, look([INSIDE]))
    assert finding.severity is Severity.NOTE
    assert finding.title == "2 processes share this socket"


@pytest.mark.parametrize("protocol", list(Protocol))
def test_two_descriptors_of_one_process_share_nothing(protocol: Protocol) -> None:
    twice = replace(listening("127.0.0.1:3000", SERVER, protocol=protocol), owners=HERE.owners * 2)
    assert not found(FindingId.SHARED, look([twice]))


# exposed


@pytest.mark.parametrize(("place", "exposed"), [("0.0.0.0", True), ("[::]", True), ("127.0.0.1", False)])
def test_what_is_bound_to_every_address_is_noted(place: str, exposed: bool) -> None:
    findings = found(FindingId.EXPOSED, look([listening(f"{place}:3000", SERVER)]))
    assert [finding.severity for finding in findings] == [Severity.NOTE] * exposed
    assert all("*:3000" in told(finding) for finding in findings)


def test_udp_on_every_address_is_not_noted() -> None:
    assert not found(FindingId.EXPOSED, look([listening("0.0.0.0:5353", SERVER, protocol=Protocol.UDP)]))


# shadowed


def shadowing(one_place: str, other_place: str, one_pid: int, other_pid: int, *processes: Process) -> int:
    sockets = [listening(f"{one_place}:3000", one_pid), listening(f"{other_place}:3000", other_pid)]
    return len(found(FindingId.SHADOWED, look(sockets, processes=processes)))


@pytest.mark.parametrize(
    ("one_place", "other_place", "findings"),
    [
        ("127.0.0.1", "[::1]", 2),
        ("0.0.0.0", "127.0.0.1", 2),
        ("0.0.0.0", "[::]", 2),
        ("127.0.0.1", "127.0.0.53", 0),
        ("127.0.0.2", "[::1]", 0),
    ],
)
def test_servers_shadow_each_other_where_localhost_may_mean_either(
    one_place: str, other_place: str, findings: int
) -> None:
    assert shadowing(one_place, other_place, 10, 20) == findings


def test_each_shadowed_row_names_the_other_even_out_of_scope() -> None:
    here, there = listening("127.0.0.1:3000", 10), listening("[::1]:3000", 20)
    finding = one(FindingId.SHADOWED, look([here], out_of_scope=[there]))
    assert finding.severity is Severity.WARNING
    assert finding.evidence[:2] == ("127.0.0.1:3000 is node 10", "[::1]:3000 is node 20")


def test_one_server_on_both_addresses_shadows_nobody() -> None:
    assert shadowing("127.0.0.1", "[::1]", 10, 10) == 0
    assert shadowing("127.0.0.1", "[::1]", 10, 20, child(20, 10)) == 0


def test_dockers_proxies_one_for_each_address_shadow_nobody() -> None:
    proxies = [child(pid, 5, name="docker-proxy", above="dockerd") for pid in (10, 20)]
    assert shadowing("0.0.0.0", "[::]", 10, 20, *proxies) == 0


@pytest.mark.parametrize("above", ["bash", "systemd"])
def test_two_that_were_started_one_by_one_are_strangers(above: str) -> None:
    assert shadowing("127.0.0.1", "[::1]", 10, 20, *(child(pid, 5, above=above) for pid in (10, 20))) == 2


@pytest.mark.parametrize(("script", "findings"), [("vite.js", 0), ("api.js", 2)])
def test_two_scripts_of_one_interpreter_are_strangers(script: str, findings: int) -> None:
    pair = [replace(child(10, 5), cmdline=("node", "vite.js")), replace(child(20, 5), cmdline=("node", script))]
    assert shadowing("127.0.0.1", "[::1]", 10, 20, *pair) == findings


def test_of_holders_that_cannot_be_read_no_shadow_is_cast() -> None:
    sockets = [listening("127.0.0.1:3000", 10), listening("[::1]:3000", unknown=OwnerUnknown.OTHER_USER)]
    assert not found(FindingId.SHADOWED, look(sockets))
