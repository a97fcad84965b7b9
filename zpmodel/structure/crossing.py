"""Parts of one size that start at another byte of the zero page each time, counted without looking at any.

A queue of 255 sectors cuts a 2 MiB page in parts that come round only after 255 pages. What a part is made of depends
on how far it starts from the end of its vector, which goes round by a fixed step; so how many parts start in some span
is a sum of floors of a line, found as fast as a greatest common divisor (Graham, Knuth, Patashnik: Concrete
Mathematics, 3.5).
"""

from zpmodel.base.accelerate import borrowing_kernel
from zpmodel.base.units import SECTOR
from zpmodel.base.whole import quotient
from zpmodel.structure.plug import start_requests
from zpmodel.structure.records import add_kind

# mypy: disable-error-code="no-untyped-def"

_FEW_SPANS = 4
_WORTH_PARTS = 32


@borrowing_kernel
def floor_sum(number, modulus, step, first):
    """Sum of ``(step k + first) // modulus`` for k from 0 to ``number`` - 1; none negative."""
    total = 0
    while True:
        if step >= modulus:
            whole = quotient(step, modulus)
            total += ((number - 1) * number >> 1) * whole
            step -= whole * modulus
        if first >= modulus:
            whole = quotient(first, modulus)
            total += number * whole
            first -= whole * modulus
        top = step * number + first
        if top < modulus:
            return total
        number = quotient(top, modulus)
        first = top - number * modulus
        modulus, step = step, modulus


@borrowing_kernel
def count_below(number, modulus, step, first, bound):
    """For how many k from 0 to ``number`` - 1 ``(step k + first) mod modulus`` is less than ``bound``."""
    if bound <= 0:
        return 0
    if bound >= modulus:
        return number
    above = floor_sum(number, modulus, step, first - bound + modulus) - number
    return floor_sum(number, modulus, step, first) - above


@borrowing_kernel
def parts_alike(limits, zero_bytes, size, done, max_bytes, more):
    """How many parts of ``max_bytes`` from ``done`` on this file can count at once; 0 where others do it better.

    :param size: of the bio [byte].
    :param done: where the first part starts in it [byte].
    :param more: how many more parts chunk and physical block bound alike.
    """
    lowest = min(max_bytes & -max_bytes, zero_bytes)
    if max_bytes // lowest <= 8 or limits.virt_boundary_mask or limits.seg_boundary_mask + 1 < zero_bytes:
        return 0
    if zero_bytes <= limits.fast_segment_bytes:
        return 0
    if limits.max_segment_size >= zero_bytes:
        pieces = max_bytes // zero_bytes + 2
    else:
        pieces = max_bytes // limits.max_segment_size + 2
        if max_bytes >= zero_bytes or pieces > _FEW_SPANS + 1:
            return 0
    # The vector at which a walk stops must be a whole one.
    parts = min(more + 1, (size // zero_bytes * zero_bytes - 1 - done) // max_bytes)
    return parts if pieces <= limits.max_segments and parts >= _WORTH_PARTS else 0


@borrowing_kernel
def add_crossing(limits, state, requests, zero_bytes, start, size, parts):
    """Add so many parts of ``size`` bytes, the first of which starts at ``start`` in the zero page.

    With u the bytes from a part's start to the end of its vector, ``size`` = q whole pieces and r more (0 < r <= a
    piece, pieces being of the largest segment or of a whole vector): a part has q + 1 segments, and one more where u is
    less than r above a whole number of pieces, up to q of them. Its walk visits the vectors that it touches, and the
    one it stops at.
    """
    piece = min(limits.max_segment_size, zero_bytes)
    whole, rest = (size - 1) // piece, (size - 1) % piece + 1
    spans = 1 if piece == zero_bytes else whole + 1
    vectors, beyond = (size - 1) // zero_bytes, (size - 1) % zero_bytes + 1
    start_requests(limits, state, requests, size, parts)
    state.splits += parts
    # Offsets in a 4 KiB page come round after `cycle` parts; each residue is a line of its own.
    cycle = 1 if size & 4095 == 0 else 4096 // (size & -size)
    modulus = zero_bytes // SECTOR
    step = (-(size * cycle) % zero_bytes) // SECTOR
    for i in range(min(cycle, parts)):
        number = (parts - i + cycle - 1) // cycle
        at = (start + i * size) & (zero_bytes - 1)
        # u - 1 sector, of the first
        first = modulus - 1 - at // SECTOR
        # As count_below has it, with what several bounds share looked at once.
        total = floor_sum(number, modulus, step, first)
        longer, below = 0, total + number
        for a in range(spans):
            if a:
                below = floor_sum(number, modulus, step, first - a * piece // SECTOR + modulus)
            above = floor_sum(number, modulus, step, first - (a * piece + rest - 1) // SECTOR + modulus)
            longer += below - above
        slow = total + number - floor_sum(number, modulus, step, first - beyond // SECTOR + modulus)
        found = number * (whole + 1) + longer
        state.segments += found
        state.pieces += found
        state.slow_visits += number * (vectors + 1) + slow
        if longer:
            add_kind(requests, size, whole + 2, at & 4095, longer)
        if number > longer:
            add_kind(requests, size, whole + 1, at & 4095, number - longer)
