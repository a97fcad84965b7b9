"""``zpmodel clear``: how fast a CPU clears memory."""

from typing import Any

import click

from zpmodel.commands.output import emit_json, emit_table, json_option, say

DEFAULT_SIZES = ("4KiB", "64KiB", "2MiB", "32MiB", "512MiB")


@click.command("clear")
@click.argument("sizes", nargs=-1)
@click.option("--machine", metavar="NAME|FILE", help="A shipped machine file or your own (.toml); all shipped ones.")
@click.option("--method", default="rep-stos", show_default=True, help="rep-stos, non-temporal or clzero.")
@click.option(
    "--region", help="Memory gone round before a byte is cleared again; by default more than any cache holds."
)
@click.option("--hot", is_flag=True, help="The same bytes again and again: the region is the size itself.")
@click.option("--kernel", help="Clear as this kernel clears a folio: in one go from 7.0, in 4 KiB pieces before.")
@click.option("--without", multiple=True, metavar="NAME", help="Know nothing of this CPU, to see what is said then.")
@json_option
def command(
    sizes: tuple[str, ...],
    machine: str | None,
    method: str,
    region: str | None,
    hot: bool,
    kernel: str | None,
    without: tuple[str, ...],
    as_json: bool,
) -> None:
    """Bandwidth and time of clearing memory, by size, method and CPU, with 90 % intervals.

    \b
    zpmodel clear 2MiB --machine icelake-x-8358
    zpmodel clear 4KiB 2MiB --machine my-cpu.toml --method non-temporal
    zpmodel clear 2MiB --kernel 6.12

    A CPU whose clearing is known answers by its own figures; any other by its caches and by what the known ones have
    in common, with a wider interval. The column "rests on" says which.
    """
    from zpmodel.base.units import parse_size
    from zpmodel.memory.clearing.cpus import check_cpus, known_cpus
    from zpmodel.memory.machines import read_machine

    if hot and region is not None:
        raise click.UsageError("give --hot or --region, not both")
    check_cpus(without)
    asked = [parse_size(size, field="SIZE") for size in sizes or DEFAULT_SIZES]
    around = None if region is None else parse_size(region, field="--region")
    version = None if kernel is None else _version(kernel)
    names = known_cpus() if machine is None else (machine,)
    rows = [
        _row(read_machine(name), method, size, size if hot else around, version, without)
        for name in names
        for size in asked
    ]
    if as_json:
        emit_json({"clearing": rows})
        return
    from zpmodel.base.estimate import Estimate
    from zpmodel.base.units import format_size

    say(f"Clearing with {method}, one core, 90 % intervals")
    shown = []
    for row in rows:
        rate, time = (Estimate(*(row[key] for key in keys)) for keys in (_RATES, _TIMES))
        shown.append(
            {
                "machine": row["machine"],
                "size": format_size(row["size_bytes"]),
                "GB/s": str(rate.scaled(1e-9)),
                "time [us]": str(time.scaled(1e6)),
                "rests on": row["source"],
                "not measured": row["missing"] or None,
            }
        )
    emit_table(shown)


_RATES = ("bandwidth_bytes_per_s", "low_bytes_per_s", "high_bytes_per_s")
_TIMES = ("seconds", "low_s", "high_s")


def _version(text: str) -> tuple[int, int]:
    from zpmodel.callers.base import Kernel

    return Kernel.parse(text, "--kernel").version


def _row(
    machine: Any, method: Any, size: int, region: int | None, kernel: tuple[int, int] | None, without: tuple[str, ...]
) -> dict[str, Any]:
    from zpmodel.memory.clearing.cpus import call_of, cold_region, predict_clearing

    call = size if kernel is None else call_of(size, kernel)
    around = cold_region(machine, size) if region is None else region
    rate, missing = predict_clearing(machine, method, call, around, left_out=without)
    time = rate.inverse().scaled(size)
    return {
        "machine": machine.name,
        "model": machine.model,
        "method": method,
        "size_bytes": size,
        "call_bytes": call,
        "region_bytes": around,
        **dict(zip(_RATES, (rate.value, rate.low, rate.high), strict=True)),
        **dict(zip(_TIMES, (time.value, time.low, time.high), strict=True)),
        "source": rate.source,
        "missing": missing,
    }
