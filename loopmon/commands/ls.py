"""``loopmon ls``: one look, as a table, JSON or CSV. stdout is data, stderr is words."""

from __future__ import annotations

import errno
import json
import os
import sys

import click

from loopmon.commands.csv_rows import write_csv
from loopmon.commands.look import look_once
from loopmon.commands.options import filter_argument, look_options, to_filter
from loopmon.commands.report import report
from loopmon.commands.schema import document
from loopmon.commands.selection import Parts, Selection, select
from loopmon.commands.table import tables
from loopmon.exit_status import ExitStatus
from loopmon.model import Scope, Snapshot
from loopmon.sources import SourceChoice
from loopmon.words import count


@click.command("ls")
@filter_argument
@look_options
@click.option("--json", "as_json", is_flag=True, help="Everything known, schema 1.")
@click.option("--csv", "as_csv", is_flag=True, help="One row a listener, connection or process.")
@click.option("--listeners", is_flag=True, help="Only listeners (may be combined with the next two).")
@click.option("--clients", is_flag=True, help="Only connections.")
@click.option("--processes", is_flag=True, help="Only the processes that hold sockets.")
@click.option("--findings", is_flag=True, help="Only what is worth looking at; exit status 1 if there is any.")
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
    findings: bool,
) -> int:
    """Print one look: listeners and connections, both ends joined."""
    wanted = to_filter(words)
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    if findings and (as_csv or listeners or clients or processes):
        raise click.UsageError("--findings goes with --json and a filter only")
    snapshot = look_once(SourceChoice(source), Scope(ipv6=ipv6, bound_only=bound_only), demo=demo)
    parts = Parts(listeners, clients, processes, findings)
    selection = select(snapshot, wanted, parts)
    if as_json:
        sys.stdout.write(json.dumps(document(snapshot, selection), indent=2) + "\n")
    elif findings:
        sys.stdout.write(report(snapshot, selection.findings))
        if not selection.findings:
            print("loopmon: nothing to look at", file=sys.stderr)
    elif as_csv:
        write_csv(sys.stdout, snapshot, selection, processes=parts.processes)
    else:
        sys.stdout.write(tables(snapshot, selection, processes=parts.processes))
        _say_what_is_missing(snapshot, selection)
    if findings:
        return ExitStatus.NO if selection.findings else ExitStatus.OK
    return ExitStatus.NO if wanted and not selection else ExitStatus.OK


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
