"""``zpmodel predict``: elapsed and CPU time of zeroing a range from one zero page."""

from typing import TYPE_CHECKING

import click

from zpmodel.commands.machine_options import AskedMachine, caller_option, machine_options
from zpmodel.commands.output import emit_json, emit_table, json_option, say, time_unit

if TYPE_CHECKING:
    from zpmodel.timing.predict import Prediction


_LEAST_SHARE = 0.01  # of the CPU time, that work may cost at the most and is listed for


@click.command("predict")
@machine_options
@caller_option
@click.option("--zero-page", default="static", show_default=True, help="page, static, on-demand, or a size: 64KiB.")
@click.option("--limits", metavar="FILE|NAME|DIR", help="Another queue's limits; the calibrated device's if left out.")
@click.option("--length", default="1GiB", show_default=True, help="Bytes to zero.")
@click.option("--offset", default="0", show_default=True, help="Where on the device.")
@click.option("--depth", type=click.IntRange(1, 65536), default=1, help="With --caller fio_write: writes in flight.")
@json_option
def command(
    asked: AskedMachine,
    caller: str,
    zero_page: str,
    limits: str | None,
    length: str,
    offset: str,
    depth: int,
    as_json: bool,
) -> None:
    """Predict zeroing a range: elapsed time, CPU time, what bounds it, with 90 % intervals.

    \b
    zpmodel predict --calibration machine.json --zero-page 64KiB --length 100GiB
    zpmodel predict --machine nvme-mailing-list --iommu strict
    zpmodel predict --calibration machine.json --caller fio_write --length 1MiB --depth 16
    """
    from zpmodel.base.accelerate import few_answers
    from zpmodel.queue.presets import find_limits

    queue = find_limits(limits) if limits else None
    few_answers(queue.chunk_sectors if queue else 0)
    from zpmodel.base.units import format_size, parse_size
    from zpmodel.queue.zeropage import ZeroPage
    from zpmodel.study.scenario import Scenario, predict

    model = asked.load()
    page, size, start = (
        ZeroPage.named(zero_page),
        parse_size(length, field="--length"),
        parse_size(offset, field="--offset"),
    )
    found = predict(Scenario(model, size, zero_page, start, caller=caller, depth=depth, limits=queue))
    if as_json:
        emit_json(
            {
                "calibration": model.name,
                "zero_page_bytes": page.size_bytes,
                "length": size,
                "elapsed_s": found.elapsed_s.as_dict(),
                "cpu_s": found.cpu_s.as_dict(),
                "bound_by": found.bound_by,
                "beyond": found.beyond,
                "structure": found.structure.totals(),
                "terms": [
                    {"name": term.name, "number": term.number, "each_ns": term.each_s * 1e9, "says": term.says}
                    for term in found.terms
                ],
            }
        )
        return
    _show(found, f"{format_size(found.structure.length)} by {caller} from {page}, costs of {model.name}")


def _show(found: "Prediction", title: str) -> None:
    say(title)
    elapsed, in_elapsed = time_unit([found.elapsed_s])
    cpu, in_cpu = time_unit([found.cpu_s])
    times = {f"elapsed [{elapsed}]": found.elapsed_s.scaled(in_elapsed)}
    times[f"CPU, all threads [{cpu}]"] = found.cpu_s.scaled(in_cpu)
    emit_table([{name: str(time) for name, time in times.items()}])
    say(f"bound by: {found.bound_by}")
    if found.zero_page.policy == "on-demand":
        say(
            "The huge zero folio is taken to be there; zpmodel compare gives the mean over its life, zpmodel life that."
        )
    if found.cpu_s.known:
        say("\nCPU time by kind of work:")
        # The best value of a cost may be nothing where its interval is not, and that is in the sum's.
        least = _LEAST_SHARE * found.cpu_s.value
        shown = [term for term in found.terms if term.number * term.each_s > 0 or term.seconds.high > least]
        unit, each = time_unit([term.seconds for term in shown])
        emit_table([{"work": t.name, f"CPU [{unit}]": str(t.seconds.scaled(each)), "from": t.says} for t in shown])
    else:
        say("CPU time: none was measured on this machine")
    if found.beyond:
        say(f"Outside the calibrated range: {found.beyond}.")
