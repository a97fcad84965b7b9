"""The parts of a stretch of a bio between two cuts, counted together: where a chunk or a bio ends, there is a cut.

All sizes and places are in sectors, and a place is counted from the start of its vector. It holds where a part is
bounded by its size alone, or by whole vectors alone (:class:`Cutting`), and a vector is one segment.

Counts are kept in one row of sums, since they may be taken off again, and an array more to hand over costs as much as
a stretch does.
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

PARTS, TOUCHED, ENDS, LAST_PARTS, LAST_TOUCHED, PASSED, LARGES = 0, 1, 2, 3, 4, 5, 6
"""Sums: parts that are split off, vectors that they touch, those that end with a vector; last parts of bios, vectors
that they touch, and vectors before them; requests that are large."""

ALIKE, UNCUT, FIRST = 8, 24, 40
"""Where rows of sums start: parts of the full size, then the last ones of whole chunks, by offset in a page and by
segments (the fewest, and one more); and where parts are whole vectors, first ones of several, by where they start."""

KINDS = FIRST + MOST_PHASES
"""Where the table of other parts starts: for each size the last parts of bios, then the others by segments and offset
(``Cutting.width``)."""

_FEW_ROWS = 32


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
def spread_run(cutting, sums, start, parts, count):
    """Count a run's parts by offset and segments where each starts at another offset."""
    size, last = cutting.part, cutting.vector - 1
    cycle = PAGE_SECTORS // (size & -size)
    for i in range(min(cycle, parts)):
        number = (parts - i + cycle - 1) // cycle
        at = (start + i * size) & last
        longer = count_below(number, cutting.vector, -(size * cycle) & last, last - at, (size - 1) & last)
        sums[ALIKE + 2 * (at & 7)] += count * (number - longer)
        sums[ALIKE + 2 * (at & 7) + 1] += count * longer


@borrowing_kernel
def add_run(cutting, sums, start, parts, count):
    """Add ``count`` runs of so many parts of the full size, of which more of the bio follows."""
    size = cutting.part
    end = start + parts * size
    inner = ends_on_vectors(cutting, start, parts - 1)
    touched = parts + ((end - 1) >> cutting.shift) - inner
    sums[PARTS] += count * parts
    sums[TOUCHED] += count * touched
    sums[ENDS] += count * (inner + (end & (cutting.vector - 1) == 0))
    if cutting.large and size >= cutting.large:
        sums[LARGES] += count * parts
    if size & (PAGE_SECTORS - 1) and parts > 1:
        spread_run(cutting, sums, start, parts, count)
    else:
        longer = touched - parts * (((size - 1) >> cutting.shift) + 1)
        sums[ALIKE + 2 * (start & 7)] += count * (parts - longer)
        sums[ALIKE + 2 * (start & 7) + 1] += count * longer


@borrowing_kernel
def add_split(cutting, sums, start, size, count):
    """Add ``count`` parts of so many sectors that are split off; return how many vectors each touches."""
    end = start + size
    touched = ((end - 1) >> cutting.shift) + 1
    sums[PARTS] += count
    sums[TOUCHED] += count * touched
    sums[ENDS] += count * (end & (cutting.vector - 1) == 0)
    if cutting.large and size >= cutting.large:
        sums[LARGES] += count
    return touched


@borrowing_kernel
def add_but_last(cutting, sums, start, length, count):
    """Add all parts but the last of ``count`` stretches of so many sectors; return where that starts, and its size."""
    part = cutting.part
    if not cutting.whole:
        parts = quotient(length - 1, part) if length > part else 0
        if parts:
            add_run(cutting, sums, start, parts, count)
        return (start + parts * part) & (cutting.vector - 1), length - parts * part
    parts = quotient(start + length - 1, part)
    if parts == 0:
        return start, length
    length += start - parts * part
    if start:
        add_split(cutting, sums, start, part - start, count)
        sums[FIRST + start] += count
        parts -= 1
    if parts:
        add_run(cutting, sums, 0, parts, count)
    return 0, length


@borrowing_kernel
def add_stretch(cutting, sums, start, length, bio, count):
    """Add ``count`` stretches of so many sectors, or take them off.

    :param bio: sectors of the bio that ends with it, and with a vector; 0 where a chunk ends, and no bio.
    """
    at, size = add_but_last(cutting, sums, start, length, count)
    if bio == 0:
        longer = add_split(cutting, sums, at, size, count) - 1 - ((size - 1) >> cutting.shift)
        kind = KINDS + (size - 1) * cutting.width + 1
        if length == cutting.chunk and not cutting.whole:
            kind = UNCUT
        sums[kind + longer + 2 * (at & 7)] += count
        return
    sums[LAST_PARTS] += count
    sums[LAST_TOUCHED] += count * (((at + size - 1) >> cutting.shift) + 1)
    # Every vector before the last part was passed by the splits.
    sums[PASSED] += count * ((bio - size) >> cutting.shift)
    if cutting.large and size >= cutting.large:
        sums[LARGES] += count
    sums[KINDS + (size - 1) * cutting.width] += count


@borrowing_kernel
def log_other_kinds(cutting, sums, requests):
    """Log the table of other parts."""
    width, last = cutting.width, cutting.vector - 1
    for i in range(KINDS, len(sums)):
        if sums[i]:
            size, which = (i - KINDS) // width + 1, (i - KINDS) % width
            if requests.reach[0].used > _FEW_ROWS:
                # Each is a kind of its own: not looked for among the others.
                keep_apart(requests)
            segments = ((size - 1) >> cutting.shift) + 1 + (which > 0 and (which - 1) & 1)
            offset = (which - 1) >> 1 if which else -size & last & 7
            add_kind(requests, size * SECTOR, segments, offset * SECTOR, sums[i])


@borrowing_kernel
def log_kinds(cutting, sums, requests):
    """Log what was counted by kinds."""
    vectors = cutting.part >> cutting.shift
    rest = cutting.chunk - (cutting.chunk - 1) // cutting.part * cutting.part
    for i in range(ALIKE, KINDS):
        if sums[i]:
            size = cutting.part if i < UNCUT else rest
            segments, offset = ((size - 1) >> cutting.shift) + 1 + (i & 1), (i >> 1) - (ALIKE >> 1) & 7
            if i >= FIRST:
                size, segments, offset = cutting.part - (i - FIRST), vectors, (i - FIRST) & 7
            add_kind(requests, size * SECTOR, segments, offset * SECTOR, sums[i])
    log_other_kinds(cutting, sums, requests)


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
