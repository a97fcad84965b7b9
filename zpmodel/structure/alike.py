"""A range whose bios and parts are alike, by a handful of divisions and without looking for what repeats.

It holds where parts are cut by size alone, or by whole pieces alone: no chunks, segment boundaries no closer than the
zero page, blocks no larger than a page. That is nearly every queue; for others, and as the slow version, there is
:mod:`zpmodel.structure.zeroout`. Only what sweeps need is counted: no work of the kernel's loops.
"""

from typing import NamedTuple

from zpmodel.base.accelerate import kernel
from zpmodel.base.units import SECTOR
from zpmodel.queue.kernel import BIO_MAX_VECS, PAGE_BYTES, UINT_MAX

# mypy: disable-error-code="no-untyped-def"

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


@kernel
def _unknown():
    return Alike(0, 0, 0, 0, 0, 0)


@kernel
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


@kernel
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
    touched = (size - 1) // piece + 1 + (1 if uneven else 0)
    return (size if touched <= limits.max_segments else 0), piece


@kernel
def _crossings(size, piece, parts):
    """Pieces that so many parts of ``size`` touch in all, the first of which starts with a piece."""
    period = piece // min(size & -size, piece)
    return parts * size // piece - parts // period + parts


@kernel
def _cut_bio(total, size, piece):
    """Cut a bio of ``total`` bytes: (parts that are split off, pieces that they touch, bytes that are left, pieces of
    those)."""
    if total <= size:
        return 0, 0, total, (total + piece - 1) // piece
    splits = (total - 1) // size
    at = splits * size
    return splits, _crossings(size, piece, splits), total - at, (total + piece - 1) // piece - at // piece


@kernel
def _full_bios(zero_bytes, length):
    """Vectors of a full bio, and how many full ones a range has before its last, which may be empty."""
    each = min(BIO_MAX_VECS, UINT_MAX // zero_bytes)
    full = each * zero_bytes
    if each == BIO_MAX_VECS:
        return each, length // full
    # Bios that end by their bytes may hold a short vector more, so the last one may be the larger.
    return each, 0 if length <= UINT_MAX else (length - UINT_MAX + full - 1) // full


@kernel
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
    full = each * zero_bytes
    rest = length - number * full
    used, requests, segments = 0, 0, 0
    # Parts that are split off, and what they leave.
    splits, touched, left, left_segments = _cut_bio(rest, size, piece)
    parts, full_splits, last, last_segments = splits, 0, 0, 0
    if number:
        full_splits, crossed, last, last_segments = _cut_bio(full, size, piece)
        parts += number * full_splits
        touched += number * crossed
    if parts:
        fewest = (size - 1) // piece + 1
        longer = touched - parts * fewest
        used = _add(kinds, used, size, fewest, parts - longer)
        used = _add(kinds, used, size, fewest + 1, longer)
        requests, segments = parts, touched
    # The last parts of full bios: requests of `held` of them, the newest of which the rest may join.
    newest, newest_segments = 0, 0
    if number:
        held = 1
        if full_splits == 0 and limits.may_merge:
            held = max(1, min(limits.max_sectors * SECTOR // full, limits.max_segments // last_segments))
        made = (number + held - 1) // held
        in_newest = number - (made - 1) * held
        used = _add(kinds, used, last * held, last_segments * held, made - 1)
        newest, newest_segments = last * in_newest, last_segments * in_newest
        requests += made
        segments += number * last_segments
    if rest:
        segments += left_segments
        joins = number > 0 and splits == 0 and limits.may_merge
        # One that starts off the virt boundary takes nothing more.
        joins = joins and not (full_splits * size) & limits.virt_boundary_mask
        joins = joins and newest + left <= limits.max_sectors * SECTOR
        if joins and newest_segments + left_segments <= limits.max_segments:
            newest, newest_segments = newest + left, newest_segments + left_segments
        else:
            requests += 1
            used = _add(kinds, used, left, left_segments, 1)
    if number:
        used = _add(kinds, used, newest, newest_segments, 1)
    return Alike(
        1, number + (rest > 0), number * each + (rest + zero_bytes - 1) // zero_bytes, requests, segments, used
    )


@kernel
def _count_write_zeroes(limits, offset, length, kinds):
    """Data-less bios, each one request where blocks don't cut it."""
    physical, full = limits.physical_block_sectors, limits.write_zeroes_sectors
    if limits.chunk_sectors or full & (physical - 1) or (offset // SECTOR) & (physical - 1):
        return _unknown()
    number = length // (full * SECTOR)
    rest = length - number * full * SECTOR
    used = _add(kinds, 0, full * SECTOR, 0, number)
    used = _add(kinds, used, rest, 0, 1 if rest else 0)
    bios = number + (1 if rest else 0)
    return Alike(1, bios, 0, bios, 0, used)
