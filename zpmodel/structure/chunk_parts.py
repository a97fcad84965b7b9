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
from zpmodel.structure.records import add_kind, keep_apart

# mypy: disable-error-code="no-untyped-def"

PAGE_SECTORS = 8
"""Offsets are told apart within a page of so many sectors."""

MOST_PHASES = 128
"""Sectors of the largest vector of which parts may be so many whole ones."""

ALIKE, UNCUT, NOW = 0, 16, 32
"""Where rows of sums start, by segments (the fewest, and one more) and by offset in a page: parts of the full size, the
last ones of whole chunks, and scratch."""

KINDS = 48
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
def add_run(cutting, sums, start, parts, count):
    """Add ``count`` runs of so many parts of the full size."""
    size = cutting.part
    if size & (PAGE_SECTORS - 1) and parts > 1:
        add_line(cutting, sums, ALIKE, parts, start, size, size, count)
        return
    # Ends of vectors inside of parts, those left out that every part has.
    longer = (start + parts * size - 1) >> cutting.shift
    longer -= ends_on_vectors(cutting, start, parts - 1) + parts * ((size - 1) >> cutting.shift)
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
def log_kinds(cutting, sums, requests):
    """Log what was counted, the smallest first, each kind once; return :class:`Sums` of it."""
    full, width = cutting.part, cutting.width
    rest = cutting.chunk - (cutting.chunk - 1) // full * full
    found, segments, lasts, last_segments, passed, large = 0, 0, 0, 0, 0, 0
    for size in range(1, min(full, cutting.chunk) + 1):
        row, any_kind = row_of(cutting, size), size in (full, rest)
        for i in range(row - 1, row + width - 1):
            any_kind |= sums[i] != 0
        if not any_kind:
            continue
        fewest, ends = ((size - 1) >> cutting.shift) + 1, sums[row - 1]
        lasts += ends
        last_segments += ends * fewest
        # Every vector before a bio's last part was passed by the splits.
        passed += ends * ((cutting.bio - size) >> cutting.shift)
        for i in range(2 * PAGE_SECTORS):
            here = sums[row + i] if width > 3 else 0
            here += sums[ALIKE + i] if size == full else 0
            sums[NOW + i] = here + (sums[UNCUT + i] if size == rest else 0)
        if width == 3:
            sums[NOW] += sums[row]
            sums[NOW + _LONGER] += sums[row + 1]
        sums[NOW + (-size & 7)] += ends
        for i in range(2 * PAGE_SECTORS):
            count = sums[NOW + i]
            if count:
                # None is looked for among the others.
                keep_apart(requests)
                add_kind(requests, size * SECTOR, fewest + (i >> 3), (i & 7) * SECTOR, count)
                found += count
                segments += count * (fewest + (i >> 3))
                large += count * (0 < cutting.large <= size)
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
