"""Splitting a bio of any vectors to the queue's limits (``bio_split_rw``, ``bio_split_io_at`` in block/blk-merge.c)."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zpmodel.base.accelerate import borrowing_kernel
from zpmodel.base.units import SECTOR

# mypy: disable-error-code="no-untyped-def"

IMPOSSIBLE = 2
"""What a split, and so a whole count, ends with where the kernel fails the write."""


class Mixed(NamedTuple):
    """The vectors of a bio of which each may be another piece of memory; arrays of shape (vectors,).

    :ivar address: physical address of the first byte [byte].
    :ivar offset: offset in its page or folio [byte]; the kernel's ``bv_offset``.
    :ivar length: bytes [byte].
    """

    address: npt.NDArray[np.int64]
    offset: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]


@borrowing_kernel
def chunk_left(sector, chunk_sectors):
    """Sectors from here to the next multiple of the chunk [sector]."""
    return chunk_sectors - sector % chunk_sectors


@borrowing_kernel
def largest_sectors(limits, max_sectors, sector):
    """The most sectors that a bio starting at ``sector`` may have [sector] (``get_max_io_size``).

    The end is rounded down to the physical block; where that leaves nothing, the size is to the logical block.
    """
    if limits.chunk_sectors > 0:
        max_sectors = min(max_sectors, chunk_left(sector, limits.chunk_sectors))
    start = sector & (limits.physical_block_sectors - 1)
    end = (start + max_sectors) & ~(limits.physical_block_sectors - 1)
    if end > start:
        return end - start
    return max_sectors & ~(limits.logical_block_sectors - 1)


@borrowing_kernel
def cut_mixed(limits, address, start, wanted, most):
    """Cut ``wanted`` bytes of one vector into at most so many segments (``bvec_split_segs``).

    :param address: physical address of the first byte [byte].
    :param start: its offset in its page or folio [byte]; the virt boundary is a matter of this, not of the address.
    :return: (bytes taken [byte], segments).
    """
    taken = 0
    pieces = 0
    while taken < wanted and pieces < most:
        at = address + taken
        to_boundary = limits.seg_boundary_mask - (at & limits.seg_boundary_mask) + 1
        taken += min(wanted - taken, limits.max_segment_size, to_boundary)
        pieces += 1
        if (start + taken) & limits.virt_boundary_mask:
            break
    return taken, pieces


@borrowing_kernel
def split_mixed(limits, vectors, first, done, sector, state):
    """Find where a bio must be split, vector by vector.

    The bio's data are the ``vectors`` from ``first`` on, that one less its ``done`` bytes. What the walk does is added
    to ``state``.

    :return: (bytes of the first part [byte], its segments, 1 if a split is needed, else 0; or IMPOSSIBLE where less
        than a logical block fits, which the kernel answers with EINVAL).
    """
    last = len(vectors.length)
    whole = vectors.offset[first] + vectors.length[first]
    if last - first == 1 and limits.chunk_sectors == 0 and whole <= limits.fast_segment_bytes:
        state.unwalked += 1
        return vectors.length[first] - done, 1, 0
    room = largest_sectors(limits, limits.max_sectors, sector) * SECTOR
    segments, total, previous_end, must_split = 0, 0, 0, 0
    for i in range(first, last):
        skip = done if i == first else 0
        start, size = vectors.offset[i] + skip, vectors.length[i] - skip
        if i > first and limits.virt_boundary_mask:
            state.gap_checks += 1
            if (start | previous_end) & limits.virt_boundary_mask:
                must_split = 1
                break
        if segments < limits.max_segments and total + size <= room and start + size <= limits.fast_segment_bytes:
            segments += 1
            total += size
        else:
            wanted = min(size, room - total)
            taken, pieces = cut_mixed(limits, vectors.address[i] + skip, start, wanted, limits.max_segments - segments)
            state.slow_visits += 1
            state.pieces += pieces
            segments += pieces
            total += taken
            if taken < size:
                must_split = 1
                break
        previous_end = start + size
    if must_split:
        total -= total % (limits.logical_block_sectors * SECTOR)
        if total == 0:
            must_split = IMPOSSIBLE
    return total, segments, must_split
