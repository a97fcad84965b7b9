"""``zpmodel compare``: the zero-page policies side by side on a calibrated machine."""

from typing import TYPE_CHECKING, Any

import click

from zpmodel.commands.machine_options import AskedMachine, caller_option, machine_options
from zpmodel.commands.output import emit_json, emit_table, json_option, say, time_unit

if TYPE_CHECKING:
    from zpmodel.study.compare import Comparison


@click.command("compare")
@machine_options
@caller_option
@click.option("--length", default="1GiB", show_default=True, help="Bytes to zero: 1GiB, 1TiB.")
@click.option("--offset", default="0", show_default=True, help="Where on the device.")
@click.option("--limits", metavar="FILE|NAME|DIR", help="Another queue's limits; the calibrated device's if left out.")
@click.option(
    "--fallback-share", type=click.FloatRange(0, 1),
    help="Share of on-demand I/O that finds no huge zero folio; if left out, as an assumed life of the folio says.",
)  # fmt: skip
@json_option
def command(
    asked: AskedMachine,
    caller: str,
    length: str,
    offset: str,
    limits: str | None,
    fallback_share: float | None,
    as_json: bool,
) -> None:
    """PAGE_SIZE, on-demand and static zero pages: elapsed time, CPU time, what bounds them, with 90 % intervals.

    \b
    zpmodel calibrate data/fio/kvm-zen5-virtio --out machine.json
    zpmodel compare --calibration machine.json --length 1TiB
    zpmodel compare --machine nvme-mailing-list --device "2 GB/s" --iommu lazy
    """
    from zpmodel.base.accelerate import few_answers
    from zpmodel.queue.presets import find_limits

    queue = find_limits(limits) if limits else None
    few_answers(queue.chunk_sectors if queue else 0)
    from zpmodel.base.units import format_size, parse_size
    from zpmodel.calibration.identify import missing
    from zpmodel.study.compare import compare, hidden, hidden_in_words
    from zpmodel.study.scenario import FIO_WRITE, ZERO_OUT, Scenario
    from zpmodel.study.verdict import WHAT_COUNTS

    model = asked.load()
    size = parse_size(length, field="--length")
    start = parse_size(offset, field="--offset")
    question = Scenario(model, size, offset=start, caller=caller, limits=queue, fallback_share=fallback_share)
    found = compare(question)
    rows = [item.row() for item in found]
    ends = hidden(question)
    if as_json:
        answer: dict[str, Any] = {"calibration": model.name, "length": size, "policies": rows}
        if ends is not None:
            answer["speedup"] = ends[0].columns("all_hidden") | ends[1].columns("none_hidden")
        emit_json(answer)
        return
    zeroed = format_size(found[0].prediction.structure.length)
    say(f"Zeroing {zeroed} by {caller}, costs of {model.name}, 90 % intervals")
    emit_table(_shown(found))
    unknown = [f"{item.policy}: {item.unknown_in_words}." for item in found if item.unknown_in_words]
    say("\n".join([WHAT_COUNTS, *unknown]))
    for served in (item.served for item in found if item.served is not None):
        say(f"on-demand: a mean of all calls; {served.in_words()}; zpmodel life says more.")
    if ends is not None:
        say(hidden_in_words(model.device, ends))
    if caller not in (ZERO_OUT, FIO_WRITE):
        say(f"{caller}: as in Linux 6.12 from PAGE_SIZE, and as it would be, converted, from larger pages.")
    if found[0].offloaded:
        say(
            "The device has Write Zeroes, so no zero page is written, and its size changes nothing; --limits with "
            "write_zeroes_max_bytes 0 says what it would be worth without."
        )
    for lack in missing(model):
        say(str(lack))
    for text in sorted({row["beyond"] for row in rows} - {""}):
        say(f"Outside the calibrated range: {text}.")


def _shown(found: "list[Comparison]") -> list[dict[str, Any]]:
    elapsed, in_elapsed = time_unit([item.prediction.elapsed_s for item in found])
    cpu, in_cpu = time_unit([item.prediction.cpu_s for item in found])
    saved, in_saved = time_unit([item.cpu_saved_s for item in found])
    return [
        {
            "policy": item.policy,
            f"elapsed [{elapsed}]": str(item.prediction.elapsed_s.scaled(in_elapsed)),
            f"CPU [{cpu}]": str(item.prediction.cpu_s.scaled(in_cpu)),
            "times as fast": "-" if item.policy == "page" else item.speedup.as_ratio(),
            f"CPU saved [{saved}]": "-" if item.policy == "page" else str(item.cpu_saved_s.scaled(in_saved)),
            "bound by": item.prediction.bound_by,
            "verdict": item.row()["verdict"],
            # As in --json: of an on-demand page the mean over its calls, some of which fall back to 4 KiB.
            "vectors": round(item.row()["vectors"]),
            "requests": round(item.row()["requests"]),
        }
        for item in found
    ]
