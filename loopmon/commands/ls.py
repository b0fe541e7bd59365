"""``loopmon ls``: one look, as a table, JSON or CSV. stdout is data, stderr is words."""

from __future__ import annotations

import errno
import json
import os
import sys

import click

from loopmon.commands.csv_rows import write_csv
from loopmon.commands.options import filter_argument, look_options, to_filter
from loopmon.commands.schema import document
from loopmon.commands.selection import Parts, Selection, select
from loopmon.commands.table import tables
from loopmon.exit_status import ExitStatus
from loopmon.model import OwnerUnknown, Scope, Snapshot
from loopmon.observe.observer import Observer
from loopmon.sources import SourceChoice, open_source
from loopmon.sources.privilege import sees_every_process
from loopmon.words import count


@click.command("ls")
@filter_argument
@look_options
@click.option("--json", "as_json", is_flag=True, help="Everything known, schema 1.")
@click.option("--csv", "as_csv", is_flag=True, help="One row a listener, connection or process.")
@click.option("--listeners", is_flag=True, help="Only listeners (may be combined with the next two).")
@click.option("--clients", is_flag=True, help="Only connections.")
@click.option("--processes", is_flag=True, help="Only the processes that hold sockets.")
def ls(
    words: tuple[str, ...],
    source: str,
    ipv6: bool,
    bound_only: bool,
    demo: bool,
    as_json: bool,
    as_csv: bool,
    listeners: bool,
    clients: bool,
    processes: bool,
) -> int:
    """Print one look: listeners and connections, both ends joined."""
    wanted = to_filter(words)
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    snapshot = _look(SourceChoice(source), Scope(ipv6=ipv6, bound_only=bound_only), demo=demo)
    parts = Parts(listeners, clients, processes)
    selection = select(snapshot, wanted, parts)
    if as_json:
        sys.stdout.write(json.dumps(document(snapshot, selection), indent=2) + "\n")
    elif as_csv:
        write_csv(sys.stdout, snapshot, selection, processes=parts.processes)
    else:
        sys.stdout.write(tables(snapshot, selection, processes=parts.processes))
        _say_what_is_missing(snapshot, selection)
    return ExitStatus.NO if wanted and not selection else ExitStatus.OK


def _look(choice: SourceChoice, scope: Scope, *, demo: bool) -> Snapshot:
    """A second look follows where the first could not say why an owner is missing: a socket that has just been
    opened is not called ownerless at once."""
    source = open_source(choice, demo=demo, follow=False)
    try:
        observer = Observer(source.name)
        reading = source.read()
        snapshot = observer.observe(reading, scope).snapshot
        if sees_every_process() and any(s.owner_unknown is OwnerUnknown.UNKNOWN for s in reading.sockets):
            snapshot = observer.observe(source.read(), scope).snapshot
        return snapshot
    finally:
        source.close()


def _say_what_is_missing(snapshot: Snapshot, selection: Selection) -> None:
    said = list(snapshot.limits)
    if snapshot.hidden.ipv6_loopback:
        said.append(f"{count(snapshot.hidden.ipv6_loopback, 'row')} on ::1 not shown; --ipv6 shows them")
    if snapshot.hidden.wildcard:
        said.append(f"{count(snapshot.hidden.wildcard, 'wildcard listener')} not shown because of --bound-only")
    if not selection:
        said.append("nothing to show")
    for line in said:
        print(f"loopmon: {line}", file=sys.stderr)
