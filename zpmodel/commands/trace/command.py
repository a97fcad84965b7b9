"""The options of ``zpmodel trace``, and which of its four kinds of work they ask for."""

import sys
from pathlib import Path
from typing import Any

import click

from zpmodel.commands.device import Seconds
from zpmodel.commands.output import json_option
from zpmodel.commands.trace.asked import Asked, check_save, refuse_contradictions


@click.command("trace")
@click.option(
    "--scratch", is_flag=True, help="On a loop device over memory, made for the run and removed (the default)."
)
@click.option("--size", default="64MiB", show_default=True, help="Size of the scratch device.")
@click.option("--ranges", type=click.IntRange(1, 100_000), help="Random ranges and queue settings on scratch devices.")
@click.option("--seed", default=1, show_default=True, help="What the random ranges are drawn from.")
@click.option("--device", metavar="DEV", type=click.Path(path_type=Path), help="On this block device.")
@click.option("--destroy-data", is_flag=True, help="Say that the range on DEV may be zeroed.")
@click.option("--watch", type=Seconds(0.1, 3600), metavar="SECONDS", help="Write nothing; count others' writes.")
@click.option("--from", "files", multiple=True, type=click.Path(path_type=Path), help="blkparse text, btt histograms.")
@click.option("--from-device", metavar="MAJOR,MINOR", help="Which device of the blkparse text.")
@click.option("--zero-page", help="page, static, or a size; by default the running kernel's.")
@click.option("--limits", metavar="FILE|NAME|DIR", help="With --from: the queue limits to model.")
@click.option("--offset", default="0", show_default=True, help="First byte of the range.")
@click.option("--length", help="Bytes of the range.")
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Write what was traced as JSON lines.")
@json_option
def command(**given: Any) -> None:
    """What this machine's kernel did with a range that it zeroed, against the model, line by line.

    \b
    zpmodel trace --length 64MiB                         on a scratch device
    zpmodel trace --ranges 200 --save ranges.jsonl       random ranges, limits, schedulers
    zpmodel trace --device /dev/nvme1n1 --offset 0 --length 1GiB --destroy-data
    zpmodel trace --device /dev/nvme0n1 --watch 10       only looks
    zpmodel trace --from trace.txt --limits nvme-mdts5 --length 1GiB --zero-page page

    Exit status: 0 all counts agree, 1 some do not, 2 it could not be done. Needs root; leaves others' tracing alone.
    Segments are not in the kernel's events: only bytes and counts are compared.
    """
    asked = Asked(**given)
    refuse_contradictions(asked)
    check_save(asked.save)
    sys.stdout.flush()
    click.get_current_context().exit(_run(asked))


def _run(asked: Asked) -> int:
    if asked.files:
        from zpmodel.commands.trace.from_files import compare_files

        return compare_files(asked)
    if asked.watch is not None:
        from zpmodel.commands.trace.watched import watch

        return watch(asked)
    from zpmodel.commands.trace.zeroed import zero_one, zero_ranges

    return zero_one(asked) if asked.ranges is None else zero_ranges(asked)
