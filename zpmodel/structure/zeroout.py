"""Zeroing a range (``blkdev_issue_zeroout``): fill bios, submit them, and skip over what repeats.

All bios but the last are alike. What the block layer makes of one depends only on where it starts within a chunk and a
physical block, and on the newest request of the plug. So when that state is seen a second time, everything since has
been one period of a cycle, and whole periods are counted by multiplying. Far enough from the end of a chunk its phase
does not matter: there bios repeat until the end comes near. The cycle is found with Brent's method, which keeps one
earlier state; one such search looks at the place within a chunk, another does not.
"""

from typing import NamedTuple

import numpy as np

from zpmodel.base.accelerate import kernel
from zpmodel.base.units import SECTOR
from zpmodel.queue.kernel import BIO_INLINE_VECS, BIO_MAX_VECS, UINT_MAX
from zpmodel.structure.plug import finish_plug
from zpmodel.structure.records import (
    COUNTS,
    PLUG,
    REACH,
    TALLY,
    WORK,
    Log,
    add_kind,
    keep_apart,
    record,
    repeat_since,
)
from zpmodel.structure.splits import chunk_left
from zpmodel.structure.uniform import submit_uniform, submit_write_zeroes

# mypy: disable-error-code="no-untyped-def"

_TALLY_FIELDS = len(COUNTS) + len(WORK)
_PLUG_FIELDS = len(PLUG.names or ())
_EARLIER = record("sector", "steps", "power", "bio_rows", "request_rows")


class Search(NamedTuple):
    """Brent's search for a period: an earlier state, as rows of the records that make it up.

    :ivar earlier: where and when it was; one record of :data:`_EARLIER`.
    :ivar plug: row of :data:`zpmodel.structure.records.PLUG`.
    :ivar tally: row of :data:`zpmodel.structure.records.TALLY`.
    """

    earlier: np.ndarray
    plug: np.ndarray
    tally: np.ndarray


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


@kernel
def vector_table(vectors):
    """Vectors allocated when so many are asked for: 1 to 4 are inline, then 16, 64, 128, 256 (``biovec_slab``)."""
    if vectors <= BIO_INLINE_VECS:
        return vectors
    if vectors <= 16:
        return 16
    if vectors <= 64:
        return 64
    return 128 if vectors <= 128 else BIO_MAX_VECS


@kernel
def new_search():
    """A search that has no earlier state."""
    search = Search(np.zeros(1, _EARLIER), np.zeros(_PLUG_FIELDS, np.int64), np.zeros(_TALLY_FIELDS, np.int64))
    search.earlier[0].sector = -1
    return search


@kernel
def remember(search, sector, plug, tally, bios, requests):
    """Make the present state the earlier one."""
    earlier = search.earlier[0]
    earlier.sector = sector
    earlier.steps = 0
    earlier.bio_rows = keep_apart(bios)
    earlier.request_rows = keep_apart(requests)
    search.plug[:] = plug
    search.tally[:] = tally


@kernel
def same_plug(search, sector, plug):
    """Whether the newest request is as it was, relative to where the next bio starts."""
    now, before = plug.view(PLUG)[0], search.plug.view(PLUG)[0]
    # Fields 1 and on: `start` is the first, and matters only as a distance, while the request is open.
    alike = not now.open or now.start - sector == before.start - search.earlier[0].sector
    for i in range(1, len(plug)):
        alike = alike and plug[i] == search.plug[i]
    return alike


@kernel
def periods_ahead(limits, search, sector, plug, sectors_left, in_chunk):
    """How many whole periods lie ahead, the time from the earlier state to now having been one; 0: it was none.

    :param sectors_left: how far periods may reach [sector].
    :param in_chunk: whether the place within a chunk must be the same, or else far from its end all the time.
    """
    before = search.earlier[0].sector
    if before < 0 or (sector - before) & (limits.physical_block_sectors - 1):
        return 0
    chunk = limits.chunk_sectors
    if in_chunk:
        if chunk and (sector - before) % chunk:
            return 0
    else:
        if sector // chunk != before // chunk:
            return 0
        largest = limits.write_zeroes_sectors if limits.write_zeroes_sectors else limits.max_sectors
        sectors_left = min(sectors_left, chunk_left(sector, chunk) - largest)
    if sectors_left < sector - before or not same_plug(search, sector, plug):
        return 0
    return sectors_left // (sector - before)


@kernel
def skip(search, sector, periods, plug, tally, bios, requests):
    """Count so many periods more; return how far that leads [sector]."""
    earlier = search.earlier[0]
    for i in range(len(tally)):
        tally[i] += periods * (tally[i] - search.tally[i])
    repeat_since(bios, earlier.bio_rows, periods)
    repeat_since(requests, earlier.request_rows, periods)
    far = periods * (sector - earlier.sector)
    plug.view(PLUG)[0].start += far
    return far


