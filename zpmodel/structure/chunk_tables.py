"""Many places at which bios and chunks cut each other, all at once: by tables over where a place can be.

What a stretch is cut into follows from its length alone, and lengths that differ by whole parts share theirs. So places
are only counted, by the length from a cut to its bio's end; sums over that table, part by part, say how many parts
start at each distance. It takes a few ns for each length that there can be, however many places have it. The slow
version: a look at each place (:func:`zpmodel.structure.chunks.add_cut`).
"""

import numpy as np

from zpmodel.base.accelerate import borrowing_kernel, kernel
from zpmodel.structure.chunk_parts import ALIKE, KINDS, PAGE_SECTORS, UNCUT

# mypy: disable-error-code="no-untyped-def"

_WORTH_WHOLE_PAGES, _WORTH_OTHERS = 8, 128
"""Lengths that are looked at in the time of one place: where parts of the full size are whole pages, and else."""


@borrowing_kernel
def worth_tables(cutting, of, places):
    """Whether so many places, of stretches up to ``of`` sectors, are sooner counted by tables than one by one."""
    worth = _WORTH_OTHERS if cutting.part & (PAGE_SECTORS - 1) else _WORTH_WHOLE_PAGES
    return not cutting.whole and places * worth > of


@borrowing_kernel
def count_places(lengths, of, place, step, number, count):
    """Add ``count`` to so many places, ``step`` apart from ``place`` on; return the next. One at 0 is one at ``of``."""
    for _ in range(number):
        lengths[place if place else of] += count
        place += step
        place -= of if place >= of else 0
    return place


@borrowing_kernel
def add_offsets(values, first, stop, distance, sums, row, sign):
    """Add values to a row of eight by the offset in a page of what starts so far before a boundary.

    :param distance: of the first value [sector]; that of each next is one more.
    """
    here = values[first:stop]  # from 0 on, so that the compiler need not think of places from the end
    a, b, c, d, e, f, g, h = 0, 0, 0, 0, 0, 0, 0, 0
    for i in range(len(here) >> 3):
        a += here[8 * i]
        b += here[8 * i + 1]
        c += here[8 * i + 2]
        d += here[8 * i + 3]
        e += here[8 * i + 4]
        f += here[8 * i + 5]
        g += here[8 * i + 6]
        h += here[8 * i + 7]
    sums[row + (-distance & 7)] += sign * a
    sums[row + (-distance - 1 & 7)] += sign * b
    sums[row + (-distance - 2 & 7)] += sign * c
    sums[row + (-distance - 3 & 7)] += sign * d
    sums[row + (-distance - 4 & 7)] += sign * e
    sums[row + (-distance - 5 & 7)] += sign * f
    sums[row + (-distance - 6 & 7)] += sign * g
    sums[row + (-distance - 7 & 7)] += sign * h
    for k in range(len(here) & ~7, len(here)):
        sums[row + (-distance - k & 7)] += sign * here[k]


@borrowing_kernel
def add_distances(cutting, values, first, stop, distance, size, sums, row, sign):
    """Add parts of one size by segments and offset, those that start ``distance`` before an end of a vector first.

    A part has a segment more where it starts less than ``size`` before such an end, whole vectors left out.
    """
    last, reach = cutting.vector - 1, size - 1 & cutting.vector - 1
    while first < stop:
        place = distance & last
        # Up to where that changes.
        longer = 1 <= place <= reach
        more = reach + 1 - place if place <= reach else cutting.vector + 1 - place
        more = min(1 if place == 0 and reach else more, stop - first)
        add_offsets(values, first, first + more, distance, sums, row + PAGE_SECTORS * longer, sign)
        first += more
        distance += more


@borrowing_kernel
def add_heads(cutting, sums, lengths, of, others):
    """Add the stretches from a bio's start, what is left of ``of`` sectors.

    :param others: scratch of zeros: last parts by segments, offset in a page and size, shape (16 * sizes,).
    """
    part, vector, last = cutting.part, cutting.vector, cutting.vector - 1
    longest, whole, most = of - 1, 0, min(part, of)
    for k in range((longest - 1) // part, -1, -1):
        start, here = k * part & last, 0
        row = ALIKE + (start & 7) + PAGE_SECTORS * (start + (part - 1 & last) >= vector)
        sums[row] += whole
        sizes, at = min(part, longest - k * part), of - k * part - 1
        for base in range(0, sizes, vector):
            turn, stop = min(base + vector - start, sizes), min(base + vector, sizes)
            to = (start & 7) * most
            for s in range(base, turn):
                others[to + s] += lengths[at - s]
                here += lengths[at - s]
            to += PAGE_SECTORS * most
            for s in range(turn, stop):
                others[to + s] += lengths[at - s]
                here += lengths[at - s]
        whole += here
    narrow = cutting.width == 3
    for kind in range(2 * PAGE_SECTORS):
        if narrow and kind & (PAGE_SECTORS - 1):
            continue
        row = KINDS + 1 + (kind // PAGE_SECTORS if narrow else kind)
        for s in range(most):
            sums[row + s * cutting.width] += others[kind * most + s]


@borrowing_kernel
def add_up_parts(lengths, part, of):
    """Make of how many places have a length how many parts start so far from the end."""
    for k in range((of - 1) // part - 1, -1, -1):
        number = min(part, of - (k + 1) * part)
        here, further = lengths[k * part + 1 : k * part + 1 + number], lengths[(k + 1) * part + 1 :]
        for s in range(number):
            here[s] += further[s]


@borrowing_kernel
def add_tails(cutting, sums, lengths, of):
    """Add the stretches up to a bio's end; in chunks, take off what they had if no bio ended in them."""
    part, width = cutting.part, cutting.width
    parts, rest = (of - 1) // part, of - (of - 1) // part * part
    in_chunks = of == cutting.chunk
    if in_chunks:
        add_distances(cutting, lengths, 1, of + 1, 1 - parts * part, rest, sums, UNCUT, -1)
    add_up_parts(lengths, part, of)
    for size in range(1, min(part, of) + 1):
        sums[KINDS + (size - 1) * width] += lengths[size]
    if not in_chunks:
        if of > part:
            add_distances(cutting, lengths, part + 1, of + 1, part + 1, part, sums, ALIKE, 1)
        return
    # Those before the bio's end are the same, cut or not; behind it lie as many as the chunk has room for.
    for j in range(parts):
        further = (parts - j) * part
        add_distances(cutting, lengths, 1, part + 1, 1 - j * part, part, sums, ALIKE, -1)
        stop = min(further + part, of) + 1
        add_distances(cutting, lengths, further + 1, stop, 1 - j * part, part, sums, ALIKE, 1)


@kernel
def add_all_places(cutting, sums, of, place, step, period, number):
    """As :func:`zpmodel.structure.chunks.add_cut`, of ``number`` places that come round after ``period``."""
    lengths, others = np.zeros(of + 1, np.int64), np.zeros(2 * PAGE_SECTORS * min(cutting.part, of), np.int64)
    each, more = number // period, number % period
    at = count_places(lengths, of, place, step, more, each + 1)
    if each:
        count_places(lengths, of, at, step, period - more, each)
    add_heads(cutting, sums, lengths, of, others)
    add_tails(cutting, sums, lengths, of)
