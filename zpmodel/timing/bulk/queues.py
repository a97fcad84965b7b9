"""A row's queue limits: whether there can be such a queue, and what the structure kernels take of it.

The rules are those of :class:`zpmodel.queue.limits.QueueLimits`, which is the oracle and says what is wrong.
"""

from zpmodel.base.accelerate import borrowing_kernel
from zpmodel.base.units import SECTOR
from zpmodel.queue.kernel import PAGE_BYTES, UINT_MAX
from zpmodel.queue.limits import KernelLimits

# mypy: disable-error-code="no-untyped-def"


@borrowing_kernel
def whole_blocks(q):
    """Sectors of the largest request, which is of whole blocks [sector]."""
    return q.max_sectors & ~(q.logical_block_size // SECTOR - 1)


@borrowing_kernel
def same_queue(a, b):
    """Whether a row's limits are those of a queue, in every number; the queue's were rounded by ``QueueLimits``."""
    if whole_blocks(a) != b.max_sectors or a.max_segments != b.max_segments or a.nr_requests != b.nr_requests:
        return False  # what sweeps vary most
    sizes = a.max_segment_size == b.max_segment_size and a.chunk_sectors == b.chunk_sectors
    masks = a.seg_boundary_mask == b.seg_boundary_mask and a.virt_boundary_mask == b.virt_boundary_mask
    physical = max(a.physical_block_size, a.logical_block_size)
    blocks = a.logical_block_size == b.logical_block_size and physical == b.physical_block_size
    rest = a.write_zeroes_max_bytes == b.write_zeroes_max_bytes and a.max_hw_sectors == b.max_hw_sectors
    more = a.dma_alignment == b.dma_alignment and a.nomerges == b.nomerges
    return sizes and masks and blocks and rest and more


@borrowing_kernel
def _two(number):
    return number > 0 and number & (number - 1) == 0


@borrowing_kernel
def possible(q):
    """Whether ``QueueLimits`` takes these limits; the same rules."""
    blocks = _two(q.logical_block_size) and 512 <= q.logical_block_size <= 65536 and _two(q.physical_block_size)
    least = max(PAGE_BYTES // SECTOR, q.logical_block_size // SECTOR)
    sectors = least <= q.max_sectors <= UINT_MAX and (q.max_hw_sectors == 0 or q.max_sectors <= q.max_hw_sectors)
    if not (blocks and sectors and q.max_hw_sectors >= 0 and q.dma_alignment >= 0):
        return False
    physical = max(q.physical_block_size, q.logical_block_size) // SECTOR
    chunks = 0 <= q.chunk_sectors <= UINT_MAX and q.chunk_sectors & (physical - 1) == 0
    segments = 1 <= q.max_segments <= 65535 and PAGE_BYTES <= q.max_segment_size <= UINT_MAX
    masks = _two(q.seg_boundary_mask + 1) and q.seg_boundary_mask >= PAGE_BYTES - 1 and _two(q.virt_boundary_mask + 1)
    rest = q.write_zeroes_max_bytes >= 0 and q.write_zeroes_max_bytes % SECTOR == 0 and 0 <= q.nomerges <= 2
    return chunks and segments and masks and rest and q.nr_requests >= 1


@borrowing_kernel
def for_kernel(q):
    """As ``QueueLimits.for_kernel`` for pages of 4 KiB, of limits that are :func:`possible`."""
    block = q.logical_block_size // SECTOR
    return KernelLimits(
        whole_blocks(q),
        q.max_segments,
        q.max_segment_size,
        q.seg_boundary_mask,
        q.virt_boundary_mask,
        q.chunk_sectors,
        block,
        max(block, q.physical_block_size // SECTOR),
        min(q.max_segment_size, q.seg_boundary_mask + 1, PAGE_BYTES),
        1 if q.nomerges != 2 else 0,
        min(q.write_zeroes_max_bytes // SECTOR, (UINT_MAX // SECTOR) & ~(block - 1)),
    )
