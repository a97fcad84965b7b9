"""``zpmodel compare``: the zero-page policies side by side on a calibrated machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zpmodel.commands.output import emit_json, emit_table, json_option

if TYPE_CHECKING:
    from zpmodel.study.compare import Comparison


@click.command("compare")
@click.option(
    "--calibration", type=click.Path(path_type=Path), required=True, help="A file that zpmodel calibrate wrote."
)
@click.option("--length", default="1GiB", show_default=True, help="Bytes to zero: 1GiB, 1TiB.")
@click.option("--offset", default="0", show_default=True, help="Where on the device.")
@click.option("--limits", metavar="FILE|NAME|DIR", help="Another queue's limits; the calibrated device's if left out.")
@click.option(
    "--fallback-share", type=click.FloatRange(0, 1), default=0.0, show_default=True,
    help="Share of on-demand I/O that finds no huge zero folio.",
)  # fmt: skip
@json_option
def command(
    calibration: Path, length: str, offset: str, limits: str | None, fallback_share: float, as_json: bool
) -> None:
    """PAGE_SIZE, on-demand and static zero pages: elapsed time, CPU time, what bounds them, with 90 % intervals.

    \b
    zpmodel calibrate data/fio/kvm-zen5-virtio --out machine.json
    zpmodel compare --calibration machine.json --length 1TiB
    """
    from zpmodel.base.accelerate import few_answers

    few_answers()
    from zpmodel.base.units import format_size, parse_size
    from zpmodel.calibration.store import read
    from zpmodel.queue.presets import find_limits
    from zpmodel.study.compare import compare
    from zpmodel.study.scenario import Scenario

    model = read(calibration)
    queue = find_limits(limits) if limits else None
    size = parse_size(length, field="--length")
    start = parse_size(offset, field="--offset")
    found = compare(Scenario(model, size, offset=start, limits=queue, fallback_share=fallback_share))
    rows = [item.row() for item in found]
    if as_json:
        emit_json({"calibration": model.name, "length": size, "policies": rows})
        return
    click.echo(f"Zeroing {format_size(size)}, costs of {model.name}, 90 % intervals")
    emit_table([_shown(item) for item in found])
    for text in sorted({row["beyond"] for row in rows} - {""}):
        click.echo(f"Outside the calibrated range: {text}.")


def _shown(item: "Comparison") -> dict[str, Any]:
    found, itself = item.prediction, item.policy == "page"
    return {
        "policy": item.policy,
        "elapsed [s]": str(found.elapsed_s),
        "CPU [s]": str(found.cpu_s),
        "times as fast": "-" if itself else str(item.speedup),
        "CPU saved [s]": "-" if itself else str(item.cpu_saved_s),
        "bound by": found.bound_by,
        "verdict": item.row()["verdict"],
        "vectors": found.structure.vectors,
        "requests": found.structure.requests,
    }
