"""Splitting a bio whose vectors are all alike: the same zero page again and again, from its first byte.

Where a vector is cut, where a part ends and how often both come again follows from divisions; no vector is looked at.
Addresses count from the start of the zero page, which is aligned to its size, so that an address is an offset in it.
The same rules vector by vector: :mod:`zpmodel.structure.splits`.
"""

from typing import NamedTuple

from zpmodel.base.accelerate import borrowing_kernel
from zpmodel.base.units import SECTOR
from zpmodel.structure.crossing import add_crossing, parts_alike
from zpmodel.structure.plug import Part, add_last, add_split_off
from zpmodel.structure.records import add_kind
from zpmodel.structure.search import VECTORS, VECTORS_INSIDE, look_back
from zpmodel.structure.splits import IMPOSSIBLE, chunk_left, largest_sectors

# mypy: disable-error-code="no-untyped-def"

_ENDLESS = 1 << 62
_FEW_VECTORS = 4


class FirstPart(NamedTuple):
    """Where a bio must be split, and what finding that took.

    :ivar bytes: of the first part, before it is rounded down to the logical block [byte].
    :ivar segments: of the first part.
    :ivar split: whether more follows.
    :ivar slow_visits, pieces, gap_checks: as in :class:`zpmodel.structure.count.Work`.
    """

    bytes: int
    segments: int
    split: bool
    slow_visits: int
    pieces: int
    gap_checks: int


