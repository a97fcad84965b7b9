"""Comparing what others recorded with the model."""

import click

from zpmodel.commands.output import emit_json
from zpmodel.commands.trace.asked import Asked
from zpmodel.commands.trace.shown import plain, show


def compare_files(asked: Asked) -> int:
    """Count the events in files, and put them beside the model where all of its inputs are given; exit status."""
    from zpmodel.base.units import parse_size
    from zpmodel.queue.presets import find_limits
    from zpmodel.queue.zeropage import ZeroPage
    from zpmodel.structure import count
    from zpmodel.tracing.compare import agree, compare
    from zpmodel.tracing.files import observe_files

    if len({bool(asked.zero_page), bool(asked.limits), bool(asked.length)}) > 1:
        raise click.UsageError("to compare give all of --zero-page, --limits and --length")
    seen = observe_files(list(asked.files), asked.from_device)
    lines = None
    if asked.zero_page and asked.limits and asked.length:
        start, many = parse_size(asked.offset, field="--offset"), parse_size(asked.length, field="--length")
        lines = compare(seen, count(ZeroPage.named(asked.zero_page), find_limits(asked.limits), start, many).as_case())
    agrees = lines is None or agree(lines)
    if asked.as_json:
        compared = {} if lines is None else {"agrees": agrees, "lines": plain(lines)}
        emit_json({**vars(seen), **compared})
    else:
        show(seen, lines)
    return 0 if agrees else 1
