"""Zeroing a range (``blkdev_issue_zeroout``): fill bios, submit them, and skip over what repeats.

All bios but the last are alike, and what repeats from bio to bio is found by :mod:`zpmodel.structure.search`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zpmodel.base.accelerate import borrowing_kernel, kernel, odd_chunk
from zpmodel.base.units import SECTOR
from zpmodel.queue.kernel import BIO_INLINE_VECS, BIO_MAX_VECS, UINT_MAX
from zpmodel.queue.limits import KernelLimits
from zpmodel.structure.chunks import add_chunks, cutting_of, reach_of
from zpmodel.structure.plug import finish_plug
from zpmodel.structure.records import COUNTS, REACH, WORK, Log, add_kind, is_in_order, new_states, put_in_order
from zpmodel.structure.search import ANYWHERE, INSIDE, look_back
from zpmodel.structure.uniform import submit_uniform, submit_write_zeroes

# mypy: disable-error-code="no-untyped-def"

STATES = 5
"""How many states a count needs: the present, and those of the searches."""


class Filling(NamedTuple):
    """How a range is made into bios.

    :ivar full_bytes: of a bio that is not the last [byte].
    :ivar by_bytes: whether large folios end a bio by its bytes, not by its vectors: then a short last vector may still
        fit where a whole one would not.
    :ivar zero_bytes: size of the zero page [byte].
    :ivar base_page_bytes: the kernel's PAGE_SIZE [byte].
    """

    full_bytes: int
    by_bytes: bool
    zero_bytes: int
    base_page_bytes: int


@borrowing_kernel
def vector_table(vectors):
    """Vectors allocated when so many are asked for: 1 to 4 are inline, then 16, 64, 128, 256 (``biovec_slab``)."""
    if vectors <= BIO_INLINE_VECS:
        return vectors
    if vectors <= 16:
        return 16
    if vectors <= 64:
        return 64
    return 128 if vectors <= 128 else BIO_MAX_VECS


@borrowing_kernel
def submit_next(limits, filling, left, sector, states, bios, requests):
    """Fill the next bio of a range with ``left`` bytes and submit it.

    :return: (IMPOSSIBLE where the kernel fails the write, else 0; bytes of the bio [byte]).
    """
    state = states.records[0]
    state.bios += 1
    if limits.write_zeroes_sectors > 0:
        size = min(filling.full_bytes, left)
        add_kind(bios, size, 0, 0, 1)
        submit_write_zeroes(limits, limits.write_zeroes_sectors, size // SECTOR, sector, state, requests)
        return 0, size
    size = left if filling.by_bytes and left <= UINT_MAX else min(filling.full_bytes, left)
    zero_bytes, page = filling.zero_bytes, filling.base_page_bytes
    allocated = vector_table(min((left + page - 1) // page, BIO_MAX_VECS))
    vectors = (size + zero_bytes - 1) // zero_bytes
    state.vectors += vectors
    state.allocated += allocated
    state.tables += allocated > BIO_INLINE_VECS
    add_kind(bios, size, vectors, allocated, 1)
    return submit_uniform(limits, zero_bytes, size, sector, states, bios, requests), size


@borrowing_kernel
def how_filled(limits, zero_bytes, base_page_bytes):
    """How a range is made into bios on this queue."""
    if limits.write_zeroes_sectors > 0:
        return Filling(limits.write_zeroes_sectors * SECTOR, False, zero_bytes, base_page_bytes)
    full = min(BIO_MAX_VECS, UINT_MAX // zero_bytes) * zero_bytes
    return Filling(full, full < BIO_MAX_VECS * zero_bytes, zero_bytes, base_page_bytes)


@borrowing_kernel
def skip_ahead(limits, states, sector, bios, requests, sectors_left):
    """Skip what repeats from bio to bio, at the same place within a chunk or far from its end; return sectors."""
    far = look_back(limits, states, ANYWHERE, sector, bios, requests, sectors_left)
    if states.records[ANYWHERE].sector == sector:
        # Its rows end here, and what repeats inside a chunk must be counted in rows of one side.
        states.records[INSIDE].sector = -1
    if far == 0 and limits.chunk_sectors > 0:
        far = look_back(limits, states, INSIDE, sector, bios, requests, sectors_left)
    return far


@borrowing_kernel
def add_bios(filling, number, vectors, left, state, bios):
    """Count ``number`` bios of so many vectors alike, of which ``left`` bytes are left to zero before the last."""
    zero_bytes, page = filling.zero_bytes, filling.base_page_bytes
    allocated = vector_table(min((left + page - 1) // page, BIO_MAX_VECS))
    state.bios += number
    state.vectors += number * vectors
    state.allocated += number * allocated
    state.tables += number * (allocated > BIO_INLINE_VECS)
    add_kind(bios, min(left, vectors * zero_bytes), vectors, allocated, number)


@kernel
def skip_chunks(limits, zero_bytes, base_page_bytes, offset, length, states, bios, requests):
    """Count a range of many chunks, or all but its last bio, where :mod:`zpmodel.structure.chunks` can.

    Parameters as of :func:`zero_out`, which counts the rest.

    :return: the bytes counted [byte].
    """
    filling, sector, state = how_filled(limits, zero_bytes, base_page_bytes), offset // SECTOR, states.records[0]
    cutting = cutting_of(limits, zero_bytes, filling.full_bytes, filling.by_bytes, sector)
    if cutting.part == 0:
        return 0
    reach = reach_of(cutting, filling.by_bytes, sector, length // SECTOR)
    if reach.end == 0:
        return 0
    full = reach.bios * filling.full_bytes
    if reach.bios:
        add_bios(filling, reach.bios, filling.full_bytes // zero_bytes, filling.full_bytes, state, bios)
    rest = reach.end * SECTOR - full
    if rest:
        add_bios(filling, 1, (rest + zero_bytes - 1) // zero_bytes, rest, state, bios)
    add_chunks(limits, cutting, reach, zero_bytes, sector, state, requests)
    return reach.end * SECTOR


@borrowing_kernel
def zero_out(limits, zero_bytes, base_page_bytes, offset, length, states, bios, requests):
    """Count what zeroing a range makes.

    :param limits: :class:`zpmodel.queue.limits.KernelLimits`.
    :param zero_bytes: size of the zero page in use [byte].
    :param base_page_bytes: the kernel's PAGE_SIZE [byte].
    :param offset, length: the range [byte], in whole logical blocks; or what :func:`skip_chunks` left of it.
    :param states: :class:`zpmodel.structure.records.States`, as many as :data:`STATES`; the first says what was
        counted, and is added to.
    :param bios: log of bios by (bytes, vectors, allocated), filled here.
    :param requests: log of requests by (bytes, segments, offset of the first byte in its page), filled here.
    :return: IMPOSSIBLE where the kernel fails the write, else 0.
    """
    filling = how_filled(limits, zero_bytes, base_page_bytes)
    # What may not be skipped, so that the last bio is filled as it would be.
    kept = zero_bytes if filling.by_bytes else 1
    sector, left, far = offset // SECTOR, length, 0
    repeats = left >= 2 * filling.full_bytes
    states.records[ANYWHERE].sector = -1
    states.records[INSIDE].sector = -1
    # Where there are more kinds than rows nothing counts.
    while left > 0 and not requests.reach[0].full:
        if repeats and left >= filling.full_bytes:
            far = skip_ahead(limits, states, sector, bios, requests, (left - kept) // SECTOR)
            sector += far
            left -= far * SECTOR
        status, size = submit_next(limits, filling, left, sector, states, bios, requests)
        if status:
            return status
        sector += size // SECTOR
        left -= size
    finish_plug(states.records[0], requests)
    return 0


OUTCOME = ("status", "full", "bio_kinds", "request_kinds", "in_order", *COUNTS, *WORK)
"""What a count leaves as one row: what :func:`zero_out` returned, whether a table had too few rows, how many rows of
both are used, and whether both are in order with each kind once; then what was counted."""

_FEW_ROWS = 40
"""Rows that are put in order one by one; more of them are sorted by numpy where they are not in order as they come."""


@borrowing_kernel
def in_order(log):
    """Put a log's kinds in order, the smallest first, each once, where that is quick; say whether they are."""
    if log.reach[0].used > _FEW_ROWS:
        return is_in_order(log)
    put_in_order(log, 0)
    return True


