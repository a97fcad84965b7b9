"""What commands that make HTML sites have in common: their options, and what they say at the end."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zpmodel.commands.output import emit_json, json_option, say

if TYPE_CHECKING:
    from zpmodel.report.site import Report


def site_options(what: str, out: str, which: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--out``, ``--notebook``, ``-p``, ``--workers``, ``--timeout`` and ``--json`` to a command.

    :param what: what is made, in a word.
    :param out: the folder by default.
    :param which: notebooks by default, in words.
    """
    options = (
        click.option(
            "--out",
            type=click.Path(path_type=Path),
            default=Path(out),
            show_default=True,
            help=f"Folder of the {what}.",
        ),
        click.option("--notebook", "names", multiple=True, help=f"Only this notebook; may be repeated. {which}"),
        click.option(
            "-p",
            "--parameter",
            "pairs",
            multiple=True,
            metavar="NAME=VALUE",
            help="A notebook's parameter; may be repeated.",
        ),
        click.option(
            "--workers", type=click.IntRange(1, 64), help="Pages run at the same time; as many as CPUs by default."
        ),
        click.option(
            "--timeout", type=click.FloatRange(1, 1e6), metavar="SECONDS", help="Time after which a page is stopped."
        ),
        json_option,
    )

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def tell(text: str) -> None:
    """Say what is being done."""
    say(text, err=True)


def show(ctx: click.Context, made: "Report", as_json: bool, title: str, says_why: str) -> None:
    """Print where the site is; exit status 1 where something failed.

    :param says_why: what tells more of it.
    """
    index = made.index.resolve()
    if as_json:
        emit_json({"index": str(index), "failed": made.failed, "ran": made.ran})
    else:
        say(f"{title}: {index.as_uri()}")
    if made.failed:
        say(f"zpmodel: failed: {', '.join(made.failed)}; {says_why}", err=True)
        ctx.exit(1)
