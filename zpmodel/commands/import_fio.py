"""``zpmodel import``: anybody's fio output as a data set."""

from pathlib import Path

import click

from zpmodel.base.text import printable
from zpmodel.commands.output import emit_json, json_option, say

_DRIVERS = ("nvme", "sd", "virtio_blk", "loop", "null_blk")


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the data set to make.")
@click.option("--limits", metavar="FILE|NAME|DIR", help="The queue's limits; by the driver if left out, and said.")
@click.option("--driver", type=click.Choice(_DRIVERS), help="Of the device; by fio's file names if left out, and said.")
@click.option(
    "--memory", type=click.Choice(["malloc", "mmaphuge"]), help="Pages of the buffers, where fio doesn't say: 4 KiB "
    "or 2 MiB. By default 4 KiB, and CPU times of buffers that may be transparent huge pages are left out.",
)  # fmt: skip
@click.option("--cpu", metavar="TEXT", help="The processor that it ran on.")
@click.option("--kernel", metavar="TEXT", help="The kernel that it ran on.")
@json_option
def command(
    files: tuple[str, ...],
    out: Path,
    limits: str | None,
    driver: str | None,
    memory: str | None,
    cpu: str | None,
    kernel: str | None,
    as_json: bool,
) -> None:
    """Make a data set of anybody's fio output, which calibrate and report then take.

    FILE is what fio wrote with --output-format=json or json+, or a directory: all files below it. What fio doesn't say
    is asked for by option, or assumed and said. Reads are taken where there are no writes.

    \b
    zpmodel import results/*.json --driver nvme --limits nvme-mdts5@6.12 --out somebody
    zpmodel calibrate somebody
    """
    from zpmodel.datasets.any_fio import read_any
    from zpmodel.datasets.imported import Said, write_set
    from zpmodel.datasets.schema import KEYS

    found = write_set(out, read_any(files), Said(limits, driver, memory, cpu, kernel), files)
    points, told = found.writes.groupby(list(KEYS)).ngroups, int(found.writes["cpu_s"].notna().sum())
    if as_json:
        emit_json(
            {
                "out": str(out),
                "runs": len(found.writes),
                "points": points,
                "runs_with_cpu": told,
                "assumed": found.assumed,
                "left_out": found.left_out,
                "without_cpu": found.without_cpu,
            }
        )
        return
    say(f"{printable(str(out))}: {len(found.writes)} runs of {points} points, {told} with CPU time")
    if found.without_cpu:
        say(f"CPU time of {printable(found.without_cpu)}")
    for line in found.assumed:
        say(f"assumed: {printable(line)}")
    for line in found.left_out:
        say(f"left out: {printable(line)}", err=True)
    say(f"next: zpmodel calibrate {printable(str(out))}")