@borrowing_kernel
def put_outcome(status, state, bios, requests, outcome):
    """Fill the row of :data:`OUTCOME`."""
    outcome[0], outcome[1] = status, bios.reach[0].full | requests.reach[0].full
    outcome[4] = in_order(bios) & in_order(requests)
    outcome[2], outcome[3] = bios.reach[0].used, requests.reach[0].used
    for i in range(len(COUNTS) + len(WORK)):
        outcome[5 + i] = state[i]


@kernel
def count_one(zero_bytes, base_page_bytes, offset, length, bio_rows, request_rows, outcome, *limits):
    """Count a range as it is zeroed: numbers and rows in, which are cheap to hand over, and a row of numbers out.

    :param zero_bytes: and the next three: as :func:`zero_out` takes them.
    :param bio_rows, request_rows: tables to be filled, shape (rows, 4); without rows no kinds are told apart.
    :param outcome: row of :data:`OUTCOME`, filled here.
    :param limits: the fields of :class:`zpmodel.queue.limits.KernelLimits`.
    """
    bios, requests = Log(bio_rows, np.zeros(1, REACH)), Log(request_rows, np.zeros(1, REACH))
    states = new_states(STATES)
    status = zero_out(KernelLimits(*limits), zero_bytes, base_page_bytes, offset, length, states, bios, requests)
    put_outcome(status, states.flat, bios, requests, outcome)


