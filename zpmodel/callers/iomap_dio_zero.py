"""``iomap_dio_zero``: padding a sub-block direct write into a new block (fs/iomap/direct-io.c)."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from zpmodel.base.errors import InputError
from zpmodel.base.units import KIB, is_power_of_two
from zpmodel.callers.base import Caller, Context, Counts, Facts, Kernel, merge_bios
from zpmodel.callers.submit import submit, zero_bio
from zpmodel.callers.zero_pages import Size, check_sectors
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure.count import Structure

OWN_PAGE_BYTES = 64 * KIB
"""The zero page that iomap allocated for itself before it was converted [byte]; IOMAP_ZERO_PAGE_SIZE."""

FACTS = Facts(
    name="iomap_dio_zero",
    title="head and tail of a direct write smaller than the file system's block",
    kind="dma",
    source="fs/iomap/direct-io.c: iomap_dio_zero",
    before="one bio with one vector from a 64 KiB zero page of its own (6.12 to 6.18)",
    today="one bio, room for max(1, block / Z) vectors, min(left, Z) a vector of largest_zero_folio() (since 6.19)",
    converted_since=(6, 19),
    context=Context("the mm of the writing process", "the bio's end, the data's too (iomap_dio_bio_end_io)"),
    limited_by="a block is at most 64 KiB, and the page of its own already held one",
    why="nothing to gain where the static page is there: one vector before, one now; where it is not, a loss: a block "
    "of 64 KiB takes up to 16 vectors and a table of 16 where it took 1",
    loses="kernels without the option since 6.19, by up to 16 vectors a bio for 1",
)


@dataclass(frozen=True)
class Request:
    """A direct write into a hole or an unwritten extent.

    :ivar block_bytes: the file system's block [byte].
    :ivar write_offset: where the write starts, from the start of some block [byte].
    :ivar write_length: bytes written [byte].
    :ivar filesystem: its name.
    """

    block_bytes: Size
    write_offset: Annotated[int, Meta(ge=0, lt=1 << 62)]
    write_length: Annotated[int, Meta(ge=1, lt=1 << 62)]
    filesystem: str = "xfs"

    def __post_init__(self) -> None:
        if not is_power_of_two(self.block_bytes) or not 512 <= self.block_bytes <= OWN_PAGE_BYTES:
            raise InputError(FACTS.name, "block_bytes", self.block_bytes, "a power of two from 512 to 65536")
        check_sectors(FACTS.name, write_offset=self.write_offset, write_length=self.write_length)

    def pads(self) -> list[tuple[int, int]]:
        """(first byte, bytes) of what is zeroed before and behind the data [byte]."""
        block, end = self.block_bytes, self.write_offset + self.write_length
        head, tail = self.write_offset % block, -end % block
        return [(at, size) for at, size in ((self.write_offset - head, head), (end, tail)) if size]


def _page(zero_page: ZeroPage, kernel: Kernel) -> int:
    converted = FACTS.converted_since is not None and kernel.version >= FACTS.converted_since
    return zero_page.size_bytes if converted else OWN_PAGE_BYTES


class IomapDioZero:
    """Padding a direct write."""

    facts = FACTS
    request_type: type = Request

    def typical(self) -> Request:
        """4 KiB into the middle of a 64 KiB block."""
        return Request(block_bytes=64 * KIB, write_offset=4 * KIB, write_length=4 * KIB)

    def count(self, zero_page: ZeroPage, request: Request, kernel: Kernel) -> Counts:
        """One bio for each pad that is not empty; the write itself waits, not the zeroing."""
        page = _page(zero_page, kernel)
        room = kernel.room(max(1, request.block_bytes // page))
        pads = request.pads()
        bios = merge_bios((size, -(-size // page), room, 1) for _, size in pads)
        return Counts(bios, calls=len(pads))

    def structure(
        self, zero_page: ZeroPage, request: Request, kernel: Kernel, limits: QueueLimits, offset: int = 0
    ) -> Structure:
        """The zeroes alone; on a device the head may also merge with the data behind it."""
        page = _page(zero_page, kernel)
        room = kernel.room(max(1, request.block_bytes // page))
        pads = request.pads()
        first = pads[0][0] if pads else 0
        bios = [zero_bio(offset + at - first, size, page, room) for at, size in pads]
        return submit(bios, limits, base_page_bytes=zero_page.base_page_bytes)


CALLER: Caller = IomapDioZero()
