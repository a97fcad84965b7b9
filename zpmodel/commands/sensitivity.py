"""``zpmodel sensitivity``: which inputs decide the answer."""

from pathlib import Path
from typing import Any

import click

from zpmodel.commands.machine_options import AskedMachine, machine_options
from zpmodel.commands.output import emit_json, emit_table, json_option, say


@click.command("sensitivity")
@machine_options
@click.option("--range", "ranges", multiple=True, metavar="NAME=LOW:HIGH[:log]", help="An input and what it may be.")
@click.option("--length", default="1GiB", show_default=True, help="Bytes to zero.")
@click.option("--zero-page", default="static", show_default=True, help="page, static, on-demand, or a size: 64KiB.")
@click.option(
    "--output",
    type=click.Choice(["speedup", "elapsed_s", "cpu_s", "cpu_saved_s"]),
    default="speedup",
    show_default=True,
    help="What is to be explained.",
)
@click.option("--method", type=click.Choice(["sobol", "morris"]), default="sobol", show_default=True)
@click.option("--samples", type=click.IntRange(2), default=256, show_default=True, help="A power of two for sobol.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--chart", type=click.Path(path_type=Path), metavar="FILE", help="A tornado chart, new: FILE.svg or FILE.png."
)
@json_option
def command(
    asked: AskedMachine,
    ranges: tuple[str, ...],
    length: str,
    zero_page: str,
    output: str,
    method: Any,
    samples: int,
    seed: int,
    chart: Path | None,
    as_json: bool,
) -> None:
    """Vary inputs over their ranges and say which decide the answer, and so which to know better.

    \b
    zpmodel sensitivity --calibration machine.json
    zpmodel sensitivity --calibration machine.json --range max_sectors=64:8192:log --range device.bandwidth=1e8:1e10:log
    zpmodel sensitivity --machine nvme-mailing-list --chart tornado.svg

    Without --range, each of the machine's costs varies over its own interval. Inputs as in zpmodel sweep. The chart
    moves one input at a time, all others at their best values.
    """
    from zpmodel.base.units import parse_size
    from zpmodel.commands.sweep import named, span_of
    from zpmodel.study.scenario import Scenario
    from zpmodel.study.sensitivity import sensitivity

    if chart is not None:
        from zpmodel.report.charts.files import check_chart

        check_chart(chart, where="--chart")
    spans = {name: span_of(name, text) for name, text in map(named, ranges)}
    base = Scenario(asked.load(), parse_size(length, field="--length"), zero_page)
    found = sensitivity(base, spans, output=output, method=method, samples=samples, seed=seed)
    if chart is not None:
        # The library of charts takes a second to import.
        from zpmodel.report.charts.files import write_chart
        from zpmodel.report.charts.sensitivity import tornado
        from zpmodel.study.swings import swings

        write_chart(chart, tornado(swings(base, spans, output=output)))
    rows: list[dict[str, Any]] = found.table.to_dict("records")  # type: ignore[assignment]
    if as_json:
        emit_json({"method": method, "output": output, "inputs": rows, "words": found.words})
        return
    others = [", ".join(map(str, row.pop("not_told_from"))) or "-" for row in rows]
    emit_table([{**row, "not to be told apart from": text} for row, text in zip(rows, others, strict=True)])
    say(f"\n{found.words}")