@kernel
def count_chunks(zero_bytes, base_page_bytes, offset, length, bio_rows, request_rows, outcome, *limits):
    """:func:`count_one`, after :func:`skip_chunks` counted what it can.

    A kernel of its own, so that what odd chunks need is not compiled for those who have none.
    """
    bios, requests = Log(bio_rows, np.zeros(1, REACH)), Log(request_rows, np.zeros(1, REACH))
    states, queue = new_states(STATES), KernelLimits(*limits)
    counted = skip_chunks(queue, zero_bytes, base_page_bytes, offset, length, states, bios, requests)
    ordered = requests.reach[0].used
    offset, length = offset + counted, length - counted
    status = zero_out(queue, zero_bytes, base_page_bytes, offset, length, states, bios, requests)
    if counted:
        put_in_order(requests, ordered)
    put_outcome(status, states.flat, bios, requests, outcome)


def count_into(
    limits: KernelLimits,
    zero_bytes: int,
    base_page_bytes: int,
    offset: int,
    length: int,
    bio_rows: npt.NDArray[np.int64],
    request_rows: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Count a range by arithmetic on its chunks as far as that goes, and the rest as it is zeroed.

    Parameters as of :func:`count_one`.

    :return: row of :data:`OUTCOME`.
    """
    outcome = np.empty(len(OUTCOME), np.int64)
    count = count_chunks if odd_chunk(limits.chunk_sectors) else count_one
    count(zero_bytes, base_page_bytes, offset, length, bio_rows, request_rows, outcome, *limits)
    return outcome


class RangeCounts(NamedTuple):
    """The counts of one range without its histograms, for kernels that take many ranges.

    :ivar possible: whether the kernel can do it: 0 where it fails the write with EINVAL, and nothing else counts.
    :ivar largest_request_bytes: [byte].
    :ivar most_segments: of any request.
    :ivar pieces: and what follows: :class:`zpmodel.structure.count.Work`; what stands before:
        :class:`zpmodel.structure.count.Structure`.
    """

    possible: int
    bios: int
    vectors: int
    vectors_allocated: int
    splits: int
    back_merges: int
    requests: int
    segments: int
    largest_request_bytes: int
    most_segments: int
    pieces: int
    slow_visits: int
    gap_checks: int
    unwalked: int
    advanced: int
    gap_walks: int
    flushes: int
    last_plug: int
    tables: int


@kernel
def count_range(limits, zero_bytes, base_page_bytes, offset, length):
    """Count one range, for other kernels: scalars in, a NamedTuple out, no histogram.

    Nothing is checked: ``limits`` come from :meth:`zpmodel.queue.limits.QueueLimits.for_kernel`, ``zero_bytes`` is a
    power of two from ``base_page_bytes`` on.

    :param limits: :class:`zpmodel.queue.limits.KernelLimits`; with ``write_zeroes_sectors`` 0 zero pages are written.
    :param zero_bytes: size of the zero page in use [byte].
    :param base_page_bytes: the kernel's PAGE_SIZE [byte]; that of ``for_kernel``.
    :param offset: first byte of the range [byte], a multiple of the logical block.
    :param length: bytes of the range [byte], at least one logical block, a multiple of it.
    :return: :class:`RangeCounts`.
    """
    bios = Log(np.empty((0, 4), np.int64), np.zeros(1, REACH))
    requests = Log(bios.rows, np.zeros(1, REACH))
    states = new_states(STATES)
    status = zero_out(limits, zero_bytes, base_page_bytes, offset, length, states, bios, requests)
    t, reach = states.records[0], requests.reach[0]
    return RangeCounts(
        int(status == 0),
        t.bios,
        t.vectors,
        t.allocated,
        t.splits,
        t.back_merges,
        t.requests,
        t.segments,
        reach.largest_bytes,
        reach.most_segments,
        t.pieces,
        t.slow_visits,
        t.gap_checks,
        t.unwalked,
        t.advanced,
        t.gap_walks,
        t.flushes,
        t.last_plug,
        t.tables,
    )
