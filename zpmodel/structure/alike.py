"""A range whose bios and parts are alike, by a handful of divisions and without looking for what repeats.

It holds where parts are cut by size alone, or by whole pieces alone: no chunks, segment boundaries no closer than the
zero page, blocks no larger than a page. That is nearly every queue; for others, and as the slow version, there is
:mod:`zpmodel.structure.zeroout`. Only what sweeps need is counted: no work of the kernel's loops.
"""

from typing import NamedTuple

from zpmodel.base.accelerate import borrowing_kernel
from zpmodel.base.units import SECTOR
from zpmodel.base.whole import quotient, trailing_zeros
from zpmodel.queue.kernel import BIO_MAX_VECS, PAGE_BYTES, UINT_MAX

# mypy: disable-error-code="no-untyped-def"

_BIO_SHIFT = BIO_MAX_VECS.bit_length() - 1

MOST_KINDS = 6
"""Kinds of requests that such a range can have, and one to spare."""


class Alike(NamedTuple):
    """What a range makes; see :class:`zpmodel.structure.count.Structure`.

    :ivar known: 1; 0 where this file can't say, and nothing else counts.
    :ivar kinds: rows of kinds that are used.
    """

    known: int
    bios: int
    vectors: int
    requests: int
    segments: int
    kinds: int


@borrowing_kernel
def _unknown():
    return Alike(0, 0, 0, 0, 0, 0)


@borrowing_kernel
def _add(kinds, used, size, segments, count):
    """Add ``count`` requests of a kind; return how many kinds there are."""
    if count == 0:
        return used
    for i in range(used):
        if kinds[i, 0] == size and kinds[i, 1] == segments:
            kinds[i, 2] += count
            return used
    kinds[used, 0], kinds[used, 1], kinds[used, 2] = size, segments, count
    return used + 1


