"""A range of many chunks, by arithmetic on where chunks and bios end within each other.

Where a chunk starts in its vector, and where a bio ends in its chunk, goes round by a fixed step; each such place is
looked at once, however often it comes again. A chunk in which no bio ends is cut by where it starts in its vector
alone; those are counted as if no bio ended anywhere, and chunks in which one does are taken off and counted as what
they are. The slow version: :mod:`zpmodel.structure.zeroout` without this.
"""

from math import gcd
from typing import NamedTuple

import numpy as np

from zpmodel.base.accelerate import borrowing_kernel, kernel
from zpmodel.base.units import SECTOR
from zpmodel.base.whole import trailing_zeros
from zpmodel.queue.kernel import PAGE_BYTES, PLUG_BYTES, PLUG_REQUESTS
from zpmodel.structure.chunk_parts import (
    ALIKE,
    KINDS,
    MOST_PHASES,
    PAGE_SECTORS,
    UNCUT,
    Cutting,
    add_but_last,
    add_line,
    add_stretch,
    count_walks,
    inverse_of,
    log_kinds,
    longer_ones,
)
from zpmodel.structure.chunk_tables import add_all_places, worth_tables
from zpmodel.structure.crossing import floor_sum
from zpmodel.structure.records import keep_apart
from zpmodel.structure.uniform import add_rest

# mypy: disable-error-code="no-untyped-def"

_FEW_CHUNKS = 8
_MOST_KINDS = 1 << 18
_BACK = 6


class Reach(NamedTuple):
    """What of a range is counted here, all in sectors from its start.

    :ivar end: where that ends, with a bio; 0 where nothing is counted here.
    :ivar bios: full ones up to there. :ivar first: where the first chunk ends. :ivar chunks: whole ones from there on,
        short of the end.
    """

    end: int
    bios: int
    first: int
    chunks: int


@borrowing_kernel
def cutting_of(limits, zero_bytes, bio_bytes, by_bytes, sector):
    """How a range that starts at ``sector`` is cut: :class:`Cutting`, without ``part`` where this file can't say."""
    chunk, physical, vector = limits.chunk_sectors, limits.physical_block_sectors, zero_bytes // SECTOR
    bio, most = bio_bytes // SECTOR, limits.max_sectors & ~(physical - 1)
    part, whole, large = most, 0, 0
    bad = chunk == 0 or limits.write_zeroes_sectors > 0 or limits.virt_boundary_mask >= PAGE_BYTES
    bad = bad or physical * SECTOR > PAGE_BYTES or sector & (physical - 1) > 0
    if bad or min(limits.max_segment_size, limits.seg_boundary_mask + 1) < zero_bytes:
        part = 0
    elif limits.max_segments * vector <= most:
        part, whole = limits.max_segments * vector, 1
        if vector > MOST_PHASES:
            part = 0
    elif (min(most, chunk) - 2) // vector + 2 > limits.max_segments:
        # Some parts are bounded by segments, others by size.
        part = 0
    # Bios that are not split may join a request; and the last of large folios may be the larger.
    if (part >= bio and limits.may_merge and chunk >= bio) or (by_bytes and chunk >= bio):
        part = 0
    if limits.may_merge and min(part, chunk) * SECTOR >= PLUG_BYTES:
        large = PLUG_BYTES // SECTOR
        # Chunks without a large request could follow each other.
        if whole and chunk <= 2 * part:
            part = 0
    width = 17 if whole or part & (PAGE_SECTORS - 1) else 3
    if min(part, chunk) * width > _MOST_KINDS:
        part = 0
    inverse = inverse_of(part >> trailing_zeros(part)) if part else 0
    return Cutting(part, whole, inverse, chunk, vector, trailing_zeros(vector), bio, large, width)


