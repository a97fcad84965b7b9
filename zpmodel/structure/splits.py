"""Splitting a bio to the queue's limits (``bio_split_rw`` and ``bio_split_io_at`` in block/blk-merge.c)."""

from zpmodel.base.accelerate import kernel
from zpmodel.base.units import SECTOR

# mypy: disable-error-code="no-untyped-def"

# What the kernel's loops do besides what can be traced, as an integer array; see zpmodel.structure.count.Work.
PIECES, SLOW_VISITS, GAP_CHECKS, UNWALKED, ADVANCED, GAP_WALKS, FLUSHES, LAST_PLUG, TABLES = range(9)
WORKS = 9

IMPOSSIBLE = 2
"""What a split, and so a whole count, ends with where the kernel fails the write."""


@kernel
def chunk_left(sector, chunk_sectors):
    """Sectors from here to the next multiple of the chunk [sector]."""
    return chunk_sectors - sector % chunk_sectors


@kernel
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


@kernel
def split_point(limits, address, offset, length, first, done, last, sector, work):
    """Find where a bio must be split.

    The bio's data are the vectors ``first`` to ``last`` (exclusive), the first less its ``done`` bytes. ``address`` is
    physical, ``offset`` the kernel's bv_offset: gaps are a matter of the offset, segment boundaries of the address.
    What the walk does is added to ``work``.

    :return: (bytes of the first part [byte], its segments, 1 if a split is needed, else 0; or IMPOSSIBLE where less
        than a logical block fits, which the kernel answers with EINVAL).
    """
    if last - first == 1 and limits.chunk_sectors == 0 and offset[first] + length[first] <= limits.fast_segment_bytes:
        work[UNWALKED] += 1
        return length[first] - done, 1, 0
    max_bytes = largest_sectors(limits, limits.max_sectors, sector) * SECTOR
    segments = 0
    total = 0
    previous_end = 0
    must_split = 0
    for i in range(first, last):
        skip = done if i == first else 0
        start = offset[i] + skip
        size = length[i] - skip
        if i > first and limits.virt_boundary_mask:
            work[GAP_CHECKS] += 1
            if (start | previous_end) & limits.virt_boundary_mask:
                must_split = 1
                break
        if segments < limits.max_segments and total + size <= max_bytes and start + size <= limits.fast_segment_bytes:
            segments += 1
            total += size
        else:
            work[SLOW_VISITS] += 1
            room = max_bytes - total
            wanted = min(size, room)
            taken = 0
            while wanted > 0 and segments < limits.max_segments:
                at = address[i] + skip + taken
                to_boundary = limits.seg_boundary_mask - (at & limits.seg_boundary_mask) + 1
                piece = min(wanted, limits.max_segment_size, to_boundary)
                work[PIECES] += 1
                segments += 1
                taken += piece
                wanted -= piece
                if (start + taken) & limits.virt_boundary_mask:
                    break
            total += taken
            if wanted > 0 or size > room:
                must_split = 1
                break
        previous_end = start + size
    if must_split:
        total -= total % (limits.logical_block_sectors * SECTOR)
        if total == 0:
            must_split = IMPOSSIBLE
    return total, segments, must_split
