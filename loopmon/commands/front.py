"""The front door: finds the command, turns every way to fail into one line and an exit status.

``loopmon`` and ``loopmon FILTER`` are the monitor; a first word that names a command is that command.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem

from loopmon import __version__
from loopmon.clean import clean
from loopmon.commands.ls import ls
from loopmon.commands.monitor import monitor
from loopmon.commands.stop import stop
from loopmon.commands.wait import wait
from loopmon.commands.why import why
from loopmon.exit_status import ExitStatus
from loopmon.sources import SourceDeniedError, SourceError

COMPLETION_VARIABLE = "_LOOPMON_COMPLETE"
GROUP_OPTIONS = frozenset({"--help", "-h", "--version"})


class Front(click.Group):
    """A group whose unnamed command is the monitor."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing and not args:
            return super().parse_args(ctx, args)  # a first word is being completed
        if not args or (args[0] not in self.commands and args[0] not in GROUP_OPTIONS):
            self._refuse_late_command(args)
            args = [str(monitor.name), *args]
        return super().parse_args(ctx, args)

    def _refuse_late_command(self, args: list[str]) -> None:
        """``loopmon --demo ls`` would be a filter for the word "ls"; nobody means that."""
        takes_value = {name for p in monitor.params if isinstance(p, click.Option) and not p.is_flag for name in p.opts}
        words = iter(args)
        for word in words:
            if word in takes_value:
                next(words, None)
            elif not word.startswith("-"):
                if word in self.commands:
                    raise click.UsageError(f"the command comes first: loopmon {word} ...")
                return

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """A first word: a command, or the beginning of a filter for the monitor."""
        filter_words = next(p for p in monitor.params if isinstance(p, click.Argument))
        return [
            *super().shell_complete(ctx, incomplete),
            *monitor.shell_complete(ctx, incomplete),
            *filter_words.shell_complete(ctx, incomplete),
        ]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in super().list_commands(ctx) if name != monitor.name]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own = [record for p in self.get_params(ctx) if (record := p.get_help_record(ctx))]
        of_monitor = [record for p in monitor.params if (record := p.get_help_record(ctx))]
        with formatter.section("Options of the monitor"):
            formatter.write_dl(of_monitor)
        with formatter.section("Options"):
            formatter.write_dl(own)
        self.format_commands(ctx, formatter)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "[OPTIONS] [FILTER]...")
        formatter.write_usage(ctx.command_path, "COMMAND [ARGS]...", prefix="       ")


@click.group(cls=Front, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="loopmon", message="%(prog)s %(version)s")
def cli() -> None:
    """Watch everything that talks over 127.0.0.0/8: who holds which port, and who is connected to whom."""


cli.add_command(monitor)
cli.add_command(ls)
cli.add_command(why)
cli.add_command(wait)
cli.add_command(stop)


def run(args: Sequence[str] | None = None) -> int:
    """Run one command line. Returns the exit status; prints at most one line about a failure."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character still gets the rest
    try:
        status = cli.main(args, prog_name="loopmon", standalone_mode=False)
        if sys.stdout:
            sys.stdout.flush()
    except SystemExit as end:
        # click's own way out: of shell completion, else of a pipe whose reader has seen enough.
        return int(end.code or 0) if COMPLETION_VARIABLE in os.environ else ExitStatus.OK
    except click.NoSuchOption as error:
        hint = "" if error.option_name.startswith("--") else "; put -- before words that begin with -"
        return _fail(ExitStatus.USAGE, f"{error.format_message().rstrip('.')}{hint}")
    except click.ClickException as error:
        return _fail(ExitStatus.USAGE, error.format_message())
    except SourceDeniedError as error:
        return _fail(ExitStatus.NOT_PERMITTED, f"{error}; try sudo")
    except SourceError as error:
        return _fail(ExitStatus.UNREADABLE, str(error))
    except (KeyboardInterrupt, click.Abort):
        return ExitStatus.INTERRUPTED
    except OSError as error:
        return _lost_output(error)
    return status if isinstance(status, int) else ExitStatus.OK


def _fail(status: ExitStatus, reason: str) -> ExitStatus:
    if sys.stderr:
        print(f"loopmon: {clean(reason)}", file=sys.stderr)
    return status


def _lost_output(error: OSError) -> ExitStatus:
    """A reader that has seen enough is no error; a full disk is. Either way nothing more can be written,
    so what is left in the buffer must not come up again when Python ends."""
    if sys.stdout:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno == errno.EPIPE:
        return ExitStatus.OK
    return _fail(ExitStatus.NO, f"could not write the output: {error.strerror or error}")
