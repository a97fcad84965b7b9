"""``zpmodel trace``: what a kernel's block layer did, against the model."""

import json
import math
import os
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zpmodel.commands.output import emit_json, emit_table, json_option

if TYPE_CHECKING:
    from zpmodel.tracing.compare import Line
    from zpmodel.tracing.observed import Observed


@click.command("trace")
@click.option(
    "--scratch", is_flag=True, help="On a loop device over memory, made for the run and removed (the default)."
)
@click.option("--size", default="64MiB", show_default=True, help="Size of the scratch device.")
@click.option("--ranges", type=click.IntRange(1, 100_000), help="Random ranges and queue settings on scratch devices.")
@click.option("--seed", default=1, show_default=True, help="What the random ranges are drawn from.")
@click.option("--device", metavar="DEV", type=click.Path(path_type=Path), help="On this block device.")
@click.option("--destroy-data", is_flag=True, help="Say that the range on DEV may be zeroed.")
@click.option(
    "--watch", type=click.FloatRange(0.1, 3600), metavar="SECONDS", help="Write nothing; count others' writes."
)
@click.option("--from", "files", multiple=True, type=click.Path(path_type=Path), help="blkparse text, btt histograms.")
@click.option("--from-device", metavar="MAJOR,MINOR", help="Which device of the blkparse text.")
@click.option("--zero-page", help="page, static, or a size; by default the running kernel's.")
@click.option("--limits", metavar="FILE|NAME|DIR", help="With --from: the queue limits to model.")
@click.option("--offset", default="0", show_default=True, help="First byte of the range.")
@click.option("--length", help="Bytes of the range.")
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Write what was traced as JSON lines.")
@json_option
def command(
    scratch: bool,
    size: str,
    ranges: int | None,
    seed: int,
    device: Path | None,
    destroy_data: bool,
    watch: float | None,
    files: tuple[Path, ...],
    from_device: str | None,
    zero_page: str | None,
    limits: str | None,
    offset: str,
    length: str | None,
    save: Path | None,
    as_json: bool,
) -> None:
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
    _refuse_contradictions(scratch, ranges, device, watch, files, limits, length, save)
    if save is not None and not (save.parent.is_dir() and os.access(save.parent, os.W_OK)):
        from zpmodel.base.errors import InputError

        raise InputError("--save", "folder", str(save.parent), "a folder that exists and can be written")
    if watch is not None and not math.isfinite(watch):
        raise click.UsageError("--watch takes seconds from 0.1 to 3600")
    if save is not None and save.exists():
        from zpmodel.base.errors import RefusedError

        raise RefusedError(f"{save} exists; name another file")
    if files:
        status = _from_files(files, from_device, zero_page, limits, offset, length, as_json)
    elif watch is not None:
        assert device is not None
        status = _watch(device, watch, as_json)
    elif ranges is not None:
        status = _ranges(zero_page, ranges, seed, size, save, as_json)
    else:
        status = _one(device, destroy_data, size, zero_page, offset, length or "16MiB", save, as_json)
    sys.stdout.flush()
    click.get_current_context().exit(status)


def _refuse_contradictions(
    scratch: bool,
    ranges: int | None,
    device: Path | None,
    watch: float | None,
    files: tuple[Path, ...],
    limits: str | None,
    length: str | None,
    save: Path | None,
) -> None:
    if sum((scratch, device is not None, bool(files))) > 1:
        raise click.UsageError("give one of --scratch, --device and --from")
    if watch is not None and device is None:
        raise click.UsageError("--watch needs --device")
    if ranges is not None and (device is not None or files):
        raise click.UsageError("--ranges works on scratch devices only, as it changes queue settings")
    if ranges is not None and length:
        raise click.UsageError("give --ranges or --length, not both")
    if device is not None and watch is None and not length:
        raise click.UsageError("--device needs --length (and --destroy-data), or --watch SECONDS")
    if limits and not files:
        raise click.UsageError("--limits goes with --from; the limits of a device are read from /sys")
    if save is not None and (files or watch is not None):
        raise click.UsageError("--save goes with ranges that are zeroed")


