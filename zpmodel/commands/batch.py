"""``zpmodel batch``: a report for each of many data sets, and an overview that ranks them."""

from pathlib import Path

import click

from zpmodel.commands.output import emit_json, json_option


@click.command("batch")
@click.argument("sets", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("reports/batch"),
    show_default=True,
    help="Folder of the batch.",
)
@click.option(
    "--notebook", "names", multiple=True, help="Only this notebook; may be repeated. By default those made of fio runs."
)
@click.option(
    "-p", "--parameter", "pairs", multiple=True, metavar="NAME=VALUE", help="A notebook's parameter; may be repeated."
)
@click.option("--workers", type=click.IntRange(1, 64), help="Pages run at the same time; as many as CPUs by default.")
@click.option("--timeout", type=click.FloatRange(1, 1e6), metavar="SECONDS", help="Time after which a page is stopped.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    sets: tuple[Path, ...],
    out: Path,
    names: tuple[str, ...],
    pairs: tuple[str, ...],
    workers: int | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Make a report for each of many data sets, and one page that ranks them side by side.

    SETS are data sets, a folder of data sets, or a CSV table with a column data_set (name, and a column for each
    parameter that differs). What did not change is not run again.
    Exit status 1: something failed; the overview lists it.

    \b
    zpmodel batch fleet --out reports/fleet
    zpmodel batch mine theirs --out reports/both
    """
    from zpmodel.report.batch.make import make_batch, page_names
    from zpmodel.report.pages import find
    from zpmodel.report.parameters import from_text

    chosen = names or tuple(page_names())
    known = {known for name in chosen for known in find(name).parameters} - {"data_set"}
    made = make_batch(
        sets,
        out,
        from_text(pairs, known),
        chosen,
        tell=lambda text: click.echo(text, err=True),
        workers=workers,
        timeout_s=timeout,
    )
    index = made.index.resolve()
    if as_json:
        emit_json({"index": str(index), "failed": made.failed, "ran": made.ran})
    else:
        click.echo(f"Overview: {index.as_uri()}")
    if made.failed:
        click.echo(f"zpmodel: failed: {', '.join(made.failed)}; the overview says why", err=True)
        ctx.exit(1)