@kernel
def look_back(limits, search, sector, plug, tally, bios, requests, sectors_left, in_chunk):
    """Compare with the earlier state, skip what is seen to repeat, and keep up the search; return sectors skipped."""
    periods = periods_ahead(limits, search, sector, plug, sectors_left, in_chunk)
    if periods > 0:
        return skip(search, sector, periods, plug, tally, bios, requests)
    earlier = search.earlier[0]
    earlier.steps += 1
    elsewhere = not in_chunk and sector // limits.chunk_sectors != earlier.sector // limits.chunk_sectors
    if earlier.sector < 0 or elsewhere:
        earlier.power = 1
        remember(search, sector, plug, tally, bios, requests)
    elif earlier.steps == earlier.power:
        earlier.power *= 2
        remember(search, sector, plug, tally, bios, requests)
    return 0


@kernel
def submit_next(limits, filling, left, sector, plug, requests, tally, bios):
    """Fill the next bio of a range with ``left`` bytes and submit it.

    :return: (IMPOSSIBLE where the kernel fails the write, else 0; bytes of the bio [byte]).
    """
    tally.bios += 1
    if limits.write_zeroes_sectors > 0:
        size = min(filling.full_bytes, left)
        add_kind(bios, size, 0, 0, 1)
        submit_write_zeroes(limits, limits.write_zeroes_sectors, size // SECTOR, sector, requests, tally)
        return 0, size
    size = left if filling.by_bytes and left <= UINT_MAX else min(filling.full_bytes, left)
    zero_bytes, page = filling.zero_bytes, filling.base_page_bytes
    allocated = vector_table(min((left + page - 1) // page, BIO_MAX_VECS))
    vectors = (size + zero_bytes - 1) // zero_bytes
    tally.vectors += vectors
    tally.allocated += allocated
    tally.tables += allocated > BIO_INLINE_VECS
    add_kind(bios, size, vectors, allocated, 1)
    return submit_uniform(limits, zero_bytes, size, sector, plug, requests, tally), size


@kernel
def zero_out(limits, zero_bytes, base_page_bytes, offset, length, bios, requests):
    """Count what zeroing a range makes.

    :param limits: :class:`zpmodel.queue.limits.KernelLimits`.
    :param zero_bytes: size of the zero page in use [byte].
    :param base_page_bytes: the kernel's PAGE_SIZE [byte].
    :param offset, length: the range [byte], in whole logical blocks.
    :param bios: log of bios by (bytes, vectors, allocated), filled here.
    :param requests: log of requests by (bytes, segments, offset of the first byte in its page), filled here.
    :return: (IMPOSSIBLE where the kernel fails the write, else 0; row of :data:`zpmodel.structure.records.TALLY`).
    """
    tallies, plugs = np.zeros(_TALLY_FIELDS, np.int64), np.zeros(_PLUG_FIELDS, np.int64)
    tally, plug = tallies.view(TALLY)[0], plugs.view(PLUG)[0]
    if limits.write_zeroes_sectors > 0:
        full = limits.write_zeroes_sectors * SECTOR
        by_bytes = False
    else:
        full = min(BIO_MAX_VECS, UINT_MAX // zero_bytes) * zero_bytes
        by_bytes = full < BIO_MAX_VECS * zero_bytes
    filling = Filling(full, by_bytes, zero_bytes, base_page_bytes)
    # What may not be skipped, so that the last bio is filled as it would be.
    kept = zero_bytes if by_bytes else 1
    sector, left = offset // SECTOR, length
    if left >= 2 * full:
        anywhere, inside = new_search(), new_search()
        while left >= full:
            far = look_back(limits, anywhere, sector, plugs, tallies, bios, requests, (left - kept) // SECTOR, True)
            if anywhere.earlier[0].sector == sector:
                # Its rows end here, and what repeats inside a chunk must be counted in rows of one side.
                inside.earlier[0].sector = -1
            if far == 0 and limits.chunk_sectors > 0:
                far = look_back(limits, inside, sector, plugs, tallies, bios, requests, (left - kept) // SECTOR, False)
            sector += far
            left -= far * SECTOR
            if left < full:
                break
            status, size = submit_next(limits, filling, left, sector, plug, requests, tally, bios)
            if status:
                return status, tallies
            sector += size // SECTOR
            left -= size
    while left > 0:
        status, size = submit_next(limits, filling, left, sector, plug, requests, tally, bios)
        if status:
            return status, tallies
        sector += size // SECTOR
        left -= size
    finish_plug(plug, requests, tally)
    return 0, tallies


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
    status, row = zero_out(limits, zero_bytes, base_page_bytes, offset, length, bios, requests)
    t, reach = row.view(TALLY)[0], requests.reach[0]
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
