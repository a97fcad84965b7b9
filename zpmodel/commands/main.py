"""The ``zpmodel`` command: finds the subcommand's file, turns the package's errors into one line and exit status 2."""

import difflib
import importlib
import os
import sys

import click

from zpmodel.base.errors import ZpmodelError
from zpmodel.base.text import printable
from zpmodel.host.signals import ends_orderly, status_of

# In the order in which a newcomer needs them. The short help stands here so that `zpmodel --help` imports none of them.
COMMANDS = {
    "structure": "Exact bios, splits, requests and segments of zeroing a range.",
    "callers": "Who zeroes with zero pages, and what a larger one changes for each.",
    "instructions": "The NVMe driver's and the block layer's instructions of zeroing a range.",
    "fio": "Read fio output into one tidy table.",
    "import": "Anybody's fio output as a data set.",
    "measure": "Run the fio matrix that calibration needs on this machine.",
    "calibrate": "Turn a measured data set into costs with intervals.",
    "predict": "Elapsed and CPU time of zeroing a range, with intervals.",
    "compare": "The zero-page policies side by side.",
    "sweep": "Grids and samples over any inputs, to a table or Parquet; here or on Dask.",
    "sensitivity": "Which inputs decide the answer (Sobol', Morris).",
    "fleet": "A table of machines: who gains, what, and the totals.",
    "clear": "How fast a CPU clears memory, by size and method.",
    "read": "A CPU that reads zeroes from 4 KiB, 2 MiB or a virtual 2 MiB.",
    "life": "How often an on-demand huge zero folio is there, and what it costs.",
    "price": "The memory that a zero page holds, as a share of RAM.",
    "answers": "The reviewers' eleven questions, each with a number and its limits.",
    "trace": "What this machine's kernel did with a zeroed range, against the model.",
    "zeroout": "Time the kernel's own zero-out by length.",
    "validate": "Every truth the project ships, predicted and scored.",
    "report": "Run the notebooks and make one offline HTML site.",
    "batch": "A report for each of many data sets, and one page that ranks them.",
}

_FILES = {"import": "import_fio"}
"""Commands whose file can't have their name."""


class _ReaderLeftError(Exception):
    """Nobody reads on; click would make an exit status 1 of a BrokenPipeError."""


class _Commands(click.Group):
    """A group that imports a subcommand only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            near = difflib.get_close_matches(cmd_name, COMMANDS, n=1)
            # click's own suggestions need the commands imported.
            if near:
                ctx.fail(f"No such command {cmd_name!r}. Did you mean {near[0]!r}?")
            return None
        command = importlib.import_module(f"zpmodel.commands.{_FILES.get(cmd_name, cmd_name)}").command
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise _ReaderLeftError from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zpmodel")
def app() -> None:
    """What is a PMD-sized zero page worth on your machine?

    \b
    Try:  zpmodel structure --zero-page static --limits nvme-mdts5 --length 1GiB
          zpmodel report
    """


def main() -> None:
    """Run the command line; whatever is wrong with the input is one line on stderr and exit status 2."""
    try:
        with ends_orderly():
            status = app.main(standalone_mode=False)
            sys.stdout.flush()
    except (click.exceptions.Abort, KeyboardInterrupt) as error:
        click.echo("zpmodel: interrupted", err=True)
        stopped = error.__cause__ if isinstance(error, click.exceptions.Abort) else error
        sys.exit(status_of(stopped))
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        sys.exit(2)
    except click.ClickException as error:
        click.echo(f"zpmodel: {printable(' '.join(error.format_message().split()))}", err=True)
        sys.exit(2)
    except ZpmodelError as error:
        click.echo(f"zpmodel: {printable(str(error))}", err=True)
        sys.exit(2)
    except (BrokenPipeError, _ReaderLeftError):
        # The reader (`| head`) has what it wanted; leave without a second complaint when Python flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        # What no command expected: a disk that is full, a file that went away.
        click.echo(f"zpmodel: {printable(str(error))}", err=True)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)
