"""``loopmon why WHAT``: explains a port, an address, a URL or a pasted error message."""

from __future__ import annotations

import json
import sys

import click

from loopmon.commands.options import source_options
from loopmon.exit_status import ExitStatus


@click.command("why")
@click.argument("what", nargs=-1, required=True)
@source_options
@click.option("--probe", "probing", is_flag=True, help="Make one real connection, and say what became of it.")
@click.option("--json", "as_json", is_flag=True, help="The same as data.")
def why(what: tuple[str, ...], source: str, demo: bool, probing: bool, as_json: bool) -> int:
    """Explain a port: who has it, why it fails.

    WHAT is a port, an address, a URL or a pasted error message; '-' reads it from stdin.
    """
    from loopmon.commands.explanation import document, gather, text
    from loopmon.why.explain import explain
    from loopmon.why.target import TargetError, parse_target

    if probing and demo:
        raise click.UsageError("--probe and --demo exclude each other: the demo's servers are not there")
    try:
        target = parse_target(_pasted() if what == ("-",) else " ".join(what))
    except TargetError as error:
        raise click.UsageError(str(error)) from None
    if probing and target.is_udp:
        raise click.UsageError("--probe makes a TCP connection, and the text is about UDP")
    case = gather(target, source, demo=demo, probing=probing)
    answer = explain(case)
    sys.stdout.write(json.dumps(document(case, answer), indent=2) + "\n" if as_json else text(case, answer))
    return ExitStatus.OK if answer.verdict.ok else ExitStatus.NO


def _pasted() -> str:
    """Of the standard input, whatever bytes it has."""
    return sys.stdin.buffer.read().decode(errors="replace")
