"""``loopmon wait WHAT``: returns when a server is there, or when a port is free. stdout stays empty.

Owns the options only; ``waiting`` does the work and is loaded when it is asked for.
"""

from __future__ import annotations

import math

import click

from loopmon.commands.duration import Duration
from loopmon.commands.options import Interval, source_option
from loopmon.sources import SourceChoice


@click.command("wait")
@click.argument("what", metavar="WHAT...", nargs=-1, required=True)
@click.option("--free", is_flag=True, help="Wait until it can be bound instead.")
@click.option("--by", metavar="NAME", help="Only a process with this in its name or command line counts.")
@click.option("--probe", is_flag=True, help="Insist: connect once it listens, and see the connection taken.")
@click.option("--timeout", type=Duration(), help="Give up after 30s, 500ms, 2m; never by default.")
@click.option("--quiet", is_flag=True, help="Say nothing; the exit status tells.")
@source_option
@click.option("--interval", type=Interval(), default=0.1, show_default=True, help="Seconds from one look to the next.")
def wait(
    what: tuple[str, ...],
    free: bool,
    by: str | None,
    probe: bool,
    timeout: float | None,
    quiet: bool,
    source: str,
    interval: float,
) -> int:
    """Wait until a server accepts, or a port is free.

    WHAT is a port, an address, a URL or an error text with one in it; of several all are waited for.
    """
    if free and (by is not None or probe):
        raise click.UsageError(f"--free and {'--probe' if probe else '--by'} exclude each other")
    from loopmon.commands.waiting import Waiting
    from loopmon.commands.wish import wishes
    from loopmon.why.target import TargetError

    try:
        wanted = wishes(what, free=free)
    except TargetError as error:
        raise click.UsageError(str(error)) from None
    limit = math.inf if timeout is None else timeout
    with Waiting(SourceChoice(source), by=by, probes=probe, quiet=quiet) as waiting:
        return waiting.until(wanted, interval_s=interval, timeout_s=limit)
