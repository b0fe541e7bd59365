"""``loopmon stop WHAT...``: stops what listens there, and proves the port free. Says everything on stderr."""

from __future__ import annotations

import signal

import click

from loopmon.actions.defaults import TIMEOUT_S
from loopmon.commands.duration import Duration
from loopmon.commands.options import source_option

SIGNALS = tuple(name for name in ("TERM", "INT", "HUP", "QUIT", "KILL") if hasattr(signal, f"SIG{name}"))


@click.command("stop")
@click.argument("what", metavar="WHAT...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say who would be stopped.")
@click.option("--force", is_flag=True, help="KILL what has not ended by the timeout.")
@click.option(
    "--timeout", type=Duration(), default=f"{TIMEOUT_S:g}s", show_default=True, help="How long to wait for the end."
)
@click.option(
    "--signal",
    "signal_name",
    type=click.Choice(SIGNALS, case_sensitive=False),
    default="TERM",
    show_default=True,
    help="Which signal to begin with.",
)
@source_option
def stop(
    what: tuple[str, ...], yes: bool, dry_run: bool, force: bool, timeout: float, signal_name: str, source: str
) -> int:
    """Stop what listens, and prove the port free.

    WHAT is a port, an address, or pid:4312.
    """
    from loopmon.commands.stopper import Stopper
    from loopmon.sources import SourceChoice
    from loopmon.why.target import TargetError

    number = signal.Signals[f"SIG{signal_name.upper()}"]
    try:
        with Stopper(SourceChoice(source), yes=yes, force=force, timeout_s=timeout, number=number) as stopper:
            return stopper.preview_only(what) if dry_run else stopper.stop(what)
    except TargetError as error:
        raise click.UsageError(str(error)) from None
