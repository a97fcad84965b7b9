"""Zeroing a range (``blkdev_issue_zeroout``): fill bios, submit them, and skip over what repeats.

All bios but the last are alike. What the block layer makes of one depends only on where it starts within a chunk and a
physical block, and on the newest request of the plug. So when that state is seen a second time, everything since has
been one period of a cycle, and whole periods are counted without being walked. The cycle is found with Brent's method,
which keeps one earlier state. A 1 TiB range costs as much as a few bios; with a chunk that lines up with bios and
blocks only after many of them (a large odd number of sectors), as much as those.
"""

import numpy as np

from zpmodel.base.accelerate import kernel
from zpmodel.base.units import SECTOR
from zpmodel.queue.limits import UINT_MAX
from zpmodel.structure import histogram
from zpmodel.structure.requests import (
    ALLOCATED,
    BIOS,
    COUNTS,
    OPEN,
    START,
    VECTORS,
    empty_tail,
    finish_plug,
    submit_bio,
    submit_write_zeroes,
)
from zpmodel.structure.splits import TABLES, WORKS
from zpmodel.structure.vectors import BIO_MAX_VECS

# mypy: disable-error-code="no-untyped-def"

INLINE_VECS = 4
"""Vectors that fit the bio itself (BIO_INLINE_VECS); more need a table of their own."""


@kernel
def vector_table(vectors):
    """Vectors allocated when so many are asked for: 1 to 4 are inline, then 16, 64, 128, 256 (``biovec_slab``)."""
    if vectors <= INLINE_VECS:
        return vectors
    if vectors <= 16:
        return 16
    if vectors <= 64:
        return 64
    return 128 if vectors <= 128 else 256


@kernel
def same_state(sector, tail, old_sector, old_tail, alignment_sectors):
    """Whether the block layer will go on from both states alike."""
    if sector % alignment_sectors != old_sector % alignment_sectors:
        return False
    for i in range(len(tail)):
        if i == START:
            if (tail[i] - sector) != (old_tail[i] - old_sector) and tail[OPEN]:
                return False
        elif tail[i] != old_tail[i]:
            return False
    return True


@kernel
def walk(limits, zero_bytes, base_page_bytes, write_zeroes_sectors, alignment_sectors, offset, length, bios, requests):
    """Count what zeroing a range makes.

    :param zero_bytes: size of the zero page in use [byte].
    :param write_zeroes_sectors: largest data-less bio [sector]; 0: write zero pages.
    :param alignment_sectors: common multiple of physical block and chunk [sector].
    :param bios: table of bios by (bytes, vectors, allocated), filled here.
    :param requests: table of requests by (bytes, segments, offset of the first byte in its page), filled here.
    :return: (1 if a table was too small, with IMPOSSIBLE where the kernel fails the write, else 0; counts; work).
    """
    counts = np.zeros(COUNTS, np.int64)
    work = np.zeros(WORKS, np.int64)
    tail = empty_tail()
    vector_length = np.full(BIO_MAX_VECS, zero_bytes, np.int64)
    zeros = np.zeros(BIO_MAX_VECS, np.int64)
    if write_zeroes_sectors > 0:
        full = write_zeroes_sectors * SECTOR
    else:
        full = min(BIO_MAX_VECS, UINT_MAX // zero_bytes) * zero_bytes
    # Large folios end a bio by its bytes; then a short last vector may still fit where a whole folio would not.
    by_bytes = write_zeroes_sectors == 0 and full < BIO_MAX_VECS * zero_bytes
    kept = zero_bytes if by_bytes else 1
    # The state that the present one is compared with, and the counts at that moment.
    old_sector, old_tail, old_counts, old_work = np.int64(-1), tail.copy(), counts.copy(), work.copy()
    old_bios, old_requests = bios.copy(), requests.copy()
    steps, power = 0, 1
    searching = True
    sector = offset // SECTOR
    left = length
    while left > 0:
        if searching and left >= full:
            if old_sector >= 0 and same_state(sector, tail, old_sector, old_tail, alignment_sectors):
                period_bytes = (sector - old_sector) * SECTOR
                # One full bio stays to be walked, so that the last one meets the state that it would.
                periods = max(0, left - kept) // period_bytes
                for i in range(COUNTS):
                    counts[i] += periods * (counts[i] - old_counts[i])
                for i in range(WORKS):
                    work[i] += periods * (work[i] - old_work[i])
                _repeat(bios, old_bios, periods)
                _repeat(requests, old_requests, periods)
                sector += periods * (sector - old_sector)
                tail[START] += periods * (period_bytes // SECTOR)
                left -= periods * period_bytes
                searching = False
            elif steps == power or old_sector < 0:
                power *= 2
                steps = 0
                old_sector = sector
                old_tail[:] = tail
                old_counts[:] = counts
                old_work[:] = work
                old_bios[:] = bios
                old_requests[:] = requests
            steps += 1
        size = left if by_bytes and left <= UINT_MAX else min(full, left)
        counts[BIOS] += 1
        if write_zeroes_sectors > 0:
            status = histogram.add(bios, size, 0, 0, 1)
            status |= submit_write_zeroes(limits, write_zeroes_sectors, size // SECTOR, sector, requests, counts)
        else:
            allocated = vector_table(min((left + base_page_bytes - 1) // base_page_bytes, BIO_MAX_VECS))
            vectors = (size + zero_bytes - 1) // zero_bytes
            vector_length[vectors - 1] = size - (vectors - 1) * zero_bytes
            counts[VECTORS] += vectors
            counts[ALLOCATED] += allocated
            work[TABLES] += allocated > INLINE_VECS
            status = histogram.add(bios, size, vectors, allocated, 1)
            status |= submit_bio(limits, zeros, zeros, vector_length, vectors, sector, tail, requests, counts, work)
        if status:
            return status, counts, work
        sector += size // SECTOR
        left -= size
    return finish_plug(tail, requests, counts, work), counts, work


@kernel
def _repeat(table, old, periods):
    """Add what came since ``old`` once more for each period. Rows don't move, and new ones were empty (0) before."""
    for i in range(len(table)):
        table[i, 3] += periods * (table[i, 3] - old[i, 3])
