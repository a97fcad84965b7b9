"""``__blkdev_issue_zero_pages``: a range of a device without Write Zeroes (block/blk-lib.c)."""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from msgspec import Meta

from zpmodel.base.errors import InputError
from zpmodel.base.units import MIB, SECTOR
from zpmodel.callers.base import BioRow, Caller, Context, Counts, Facts, Kernel, merge_bios
from zpmodel.queue.kernel import BIO_INLINE_VECS, BIO_MAX_VECS
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure.count import Structure, count

Size = Annotated[int, Meta(ge=1, le=(1 << 63) - 1)]
"""A size in a request [byte]."""

FACTS = Facts(
    name="blkdev_issue_zero_pages",
    title="zero-out of a range (blkdiscard --zeroout, fallocate on a device, mkfs)",
    kind="dma",
    source="block/blk-lib.c: __blkdev_issue_zero_pages",
    before="a bio for min(ceil(left / 4 KiB), 256) vectors, one ZERO_PAGE a vector; a chain under one plug",
    today="the same bio, one largest_zero_folio() a vector",
    converted_since=(6, 18),
    context=Context("the caller's mm where a process asks; a kernel thread has none", "the bios' end, of a chain"),
    limited_by="still asks for ceil(L / 4 KiB) vectors whatever the folio: a table of 256 for one vector at 2 MiB, and "
    "above 4 vectors no bio from the per-CPU cache",
    why="vectors fall by Z / 4 KiB, bios by as much above 1 MiB; asking for ceil(L / Z) would also save the table",
    loses="devices whose driver reads with the CPU (pmem, nbd, dm-crypt, raid5): from 2 MiB, not a hot 4 KiB",
)


@dataclass(frozen=True)
class Request:
    """A range to zero.

    :ivar length: bytes [byte].
    """

    length: Size


def check_sectors(name: str, **values: int) -> None:
    """Refuse what is not whole sectors.

    :raises InputError: naming the field.
    """
    for field, value in values.items():
        if value % SECTOR:
            raise InputError(name, field, value, f"a multiple of {SECTOR}, a sector")


def zero_bios(length: int, folio_bytes: int, ask_bytes: int, kernel: Kernel) -> tuple[BioRow, ...]:
    """Bios that zero a range.

    :param length: bytes [byte].
    :param folio_bytes: the zero page added each time [byte].
    :param ask_bytes: how many bytes a vector is thought to take when the bio is allocated [byte]; the base page in
        every kernel so far.
    :param kernel: whose allocator gives bios their vectors.
    """
    full = min(BIO_MAX_VECS, UINT_MAX // folio_bytes) * folio_bytes
    by_bytes = BIO_MAX_VECS * folio_bytes > UINT_MAX
    rows: list[tuple[int, int, int, int]] = []
    left = length
    # As long as so much is left, the next bio is full and asks for the largest table, so they need no loop.
    plenty = BIO_MAX_VECS * max(folio_bytes, ask_bytes) + full
    if left > plenty:
        many = (left - plenty) // full
        rows.append((full, full // folio_bytes, BIO_MAX_VECS, many))
        left -= many * full
    while left > 0:
        size = left if by_bytes and left <= UINT_MAX else min(full, left)
        room = kernel.room(min(-(-left // ask_bytes), BIO_MAX_VECS))
        rows.append((size, -(-size // folio_bytes), room, 1))
        left -= size
    return merge_bios(rows)


def zero_range(facts: Facts, zero_page: ZeroPage, length: int, kernel: Kernel) -> tuple[BioRow, ...]:
    """Bios that ``blkdev_issue_zeroout`` makes of a range in a kernel."""
    folio = facts.page_bytes(zero_page, kernel)
    return zero_bios(length, folio, folio if kernel.finished else zero_page.base_page_bytes, kernel)


def zero_structure(
    facts: Facts, zero_page: ZeroPage, length: int, kernel: Kernel, limits: QueueLimits, offset: int
) -> Structure:
    """The structure of ``blkdev_issue_zeroout``; with the conversion finished, and in kernels that give all
    inline vectors, only the bios' tables differ."""
    page = ZeroPage("folio", facts.page_bytes(zero_page, kernel), zero_page.base_page_bytes)
    found = count(page, limits, offset, length)
    if not (kernel.finished or kernel.gives_all_inline) or found.operation != "write":
        return found
    bios = zero_range(facts, zero_page, length, kernel)
    table = np.array([[row.bytes, row.bvecs, row.max_vecs, row.count] for row in bios], np.int64)
    return replace(
        found,
        bio_table=table,
        vectors_allocated=int(np.sum(table[:, 2] * table[:, 3])),
        work=found.work._replace(tables=int(np.sum(table[table[:, 2] > BIO_INLINE_VECS, 3]))),
    )


class ZeroPages:
    """Zeroing a range of a device."""

    facts = FACTS
    request_type: type = Request

    def typical(self) -> Request:
        """One inode table's worth, the PMD size."""
        return Request(2 * MIB)

    def count(self, zero_page: ZeroPage, request: Request, kernel: Kernel) -> Counts:
        """Section 2's loop: one chain, one wait."""
        check_sectors(FACTS.name, length=request.length)
        bios = zero_range(FACTS, zero_page, request.length, kernel)
        return Counts(bios, calls=sum(row.count for row in bios), waits=1)

    def structure(
        self, zero_page: ZeroPage, request: Request, kernel: Kernel, limits: QueueLimits, offset: int = 0
    ) -> Structure:
        """The structure model's own case; with Write Zeroes no zero page is read."""
        return zero_structure(FACTS, zero_page, request.length, kernel, limits, offset)


CALLER: Caller = ZeroPages()