@borrowing_kernel
def part_size(limits, zero_bytes, offset):
    """How a bio that starts at ``offset`` is cut: (bytes of a part, bytes of a piece); parts 0 where this can't say.

    A piece is what is one segment if it is not cut: a vector, or its share where segments are smaller.
    """
    physical = limits.physical_block_sectors
    mask, largest = limits.virt_boundary_mask, limits.max_segment_size
    if limits.chunk_sectors or physical * SECTOR > PAGE_BYTES or mask >= PAGE_BYTES:
        return 0, 1
    if limits.seg_boundary_mask + 1 < zero_bytes or (offset // SECTOR) & (physical - 1):
        return 0, 1
    size = (limits.max_sectors & ~(physical - 1)) * SECTOR
    piece = zero_bytes
    if largest < zero_bytes and size > largest:
        piece = largest
        even = size & (piece - 1) == 0 or limits.max_segments * piece <= size
        if piece & (piece - 1) or not even:
            return 0, 1
    if limits.max_segments * piece <= size:
        return limits.max_segments * piece, piece
    # Parts that start anywhere in a piece may touch one more.
    uneven = (size & (piece - 1)) and (piece & (size - 1) or size & (size - 1))
    touched = ((size - 1) >> trailing_zeros(piece)) + 1 + (1 if uneven else 0)
    return (size if touched <= limits.max_segments else 0), piece


@borrowing_kernel
def _crossings(size, shift, parts):
    """Pieces of ``2^shift`` that so many parts of ``size`` touch in all, the first of which starts with a piece."""
    period = max(0, shift - trailing_zeros(size))
    return (parts * size >> shift) - (parts >> period) + parts


@borrowing_kernel
def _cut_bio(total, size, shift):
    """Cut a bio of ``total`` bytes: (parts that are split off, pieces of ``2^shift`` that they touch, bytes that are
    left, pieces of those)."""
    pieces = (total + (1 << shift) - 1) >> shift
    if total <= size:
        return 0, 0, total, pieces
    splits = quotient(total - 1, size)
    at = splits * size
    return splits, _crossings(size, shift, splits), total - at, pieces - (at >> shift)


@borrowing_kernel
def _full_bios(zero_bytes, length):
    """Vectors of a full bio, and how many full ones a range has before its last, which may be empty."""
    shift = trailing_zeros(zero_bytes)
    each = UINT_MAX >> shift
    if each >= BIO_MAX_VECS:
        return BIO_MAX_VECS, length >> (shift + _BIO_SHIFT)
    # Bios that end by their bytes may hold a short vector more, so the last one may be the larger.
    full = each << shift
    return each, 0 if length <= UINT_MAX else quotient(length - UINT_MAX + full - 1, full)


@borrowing_kernel
def count_alike(limits, zero_bytes, offset, length, kinds):
    """Count a range.

    :param limits: :class:`zpmodel.queue.limits.KernelLimits` of 4 KiB pages.
    :param zero_bytes: size of the zero page in use [byte], a power of two from 4096 on.
    :param offset, length: the range [byte], in whole logical blocks.
    :param kinds: filled here: rows of (bytes, segments, count), shape (:data:`MOST_KINDS`, 3).
    """
    if limits.write_zeroes_sectors:
        return _count_write_zeroes(limits, offset, length, kinds)
    size, piece = part_size(limits, zero_bytes, offset)
    if size == 0:
        return _unknown()
    each, number = _full_bios(zero_bytes, length)
    full, shift = each * zero_bytes, trailing_zeros(piece)
    rest = length - number * full
    used, requests, segments = 0, 0, 0
    # Parts that are split off, and what they leave.
    splits, touched, left, left_segments = _cut_bio(rest, size, shift)
    parts, full_splits, last, last_segments = splits, 0, 0, 0
    if number:
        full_splits, crossed, last, last_segments = _cut_bio(full, size, shift)
        parts += number * full_splits
        touched += number * crossed
    if parts:
        fewest = ((size - 1) >> shift) + 1
        longer = touched - parts * fewest
        used = _add(kinds, used, size, fewest, parts - longer)
        used = _add(kinds, used, size, fewest + 1, longer)
        requests, segments = parts, touched
    # The last parts of full bios: requests of `held` of them, the newest of which the rest may join.
    newest, newest_segments, made, held, whole = 0, 0, 0, 1, 0
    if number:
        made, in_newest = number, 1
        if full_splits == 0 and limits.may_merge:
            held = max(
                1, min(quotient(limits.max_sectors * SECTOR, full), quotient(limits.max_segments, last_segments))
            )
            made = quotient(number + held - 1, held)
            in_newest = number - (made - 1) * held
        newest, newest_segments = last * in_newest, last_segments * in_newest
        whole = made if in_newest == held else made - 1
        requests += made
        segments += number * last_segments
    joins = rest > 0 and number > 0 and splits == 0 and limits.may_merge
    # One that starts off the virt boundary takes nothing more.
    joins = joins and not (full_splits * size) & limits.virt_boundary_mask
    joins = joins and newest + left <= limits.max_sectors * SECTOR
    joins = joins and newest_segments + left_segments <= limits.max_segments
    if joins:
        newest, newest_segments, whole = newest + left, newest_segments + left_segments, made - 1
    used = _add(kinds, used, last * held, last_segments * held, whole)
    used = _add(kinds, used, newest, newest_segments, made - whole)
    if rest:
        segments += left_segments
        if not joins:
            requests += 1
            used = _add(kinds, used, left, left_segments, 1)
    vectors = number * each + ((rest + zero_bytes - 1) >> trailing_zeros(zero_bytes))
    return Alike(1, number + (rest > 0), vectors, requests, segments, used)


@borrowing_kernel
def _count_write_zeroes(limits, offset, length, kinds):
    """Data-less bios, each one request where blocks don't cut it."""
    physical, full = limits.physical_block_sectors, limits.write_zeroes_sectors
    if limits.chunk_sectors or full & (physical - 1) or (offset // SECTOR) & (physical - 1):
        return _unknown()
    number = quotient(length, full * SECTOR)
    rest = length - number * full * SECTOR
    used = _add(kinds, 0, full * SECTOR, 0, number)
    used = _add(kinds, used, rest, 0, 1 if rest else 0)
    bios = number + (1 if rest else 0)
    return Alike(1, bios, 0, bios, 0, used)