def open_device(stack: ExitStack, device: Path | None, destroy: bool, size_bytes: int) -> tuple[Path, int, int]:
    """Open a block device that may be written: a scratch device, or the one named if all checks let it.

    :param size_bytes: size of the scratch device, or how much of the device is going to be written [byte].
    :return: path, descriptor, size [byte].
    :raises RefusedError: where it would be unsafe or is impossible.
    :raises InputError: where it is not a block device.
    """
    from zpmodel.base.errors import InputError
    from zpmodel.host.safety import kind_of, open_target
    from zpmodel.host.scratch import scratch_device

    if device is None:
        made = stack.enter_context(scratch_device(size_bytes))
        return made.path, made.fd, made.size_bytes
    if kind_of(device) != "device":
        raise InputError("--device", "path", str(device), "a block device")
    target = stack.enter_context(open_target(device, size_bytes, destroy=destroy))
    return target.path, target.fd, target.size_bytes


def _one(
    device: Path | None,
    destroy: bool,
    size: str,
    zero_page: str | None,
    offset: str,
    length: str,
    save: Path | None,
    as_json: bool,
) -> int:
    from zpmodel.base.errors import InputError
    from zpmodel.base.units import parse_size
    from zpmodel.measure.zeroout import queue_of
    from zpmodel.queue.limits import QueueLimits
    from zpmodel.queue.zeropage import ZeroPage
    from zpmodel.tracing.zero import find_zero_page, tracer

    start, many = parse_size(offset, field="--offset"), parse_size(length, field="--length")
    page, source = (ZeroPage.named(zero_page), "given") if zero_page else find_zero_page()
    with ExitStack() as stack:
        used = parse_size(size, field="--size") if device is None else start + many
        path, fd, actual = open_device(stack, device, destroy, used)
        if start + many > actual:
            raise InputError("range", "offset + length", start + many, f"at most the device's {actual} bytes")
        trace = stack.enter_context(tracer(fd))
        done = trace(page, QueueLimits.from_directory(queue_of(fd)), start, many)
    _save(save, [done.record()])
    if as_json:
        emit_json({"agrees": done.agrees, "zero_page_source": source, **done.record(), "lines": _plain(done.lines)})
    else:
        click.echo(f"zeroed {many} bytes at {start} of {path}; zero page: {page}, {source}")
        _show(done.observed, done.lines)
    return 0 if done.agrees else 1


def _ranges(zero_page: str | None, number: int, seed: int, size: str, save: Path | None, as_json: bool) -> int:
    from zpmodel.base.units import parse_size
    from zpmodel.queue.zeropage import ZeroPage
    from zpmodel.tracing.ranges import trace_random_ranges
    from zpmodel.tracing.zero import find_zero_page

    page, source = (ZeroPage.named(zero_page), "given") if zero_page else find_zero_page()
    found = []
    with click.progressbar(length=number, label="tracing", file=sys.stderr) as bar:
        for done in trace_random_ranges(page, number, size_bytes=parse_size(size, field="--size"), seed=seed):
            found.append(done)
            bar.update(1)
    _save(save, [done.record() for done in found])
    wrong = [done for done in found if not done.agrees]
    if as_json:
        ranges = [{"agrees": done.agrees, **done.record(), "lines": _plain(done.lines)} for done in found]
        emit_json({"agrees": not wrong, "zero_page_source": source, "ranges": ranges})
        return 1 if wrong else 0
    for done in wrong[:10]:
        settings = done.limits
        click.echo(
            f"\n{done.length} bytes at {done.offset}: logical block {settings.logical_block_size},"
            f" max_sectors {settings.max_sectors}, nomerges {settings.nomerges}, scheduler {settings.scheduler}"
        )
        emit_table(_plain(line for line in done.lines if line.agrees is False))
    seen = [done.observed for done in found]
    click.echo(f"zero page: {page}, {source}")
    names = ("splits", "back_merges", "front_merges", "reissued")
    totals = [{"counted": name.replace("_", " "), "total": sum(getattr(o, name) or 0 for o in seen)} for name in names]
    for name in ("bios", "requests"):
        totals.insert(0, {"counted": name, "total": sum(row["count"] for o in seen for row in getattr(o, name) or [])})
    emit_table(totals)
    click.echo(f"{number - len(wrong)} of {number} ranges agree with the model in every count")
    return 1 if wrong else 0


