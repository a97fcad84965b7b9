"""Zeroing one range, or many random ones, and comparing each with the model."""

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from zpmodel.commands.device import open_device
from zpmodel.commands.output import emit_json, emit_table, say
from zpmodel.commands.trace.asked import Asked
from zpmodel.commands.trace.shown import plain, save, show

if TYPE_CHECKING:
    from zpmodel.tracing.observed import Observed
    from zpmodel.tracing.zero import Traced


def zero_one(asked: Asked) -> int:
    """Zero the range that was asked for; return the exit status."""
    from zpmodel.base.errors import InputError
    from zpmodel.base.units import parse_size
    from zpmodel.measure.zeroout import queue_of
    from zpmodel.queue.limits import QueueLimits
    from zpmodel.queue.zeropage import ZeroPage
    from zpmodel.tracing.zero import find_zero_page, tracer

    start, many = parse_size(asked.offset, field="--offset"), parse_size(asked.length or "16MiB", field="--length")
    page, source = (ZeroPage.named(asked.zero_page), "given") if asked.zero_page else find_zero_page()
    with ExitStack() as stack:
        used = parse_size(asked.size, field="--size") if asked.device is None else start + many
        path, fd, actual = open_device(stack, asked.device, asked.destroy_data, used)
        if start + many > actual:
            raise InputError("range", "offset + length", start + many, f"at most the device's {actual} bytes")
        trace = stack.enter_context(tracer(fd))
        done = trace(page, QueueLimits.from_directory(queue_of(fd)), start, many)
    save(asked.save, [done.record()])
    if asked.as_json:
        emit_json({"agrees": done.agrees, "zero_page_source": source, **done.record(), "lines": plain(done.lines)})
    else:
        say(f"zeroed {many} bytes at {start} of {path}; zero page: {page}, {source}")
        show(done.observed, done.lines)
    return 0 if done.agrees else 1


def zero_ranges(asked: Asked) -> int:
    """Zero random ranges of scratch devices; return the exit status."""
    from zpmodel.base.units import parse_size
    from zpmodel.queue.zeropage import ZeroPage
    from zpmodel.tracing.ranges import trace_random_ranges
    from zpmodel.tracing.zero import find_zero_page

    assert asked.ranges is not None
    page, source = (ZeroPage.named(asked.zero_page), "given") if asked.zero_page else find_zero_page()
    found = []
    with click.progressbar(length=asked.ranges, label="tracing", file=sys.stderr) as bar:
        for done in trace_random_ranges(
            page, asked.ranges, size_bytes=parse_size(asked.size, field="--size"), seed=asked.seed
        ):
            found.append(done)
            bar.update(1)
    save(asked.save, [done.record() for done in found])
    wrong = [done for done in found if not done.agrees]
    if asked.as_json:
        ranges = [{"agrees": done.agrees, **done.record(), "lines": plain(done.lines)} for done in found]
        emit_json({"agrees": not wrong, "zero_page_source": source, "ranges": ranges})
        return 1 if wrong else 0
    _show_disagreements(wrong[:10])
    say(f"zero page: {page}, {source}")
    _show_totals([done.observed for done in found])
    say(f"{len(found) - len(wrong)} of {len(found)} ranges agree with the model in every count")
    return 1 if wrong else 0


def _show_disagreements(wrong: "list[Traced]") -> None:
    for done in wrong:
        settings = done.limits
        say(
            f"\n{done.length} bytes at {done.offset}: logical block {settings.logical_block_size},"
            f" max_sectors {settings.max_sectors}, nomerges {settings.nomerges}, scheduler {settings.scheduler}"
        )
        emit_table(plain(line for line in done.lines if line.agrees is False))


def _show_totals(seen: "list[Observed]") -> None:
    names = ("splits", "back_merges", "front_merges", "reissued")
    totals = [{"counted": name.replace("_", " "), "total": sum(getattr(o, name) or 0 for o in seen)} for name in names]
    for name in ("bios", "requests"):
        totals.insert(0, {"counted": name, "total": sum(row["count"] for o in seen for row in getattr(o, name) or [])})
    emit_table(totals)
