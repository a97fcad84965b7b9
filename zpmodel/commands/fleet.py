"""``zpmodel fleet``: a table of machines; who gains, what, and the totals."""

from functools import cache
from pathlib import Path
from typing import Any

import click

from zpmodel.base.text import printable
from zpmodel.commands.output import emit_json, emit_table, json_option, say


@click.command("fleet")
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--calibration", type=click.Path(path_type=Path), help="For rows that name none.")
@click.option("--zero-page", default="static", show_default=True, help="static, on-demand, or a size: 64KiB.")
@click.option("--out", type=click.Path(path_type=Path), help="CSV file for all machines.")
@json_option
def command(table: Path, calibration: Path | None, zero_page: str, out: Path | None, as_json: bool) -> None:
    """Who gains from a larger zero page, what, and what it costs, machine by machine and together.

    \b
    zpmodel fleet machines.csv --calibration machine.json

    A row a machine: gib_per_day (what it zeroes), and as wanted name, machines (how many alike), calibration (a file),
    limits (as for zpmodel structure), and any input of zpmodel sweep: length, max_sectors, device.bandwidth ... Rows
    that can't be answered are listed, the rest is done.
    """
    from zpmodel.base.errors import InputError
    from zpmodel.base.files import check_new, write_atomically
    from zpmodel.calibration.store import read
    from zpmodel.study.fleet import fleet, read_table

    @cache
    def load(name: str) -> Any:
        if name:
            return read(table.parent / name)
        if calibration is None:
            raise InputError(str(table), "calibration", "", "a file in the row, or --calibration")
        return read(calibration)

    if out is not None:
        check_new(out, where="--out")
    found = fleet(read_table(table), load, policy=zero_page, where=str(table))
    rows: list[dict[str, Any]] = found.machines.to_dict("records")  # type: ignore[assignment]
    bad: list[dict[str, Any]] = found.bad.to_dict("records")  # type: ignore[assignment]
    if out is not None:
        write_atomically(out, found.machines.to_csv(index=False))
    if as_json:
        totals = {name: value.as_dict() for name, value in found.totals.items()}
        emit_json({"machines": rows, "bad": bad, "totals": totals, "words": found.words})
        return
    shown = ("name", "machines", "speedup", "cpu_saved_s_per_day", "elapsed_saved_s_per_day", "memory_mib", "verdict")
    emit_table([{name: row[name] for name in shown} for row in rows[:60]])
    if len(rows) > 60:
        say(f"... and {len(rows) - 60} more; --json or --out has all")
    for row in bad[:20]:
        say(f"row {row['row']} ({printable(row['name'])}): {printable(row['why'])}")
    say(f"\n{found.words}")