def _watch(device: Path, seconds: float, as_json: bool) -> int:
    import time

    from zpmodel.base.errors import InputError
    from zpmodel.host.safety import kind_of
    from zpmodel.tracing.observed import observe
    from zpmodel.tracing.tracefs import recorder

    if kind_of(device) != "device":
        raise InputError("--device", "path", str(device), "a block device")
    number = device.stat().st_rdev
    # A busy NVMe device does a million I/Os a second at most; here 200,000 events a CPU fit, and losing one is told.
    with recorder((os.major(number), os.minor(number)), events=200_000) as made, made.record() as events:
        time.sleep(seconds)
    seen = observe(events)
    if as_json:
        emit_json(vars(seen))
    else:
        click.echo(f"writes to {device} in {seconds:g} s")
        _show(seen, None)
    return 0


def _from_files(
    files: tuple[Path, ...],
    device: str | None,
    zero_page: str | None,
    limits: str | None,
    offset: str,
    length: str | None,
    as_json: bool,
) -> int:
    from zpmodel.base.units import parse_size
    from zpmodel.queue.presets import find_limits
    from zpmodel.queue.zeropage import ZeroPage
    from zpmodel.structure import count
    from zpmodel.tracing.compare import agree, compare
    from zpmodel.tracing.files import observe_files

    if len({bool(zero_page), bool(limits), bool(length)}) > 1:
        raise click.UsageError("to compare give all of --zero-page, --limits and --length")
    seen = observe_files(list(files), device)
    lines = None
    if zero_page and limits and length:
        start, many = parse_size(offset, field="--offset"), parse_size(length, field="--length")
        lines = compare(seen, count(ZeroPage.named(zero_page), find_limits(limits), start, many).as_case())
    agrees = lines is None or agree(lines)
    if as_json:
        compared = {} if lines is None else {"agrees": agrees, "lines": _plain(lines)}
        emit_json({**vars(seen), **compared})
    else:
        _show(seen, lines)
    return 0 if agrees else 1


def _save(path: Path | None, records: list[dict[str, Any]]) -> None:
    if path is None:
        return
    from zpmodel.base.errors import RefusedError
    from zpmodel.base.files import write_atomically

    try:
        write_atomically(path, "".join(json.dumps(record) + "\n" for record in records))
    except OSError as error:
        raise RefusedError(f"{path} can't be written: {error.strerror}") from None


def _plain(lines: "Iterable[Line]") -> list[dict[str, Any]]:
    return [{**vars(line)} for line in lines]


def _show(seen: "Observed", lines: "list[Line] | None") -> None:
    if lines is not None:
        words = {True: "yes", False: "NO", None: "not told"}
        rows = [{**row, "agrees": words[row["agrees"]]} for row in _plain(lines)]
        emit_table([{key: "-" if value is None else str(value) for key, value in row.items()} for row in rows])
    else:
        from zpmodel.tracing.compare import format_exactly

        rows = [
            {"what": name.replace("_", " "), "count": getattr(seen, name)}
            for name in ("splits", "back_merges", "front_merges")
        ]
        for name in ("bios", "requests"):
            for row in getattr(seen, name) or []:
                more = seen.lumped_above_bytes is not None and row["bytes"] > seen.lumped_above_bytes
                size = (
                    f"more than {format_exactly(seen.lumped_above_bytes or 0)}"
                    if more
                    else format_exactly(row["bytes"])
                )
                rows.append({"what": f"{name} of {size}", "count": row["count"]})
        emit_table(rows)
    notes = {
        "request_merges": "requests merged with each other",
        "reissued": "requests issued twice (the driver was full)",
    }
    for name, words_ in notes.items():
        if getattr(seen, name):
            click.echo(f"{getattr(seen, name)} {words_}")
