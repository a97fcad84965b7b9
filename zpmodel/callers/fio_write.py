"""The structure of direct writes from user buffers: what fio's own I/O makes, so that costs can be fitted to it."""

from typing import Literal

import numpy as np

from zpmodel.base.errors import InputError
from zpmodel.base.units import KIB, MIB
from zpmodel.queue.limits import QueueLimits
from zpmodel.structure import histogram
from zpmodel.structure.count import Structure, check_range, impossible, make_structure
from zpmodel.structure.requests import ALLOCATED, BIOS, COUNTS, VECTORS, empty_tail, finish_plug, submit_bio
from zpmodel.structure.splits import IMPOSSIBLE, WORKS
from zpmodel.structure.vectors import BIO_MAX_VECS, merge_pages
from zpmodel.structure.walk import vector_table

Pages = Literal["malloc", "mmaphuge"]
"""fio's ``mem``: buffers of base pages, or of huge pages."""

PAGE_BYTES: dict[Pages, int] = {"malloc": 4 * KIB, "mmaphuge": 2 * MIB}


def count_buffer(
    pages: Pages, limits: QueueLimits, block_bytes: int, *, offset: int = 0, buffer_offset: int = 0, fixed: bool = True
) -> Structure:
    """Count what one direct write of ``block_bytes`` makes, its buffer's pages being scattered in memory.

    Fixed (registered) buffers: the bio takes over the buffer's vector table, one vector a page, however many.
    Otherwise pages are pinned and added one by one, at most 256 vectors a bio; 4 KiB pages that happen to lie together
    merge, which is left out here: fresh memory often does, and nobody can know, so calibrate from fixed buffers.

    :param pages: ``malloc`` (4 KiB pages) or ``mmaphuge`` (2 MiB).
    :param limits: the device's queue limits.
    :param block_bytes: bytes of the write [byte].
    :param offset: where on the device it starts [byte].
    :param buffer_offset: where in its buffer's first page the data start [byte].
    :param fixed: whether the buffers are registered.
    :raises InputError: on other pages and on unaligned writes.
    """
    if pages not in PAGE_BYTES:
        raise InputError("buffer", "pages", pages, "malloc or mmaphuge")
    check_range(offset, block_bytes, limits)
    page = PAGE_BYTES[pages]
    starts = np.arange(-(buffer_offset % page), block_bytes, page, dtype=np.int64)
    skip = np.maximum(-starts, 0)
    size = np.minimum(page, block_bytes - starts) - skip
    # Every second page of memory: physically never adjoining, which a frame number says without a special case.
    frames = (np.arange(len(starts), dtype=np.int64) * 2 + 2) * (page // 4096)
    counts, work, tail = np.zeros(COUNTS, np.int64), np.zeros(WORKS, np.int64), empty_tail()
    bios, requests = (np.zeros((4096, histogram.COLUMNS), np.int64) for _ in range(2))
    kernel_limits = limits.for_kernel()
    room = len(frames) if fixed else BIO_MAX_VECS
    sector = offset // 512
    at = 0
    while at < len(frames):
        here = merge_pages(frames[at:], skip[at:], size[at:], max_vectors=room)
        vectors, total = len(here.length), int(here.length.sum())
        allocated = vectors if fixed else vector_table(vectors)
        counts[BIOS] += 1
        counts[VECTORS] += vectors
        counts[ALLOCATED] += allocated
        status = histogram.add(bios, total, vectors, allocated, 1)
        status |= submit_bio(
            kernel_limits, here.address, here.offset, here.length, vectors, sector, tail, requests, counts, work
        )
        if status & IMPOSSIBLE:
            raise impossible(limits)
        assert not status, "one write makes fewer kinds of requests than the table holds"
        sector += total // 512
        at += int(np.count_nonzero(here.vector_of_add >= 0))
    finish_plug(tail, requests, counts, work)
    return make_structure("write", block_bytes, counts, work, bios, requests)
