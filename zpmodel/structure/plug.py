"""The plug: requests made of parts of bios, the newest of which may still grow.

Only the newest request of a plug can take a bio of the same queue, so when the plug is flushed (at 32 requests, or when
the newest has 128 KiB) changes no count: the flush comes before a new request is added, and the older ones were past
merging already. It does cost time, so flushes are counted. Source: ``blk_attempt_plug_merge`` (block/blk-merge.c) and
``blk_add_rq_to_plug`` (block/blk-mq.c).
"""

from typing import NamedTuple

from zpmodel.base.accelerate import borrowing_kernel
from zpmodel.base.units import SECTOR
from zpmodel.queue.kernel import PLUG_BYTES, PLUG_REQUESTS
from zpmodel.structure.records import add_kind
from zpmodel.structure.splits import chunk_left

# mypy: disable-error-code="no-untyped-def"


class Part(NamedTuple):
    """What is left of a bio after splits, or one of the parts that were split off.

    :ivar bytes, segments: its size.
    :ivar sector: where it starts.
    :ivar start_address, start_offset: its first vector's, the latter in that vector's page or folio [byte].
    :ivar start_bytes: how much of it lies in that vector [byte].
    :ivar end_offset, last_address, end_address: its last vector's [byte].
    :ivar vectors: how many vectors it touches.
    """

    bytes: int
    segments: int
    sector: int
    start_address: int
    start_offset: int
    start_bytes: int
    end_offset: int
    last_address: int
    end_address: int
    vectors: int


@borrowing_kernel
def finish_request(state, requests):
    """Log the newest request, which can't grow any more."""
    if state.open:
        state.open = 0
        add_kind(requests, state.bytes, state.segments_held, state.first_offset & 4095, 1)


@borrowing_kernel
def start_requests(limits, state, requests, size, count):
    """Make room for ``count`` new requests of ``size`` bytes each: flushes, before each, as the plug asks for."""
    finish_request(state, requests)
    large = state.plugged > 0 and limits.may_merge and state.bytes >= PLUG_BYTES
    if large or state.plugged >= PLUG_REQUESTS:
        state.flushes += 1
        state.flushed_by_bytes += large
        state.plugged = 0
    if limits.may_merge and size >= PLUG_BYTES:
        state.flushes += count - 1
        state.flushed_by_bytes += count - 1
        state.plugged = state.plugged + 1 if count == 1 else 1
    else:
        before = state.plugged + count - 1
        state.flushes += before // PLUG_REQUESTS
        state.plugged = before % PLUG_REQUESTS + 1
    state.bytes = size
    state.requests += count


@borrowing_kernel
def add_split_off(limits, state, requests, size, segments, offset, count):
    """Add ``count`` parts that were split off one after the other from one piece of memory or from equal ones.

    They are marked "no merge": neither may they join a request, nor may others join theirs.

    :param offset: of the first part's first byte [byte]; the next start ``size`` bytes further, as far as a page sees.
    """
    start_requests(limits, state, requests, size, count)
    state.splits += count
    state.segments += segments * count
    # Offsets within a page come round after a power of two of parts, at most 8: sizes are whole sectors.
    cycle = 1 if size & 4095 == 0 else 4096 // (size & -size)
    for i in range(min(cycle, count)):
        add_kind(requests, size, segments, (offset + i * size) & 4095, (count - i + cycle - 1) // cycle)


@borrowing_kernel
def try_back_merge(limits, state, part):
    """Merge a part into the newest request if the kernel would; say whether it did (``ll_back_merge_fn``).

    It leaves no gap behind the request's last vector if both are one piece of memory that crosses no segment boundary,
    or if both ends have no bits in the virt boundary.
    """
    mask = limits.virt_boundary_mask
    if mask:
        if state.first_offset & mask:
            return False
        boundary = limits.seg_boundary_mask
        adjoining = state.end_address == part.start_address and (
            state.last_address | boundary == (part.start_address + part.start_bytes - 1) | boundary
        )
        if not adjoining and (state.end_offset | part.start_offset) & mask:
            return False
    most = limits.max_sectors
    if limits.chunk_sectors > 0:
        most = min(most, chunk_left(state.start, limits.chunk_sectors))
    if state.bytes + part.bytes > most * SECTOR or state.segments_held + part.segments > limits.max_segments:
        state.sealed = 1
        return False
    return True


@borrowing_kernel
def add_last(limits, state, requests, part):
    """Add the last part of a bio, which may join the newest request, and which others may join."""
    merged = False
    if state.open and not state.sealed and limits.may_merge:
        if limits.virt_boundary_mask:
            state.gap_walks += state.last_vectors
        merged = try_back_merge(limits, state, part)
    if merged:
        state.back_merges += 1
        state.bytes += part.bytes
        state.segments_held += part.segments
    else:
        start_requests(limits, state, requests, part.bytes, 1)
        state.open, state.sealed = 1, 0
        state.segments_held = part.segments
        state.start = part.sector
        state.first_offset = part.start_offset
    state.segments += part.segments
    state.last_vectors = part.vectors
    state.end_offset = part.end_offset
    state.last_address = part.last_address
    state.end_address = part.end_address


@borrowing_kernel
def finish_plug(state, requests):
    """Issue what the plug still holds."""
    if state.plugged > 0:
        state.flushes += 1
        state.last_plug = state.plugged - 1
        state.plugged = 0
    finish_request(state, requests)
