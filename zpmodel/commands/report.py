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
@click.option("--resume", is_flag=True, help="Keep notebooks that an interrupted run into --out has finished.")
@json_option
def command(
    data_set: Path | None, out: Path, names: tuple[str, ...], pairs: tuple[str, ...], resume: bool, as_json: bool
) -> None:
    """Run the notebooks and make one HTML site that opens offline.

    DATA_SET is a folder that zpmodel measure or import made; the shipped one by default.

    \b
    zpmodel report
    zpmodel report my-machine --out reports/my-machine -p length=1TiB
    """
    import yaml

    from zpmodel.base.errors import InputError
    from zpmodel.datasets import form_of
    from zpmodel.report.site import make_report

    parameters = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InputError("--parameter", "value", pair, "NAME=VALUE")
        parameters[name] = yaml.safe_load(value)
    if data_set is not None:
        form_of(data_set)
        parameters["data_set"] = str(data_set.resolve())
    index = make_report(out, parameters, names or None, tell=lambda text: click.echo(text, err=True), resume=resume)
    if as_json:
        emit_json({"index": str(index.resolve())})
    else:
        click.echo(f"Report: {index.resolve().as_uri()}")
