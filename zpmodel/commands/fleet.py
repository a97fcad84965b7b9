"""``zpmodel fleet``: a table of machines; who gains, what, and the totals."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zpmodel.base.text import printable
from zpmodel.commands.machine_options import AskedMachine, machine_options, said_by_option, say_assumed
from zpmodel.commands.output import emit_json, emit_table, json_option, say

if TYPE_CHECKING:
    from zpmodel.timing.machine import Machine


@click.command("fleet")
@click.argument("table", type=click.Path(path_type=Path))
@machine_options
@click.option("--zero-page", default="static", show_default=True, help="static, on-demand, or a size: 64KiB.")
@click.option("--out", type=click.Path(path_type=Path), help="CSV file for all machines.")
@json_option
def command(table: Path, asked: AskedMachine, zero_page: str, out: Path | None, as_json: bool) -> None:
    """Who gains from a larger zero page, what, and what it costs, machine by machine and together.

    \b
    zpmodel fleet machines.csv --calibration machine.json
    zpmodel fleet machines.csv --machine nvme-mailing-list --iommu lazy

    A row a machine: gib_per_day (what it zeroes), and as wanted name, machines (how many alike), calibration or machine
    (a file, or a shipped machine's name), device, cpu, iommu and kernel (as the options, for this row), limits (as for
    zpmodel structure), and any input of zpmodel sweep: length, max_sectors, device.bandwidth ... Files are looked up
    beside the table. The options are for rows that name no machine. Rows that can't be answered for are listed with
    their machines, the rest is done, and the exit status is 0.
    """
    from zpmodel.base.files import check_new, write_atomically
    from zpmodel.study.fleet import fleet, read_table
    from zpmodel.study.verdict import WHAT_COUNTS

    if out is not None:
        check_new(out, where="--out")
    found = fleet(read_table(table), _loader(table, asked), policy=zero_page, where=str(table), folder=table.parent)
    rows: list[dict[str, Any]] = found.machines.to_dict("records")  # type: ignore[assignment]
    bad: list[dict[str, Any]] = found.bad.to_dict("records")  # type: ignore[assignment]
    if out is not None:
        write_atomically(out, found.machines.to_csv(index=False))
    if as_json:
        totals = {name: value.as_dict() for name, value in found.totals.items()}
        left_out = {"rows": len(bad), "machines": found.machines_left_out}
        emit_json({"machines": rows, "bad": bad, "left_out": left_out, "totals": totals, "words": found.words})
        return
    emit_table([_shown(row) for row in rows[:60]])
    if len(rows) > 60:
        say(f"... and {len(rows) - 60} more; --json or --out has all")
    for row in bad[:20]:
        say(printable(row["why"]))
    if len(bad) > 20:
        say(f"... and {len(bad) - 20} rows more like these; --json has all")
    say(f"\n{found.words}")
    say(WHAT_COUNTS)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    from zpmodel.base.estimate import Estimate

    def ends(name: str) -> Estimate:
        return Estimate(*(row[f"{name}{end}"] for end in ("", "_low", "_high")))

    return {
        "name": row["name"],
        "machines": row["machines"],
        "times as fast": ends("speedup").as_ratio(),
        "CPU saved [s/day]": str(ends("cpu_saved_s_per_day")),
        "time saved [s/day]": str(ends("elapsed_saved_s_per_day")),
        "memory [MiB]": row["memory_mib"],
        "verdict": row["verdict"],
    }


def _loader(table: Path, asked: AskedMachine) -> "Callable[[dict[str, str]], Machine | None]":
    """How to get the machine of a row's cells: its own, else the one that the options name, with the row's parts."""
    from zpmodel.calibration.machine_file import load_machine

    def beside(file: str) -> str:
        return str(table.parent / file)

    said = set[tuple[str, ...]]()

    @cache
    def load(cells: tuple[tuple[str, str], ...]) -> "Machine | None":
        machine = read(cells)
        if machine is not None and machine.assumed not in said:  # once for all machines of which it is the same
            said.add(machine.assumed)
            say_assumed(machine)
        return machine

    def read(cells: tuple[tuple[str, str], ...]) -> "Machine | None":
        parts: dict[str, str | None] = dict(cells)
        calibration, machine, device = (parts.pop(name, None) for name in ("calibration", "machine", "device"))
        if device is not None:
            parts["device"] = beside(device) if device.endswith((".toml", ".csv")) else device
        if calibration:
            return load_machine(beside(calibration), **parts)
        if machine:  # without a suffix a shipped one's name
            return load_machine(beside(machine) if Path(machine).suffix else machine, **parts)
        if not asked.given:
            return None
        with said_by_option(but=dict(cells)):
            return load_machine(asked.named(), **{**asked.parts, **parts})

    return lambda cells: load(tuple(sorted(cells.items())))
