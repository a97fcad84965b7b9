"""``zpmodel report``: the notebooks through papermill, then one HTML site that opens offline."""

from pathlib import Path

import click

from zpmodel.commands.site_options import show, site_options, tell


@click.command("report")
@click.argument("data_set", required=False, type=click.Path(path_type=Path))
@site_options("report", "reports/latest", "All by default.")
@click.option("--resume", is_flag=True, help="No longer needed: pages that did not change are always kept.")
@click.pass_context
def command(
    ctx: click.Context,
    data_set: Path | None,
    out: Path,
    names: tuple[str, ...],
    pairs: tuple[str, ...],
    resume: bool,
    workers: int | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Run the notebooks that changed and make one HTML site that opens offline.

    DATA_SET is a folder that zpmodel measure or import made; the shipped one by default.
    Exit status 1: a page failed; it says why.

    \b
    zpmodel report
    zpmodel report my-machine --out reports/my-machine -p length=1TiB
    """
    from zpmodel.datasets import form_of
    from zpmodel.report.pages import find
    from zpmodel.report.parameters import from_text
    from zpmodel.report.site import make_report, notebook_names

    chosen = names or notebook_names()
    parameters = from_text(pairs, {known for name in chosen for known in find(name).parameters})
    if data_set is not None:
        form_of(data_set)
        parameters["data_set"] = str(data_set)
    made = make_report(out, parameters, chosen, tell=tell, workers=workers, timeout_s=timeout)
    show(ctx, made, as_json, "Report", "their pages say why")
