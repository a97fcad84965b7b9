"""``zpmodel report``: the notebooks through papermill, then one HTML site that opens offline."""

from pathlib import Path

import click

from zpmodel.commands.output import emit_json, json_option


@click.command("report")
@click.argument("data_set", required=False, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("reports/latest"),
    show_default=True,
    help="Folder of the report.",
)
@click.option("--notebook", "names", multiple=True, help="Only this notebook; may be repeated. All by default.")
@click.option(
    "-p", "--parameter", "pairs", multiple=True, metavar="NAME=VALUE", help="A notebook's parameter; may be repeated."
)
@click.option("--resume", is_flag=True, help="No longer needed: pages that did not change are always kept.")
@click.option("--workers", type=click.IntRange(1, 64), help="Pages run at the same time; as many as CPUs by default.")
@click.option("--timeout", type=click.FloatRange(1, 1e6), metavar="SECONDS", help="Time after which a page is stopped.")
@json_option
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
    report = make_report(
        out, parameters, chosen, tell=lambda text: click.echo(text, err=True), workers=workers, timeout_s=timeout
    )
    index = report.index.resolve()
    if as_json:
        emit_json({"index": str(index), "failed": report.failed, "ran": report.ran})
    else:
        click.echo(f"Report: {index.as_uri()}")
    if report.failed:
        click.echo(f"zpmodel: failed: {', '.join(report.failed)}; their pages say why", err=True)
        ctx.exit(1)