@borrowing_kernel
def reach_of(cutting, by_bytes, sector, left):
    """How far a range of ``left`` sectors is counted here: :class:`Reach`."""
    chunk, bio = cutting.chunk, cutting.bio
    first = chunk - sector % chunk
    end, bios = left, left // bio
    if by_bytes:
        # A short vector more may fit the last one.
        most = ((1 << 32) - 1) // SECTOR
        bios = 0 if left <= most else (left - most + bio - 1) // bio
    if bios * bio < left and bios * bio >= first + (left - 1 - first) // chunk * chunk:
        # The last bio lies in one chunk, and may join the newest request.
        end = bios * bio
    chunks = (end - 1 - first) // chunk
    if chunks < _FEW_CHUNKS:
        end = 0
    return Reach(end, bios, first, chunks)


@borrowing_kernel
def add_uncut_chunks(cutting, sums, first, number, count):
    """Add ``count`` times so many chunks, the first of which starts at ``first``, as if no bio ended in them."""
    chunk, part, last = cutting.chunk, cutting.part, cutting.vector - 1
    if cutting.whole:
        for i in range(number):
            add_stretch(cutting, sums, (first + i * chunk) & last, chunk, 0, count)
        return
    parts = (chunk - 1) // part
    add_line(cutting, sums, UNCUT, number, first + parts * part, chunk & last, chunk - parts * part, count)
    if part & (PAGE_SECTORS - 1):
        for i in range(parts):
            add_line(cutting, sums, ALIKE, number, first + i * part, chunk & last, part, count)
    elif parts:
        add_uncut_runs(cutting, sums, first & last, number, parts, count)


@borrowing_kernel
def add_uncut_runs(cutting, sums, first, number, parts, count):
    """Add the parts of the full size of :func:`add_uncut_chunks`, so many a chunk, all at one offset in a page."""
    part, vector, last = cutting.part, cutting.vector, cutting.vector - 1
    cycle = PAGE_SECTORS // gcd(cutting.chunk, PAGE_SECTORS)
    step = cutting.chunk * cycle & last
    for i in range(min(cycle, number)):
        of_offset, start = (number - i + cycle - 1) // cycle, (first + i * cutting.chunk) & last
        # Ends of vectors behind the first sector of a run and before its last.
        longer = floor_sum(of_offset, vector, step, start + parts * part - 1) - floor_sum(
            of_offset, vector, step, start
        )
        longer -= of_offset * parts * ((part - 1) >> cutting.shift)
        if start & (PAGE_SECTORS - 1) == 0:
            longer -= ends_of_runs(cutting, start, step, of_offset, parts - 1)
        sums[ALIKE + (start & 7)] += count * (of_offset * parts - longer)
        sums[ALIKE + PAGE_SECTORS + (start & 7)] += count * longer


@borrowing_kernel
def ends_of_runs(cutting, start, step, number, parts):
    """How many parts of the full size end with a vector, of ``number`` runs of so many that start ``step`` apart."""
    shift, last, found = trailing_zeros(step | cutting.vector), cutting.vector - 1, 0
    period = max(1, cutting.vector >> trailing_zeros(cutting.part))
    inverse = inverse_of(step >> shift | 1)
    for i in range(1, min(period, parts) + 1):
        # The one run, of those up to where they come round, of which the i-th part does.
        away = -(start + i * cutting.part) & last
        if away & ((1 << shift) - 1) == 0 and (away >> shift) * inverse & (last >> shift) < number:
            found += (parts - i) // period + 1
    return found


@kernel
def add_cut(cutting, sums, of, place, step, number):
    """Add ``number`` chunks, or bios if they are the shorter, that an end of the other cuts, and come round.

    :param of: sectors of one. :param place: where the first is cut; 0 for at its end. :param step: how much further the
        next is; chunks are taken off as :func:`add_uncut_chunks` had them.
    """
    period = of // gcd(of, step)
    each, more = number // period, number % period
    if worth_tables(cutting, of, min(number, period)):
        add_all_places(cutting, sums, of, place, step, period, number)
        return
    if cutting.part & (PAGE_SECTORS - 1) == 0 and not cutting.whole:
        add_places(cutting, sums, of, place, step, more, each + 1)
        if each:
            add_places(cutting, sums, of, (place + more * step) % of, step, period - more, each)
        return
    for i in range(min(number, period)):
        length, count = place if place else of, each + (i < more)
        start = -length & (cutting.vector - 1)
        if of == cutting.chunk:
            add_stretch(cutting, sums, start, of, False, -count)
        add_stretch(cutting, sums, start, length, True, count)
        add_stretch(cutting, sums, 0, of - length, False, count)
        place += step
        place -= of if place >= of else 0


