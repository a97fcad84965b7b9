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
    ENDS,
    KINDS,
    LARGES,
    LAST_PARTS,
    LAST_TOUCHED,
    MOST_PHASES,
    PAGE_SECTORS,
    PARTS,
    PASSED,
    TOUCHED,
    Cutting,
    add_but_last,
    add_stretch,
    count_walks,
    inverse_of,
    log_kinds,
)
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
def add_uncut_chunks(cutting, sums, first, chunks):
    """Add so many chunks, the first of which starts at ``first``, as if no bio ended in them."""
    chunk, vector = cutting.chunk, cutting.vector
    if cutting.whole or chunk + PAGE_SECTORS > vector:
        period = vector // gcd(chunk, vector)
        each, more = chunks // period, chunks % period
        start = first & (vector - 1)
        for i in range(min(chunks, period)):
            add_stretch(cutting, sums, start, chunk, 0, each + (i < more))
            start = (start + chunk) & (vector - 1)
        return
    # Most lie inside a vector; those that do not are found by the ends of vectors.
    for i in range(min(PAGE_SECTORS, chunks)):
        add_stretch(cutting, sums, (first + i * chunk) & 7, chunk, 0, (chunks - i + PAGE_SECTORS - 1) // PAGE_SECTORS)
    before = first >> cutting.shift
    number = ((first + chunks * chunk) >> cutting.shift) - before
    period = chunk // gcd(chunk, vector)
    each, more = number // period, number % period
    place, step = (((before + 1) << cutting.shift) - first) % chunk, vector % chunk
    for i in range(min(number, period)):
        start = vector - (place if place else chunk)
        count = each + (i < more)
        add_stretch(cutting, sums, start, chunk, 0, count)
        add_stretch(cutting, sums, start & 7, chunk, 0, -count)
        place += step
        place -= chunk if place >= chunk else 0


@borrowing_kernel
def add_cut_chunks(cutting, sums, reach):
    """Add the chunks in which a bio ends, where bios are the longer."""
    chunk, bio, last = cutting.chunk, cutting.bio, cutting.vector - 1
    before = reach.first // bio
    number = min(reach.bios, (reach.first + reach.chunks * chunk) // bio) - before
    period = chunk // gcd(chunk, bio)
    place, step = ((before + 1) * bio - reach.first) % chunk, bio % chunk
    for i in range(min(number, period)):
        length = place if place else chunk
        count = number // period + (i < number % period)
        add_stretch(cutting, sums, -length & last, chunk, 0, -count)
        add_stretch(cutting, sums, -length & last, length, bio, count)
        if length < chunk:
            add_stretch(cutting, sums, 0, chunk - length, 0, count)
        place += step
        place -= chunk if place >= chunk else 0


@borrowing_kernel
def add_chunks_of_bios(cutting, sums, reach):
    """Add the chunks where they are the longer: in each at least one bio ends."""
    chunk, bio, last = cutting.chunk, cutting.bio, cutting.vector - 1
    period = bio // gcd(chunk, bio)
    whole = 0
    place, step = reach.first % bio, chunk % bio
    for i in range(min(reach.chunks, period)):
        length = bio - place
        count = reach.chunks // period + (i < reach.chunks % period)
        add_stretch(cutting, sums, -length & last, length, bio, count)
        inside = (chunk - length) // bio
        whole += count * inside
        rest = chunk - length - inside * bio
        if rest:
            add_stretch(cutting, sums, 0, rest, 0, count)
        place += step
        place -= bio if place >= bio else 0
    if whole:
        add_stretch(cutting, sums, 0, bio, bio, whole)


@borrowing_kernel
def add_within_chunk(cutting, sums, start, end, bios):
    """Add the stretches from ``start`` to the last end of a bio up to ``end``; return where that is."""
    bio = cutting.bio
    ends = min(end // bio, bios) - start // bio
    if ends <= 0:
        return start
    first = (start // bio + 1) * bio
    add_stretch(cutting, sums, start & (cutting.vector - 1), first - start, bio, 1)
    if ends > 1:
        add_stretch(cutting, sums, 0, bio, bio, ends - 1)
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
def add_sums(limits, cutting, reach, zero_bytes, sums, state):
    """Add what was summed to the state, the plug as it is then included."""
    state.requests = sums[PARTS] + sums[LAST_PARTS]
    state.splits, state.advanced = sums[PARTS], sums[PASSED]
    state.segments = sums[TOUCHED] + sums[LAST_TOUCHED]
    count_walks(limits, zero_bytes, state, sums[TOUCHED], sums[ENDS], sums[PARTS], True)
    count_walks(limits, zero_bytes, state, sums[LAST_TOUCHED], 0, sums[LAST_PARTS], False)
    newest = False
    if cutting.large:
        state.plugged, newest = plug_at(cutting, reach)
        state.flushes = sums[LARGES] - newest
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
    at = add_within_chunk(cutting, sums, 0, reach.first, reach.bios)
    if at < reach.first:
        add_stretch(cutting, sums, at & (cutting.vector - 1), reach.first - at, 0, 1)
    if cutting.chunk < cutting.bio:
        add_uncut_chunks(cutting, sums, reach.first, reach.chunks)
        add_cut_chunks(cutting, sums, reach)
    else:
        add_chunks_of_bios(cutting, sums, reach)
    at = add_within_chunk(
        cutting, sums, reach.first + reach.chunks * cutting.chunk, reach.end, ends_before(cutting, reach)
    )
    start, size = add_but_last(cutting, sums, at & (cutting.vector - 1), reach.end - at, 1)
    log_kinds(cutting, sums, requests)
    add_sums(limits, cutting, reach, zero_bytes, sums, state)
    add_last_part(limits, cutting, reach, zero_bytes, sector, start, size, state, requests)
