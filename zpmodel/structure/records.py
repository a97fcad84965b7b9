"""What the kernels count and remember, as records with named fields.

All fields are int64, so that a record is also a row of integers: rows are multiplied (repeated periods) and compared.
The fields of a row are named through a view of it.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zpmodel.base.accelerate import borrowing_kernel, kernel

# mypy: disable-error-code="no-untyped-def"

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

_TALLY = (*COUNTS, *WORK, "flushed_by_bytes")
_PLUG = (
    "start",  # sector of the newest request
    "open",  # whether the newest request may still grow
    "bytes",
    "segments_held",  # of the newest request
    "sealed",  # marked "no merge"
    "first_offset",  # offset of its first vector [byte], then of its last vector's end
    "end_offset",
    "last_address",  # its last vector in memory [byte]
    "end_address",
    "last_vectors",  # vectors of its last bio; costs time only
    "plugged",  # requests in the plug; costs time only
)
_SEARCH = ("sector", "steps", "power", "bio_rows", "request_rows")

STATE = np.dtype((np.record, [(name, np.int64) for name in (*_TALLY, *_PLUG, *_SEARCH)]))
"""All that is counted; then the plug as far as the next bio sees it, its newest request; then, of an earlier state,
where and when it was (:mod:`zpmodel.structure.search`).

What is counted only grows, so whole periods are added by multiplying; ``flushed_by_bytes`` are the flushes for the size
of the newest request, which are among ``flushes``. ``start`` stands first of the plug and ``plugged`` last: they are
not compared as what lies between.
"""

COUNTED, REMEMBERED, FIELDS = len(_TALLY), len(_TALLY) + len(_PLUG), len(STATE.names or ())
"""Fields of :data:`STATE` that are counted, that are counted or the plug's, and all."""

REACH = np.dtype(
    (np.record, [(name, np.int64) for name in ("used", "floor", "full", "largest_bytes", "most_segments")])
)
"""Of a log: rows used, the row from which rows may be added to, whether a row found no room; the largest entry."""


class States(NamedTuple):
    """Several :data:`STATE`, the present one first.

    :ivar flat: their fields one after the other, to be copied and compared.
    :ivar records: the same as records, shape (states,).
    """

    flat: npt.NDArray[np.int64]
    records: npt.NDArray[Any]


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


@kernel
def new_states(number):
    """So many states of zeros."""
    flat = np.zeros(number * FIELDS, np.int64)
    return States(flat, flat.view(STATE))


def one_state() -> States:
    """A state of zeros for callers in Python, who name its fields."""
    flat = np.zeros(FIELDS, np.int64)
    return States(flat, flat.view(STATE))


@borrowing_kernel
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


@borrowing_kernel
def repeat_since(log, used, periods):
    """Count what was logged from row ``used`` on so many times more."""
    if len(log.rows):
        for i in range(used, log.reach[0].used):
            log.rows[i, 3] *= 1 + periods


@borrowing_kernel
def keep_apart(log):
    """From here on use new rows, so that what is logged before and after can be told apart; return the row."""
    log.reach[0].floor = log.reach[0].used
    return log.reach[0].used


@borrowing_kernel
def put_in_order(log, first):
    """Move the rows from ``first`` on, a few, in among those before, which are in order and each of another kind."""
    rows, kept = log.rows, first
    for i in range(first, log.reach[0].used):
        size, parts, detail, count = rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3]
        at = kept
        while at > 0 and (rows[at - 1, 0], rows[at - 1, 1], rows[at - 1, 2]) > (size, parts, detail):
            at -= 1
        if at > 0 and rows[at - 1, 0] == size and rows[at - 1, 1] == parts and rows[at - 1, 2] == detail:
            rows[at - 1, 3] += count
            continue
        for k in range(kept, at, -1):
            rows[k, 0], rows[k, 1], rows[k, 2], rows[k, 3] = (
                rows[k - 1, 0],
                rows[k - 1, 1],
                rows[k - 1, 2],
                rows[k - 1, 3],
            )
        rows[at, 0], rows[at, 1], rows[at, 2], rows[at, 3] = size, parts, detail, count
        kept += 1
    log.reach[0].used = kept


@borrowing_kernel
def is_in_order(log):
    """Whether each row is of a larger kind than the one before."""
    rows = log.rows
    for i in range(1, log.reach[0].used):
        if (rows[i, 0], rows[i, 1], rows[i, 2]) <= (rows[i - 1, 0], rows[i - 1, 1], rows[i - 1, 2]):
            return False
    return True
