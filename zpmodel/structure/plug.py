"""The plug: requests made of parts of bios, the newest of which may still grow.

Only the newest request of a plug can take a bio of the same queue, so when the plug is flushed (at 32 requests, or when
the newest has 128 KiB) changes no count: the flush comes before a new request is added, and the older ones were past
merging already. It does cost time, so flushes are counted. Source: ``blk_attempt_plug_merge`` (block/blk-merge.c) and
``blk_add_rq_to_plug`` (block/blk-mq.c).
"""

from typing import NamedTuple

from zpmodel.base.accelerate import kernel
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


@kernel
def finish_request(plug, requests):
    """Log the newest request, which can't grow any more."""
    if plug.open:
        plug.open = 0
        add_kind(requests, plug.bytes, plug.segments, plug.first_offset & 4095, 1)


@kernel
def start_requests(limits, plug, requests, tally, size, count):
    """Make room for ``count`` new requests of ``size`` bytes each: flushes, before each, as the plug asks for."""
    finish_request(plug, requests)
    if plug.plugged >= PLUG_REQUESTS or (plug.plugged > 0 and limits.may_merge and plug.bytes >= PLUG_BYTES):
        tally.flushes += 1
        plug.plugged = 0
    if limits.may_merge and size >= PLUG_BYTES:
        tally.flushes += count - 1
        plug.plugged = plug.plugged + 1 if count == 1 else 1
    else:
        before = plug.plugged + count - 1
        tally.flushes += before // PLUG_REQUESTS
        plug.plugged = before % PLUG_REQUESTS + 1
    plug.bytes = size
    tally.requests += count


@kernel
def add_split_off(limits, plug, requests, tally, size, segments, offset, count):
    """Add ``count`` parts that were split off one after the other from one piece of memory or from equal ones.

    They are marked "no merge": neither may they join a request, nor may others join theirs.

    :param offset: of the first part's first byte [byte]; the next start ``size`` bytes further, as far as a page sees.
    """
    start_requests(limits, plug, requests, tally, size, count)
    tally.splits += count
    tally.segments += segments * count
    # Offsets within a page come round after a power of two of parts, at most 8: sizes are whole sectors.
    cycle = 1 if size & 4095 == 0 else 4096 // (size & -size)
    for i in range(min(cycle, count)):
        add_kind(requests, size, segments, (offset + i * size) & 4095, (count - i + cycle - 1) // cycle)


@kernel
def try_back_merge(limits, plug, part):
    """Merge a part into the newest request if the kernel would; say whether it did (``ll_back_merge_fn``).

    It leaves no gap behind the request's last vector if both are one piece of memory that crosses no segment boundary,
    or if both ends have no bits in the virt boundary.
    """
    mask = limits.virt_boundary_mask
    if mask:
        if plug.first_offset & mask:
            return False
        boundary = limits.seg_boundary_mask
        adjoining = plug.end_address == part.start_address and (
            plug.last_address | boundary == (part.start_address + part.start_bytes - 1) | boundary
        )
        if not adjoining and (plug.end_offset | part.start_offset) & mask:
            return False
    most = limits.max_sectors
    if limits.chunk_sectors > 0:
        most = min(most, chunk_left(plug.start, limits.chunk_sectors))
    if plug.bytes + part.bytes > most * SECTOR or plug.segments + part.segments > limits.max_segments:
        plug.sealed = 1
        return False
    return True


@kernel
def add_last(limits, plug, requests, tally, part):
    """Add the last part of a bio, which may join the newest request, and which others may join."""
    merged = False
    if plug.open and not plug.sealed and limits.may_merge:
        if limits.virt_boundary_mask:
            tally.gap_walks += plug.last_vectors
        merged = try_back_merge(limits, plug, part)
    if merged:
        tally.back_merges += 1
        plug.bytes += part.bytes
        plug.segments += part.segments
    else:
        start_requests(limits, plug, requests, tally, part.bytes, 1)
        plug.open, plug.sealed = 1, 0
        plug.segments = part.segments
        plug.start = part.sector
        plug.first_offset = part.start_offset
    tally.segments += part.segments
    plug.last_vectors = part.vectors
    plug.end_offset = part.end_offset
    plug.last_address = part.last_address
    plug.end_address = part.end_address


@kernel
def finish_plug(plug, requests, tally):
    """Issue what the plug still holds."""
    if plug.plugged > 0:
        tally.flushes += 1
        tally.last_plug = plug.plugged - 1
        plug.plugged = 0
    finish_request(plug, requests)
