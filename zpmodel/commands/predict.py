"""``zpmodel predict``: elapsed and CPU time of zeroing a range from one zero page."""

from pathlib import Path

import click

from zpmodel.commands.output import emit_json, emit_table, json_option


@click.command("predict")
@click.option(
    "--calibration", type=click.Path(path_type=Path), required=True, help="A file that zpmodel calibrate wrote."
)
@click.option("--zero-page", default="static", show_default=True, help="page, static, on-demand, or a size: 64KiB.")
@click.option("--limits", metavar="FILE|NAME|DIR", help="Another queue's limits; the calibrated device's if left out.")
@click.option("--length", default="1GiB", show_default=True, help="Bytes to zero.")
@click.option("--offset", default="0", show_default=True, help="Where on the device.")
@json_option
def command(calibration: Path, zero_page: str, limits: str | None, length: str, offset: str, as_json: bool) -> None:
    """Predict zeroing a range: elapsed time, CPU time, what bounds it, with 90 % intervals.

    \b
    zpmodel predict --calibration machine.json --zero-page 64KiB --length 100GiB
    """
    from zpmodel.base.accelerate import few_answers

    few_answers()
    from zpmodel.base.units import format_size, parse_size
    from zpmodel.calibration.store import read
    from zpmodel.queue.presets import find_limits
    from zpmodel.queue.zeropage import ZeroPage
    from zpmodel.study.scenario import Scenario, predict

    model, page, size = read(calibration), ZeroPage.named(zero_page), parse_size(length, field="--length")
    queue = find_limits(limits) if limits else None
    found = predict(Scenario(model, size, zero_page, parse_size(offset, field="--offset"), limits=queue))
    estimates = {"elapsed_s": found.elapsed_s, "cpu_s": found.cpu_s}
    if as_json:
        emit_json(
            {
                "calibration": model.name,
                "zero_page_bytes": page.size_bytes,
                "length": size,
                **{
                    name: {end: getattr(value, end) for end in ("value", "low", "high")}
                    for name, value in estimates.items()
                },
                "bound_by": found.bound_by,
                "beyond": found.beyond,
                "structure": found.structure.totals(),
            }
        )
        return
    click.echo(f"Zeroing {format_size(size)} from {page}, costs of {model.name}")
    emit_table(
        [{"of": f"{name[:-2].replace('cpu', 'CPU')} [s]", "90 %": str(value)} for name, value in estimates.items()]
    )
    click.echo(f"bound by: {found.bound_by}")
    if found.beyond:
        click.echo(f"Outside the calibrated range: {found.beyond}.")
