"""Many ranges on one queue: one compiled loop a core, a row of counts each, no histograms."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from zpmodel.base.accelerate import in_pieces, kernel, odd_chunk
from zpmodel.queue.limits import KernelLimits, QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure.records import COUNTS
from zpmodel.structure.zeroout import OUTCOME, count_into, count_range

COLUMNS = ("bios", "vectors", "vectors_allocated", "splits", "back_merges", "requests", "segments")
"""Columns of the table, after offset, operation and length; see :class:`zpmodel.structure.count.Structure`."""

Ints = npt.NDArray[np.int64]


@kernel
def count_ranges(limits, zero_bytes, base_page_bytes, offsets, lengths, counts):  # type: ignore[no-untyped-def]
    """Count each range.

    :param limits: and the next two: as :func:`zpmodel.structure.zeroout.count_range` takes them.
    :param offsets, lengths: ranges [byte], shape (ranges,).
    :param counts: filled here in the order of :data:`COLUMNS`, shape (ranges, columns).
    :return: how many the kernel fails.
    """
    failed = 0
    for i in range(len(offsets)):
        c = count_range(limits, zero_bytes, base_page_bytes, offsets[i], lengths[i])
        failed += 1 - c.possible
        counts[i, 0] = c.bios
        counts[i, 1] = c.vectors
        counts[i, 2] = c.vectors_allocated
        counts[i, 3] = c.splits
        counts[i, 4] = c.back_merges
        counts[i, 5] = c.requests
        counts[i, 6] = c.segments
    return failed


def count_chunked(limits: KernelLimits, zero_bytes: int, page: int, offsets: Ints, lengths: Ints, counts: Ints) -> int:
    """As :func:`count_ranges`, by :func:`zpmodel.structure.zeroout.count_into`, where chunks are no power of two."""
    failed = 0
    first, none = OUTCOME.index(COUNTS[0]), np.empty((0, 4), np.int64)
    for offset, length, row in zip(offsets.tolist(), lengths.tolist(), counts, strict=True):
        outcome = count_into(limits, zero_bytes, page, offset, length, none, none)
        failed += int(outcome[0] != 0)
        row[:] = outcome[first : first + len(COLUMNS)]
    return failed


def count_many(zero_page: ZeroPage, limits: QueueLimits, offsets: Ints, lengths: Ints, operation: str) -> pd.DataFrame:
    """Count ranges that were checked, a row each.

    :raises ArithmeticError: where the kernel fails one of them.
    """
    page = zero_page.base_page_bytes
    queue, counts = limits.for_kernel(page), np.empty((len(offsets), len(COLUMNS)), np.int64)

    def piece(at: slice) -> int:
        if odd_chunk(queue.chunk_sectors):
            return count_chunked(queue, zero_page.size_bytes, page, offsets[at], lengths[at], counts[at])
        return int(count_ranges(queue, zero_page.size_bytes, page, offsets[at], lengths[at], counts[at]))

    if sum(in_pieces(piece, len(offsets))):
        raise ArithmeticError("a logical block needs more segments than a request may have")
    columns: dict[str, Any] = {"offset": offsets, "operation": operation, "length": lengths}
    columns |= {name: counts[:, i] for i, name in enumerate(COLUMNS)}
    return pd.DataFrame(columns)
