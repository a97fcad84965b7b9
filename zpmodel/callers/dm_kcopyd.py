"""``dm_kcopyd_zero``: new blocks of dm-thin, dm-snapshot and VDO (drivers/md/dm-kcopyd.c and dm-io.c)."""

from dataclasses import dataclass

from zpmodel.base.errors import InputError
from zpmodel.base.units import KIB
from zpmodel.callers.base import Caller, Context, Counts, Facts, Kernel, merge_bios, pieces
from zpmodel.callers.submit import submit, zero_bio
from zpmodel.callers.zero_pages import Size, check_sectors
from zpmodel.queue.kernel import BIO_MAX_VECS
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure.count import Structure

FACTS = Facts(
    name="dm_kcopyd_zero",
    title="a new block of dm-thin (LVM: 64 KiB) that a write does not cover; dm-snapshot, VDO",
    kind="dma",
    source="drivers/md/dm-kcopyd.c: dm_kcopyd_zero, split_job; drivers/md/dm-io.c: do_region",
    before="sub-jobs of 512 KiB, up to 8 at a time; ZERO_PAGE in a list that is its own next: a vector per 4 KiB, a "
    "table for one more than needed, at most 256",
    today="the same: not converted",
    converted_since=None,
    context=Context("", "it runs in a workqueue of the target"),
    limited_by="sub-jobs of 512 KiB (module parameter kcopyd_subjob_size_kb, at most 1 MiB), a page list of base pages",
    why="16 vectors and a table of 64 would be 1 inline vector for each new 64 KiB block; only where the device lacks "
    "Write Zeroes",
)

_THIN_UNIT = 64 * KIB  # DATA_DEV_BLOCK_SIZE_MIN_SECTORS; a thin pool's block is a multiple of it
_THIN_MOST = 1 << 30


@dataclass(frozen=True)
class Request:
    """A block to zero.

    :ivar block_bytes: its bytes [byte].
    :ivar device: the target that asks.
    :ivar subjob_bytes: most bytes of a sub-job [byte].
    """

    block_bytes: Size
    device: str = "dm-thin"
    subjob_bytes: int = 512 * KIB

    def __post_init__(self) -> None:
        if self.device == "dm-thin" and (self.block_bytes % _THIN_UNIT or self.block_bytes > _THIN_MOST):
            raise InputError(FACTS.name, "block_bytes", self.block_bytes, "a multiple of 64 KiB up to 1 GiB (dm-thin)")
        check_sectors(FACTS.name, block_bytes=self.block_bytes)
        if not KIB <= self.subjob_bytes <= 1024 * KIB or self.subjob_bytes % KIB:
            raise InputError(FACTS.name, "subjob_bytes", self.subjob_bytes, "whole KiB from 1 KiB to 1 MiB")


def _region(size: int, step: int, kernel: Kernel) -> list[tuple[int, int, int]]:
    """Bios of one sub-job as (bytes, vectors, allocated): ``do_region``."""
    bios = []
    left = size
    while left > 0:
        room = kernel.room(min(-(-left // step) + 1, BIO_MAX_VECS))
        taken = min(left, room * step)
        bios.append((taken, -(-taken // step), room))
        left -= taken
    return bios


class DmKcopydZero:
    """Zeroing a new block."""

    facts = FACTS
    request_type: type = Request

    def typical(self) -> Request:
        """LVM's default block."""
        return Request(64 * KIB)

    def count(self, zero_page: ZeroPage, request: Request, kernel: Kernel) -> Counts:
        """Sub-jobs; nobody waits, a callback goes on."""
        step = FACTS.page_bytes(zero_page, kernel)
        bios = merge_bios(
            (*bio, number)
            for size, number in pieces(request.block_bytes, request.subjob_bytes)
            for bio in _region(size, step, kernel)
        )
        return Counts(bios, calls=sum(row.count for row in bios))

    def structure(
        self, zero_page: ZeroPage, request: Request, kernel: Kernel, limits: QueueLimits, offset: int = 0
    ) -> Structure:
        """Sub-jobs in their order under kcopyd's plug; beyond 8 they are issued as earlier ones end, and merge less."""
        step = FACTS.page_bytes(zero_page, kernel)
        bios = []
        for size, number in pieces(request.block_bytes, request.subjob_bytes):
            for _ in range(number):
                for taken, _, room in _region(size, step, kernel):
                    bios.append(zero_bio(offset, taken, step, room))
                    offset += taken
        return submit(bios, limits, base_page_bytes=zero_page.base_page_bytes)


CALLER: Caller = DmKcopydZero()