@borrowing_kernel
def add_places(cutting, sums, of, place, step, number, count):
    """As the loop of :func:`add_cut`, where parts of the full size are whole pages: two stretches in a few ns."""
    part, shift, last, width = cutting.part, cutting.shift, cutting.vector - 1, cutting.width
    # Dividing takes longer than all the rest; half a sector off, no quotient is within rounding of a whole number.
    parts_of, share = (of - 1) // part if of == cutting.chunk else 0, 1.0 / part
    rest_of, head_parts, head_longer = of - parts_of * part, 0, 0
    for _ in range(number):
        length = place if place else of
        start = -length & last
        # From an end of a chunk to that of the bio.
        parts = int((length - 0.5) * share)
        size = length - parts * part
        sums[KINDS + (size - 1) * width] += count
        longer = longer_ones(cutting, start, parts)
        if of == cutting.chunk:
            at = start + parts_of * part & last
            sums[UNCUT + (start & 7) + PAGE_SECTORS * ((at + (rest_of - 1 & last)) >> shift)] -= count
            longer -= longer_ones(cutting, start, parts_of)
            parts -= parts_of
        sums[ALIKE + (start & 7)] += count * (parts - longer)
        sums[ALIKE + PAGE_SECTORS + (start & 7)] += count * longer
        # From that of the bio to the next of a chunk.
        length = of - length
        if length:
            parts = int((length - 0.5) * share)
            start, size = parts * part & last, length - parts * part
            head_parts += parts
            head_longer += longer_ones(cutting, 0, parts)
            sums[KINDS + (size - 1) * width + 1 + ((start + (size - 1 & last)) >> shift)] += count
        place += step
        place -= of if place >= of else 0
    sums[ALIKE] += count * (head_parts - head_longer)
    sums[ALIKE + PAGE_SECTORS] += count * head_longer


