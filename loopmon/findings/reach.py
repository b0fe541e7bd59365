"""From where a listener can be reached, and who else answers on its port. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from loopmon import words
from loopmon.address import WILDCARDS
from loopmon.findings.kin import are_related
from loopmon.findings.make import label, on_row
from loopmon.findings.scene import Scene
from loopmon.model import Finding, FindingId, Listener, Protocol, Severity


def exposed(scene: Scene) -> Iterator[Finding]:
    """A fact and often meant, so only a note. UDP sockets are bound to every address to send, not to serve."""
    for row in scene.snapshot.listeners:
        if row.exposed and row.socket.protocol is Protocol.TCP:
            yield on_row(
                row,
                FindingId.EXPOSED,
                "reachable from outside this machine",
                f"bound to {words.listener_label(row)}, which is every address this machine has; a firewall may bar it",
                remedy="if it is meant for this machine only, bind it to 127.0.0.1",
                severity=Severity.NOTE,
            )


def shadowed(scene: Scene) -> Iterator[Finding]:
    """Two servers on one port, each on an address of its own: which one answers depends on what the client says.
    Of addresses that nobody means by ``localhost``, such as 127.0.0.53, nobody takes one for the other."""
    by_port: dict[int, list[Listener]] = {}
    for row in scene.every_listener():
        if row.socket.protocol is Protocol.TCP:
            by_port.setdefault(row.laddr.port, []).append(row)
    for port, rows in by_port.items():
        places = {(row.laddr.ip, row.socket.family) for row in rows}
        if len(places) < 2:
            continue
        for row in scene.snapshot.listeners:
            others = [other for other in rows if _overlap(row, other) and _are_strangers(scene, row, other)]
            if row in rows and others:
                yield _shadowed(scene, row, others, port)


def _shadowed(scene: Scene, row: Listener, others: list[Listener], port: int) -> Finding:
    told = [f"{words.listener_label(other)} is {_who(scene, other)}" for other in others]
    return on_row(
        row,
        FindingId.SHADOWED,
        f"another server answers on port {port} too",
        f"{words.listener_label(row)} is {_who(scene, row)}",
        *told,
        "localhost reaches the one whose address the client tries first",
        remedy=f"say the address instead of localhost, or stop the one that is not meant: loopmon why localhost:{port}",
    )


def _overlap(one: Listener, other: Listener) -> bool:
    ips = {one.laddr.ip, other.laddr.ip}
    return len(ips) == 2 and bool(ips & WILDCARDS or ips == {"127.0.0.1", "::1"})


def _are_strangers(scene: Scene, one: Listener, other: Listener) -> bool:
    """Held by different programs: one server that listens on several addresses is nothing to look at. Of holders
    that cannot be read nothing is said."""
    first, second = scene.holders(one.socket), scene.holders(other.socket)
    return bool(first and second) and not any(are_related(each, another) for each in first for another in second)


def _who(scene: Scene, row: Listener) -> str:
    holders = scene.top_holders(row.socket) or scene.holders(row.socket)
    return label(holders[0]) if holders else words.owners_label(row.socket, scene.snapshot.processes)
