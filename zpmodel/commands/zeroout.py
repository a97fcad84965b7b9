"""``zpmodel zeroout``: time BLKZEROOUT by length on this machine."""

import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zpmodel.commands.device import Seconds, open_device
from zpmodel.commands.output import emit_json, emit_table, json_option, say

if TYPE_CHECKING:
    from zpmodel.measure.zeroout import Row


@click.command("zeroout")
@click.option(
    "--scratch", is_flag=True, help="On a loop device over memory, made for the run and removed (the default)."
)
@click.option(
    "--size", default="1GiB", show_default=True, help="How large the scratch device is, or how much of DEV to use."
)
@click.option(
    "--device", metavar="DEV", type=click.Path(path_type=Path), help="On this block device; what it holds is lost."
)
@click.option("--destroy-data", is_flag=True, help="Say that everything on DEV may go.")
@click.option("--seconds", default=180.0, show_default=True, type=Seconds(0, 86400), help="How long to repeat.")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder for the results.")
@json_option
def command(
    scratch: bool, size: str, device: Path | None, destroy_data: bool, seconds: float, out: Path, as_json: bool
) -> None:
    """Time the kernel's zero-out by length: elapsed, the caller's CPU, kernel threads' CPU.

    \b
    zpmodel zeroout --out data/zeroout/my-server-loop
    zpmodel zeroout --device /dev/nvme1n1 --destroy-data --out data/zeroout/my-server-nvme

    Writes zeroout.csv (a row per repeat and length) and machine.toml. Lengths from 64 KiB to 1 GiB are repeated in
    random order until the time is up; Ctrl-C ends it early and keeps the rows so far.
    """
    if scratch and device is not None:
        raise click.UsageError("give --scratch or --device, not both")
    from zpmodel.base.units import parse_size
    from zpmodel.host.running import running_zero_page
    from zpmodel.host.signals import ends_orderly, status_of
    from zpmodel.measure import zeroout

    zeroout.check_free(out)
    page, source = running_zero_page()
    rows: list[zeroout.Row] = []
    stopped = None
    with ExitStack() as stack:
        path, fd, size_bytes = open_device(stack, device, destroy_data, parse_size(size, field="--size"))
        about = zeroout.facts(fd, path, size_bytes, {"bytes": page.size_bytes, "source": source})
        zeroout.make_folder(out)
        try:
            with ends_orderly(), click.progressbar(length=1000, label="zeroing", file=sys.stderr) as bar:

                def show(share: float) -> None:
                    bar.update(round(share * 1000) - bar.pos)

                for row in zeroout.measure(fd, size_bytes, seconds=seconds, progress=show):
                    rows.append(row)
        except KeyboardInterrupt as error:
            stopped = error
    if stopped is not None and not rows:
        with suppress(OSError):
            out.rmdir()
        raise stopped
    zeroout.write(out, rows, about | ({"stopped": "by a signal, before its time was up"} if stopped else {}))
    if stopped is not None:
        say(f"zpmodel: stopped; the {len(rows)} rows measured so far are in {out}", err=True)
    _show(out, rows, as_json)
    if stopped is not None:
        click.get_current_context().exit(status_of(stopped))


def _show(out: Path, rows: "list[Row]", as_json: bool) -> None:
    from statistics import median

    from zpmodel.base.units import format_size

    table = []
    for length in sorted({row.length_bytes for row in rows}):
        same = [row for row in rows if row.length_bytes == length]
        table.append(
            {
                "length": length if as_json else format_size(length),
                "repeats": len(same),
                "elapsed_us": median(row.elapsed_ns for row in same) / 1e3,
                "caller_cpu_us": median(row.caller_cpu_ns for row in same) / 1e3,
                "kernel_threads_us": median(row.kernel_threads_ns for row in same) / 1e3,
            }
        )
    if as_json:
        emit_json({"out": out, "medians": table})
        return
    say(f"medians of each call, {len(rows)} rows in {out / 'zeroout.csv'}")
    emit_table(table)
