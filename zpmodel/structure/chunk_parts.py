"""The parts of a stretch of a bio between two cuts: where a chunk or a bio ends, there is a cut.

All sizes and places are in sectors, and a place is counted from the start of its vector. It holds where a part is
bounded by its size alone, or by whole vectors alone (:class:`Cutting`), and a vector is one segment.

Only kinds of requests are counted, in one row of sums: how many segments there are, and how many parts end with a
vector, follows from them (:func:`log_kinds`).
"""

from typing import NamedTuple

from zpmodel.base.accelerate import borrowing_kernel
from zpmodel.base.units import SECTOR
from zpmodel.base.whole import quotient, trailing_zeros
from zpmodel.structure.crossing import count_below
from zpmodel.structure.records import add_kind, keep_apart, put_in_order

# mypy: disable-error-code="no-untyped-def"

PAGE_SECTORS = 8
"""Offsets are told apart within a page of so many sectors."""

MOST_PHASES = 128
"""Sectors of the largest vector of which parts may be so many whole ones."""

ALIKE, UNCUT = 0, 16
"""Where rows of sums start, by segments (the fewest, and one more) and by offset in a page: parts of the full size, and
the last ones of whole chunks."""

KINDS = 32
"""Where the table of other parts starts: for each size the last parts of bios, then the others: a row as those above,
or only its two of offset 0 (``Cutting.width``)."""

_LONGER = PAGE_SECTORS


class Cutting(NamedTuple):
    """How a range is cut, all in sectors.

    :ivar part: the most of a part; 0 where these files can't say.
    :ivar whole: whether that is so many whole vectors, so that the first one after a cut inside a vector has less.
    :ivar inverse: of the odd factor of ``part``, modulo any power of two up to 2^32.
    :ivar chunk, vector, bio: of one; a vector is 2^``shift``.
    :ivar large: of a request after which the plug is flushed; 0 where none is.
    :ivar width: kinds of other parts of one size.
    """

    part: int
    whole: int
    inverse: int
    chunk: int
    vector: int
    shift: int
    bio: int
    large: int
    width: int


class Sums(NamedTuple):
    """What the kinds add up to.

    :ivar requests, segments: of all. :ivar lasts, last_segments: of the last parts of bios among them.
    :ivar passed: vectors before those. :ivar large: requests after which the plug is flushed.
    """

    requests: int
    segments: int
    lasts: int
    last_segments: int
    passed: int
    large: int


@borrowing_kernel
def inverse_of(odd):
    """What ``odd`` must be multiplied by to be 1 modulo 2^32 (Newton's iteration, doubling the bits that are right)."""
    found = odd
    for _ in range(4):
        found = (found * ((2 - odd * found) & 0xFFFFFFFF)) & 0xFFFFFFFF
    return found


@borrowing_kernel
def ends_on_vectors(cutting, start, parts):
    """How many of so many parts of the full size end with a vector, the first of which starts at ``start``."""
    shift = trailing_zeros(cutting.part)
    if shift >= cutting.shift:
        return 0 if start else parts
    if start & ((1 << shift) - 1):
        return 0
    period = cutting.vector >> shift
    first = (((cutting.vector - start) >> shift) * (cutting.inverse & (period - 1))) & (period - 1)
    first = first if first else period
    return 0 if first > parts else ((parts - first) >> (cutting.shift - shift)) + 1


@borrowing_kernel
def longer_ones(cutting, start, parts):
    """How many of so many parts of the full size have a segment more: ends of vectors in them, but those all have."""
    if parts == 0:
        return 0
    part, shift = cutting.part, cutting.shift
    longer = ((start + parts * part - 1) >> shift) - parts * ((part - 1) >> shift)
    # One at which a part ends is in none.
    return (
        longer
        if start & (part & -part) - 1 & cutting.vector - 1
        else longer - ends_on_vectors(cutting, start, parts - 1)
    )


@borrowing_kernel
def add_line(cutting, sums, row, number, first, step, size, count):
    """Add ``count`` times ``number`` parts of one size that start ``step`` apart from ``first`` on, wherever that is.

    One that starts less than ``size`` before the end of its vector, whole vectors left out, has a segment more.
    """
    last = cutting.vector - 1
    cycle = PAGE_SECTORS // (step & -step) if step & (PAGE_SECTORS - 1) else 1
    for i in range(min(cycle, number)):
        of_offset = quotient(number - i + cycle - 1, cycle)
        at = (first + i * step) & last
        longer = count_below(of_offset, cutting.vector, -(step * cycle) & last, last - at, (size - 1) & last)
        sums[row + (at & 7)] += count * (of_offset - longer)
        sums[row + _LONGER + (at & 7)] += count * longer


@borrowing_kernel
def add_crossed(cutting, sums, start, parts, count):
    """As :func:`add_run`, by looking at each end of a vector, which are fewer than parts and cross one each."""
    size = cutting.part
    for i in range(min(PAGE_SECTORS, parts)):
        sums[ALIKE + (start + i * size & 7)] += count * ((parts - i + PAGE_SECTORS - 1) >> 3)
    for at in range(cutting.vector - start, parts * size, cutting.vector):
        before = quotient(at, size) * size
        if before < at:
            sums[ALIKE + (start + before & 7)] -= count
            sums[ALIKE + _LONGER + (start + before & 7)] += count


