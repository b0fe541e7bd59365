"""What the process pane says, as lines of plain text. Pure: no Textual, no drawing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from loopmon import words
from loopmon.age import Age, AgeBasis, connection_age, listener_age
from loopmon.clean import clean
from loopmon.model import (
    Certainty,
    Connection,
    End,
    Finding,
    Listener,
    Owner,
    OwnerBasis,
    Process,
    ProcessId,
    Protocol,
    RoleBasis,
    Snapshot,
    Status,
)
from loopmon.observe.traffic import bytes_of
from loopmon.roles import roles_of
from loopmon.tui.columns import Tone
from loopmon.tui.glyphs import Glyphs
from loopmon.tui.subject import Subject, findings_on
from loopmon.tui.view import FINDING_TONES

ROLE_WORDS = {
    RoleBasis.LISTENER: "",
    RoleBasis.SEEN: "its listener was seen earlier",
    RoleBasis.EPHEMERAL_RANGE: "told apart by the ephemeral range only",
    RoleBasis.GUESS: "which end is the server is a guess",
}


@dataclass(frozen=True, slots=True)
class Line:
    """``label`` opens a section and is empty on the lines that continue it."""

    label: str
    text: str
    tone: Tone = Tone.PLAIN


BLANK = Line("", "")


def title_of(subject: Subject, snapshot: Snapshot, glyphs: Glyphs) -> str:
    """``node 4312 · api · feat/login``, or the address where no process is known."""
    process = snapshot.processes.get(subject.process) if subject.process else None
    if subject.finding:
        return "The system"
    if subject.process is None:
        return f"Nobody to name {glyphs.dot} {_row_name(subject.row)}" if subject.row else "Process"
    parts = [words.process_label(subject.process, snapshot.processes)]
    if isinstance(subject.row, Connection):
        is_client = any(owner.process == subject.process for owner in subject.row.client.owners)
        parts[0] += " (client)" if is_client else " (server)"
    if process:
        parts += [clean(part, 48) for part in (process.project, process.branch) if part]
    return f" {glyphs.dot} ".join(parts)


def describe(subject: Subject, snapshot: Snapshot, glyphs: Glyphs, dealings: list[Line]) -> list[Line]:
    """The row first, then the process, then ``dealings``: what ``dealings_of`` said of it."""
    lines: list[Line] = []
    if isinstance(subject.row, Connection):
        lines += _connection(subject.row, snapshot, glyphs)
    elif isinstance(subject.row, Listener):
        lines += _listener(subject.row, snapshot)
    found = [subject.finding] if subject.finding else findings_on(subject, snapshot)
    for number, finding in enumerate(found):
        lines += [BLANK] if lines and number == 0 else []
        lines += _look_at(finding, glyphs, "LOOK AT" if number == 0 else "")
    if subject.process is None:
        return lines
    lines += [BLANK] if lines else []
    process = snapshot.processes.get(subject.process)
    if process is None or not process.name:
        lines.append(Line("PROCESS", f"pid {subject.process.pid} ended before it could be read", Tone.DIM))
    else:
        lines += _process(process, snapshot, glyphs)
    return [*lines, BLANK, *dealings] if dealings else lines


def _row_name(row: Listener | Connection) -> str:
    return words.listener_label(row) if isinstance(row, Listener) else words.endpoint(row.client.addr)


def _connection(row: Connection, snapshot: Snapshot, glyphs: Glyphs) -> Iterator[Line]:
    client, server = words.endpoint(row.client.addr), words.endpoint(row.server.addr)
    yield Line("CONNECTION", f"{client} {glyphs.to} {server}", Tone.STRONG)
    yield Line("", f"{words.state(row)}  for {_for(connection_age(row, snapshot.taken_at))}")
    yield from _traffic(row, snapshot, glyphs)
    if row.client.addr == row.server.addr:
        yield Line("", "It is connected to itself: nothing listens there.", Tone.WARNING)
        return
    for name, end in (("client", row.client), ("server", row.server)):
        yield Line("", f"{name} {words.end_label(end, snapshot.processes)}")
        if explanation := _why_nobody(end):
            yield Line("", f"  {explanation}", Tone.DIM)
    if ROLE_WORDS[row.roles]:
        yield Line("", ROLE_WORDS[row.roles], Tone.DIM)


def _traffic(row: Connection, snapshot: Snapshot, glyphs: Glyphs) -> Iterator[Line]:
    """What the source knows of it; nothing where it knows nothing."""
    to_server, to_client = bytes_of(row)
    said = []
    if to_server is not None:
        said.append(f"{words.byte_count(to_server)} to the server")
    if to_client is not None:
        said.append(f"{words.byte_count(to_client)} to the client")
    rate = snapshot.rates.get(row.id)
    if rate and (per_s := words.rate(rate.bytes_per_s)):
        said.append(f"{per_s} a second")
    if said:
        yield Line("", f" {glyphs.dot} ".join(said))
    sockets = [end.socket for end in (row.client, row.server) if end.socket]
    figures = []
    rtt_us = next((found.rtt_us for found in sockets if found.rtt_us is not None), None)
    if rtt_us is not None:
        figures.append(f"rtt {words.milliseconds(rtt_us)}")
    again = [found.retransmits for found in sockets if found.retransmits is not None]
    if again:
        figures.append(words.count(sum(again), "retransmit"))
    active = [found.active_at for found in sockets if found.active_at is not None]
    if active:
        figures.append(f"idle {words.duration(snapshot.taken_at - max(active))}")
    if figures:
        yield Line("", f" {glyphs.dot} ".join(figures), Tone.DIM)
    for name, end in (("client", row.client), ("server", row.server)):
        if end.socket and end.socket.recv_queue:
            yield Line("", f"{words.byte_count(end.socket.recv_queue)} unread at the {name}", Tone.WARNING)


def _look_at(finding: Finding, glyphs: Glyphs, label: str) -> Iterator[Line]:
    """What was found, each piece of evidence, and what to do."""
    doubt = "" if finding.certainty is Certainty.CERTAIN else f" ({finding.certainty})"
    yield Line(label, f"{finding.title}{doubt}", FINDING_TONES[finding.severity])
    for line in finding.evidence:
        yield Line("", f"{glyphs.dot} {line}")
    yield Line("", f"{glyphs.to} {finding.remedy}", Tone.STRONG)


def _for(age: Age) -> str:
    least = "at least " if age.basis is AgeBasis.AT_LEAST else ""
    return f"{least}{words.duration(age.seconds)}"


def _why_nobody(end: End) -> str:
    if end.basis is OwnerBasis.HOLDS:
        return ""
    if end.socket is None:
        return "This end is not in the table: it has gone, or is in another network namespace."
    return words.OWNER_UNKNOWN_SENTENCE[end.socket.owner_unknown] if end.socket.owner_unknown else ""


def _listener(row: Listener, snapshot: Snapshot) -> Iterator[Line]:
    yield Line("LISTENER", words.listener_label(row), Tone.STRONG)
    service = f"  {clean(row.service, 32)} by name" if row.service else ""
    yield Line("", f"{row.port_class} port{service}{_clients_of(row)}")
    if row.exposed and row.socket.protocol is Protocol.UDP:
        yield Line("", "exposed: reachable from outside this machine too", Tone.WARNING)
    if row.socket.owner_unknown:
        yield Line("", words.OWNER_UNKNOWN_SENTENCE[row.socket.owner_unknown], Tone.DIM)
        yield Line("", f"there for {_for(listener_age(row, snapshot.taken_at))}", Tone.DIM)
    waiting, backlog = row.socket.recv_queue, row.socket.send_queue
    if row.socket.protocol is Protocol.TCP and waiting is not None and backlog is not None:
        tone = Tone.WARNING if waiting else Tone.DIM
        yield Line("", f"{waiting} of at most {backlog} wait to be accepted", tone)
    for number, (owner, role) in enumerate(roles_of(row.socket.owners, snapshot.processes)):
        label = words.process_label(owner.process, snapshot.processes)
        if role:
            yield Line("HELD BY" if number == 0 else "", f"{label}  {role}")


def _clients_of(row: Listener) -> str:
    """Nothing for UDP without any: a UDP socket takes what comes from anybody, unconnected."""
    if row.socket.protocol is Protocol.UDP and not row.connections:
        return ""
    return f"  {words.count(row.connections, 'client')}"


def _process(process: Process, snapshot: Snapshot, glyphs: Glyphs) -> Iterator[Line]:
    command = words.command_line(process, limit=1000)
    yield Line("COMMAND", command or "(not readable)", Tone.PLAIN if command else Tone.DIM)
    yield Line(
        "FOLDER", clean(process.cwd) if process.cwd else "(not readable)", Tone.PLAIN if process.cwd else Tone.DIM
    )
    if process.project:
        branch = f"  git {clean(process.branch, 64)}" if process.branch else ""
        yield Line("PROJECT", f"{clean(process.project, 64)}{branch}")
    since = words.clock(process.id.create_time, snapshot.taken_at) if process.id.create_time else ""
    age = words.duration(snapshot.taken_at - process.id.create_time) if since else ""
    facts = [clean(process.user, 32) if process.user else "", f"since {since} ({age})" if since else ""]
    facts.append(clean(process.tty, 32) if process.tty else "no terminal")
    yield Line("USER", f" {glyphs.dot} ".join(fact for fact in facts if fact))
    yield Line("LOAD", f" {glyphs.dot} ".join(_load(process)))
    if process.parents:
        yield Line("PARENTS", words.parents_chain(process, glyphs.under))


def _load(process: Process) -> Iterator[str]:
    if process.status:
        yield clean(process.status)
    if process.cpu_percent is not None:
        yield f"{process.cpu_percent:.1f}% cpu"
    if process.rss_bytes is not None:
        yield f"{words.byte_count(process.rss_bytes)} memory"


def dealings_of(identity: ProcessId, snapshot: Snapshot, glyphs: Glyphs) -> Iterator[Line]:
    """What the process listens on, whom it serves and whom it uses. Walks every connection."""
    held = [row for row in snapshot.listeners if _holds(row.socket.owners, identity)]
    yield from _section("LISTENS", (f"{words.listener_label(row)}{_clients_of(row)}" for row in held))
    serves, uses = _Peers(), _Peers()
    over = 0
    for row in snapshot.connections:
        client, server = row.client, row.server
        is_server = _holds(server.owners, identity)
        is_client = _holds(client.owners, identity)
        if not (is_server or is_client):
            continue
        if row.status is Status.TIME_WAIT:
            over += is_server
            continue
        if is_server:
            serves.count(client, server.addr.port)
        if is_client:
            uses.count(server, server.addr.port)
    yield from _section("SERVES", serves.named("on :", snapshot, glyphs))
    if over:
        yield Line("" if serves else "SERVED", f"{over} more, over and in TIME_WAIT", Tone.DIM)
    yield from _section("USES", uses.named(":", snapshot, glyphs))


class _Peers(dict[object, list[Any]]):
    """How often each peer occurs, told apart by what decides its name, so that thousands of connections
    are counted before any is named. The values are the count, one of the ends and the port."""

    def count(self, end: End, port: int) -> None:
        owners = end.owners
        key = (owners[0][0] if owners else end.socket and end.socket.owner_unknown, len(owners), end.basis, port)
        known = self.get(key)
        if known is None:
            self[key] = [1, end, port]
        else:
            known[0] += 1

    def named(self, at: str, snapshot: Snapshot, glyphs: Glyphs) -> Iterator[str]:
        """One line a name and port, the commonest first."""
        counts = Counter[str]()
        for number, end, port in self.values():
            counts[f"{words.end_label(end, snapshot.processes)} {at}{port}"] += number
        for name, number in counts.most_common():
            yield f"{name} {glyphs.times}{number}"


def _holds(owners: tuple[Owner, ...], identity: ProcessId) -> bool:
    """Written for speed: it is asked of both ends of every connection."""
    if not owners:
        return False
    return owners[0][0] == identity or (len(owners) > 1 and any(owner.process == identity for owner in owners))


def _section(label: str, texts: Iterable[str]) -> Iterator[Line]:
    for number, text in enumerate(texts):
        yield Line(label if number == 0 else "", text)
