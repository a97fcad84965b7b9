"""``zpmodel batch``: a report for each of many data sets, and an overview that ranks them."""

from pathlib import Path

import click

from zpmodel.commands.site_options import show, site_options, tell


@click.command("batch")
@click.argument("sets", nargs=-1, required=True, type=click.Path(path_type=Path))
@site_options("batch", "reports/batch", "By default those made of fio runs.")
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
    made = make_batch(sets, out, from_text(pairs, known), chosen, tell=tell, workers=workers, timeout_s=timeout)
    show(ctx, made, as_json, "Overview", "the overview says why")