@borrowing_kernel
def add_run(cutting, sums, start, parts, count):
    """Add ``count`` runs of so many parts of the full size."""
    size = cutting.part
    if size & (PAGE_SECTORS - 1) and parts > 1:
        if size > cutting.vector:
            add_line(cutting, sums, ALIKE, parts, start, size, size, count)
        else:
            add_crossed(cutting, sums, start, parts, count)
        return
    longer = longer_ones(cutting, start, parts)
    sums[ALIKE + (start & 7)] += count * (parts - longer)
    sums[ALIKE + _LONGER + (start & 7)] += count * longer


@borrowing_kernel
def add_part(cutting, sums, row, start, size, count):
    """Add ``count`` parts of a size to a row by segments and offset, or to its two of offset 0."""
    longer = ((start + size - 1) >> cutting.shift) - ((size - 1) >> cutting.shift)
    if row >= KINDS and cutting.width == 3:
        sums[row + longer] += count
    else:
        sums[row + _LONGER * longer + (start & 7)] += count


@borrowing_kernel
def row_of(cutting, size):
    """Where the parts of a size stand that are no bio's last."""
    return KINDS + (size - 1) * cutting.width + 1


@borrowing_kernel
def add_but_last(cutting, sums, start, length, count):
    """Add all parts but the last of ``count`` stretches of so many sectors; return where that starts, and its size."""
    part = cutting.part
    if not cutting.whole:
        parts = quotient(length - 1, part)
        if parts:
            add_run(cutting, sums, start, parts, count)
        return (start + parts * part) & (cutting.vector - 1), length - parts * part
    parts = quotient(start + length - 1, part)
    if parts == 0:
        return start, length
    length += start - parts * part
    if start:
        add_part(cutting, sums, row_of(cutting, part - start), start, part - start, count)
        parts -= 1
    sums[ALIKE] += count * parts
    return 0, length


@borrowing_kernel
def add_stretch(cutting, sums, start, length, ends_bio, count):
    """Add ``count`` stretches of so many sectors, or take them off, that end with a bio or else with a chunk."""
    if length == 0:
        return
    at, size = add_but_last(cutting, sums, start, length, count)
    row = row_of(cutting, size)
    if ends_bio:
        sums[row - 1] += count
    elif length == cutting.chunk and not cutting.whole:
        add_part(cutting, sums, UNCUT, at, size, count)
    else:
        add_part(cutting, sums, row, at, size, count)


@borrowing_kernel
def log_row(sums, row, number, per_segments, size, fewest, requests):
    """Log a row of sums, the first ``per_segments`` of which have the fewest segments; return their number, and how
    many of them have one more."""
    found, longer = 0, 0
    for i in range(number):
        count = sums[row + i]
        if count:
            more = i >= per_segments
            add_kind(requests, size * SECTOR, fewest + more, (i - per_segments * more) * SECTOR, count)
            found += count
            longer += count * more
    return found, longer


@borrowing_kernel
def log_kinds(cutting, sums, requests):
    """Log what was counted, in order; return :class:`Sums` of it."""
    full, width, shift, bio = cutting.part, cutting.width, cutting.shift, cutting.bio
    rest = cutting.chunk - (cutting.chunk - 1) // full * full
    per_segments = (width - 1) >> 1
    found, segments, lasts, last_segments, passed, large = 0, 0, 0, 0, 0, 0
    row = KINDS
    for size in range(1, min(full, cutting.chunk) + 1):
        fewest, ends = ((size - 1) >> shift) + 1, sums[row]
        # Looked for among those of this size alone.
        keep_apart(requests)
        number, longer = log_row(sums, row + 1, width - 1, per_segments, size, fewest, requests)
        if ends:
            add_kind(requests, size * SECTOR, fewest, (-size & 7) * SECTOR, ends)
            number += ends
            lasts += ends
            last_segments += ends * fewest
            # Every vector before a bio's last part was passed by the splits.
            passed += ends * ((bio - size) >> shift)
        if size == full:
            more, further = log_row(sums, ALIKE, UNCUT - ALIKE, PAGE_SECTORS, size, fewest, requests)
            number, longer = number + more, longer + further
        if size == rest:
            more, further = log_row(sums, UNCUT, KINDS - UNCUT, PAGE_SECTORS, size, fewest, requests)
            number, longer = number + more, longer + further
        if requests.reach[0].used > requests.reach[0].floor + 1:
            put_in_order(requests, requests.reach[0].floor)
        found += number
        segments += number * fewest + longer
        large += number * (0 < cutting.large <= size)
        row += width
    return Sums(found, segments, lasts, last_segments, passed, large)


@borrowing_kernel
def count_walks(limits, zero_bytes, state, touched, ends, parts, more):
    """Count what the walks over so many parts do.

    :param touched: vectors that the parts touch, which are their segments. :param ends: parts that end with a vector.
    :param more: whether more of their bio follows; then the walk stops at what does not fit.
    """
    stops = ends if more else 0
    if zero_bytes > limits.fast_segment_bytes:
        state.slow_visits += touched + stops
        state.pieces += touched
    elif more:
        state.slow_visits += parts
        state.pieces += parts - ends
    if limits.virt_boundary_mask:
        state.gap_checks += touched - parts + stops
