"""The structure of direct writes from user buffers: what fio's own I/O makes, so that costs can be fitted to it."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta

from zpmodel.base.errors import InputError
from zpmodel.base.units import KIB, MIB
from zpmodel.callers.base import Caller, Context, Counts, Facts, Kernel, merge_bios
from zpmodel.callers.submit import Bio, submit
from zpmodel.queue.kernel import BIO_MAX_VECS, LARGEST_BLOCK_BYTES
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure.count import Structure, check_range
from zpmodel.structure.vectors import merge_pages
from zpmodel.structure.zeroout import vector_table

Pages = Literal["malloc", "mmaphuge"]
"""fio's ``mem``: buffers of base pages, or of huge pages."""

PAGE_BYTES: dict[Pages, int] = {"malloc": 4 * KIB, "mmaphuge": 2 * MIB}


@lru_cache(maxsize=1024)  # calibrating asks for the same few hundred again and again
def count_buffer(
    pages: Pages, limits: QueueLimits, block_bytes: int, *, offset: int = 0, fixed: bool = True
) -> Structure:
    """Count what one direct write of ``block_bytes`` makes, its buffer's pages being scattered in memory.

    Fixed (registered) buffers: the bio takes over the buffer's vector table, one vector a page, however many.
    Otherwise pages are pinned and added one by one, at most 256 vectors a bio; 4 KiB pages that happen to lie together
    merge, which is left out here: fresh memory often does, and nobody can know, so calibrate from fixed buffers.

    :param pages: ``malloc`` (4 KiB pages) or ``mmaphuge`` (2 MiB).
    :param limits: the device's queue limits.
    :param block_bytes: bytes of the write [byte].
    :param offset: where on the device it starts [byte].
    :param fixed: whether the buffers are registered.
    :raises InputError: on other pages, on unaligned writes and on such as no system call makes.
    """
    if pages not in PAGE_BYTES:
        raise InputError("buffer", "pages", pages, "malloc or mmaphuge")
    if block_bytes > LARGEST_BLOCK_BYTES:
        raise InputError("buffer", "length", block_bytes, "at most 2 GiB, as one write can have")
    check_range(offset, block_bytes, limits)
    page = PAGE_BYTES[pages]
    starts = np.arange(0, block_bytes, page, dtype=np.int64)
    size = np.minimum(page, block_bytes - starts)
    # Every second page of memory: physically never adjoining, which a frame number says without a special case.
    frames = (np.arange(len(starts), dtype=np.int64) * 2 + 2) * (page // 4096)
    room = len(frames) if fixed else BIO_MAX_VECS
    bios = []
    at = 0
    start = offset
    while at < len(frames):
        here = merge_pages(frames[at:], np.zeros_like(size[at:]), size[at:], max_vectors=room)
        vectors = len(here.length)
        allocated = vectors if fixed else vector_table(vectors)
        bios.append(Bio(start, here.length, allocated, here.address, here.offset))
        start += int(here.length.sum())
        at += int(np.count_nonzero(here.vector_of_add >= 0))
    return submit(bios, limits)


FACTS = Facts(
    name="fio_write",
    title="fio's own direct write, the contrast that costs are fitted to: huge pages for 4 KiB pages",
    kind="dma",
    source="block/bio.c: bio_iov_iter_get_pages, bio_iov_bvec_set; io_uring/rsrc.c",
    before="fixed buffers: one bio over the buffer's own table, a vector a page; else at most 256 vectors a bio",
    today="the same",
    converted_since=(0, 0),
    context=Context("the mm of fio, which holds its buffer", "the bio's end"),
    limited_by="not a user of zero pages: it stands in for one where nobody can change the kernel's page",
    why="huge pages take 1 vector where 4 KiB pages take 512, as the static page does for ZERO_PAGE",
)


@dataclass(frozen=True)
class Request:
    """A direct write.

    :ivar block_bytes: its bytes [byte].
    :ivar fixed: whether the buffer is registered.
    """

    block_bytes: Annotated[int, Meta(ge=512, le=1 << 31)]
    fixed: bool = True


class FioWrite:
    """fio's write from pages of the zero page's kind: huge ones where that is at least 2 MiB."""

    facts = FACTS
    request_type: type = Request

    def typical(self) -> Request:
        """One of 2 MiB."""
        return Request(2 * MIB)

    def count(self, zero_page: ZeroPage, request: Request, kernel: Kernel) -> Counts:
        """One write."""
        found = self.structure(zero_page, request, kernel, _NO_LIMITS)
        return Counts(merge_bios((a, b, c, n) for a, b, c, n in found.bio_table.tolist()), calls=found.bios, waits=1)

    def structure(
        self, zero_page: ZeroPage, request: Request, kernel: Kernel, limits: QueueLimits, offset: int = 0
    ) -> Structure:
        """See :func:`count_buffer`."""
        pages: Pages = "mmaphuge" if zero_page.size_bytes >= PAGE_BYTES["mmaphuge"] else "malloc"
        return count_buffer(pages, limits, request.block_bytes, offset=offset, fixed=request.fixed)


_NO_LIMITS = QueueLimits(UINT_MAX, 65535, UINT_MAX, source="no limits")

CALLER: Caller = FioWrite()
