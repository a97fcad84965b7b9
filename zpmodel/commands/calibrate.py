"""``zpmodel calibrate``: a measured data set into costs with intervals."""

from pathlib import Path

import click

from zpmodel.base.text import printable
from zpmodel.commands.output import emit_json, emit_table, json_option, say


@click.command("calibrate")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Where to write the calibration (JSON).")
@click.option(
    "--resamples", type=click.IntRange(20, 100_000), default=1000, show_default=True, help="Bootstrap resamples."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the bootstrap.")
@json_option
def command(folder: Path, out: Path | None, resamples: int, seed: int, as_json: bool) -> None:
    """Costs of this machine and device, from the data set FOLDER that zpmodel measure or import made.

    \b
    zpmodel calibrate data/fio/kvm-zen5-virtio --out machine.json
    zpmodel compare --calibration machine.json --length 1TiB
    """
    from zpmodel.calibration.calibrate import calibrate
    from zpmodel.calibration.identify import cost_table, doubts
    from zpmodel.calibration.store import check_writable, save
    from zpmodel.calibration.vectors import vector_cost, vector_slopes
    from zpmodel.datasets import read_data_set

    if out is not None:
        check_writable(out)
    data = read_data_set(folder)
    model = calibrate(data, resamples=resamples, seed=seed)
    if out is not None:
        save(model, out)
    vector = vector_cost(vector_slopes(data))
    rows, notes = cost_table(model), doubts(model)
    if as_json:
        emit_json(
            {
                "name": model.name,
                "costs": rows,
                "scatter": {"cpu": model.cpu.scatter, "rate": model.device.scatter, "ratio": model.ratio_scatter},
                "reach": model.device.reach._asdict() if model.device.reach else None,
                "doubts": notes,
                "vector_s": vector.as_dict() if vector else None,
                "assumed": data.assumed,
                "left_out": data.left_out,
                "disturbed": data.disturbed,
                "without_cpu": data.without_cpu,
            }
        )
        return
    say(f"{model.name}: costs with 90 % intervals ({resamples} resamples of the replicates)")
    emit_table(rows)
    say(
        f"\nHeld-out points scatter by {model.cpu.scatter:.0%} (CPU), {model.device.scatter:.0%} (rate), "
        f"{model.ratio_scatter:.0%} (2 MiB / 4 KiB ratio), one standard deviation."
    )
    if vector:
        shown = f"{vector.scaled(1e9)} ns of CPU time ({vector.source}, one-vector I/Os left out)"
        say(f"Read off without the model: a 4 KiB vector takes {shown}.")
    for note in (*notes, *data.remarks):
        say(f"- {printable(note)}")
    if out is not None:
        say(f"\nwritten: {out}")
