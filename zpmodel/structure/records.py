"""What the kernels count and remember, as records with named fields.

All fields are int64, so that a record is also a row of integers: rows are multiplied (repeated periods) and compared.
The fields of a row are named through a view of it.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zpmodel.base.accelerate import kernel

# mypy: disable-error-code="no-untyped-def"


def record(*names: str) -> np.dtype[Any]:
    """A record of whole numbers; an ``np.record``, so that plain Python reads its fields as the compiler does."""
    return np.dtype((np.record, [(name, np.int64) for name in names]))


WORK = (
    "pieces",
    "slow_visits",
    "gap_checks",
    "unwalked",
    "advanced",
    "gap_walks",
    "flushes",
    "last_plug",
    "tables",
)
"""What the kernel's loops do besides what can be traced; see :class:`zpmodel.structure.count.Work`."""

COUNTS = ("bios", "vectors", "allocated", "splits", "back_merges", "requests", "segments")
"""What can be traced."""

TALLY = record(*COUNTS, *WORK)
"""All that is counted; grows only, so whole periods can be added by multiplying."""

PLUG = record(
    "start",  # sector of the newest request
    "open",  # whether the newest request may still grow
    "bytes",
    "segments",
    "sealed",  # marked "no merge"
    "first_offset",  # offset of its first vector [byte], then of its last vector's end
    "end_offset",
    "last_address",  # its last vector in memory [byte]
    "end_address",
    "last_vectors",  # vectors of its last bio; costs time only
    "plugged",  # requests in the plug; costs time only
)
"""The plug as far as the next bio sees it: its newest request. ``start`` stands first: it is compared by distance."""

REACH = record("used", "floor", "full", "largest_bytes", "most_segments")
"""Of a log: rows used, the row from which rows may be added to, whether a row found no room; the largest entry."""


class Log(NamedTuple):
    """Kinds of bios or requests in the order of their first appearance; a kind may appear more than once.

    :ivar rows: (bytes, vectors or segments, allocated or offset of the first byte in its page, count), shape (rows, 4);
        with no rows nothing is kept but the largest entry.
    :ivar reach: one record of :data:`REACH`.
    """

    rows: npt.NDArray[np.int64]
    reach: npt.NDArray[Any]


def new_log(rows: int) -> Log:
    """An empty log with room for so many rows."""
    return Log(np.empty((rows, 4), np.int64), np.zeros(1, REACH))


def new_row(kind: np.dtype[Any]) -> tuple[npt.NDArray[np.int64], Any]:
    """A row of zeros, and the record of it under the names of ``kind``."""
    row = np.zeros(len(kind.names or ()), np.int64)
    return row, row.view(kind).view(np.recarray)[0]


@kernel
def add_kind(log, size, parts, detail, count):
    """Add ``count`` of a kind to the log; where there is no room, mark it full."""
    reach = log.reach[0]
    reach.largest_bytes = max(reach.largest_bytes, size)
    reach.most_segments = max(reach.most_segments, parts)
    rows = log.rows
    if len(rows) == 0:
        return
    for i in range(reach.used - 1, max(reach.floor, reach.used - 16) - 1, -1):
        if rows[i, 0] == size and rows[i, 1] == parts and rows[i, 2] == detail:
            rows[i, 3] += count
            return
    if reach.used == len(rows):
        reach.full = 1
        return
    at = reach.used
    rows[at, 0], rows[at, 1], rows[at, 2], rows[at, 3] = size, parts, detail, count
    reach.used = at + 1


@kernel
def repeat_since(log, used, periods):
    """Count what was logged from row ``used`` on so many times more."""
    if len(log.rows):
        for i in range(used, log.reach[0].used):
            log.rows[i, 3] *= 1 + periods


@kernel
def keep_apart(log):
    """From here on use new rows, so that what is logged before and after can be told apart; return the row."""
    log.reach[0].floor = log.reach[0].used
    return log.reach[0].used
