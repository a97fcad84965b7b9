"""``zpmodel fio``: fio's output as one table."""

from collections import Counter

import click

from zpmodel.base.text import printable
from zpmodel.commands.output import emit_json, emit_table, json_option, say

_SHOWN = (
    *("file", "document", "job", "direction", "engine", "rw", "block_bytes", "total_depth", "jobs"),
    *("ios", "iops", "bytes_per_s", "lat_mean_ns", "p99_ns", "cpu_s_per_io", "little", "little_ok"),
)

# Whole numbers that the table holds as floats because they can be missing.
_COUNTS = ("group", "timestamp", "block_bytes", "depth", "numjobs", "jobs", "total_depth", "syncs", "context_switches")


@click.command(name="fio")
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
@json_option
def command(files: tuple[str, ...], as_json: bool) -> int:
    """Read fio output into one tidy table.

    FILE is what fio wrote with --output-format=json or json+ (fio 2 or 3), or a directory: all files below it.
    Text around the JSON is fine. The table shows the main columns, and of running totals (--status-interval) only
    the last; --json has everything (docs/fio-columns.md). Notes say why figures are missing.

    Rejected files and failed jobs are listed with the reason, and the exit status is then 2.

    \b
    Example:  fio --output-format=json job.fio > run.json; zpmodel fio run.json
    """
    from zpmodel.fio.read import read

    reading = read(files)
    # Objects, so that what is missing can become None.
    jobs = reading.jobs.astype(object).where(reading.jobs.notna(), None)
    rejected = reading.rejected.to_dict("records")
    rows = [
        {str(name): int(value) if name in _COUNTS and value is not None else value for name, value in row.items()}
        for row in jobs.to_dict("records")
    ]
    if as_json:
        emit_json({"jobs": rows, "rejected": rejected})
    else:
        emit_table([row for row in rows if row["last"]], columns=_SHOWN)
        for each in rejected:
            say(f"zpmodel: rejected: {printable(each['reason'])}", err=True)
        noted = Counter(str(row["notes"]) for row in rows if row["last"] and row["notes"])
        for note, times in noted.items():
            say(f"zpmodel: note: {times} row{'s' if times > 1 else ''}: {printable(note)}", err=True)
    return 2 if rejected else 0
