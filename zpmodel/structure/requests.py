"""From bios to requests: splitting each bio, and merging the parts into the newest request of the plug.

Only the newest request of a plug can take a bio of the same queue, so when the plug is flushed (at 32 requests, or when
the newest has 128 KiB) changes no count: the flush comes before a new request is added, and the older ones were past
merging already. It does cost time, so flushes are counted. Source: ``blk_attempt_plug_merge`` (block/blk-merge.c) and
``blk_add_rq_to_plug`` (block/blk-mq.c).
"""

import numpy as np

from zpmodel.base.accelerate import kernel
from zpmodel.base.units import KIB, SECTOR
from zpmodel.structure import histogram
from zpmodel.structure.splits import (
    ADVANCED,
    FLUSHES,
    GAP_WALKS,
    IMPOSSIBLE,
    LAST_PLUG,
    chunk_left,
    largest_sectors,
    split_point,
)

# mypy: disable-error-code="no-untyped-def"

# The newest request of the plug, as an integer array: what a merge looks at.
OPEN, BYTES, SEGMENTS, SEALED, START, FIRST_OFFSET, END_OFFSET, LAST_ADDRESS, END_ADDRESS = range(9)
# How many requests the plug holds, and vectors of the newest one's last bio: they cost time only.
PLUGGED, LAST_VECTORS = 9, 10
TAIL_FIELDS = 11

PLUG_REQUESTS = 32
"""A plug is flushed when it holds so many (BLK_MAX_REQUEST_COUNT)."""

PLUG_BYTES = 128 * KIB
"""... or when its newest request has so many bytes (BLK_PLUG_FLUSH_SIZE)."""

# What is counted, as an integer array.
BIOS, VECTORS, ALLOCATED, SPLITS, BACK_MERGES, REQUESTS = range(6)
COUNTS = 6


@kernel
def finish_request(tail, requests, counts):
    """Count the newest request, which can't grow any more; return 1 if the table of requests is full."""
    if tail[OPEN] == 0:
        return 0
    tail[OPEN] = 0
    counts[REQUESTS] += 1
    return histogram.add(requests, tail[BYTES], tail[SEGMENTS], tail[FIRST_OFFSET] & 4095, 1)


@kernel
def try_back_merge(limits, tail, size, segments, start_offset, start_address, start_bytes):
    """Merge a part into the newest request if the kernel would; return 1 if it did (``ll_back_merge_fn``).

    ``start_*`` is the part's first vector. It leaves no gap behind the request's last vector if both are one piece of
    memory that crosses no segment boundary, or if both ends have no bits in the virt boundary.
    """
    mask = limits.virt_boundary_mask
    if mask:
        if tail[FIRST_OFFSET] & mask:
            return 0
        boundary = limits.seg_boundary_mask
        adjoining = tail[END_ADDRESS] == start_address and (
            tail[LAST_ADDRESS] | boundary == (start_address + start_bytes - 1) | boundary
        )
        if not adjoining and (tail[END_OFFSET] | start_offset) & mask:
            return 0
    most = limits.max_sectors
    if limits.chunk_sectors > 0:
        most = min(most, chunk_left(tail[START], limits.chunk_sectors))
    if tail[BYTES] + size > most * SECTOR or tail[SEGMENTS] + segments > limits.max_segments:
        tail[SEALED] = 1
        return 0
    tail[BYTES] += size
    tail[SEGMENTS] += segments
    return 1


@kernel
def submit_bio(limits, address, offset, length, vectors, sector, tail, requests, counts, work):
    """Submit one bio of data starting at ``sector``: split it to the limits, make or grow requests.

    :return: 1 if the table of requests is full, IMPOSSIBLE where the kernel fails the write, else 0.
    """
    first = 0
    done = 0
    while first < vectors:
        size, segments, split = split_point(limits, address, offset, length, first, done, vectors, sector, work)
        if split == IMPOSSIBLE:
            return IMPOSSIBLE
        counts[SPLITS] += split
        start_offset = offset[first] + done
        start_address = address[first] + done
        start_bytes = min(size, length[first] - done)
        left = size
        before = first
        end_offset = start_offset
        last_address, end_address = start_address, start_address
        while left > 0:
            step = min(left, length[first] - done)
            end_offset = offset[first] + done + step
            last_address = address[first] + done
            end_address = last_address + step
            left -= step
            done += step
            if done == length[first]:
                first += 1
                done = 0
        touched = first - before + (done > 0)
        if split:
            work[ADVANCED] += first - before
        merged = 0
        # A part that was split off is marked "no merge": neither may it join, nor may others join it.
        if tail[OPEN] and not tail[SEALED] and not split and limits.may_merge:
            if limits.virt_boundary_mask:
                work[GAP_WALKS] += tail[LAST_VECTORS]
            merged = try_back_merge(limits, tail, size, segments, start_offset, start_address, start_bytes)
        if merged:
            counts[BACK_MERGES] += 1
        else:
            full = tail[PLUGGED] >= PLUG_REQUESTS or (limits.may_merge and tail[BYTES] >= PLUG_BYTES)
            if tail[PLUGGED] > 0 and full:
                work[FLUSHES] += 1
                tail[PLUGGED] = 0
            if finish_request(tail, requests, counts):
                return 1
            tail[PLUGGED] += 1
            tail[OPEN] = 1
            tail[BYTES] = size
            tail[SEGMENTS] = segments
            tail[SEALED] = split
            tail[START] = sector
            tail[FIRST_OFFSET] = start_offset
        tail[LAST_VECTORS] = touched
        tail[END_OFFSET] = end_offset
        tail[LAST_ADDRESS] = last_address
        tail[END_ADDRESS] = end_address
        sector += size // SECTOR
    return 0


@kernel
def submit_write_zeroes(limits, max_sectors, sectors, sector, requests, counts):
    """Submit one data-less WRITE_ZEROES bio; such requests never merge. Returns 1 if the table is full."""
    while sectors > 0:
        most = largest_sectors(limits, max_sectors, sector)
        size = sectors if most == 0 or sectors <= most else most
        counts[SPLITS] += size < sectors
        counts[REQUESTS] += 1
        if histogram.add(requests, size * SECTOR, 0, 0, 1):
            return 1
        sector += size
        sectors -= size
    return 0


@kernel
def finish_plug(tail, requests, counts, work):
    """Issue what the plug still holds; return 1 if the table of requests is full."""
    if tail[PLUGGED] > 0:
        work[FLUSHES] += 1
        work[LAST_PLUG] = tail[PLUGGED] - 1
        tail[PLUGGED] = 0
    return finish_request(tail, requests, counts)


@kernel
def empty_tail():
    """No request in the plug yet."""
    return np.zeros(TAIL_FIELDS, np.int64)