@kernel
def add_whole_chunks(cutting, sums, reach):
    """Add the stretches up to where the last whole chunk ends."""
    chunk, bio, first = cutting.chunk, cutting.bio, reach.first
    end = first + reach.chunks * chunk
    if chunk >= bio:
        # Each end of one cuts a bio; the last one's is only half of it.
        add_cut(cutting, sums, bio, -first % bio, -chunk % bio, reach.chunks)
        add_stretch(cutting, sums, 0, bio, True, end // bio - reach.chunks)
        add_stretch(cutting, sums, 0, end % bio, False, 1)
        return
    add_stretch(cutting, sums, 0, first, False, 1)
    period = cutting.vector // gcd(chunk, cutting.vector)
    add_uncut_chunks(cutting, sums, first, period, reach.chunks // period)
    add_uncut_chunks(cutting, sums, first, reach.chunks % period, 1)
    add_cut(cutting, sums, chunk, (bio - first) % chunk, bio % chunk, min(reach.bios, end // bio))


@borrowing_kernel
def add_within_chunk(cutting, sums, start, end, bios):
    """Add the stretches from ``start`` to the last end of a bio up to ``end``; return where that is."""
    bio = cutting.bio
    ends = min(end // bio, bios) - start // bio
    if ends <= 0:
        return start
    first = (start // bio + 1) * bio
    add_stretch(cutting, sums, start & (cutting.vector - 1), first - start, True, 1)
    add_stretch(cutting, sums, 0, bio, True, ends - 1)
    return first + (ends - 1) * bio


@borrowing_kernel
def ends_before(cutting, reach):
    """Bios that end before the end."""
    return reach.bios - (reach.bios * cutting.bio == reach.end)


@borrowing_kernel
def put(plugged, newest, size, count, large):
    """Put ``count`` requests of ``size`` into a plug of which the newest may be large; return both anew."""
    if count == 0:
        return plugged, newest
    plugged = count if newest else plugged + count
    now = size >= large
    return (1 if now and count > 1 else plugged), now


@borrowing_kernel
def plug_at(cutting, reach):
    """Requests in the plug before the last part, and whether the newest is large, where any are.

    Looked at from a few chunks or bios before the end, among which the plug is flushed.
    """
    chunk, bio, part, end = cutting.chunk, cutting.bio, cutting.part, reach.end
    ends = ends_before(cutting, reach)
    at, plugged, newest = max(0, end - _BACK * min(chunk, bio)), 0, False
    while True:
        stop = reach.first if at < reach.first else at + chunk - (at - reach.first) % chunk
        if at // bio < ends:
            stop = min(stop, (at // bio + 1) * bio)
        stop = min(stop, end)
        start = at & (cutting.vector - 1) if cutting.whole else 0
        parts = (start + stop - at - 1) // part
        if parts and start:
            plugged, newest = put(plugged, newest, part - start, 1, cutting.large)
            plugged, newest = put(plugged, newest, part, parts - 1, cutting.large)
        else:
            plugged, newest = put(plugged, newest, part, parts, cutting.large)
        if stop == end:
            return plugged, newest
        rest = stop - at - parts * part + (start if parts else 0)
        plugged, newest = put(plugged, newest, rest, 1, cutting.large)
        at = stop


@borrowing_kernel
def add_sums(limits, cutting, reach, zero_bytes, found, end, state):
    """Add to the state what the kinds add up to, of parts up to ``end``, the plug as it is then included."""
    splits, segments = found.requests - found.lasts, found.segments - found.last_segments
    state.requests, state.segments = found.requests, found.segments
    state.splits, state.advanced = splits, found.passed
    # Each end of a vector lies in a part, which has a segment more for it, or ends one; with bios vectors end too.
    ends = found.requests + (end >> cutting.shift) - found.segments - found.lasts
    count_walks(limits, zero_bytes, state, segments, ends, splits, True)
    count_walks(limits, zero_bytes, state, found.last_segments, 0, found.lasts, False)
    newest = False
    if cutting.large:
        state.plugged, newest = plug_at(cutting, reach)
        state.flushes = found.large - newest
    else:
        state.flushes = (state.requests - 1) // PLUG_REQUESTS
        state.plugged = (state.requests - 1) % PLUG_REQUESTS + 1
    state.bytes = PLUG_BYTES if newest else SECTOR


@borrowing_kernel
def add_last_part(limits, cutting, reach, zero_bytes, sector, start, size, state, requests):
    """Add the last part of all, which stays open, as the kernel's loop would leave it."""
    end = reach.end
    touched = ((start + size - 1) >> cutting.shift) + 1
    short = (start + size) * SECTOR & (zero_bytes - 1)
    count_walks(limits, zero_bytes, state, touched, 0, 1, False)
    if zero_bytes > limits.fast_segment_bytes and 0 < short <= limits.fast_segment_bytes:
        # A short vector at the very end passes the fast test.
        state.slow_visits -= 1
        state.pieces -= 1
    bio = end - ends_before(cutting, reach) * cutting.bio
    keep_apart(requests)
    add_rest(limits, state, requests, zero_bytes, bio * SECTOR, (bio - size) * SECTOR, touched, sector + end - size)


@kernel
def add_chunks(limits, cutting, reach, zero_bytes, sector, state, requests):
    """Count the parts and requests of ``reach.end`` sectors from ``sector`` on, but not the bios.

    :param state: the present record of :data:`zpmodel.structure.records.STATE`, of a range that starts here.
    :param requests: log of requests, which is added to.
    """
    sums = np.zeros(KINDS + min(cutting.part, cutting.chunk) * cutting.width, np.int64)
    add_whole_chunks(cutting, sums, reach)
    at = reach.first + reach.chunks * cutting.chunk
    at = add_within_chunk(cutting, sums, at, reach.end, ends_before(cutting, reach))
    start, size = add_but_last(cutting, sums, at & (cutting.vector - 1), reach.end - at, 1)
    found = log_kinds(cutting, sums, requests)
    add_sums(limits, cutting, reach, zero_bytes, found, reach.end - size, state)
    add_last_part(limits, cutting, reach, zero_bytes, sector, start, size, state, requests)