@borrowing_kernel
def cut(limits, start, end, most):
    """Cut a vector's bytes from ``start`` to ``end`` into at most so many segments (``bvec_split_segs``).

    :return: (where the last one ends [byte], segments); short of ``end`` where segments run out, or where one ends off
        the virt boundary.
    """
    size, boundary, mask = limits.max_segment_size, limits.seg_boundary_mask + 1, limits.virt_boundary_mask
    # Whether segments that start on the virt boundary all end on it, the one that reaches `end` aside.
    even = mask < boundary and (size & mask == 0 or size >= boundary)
    at, pieces = start, 0
    while at < end and pieces < most and (not even or at & mask):
        at = min(end, at + size, (at | limits.seg_boundary_mask) + 1)
        pieces += 1
        if at & mask:
            return at, pieces
    if at == end or pieces == most:
        return at, pieces
    if end - at <= size and end <= (at | limits.seg_boundary_mask) + 1:
        return end, pieces + 1
    # Up to the first segment boundary, whole windows between two of them, and the rest.
    stop = min(end, (at | limits.seg_boundary_mask) + 1)
    wanted = (stop - at + size - 1) // size
    if wanted > most - pieces:
        return at + (most - pieces) * size, most
    pieces += wanted
    each = (boundary + size - 1) // size
    windows = min((end - stop) // boundary, (most - pieces) // each)
    pieces += windows * each
    at = stop + windows * boundary
    stop = min(end, at + boundary)
    wanted = (stop - at + size - 1) // size
    if wanted > most - pieces:
        return at + (most - pieces) * size, most
    return stop, pieces + wanted


@borrowing_kernel
def visit(limits, start, end, room, most):
    """Take one vector's bytes from ``start`` to ``end``, as far as ``room`` [byte] and segments go.

    :return: (bytes taken [byte], segments, 1 if the fast test failed, whether bytes were left).
    """
    size = end - start
    if most > 0 and size <= room and end <= limits.fast_segment_bytes:
        return size, 1, 0, False
    reached, segments = cut(limits, start, start + min(size, room), most)
    return reached - start, segments, 1, reached < end


@borrowing_kernel
def first_part(limits, zero_bytes, start, left, max_bytes):
    """Find where a bio with ``left`` bytes, which starts at ``start`` in the zero page, must be split."""
    here = min(zero_bytes - start, left)
    total, segments, slow, stopped = visit(limits, start, start + here, max_bytes, limits.max_segments)
    pieces = segments * slow
    rest = left - here
    if stopped or rest == 0:
        return FirstPart(total, segments, stopped, slow, pieces, 0)
    mask = limits.virt_boundary_mask
    if zero_bytes & mask:
        return FirstPart(total, segments, True, slow, pieces, 1)
    each, gaps, visits = 1, 0, 0
    fast = zero_bytes <= limits.fast_segment_bytes
    reached = zero_bytes
    if not fast:
        reached, each = cut(limits, 0, zero_bytes, limits.max_segments)
    if reached == zero_bytes:
        visits = min(rest // zero_bytes, (max_bytes - total) // zero_bytes, (limits.max_segments - segments) // each)
    total += visits * zero_bytes
    segments += visits * each
    rest -= visits * zero_bytes
    if not fast:
        slow += visits
        pieces += visits * each
    if rest > 0:
        # A whole vector for which there is no room, or the short one at the end.
        visits += 1
        end = min(zero_bytes, rest)
        taken, found, unfit, stopped = visit(limits, 0, end, max_bytes - total, limits.max_segments - segments)
        total += taken
        segments += found
        slow += unfit
        pieces += found * unfit
    if mask:
        gaps = visits
    return FirstPart(total, segments, stopped, slow, pieces, gaps)


@borrowing_kernel
def repeats_by_sector(limits, sector, step, exact):
    """How many more parts of ``step`` [sector] after the one at ``sector`` are bounded alike by chunk and block.

    :param exact: whether the part was not rounded down, so that a bound at its very end leaves it as it is.
    """
    if step & (limits.physical_block_sectors - 1):
        return 0
    if limits.chunk_sectors == 0:
        return _ENDLESS
    left = chunk_left(sector, limits.chunk_sectors)
    # Parts that fill the chunk, or share it evenly; the last one before its end may have its size from that end.
    whole = left % step == 0 and limits.chunk_sectors % step == 0
    if exact and whole and (left > step or limits.chunk_sectors == step):
        return _ENDLESS
    return max(0, left - limits.max_sectors) // step


@borrowing_kernel
def repeats_in_memory(limits, zero_bytes, start, left, max_bytes, found, step):
    """How many more parts of ``step`` [byte] follow, cut just as the one found at ``start`` with ``left`` bytes.

    Parts inside one vector, or parts that each start at the same byte of a vector.
    """
    mask, boundary = limits.virt_boundary_mask, limits.seg_boundary_mask + 1
    end = min(zero_bytes, start + left)
    if start + found.bytes < end:
        one_piece = found.segments == 1 and found.bytes == max_bytes
        if (boundary >= zero_bytes or step % boundary == 0) and (one_piece or step & mask == 0):
            return (end - 1 - start - found.bytes) // step
        return 0
    if step % zero_bytes:
        return 0
    # The vector at which a walk stops must be a whole one.
    full = (start + left) // zero_bytes * zero_bytes
    stop = ((start + found.bytes) // zero_bytes + 1) * zero_bytes
    return max(0, full - stop) // step


@borrowing_kernel
def add_rest(limits, state, requests, zero_bytes, size, done, segments, sector):
    """Add what is left of a bio of ``size`` bytes after ``done`` were split off: one part of ``segments`` segments."""
    left = size - done
    start = done & (zero_bytes - 1)
    # Every vector before the last part was passed by the splits.
    state.advanced += done // zero_bytes
    end = (size - 1) % zero_bytes + 1
    touched = (size + zero_bytes - 1) // zero_bytes - done // zero_bytes
    begin = start if touched == 1 else 0
    first = min(left, zero_bytes - start)
    add_last(limits, state, requests, Part(left, segments, sector, start, start, first, end, begin, end, touched))


@borrowing_kernel
def skip_vectors(limits, zero_bytes, start, sector, states, bios, requests, ahead):
    """Skip what repeats from vector to vector, at the same place within a chunk or far from its end; return sectors.

    :param start: where in its vector the next part starts [byte]; far from a chunk's end anywhere, since chunks may
        start anywhere.
    """
    far = 0
    if start == 0:
        far = look_back(limits, states, VECTORS, sector, bios, requests, ahead)
        if states.records[VECTORS].sector == sector:
            # Its rows end here, as in skip_ahead.
            states.records[VECTORS_INSIDE].sector = -1
    if far == 0 and limits.chunk_sectors * SECTOR >= _FEW_VECTORS * zero_bytes:
        if (sector - states.records[VECTORS_INSIDE].sector) * SECTOR & (zero_bytes - 1):
            ahead = 0  # at another byte of its vector than the earlier one
        far = look_back(limits, states, VECTORS_INSIDE, sector, bios, requests, ahead)
    return far


@borrowing_kernel
def submit_uniform(limits, zero_bytes, size, sector, states, bios, requests):
    """Submit one bio of ``size`` bytes of the zero page starting at ``sector``: split it, make or grow requests.

    :param states: :class:`zpmodel.structure.records.States`: the present one is changed; what repeats from vector to
        vector is searched for with its own.
    :param bios: log of bios, which is not added to.
    :param requests: log of requests, which is added to.
    :return: IMPOSSIBLE where the kernel fails the write, else 0.
    """
    state = states.records[0]
    states.records[VECTORS].sector = -1
    states.records[VECTORS_INSIDE].sector = -1
    done, seen = 0, -1
    while True:
        left = size - done
        start = done & (zero_bytes - 1)
        if done > seen and left > 3 * zero_bytes:
            # The first part that starts in a new vector; what it stops at must be a whole one, in any period.
            seen = done | (zero_bytes - 1)
            ahead = ((size // zero_bytes - 1) * zero_bytes - done) // SECTOR
            far = skip_vectors(limits, zero_bytes, start, sector, states, bios, requests, ahead)
            sector += far
            done += far * SECTOR
            seen += far * SECTOR
            left = size - done
        if limits.chunk_sectors == 0 and start + left <= min(zero_bytes, limits.fast_segment_bytes):
            state.unwalked += 1
            segments = 1
            break
        max_bytes = largest_sectors(limits, limits.max_sectors, sector) * SECTOR
        found = first_part(limits, zero_bytes, start, left, max_bytes)
        segments = found.segments
        count = 1
        step = found.bytes
        if found.split:
            step -= step & (limits.logical_block_sectors * SECTOR - 1)
            if step == 0:
                return IMPOSSIBLE
            more = repeats_by_sector(limits, sector, step // SECTOR, step == found.bytes)
            parts = 0
            if more and step == max_bytes:
                parts = parts_alike(limits, zero_bytes, size, done, step, more)
            if parts:
                add_crossing(limits, state, requests, zero_bytes, start, step, parts)
                done += parts * step
                sector += parts * step // SECTOR
                continue
            if more:
                count += min(more, repeats_in_memory(limits, zero_bytes, start, left, max_bytes, found, step))
        state.slow_visits += count * found.slow_visits
        state.pieces += count * found.pieces
        state.gap_checks += count * found.gap_checks
        if not found.split:
            break
        add_split_off(limits, state, requests, step, segments, start, count)
        done += count * step
        sector += count * step // SECTOR
    add_rest(limits, state, requests, zero_bytes, size, done, segments, sector)
    return 0


@borrowing_kernel
def submit_write_zeroes(limits, max_sectors, sectors, sector, state, requests):
    """Submit one data-less WRITE_ZEROES bio; such requests never merge."""
    while sectors > 0:
        most = largest_sectors(limits, max_sectors, sector)
        size = sectors if most == 0 or sectors <= most else most
        count = 1
        if size < sectors and size == limits.chunk_sectors:
            count = (sectors - 1) // size
        state.splits += count * (size < sectors)
        state.requests += count
        add_kind(requests, size * SECTOR, 0, 0, count)
        sector += count * size
        sectors -= count * size
    return 0
