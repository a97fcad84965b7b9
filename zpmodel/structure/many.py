"""Many ranges on one queue: one compiled loop, a row of counts each, no histograms."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from zpmodel.base.accelerate import parallel, parallel_kernel
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure.zeroout import count_range

COLUMNS = ("bios", "vectors", "vectors_allocated", "splits", "back_merges", "requests", "segments")
"""Columns of the table, after offset, operation and length; see :class:`zpmodel.structure.count.Structure`."""

Ints = npt.NDArray[np.int64]


@parallel_kernel
def count_ranges(limits, zero_bytes, base_page_bytes, offsets, lengths):  # type: ignore[no-untyped-def]
    """Count each range, shape (ranges, columns), on all threads that numba has.

    :param limits: and the next two: as :func:`zpmodel.structure.zeroout.count_range` takes them.
    :param offsets, lengths: ranges [byte], shape (ranges,).
    :return: (whether all are possible, counts in the order of :data:`COLUMNS`).
    """
    counts = np.empty((len(offsets), 7), np.int64)
    failed = 0
    for i in parallel(len(offsets)):
        c = count_range(limits, zero_bytes, base_page_bytes, offsets[i], lengths[i])
        failed += 1 - c.possible
        counts[i, 0] = c.bios
        counts[i, 1] = c.vectors
        counts[i, 2] = c.vectors_allocated
        counts[i, 3] = c.splits
        counts[i, 4] = c.back_merges
        counts[i, 5] = c.requests
        counts[i, 6] = c.segments
    return failed == 0, counts


def count_many(zero_page: ZeroPage, limits: QueueLimits, offsets: Ints, lengths: Ints, operation: str) -> pd.DataFrame:
    """Count ranges that were checked, a row each.

    :raises ArithmeticError: where the kernel fails one of them.
    """
    page = zero_page.base_page_bytes
    possible, counts = count_ranges(limits.for_kernel(page), zero_page.size_bytes, page, offsets, lengths)
    if not possible:
        raise ArithmeticError("a logical block needs more segments than a request may have")
    columns: dict[str, Any] = {"offset": offsets, "operation": operation, "length": lengths}
    columns |= {name: counts[:, i] for i, name in enumerate(COLUMNS)}
    return pd.DataFrame(columns)
