"""``sb_issue_zeroout`` of ext4's lazy initialisation: the inode tables (fs/ext4/ialloc.c: ext4_init_inode_table)."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from zpmodel.base.errors import InputError
from zpmodel.base.units import KIB, TIB, is_power_of_two
from zpmodel.callers.base import Caller, Context, Counts, Facts, Kernel, merge_bios
from zpmodel.callers.ext4_layout import RESERVED_INODES, inode_tables
from zpmodel.callers.submit import add_up
from zpmodel.callers.zero_pages import Size, zero_range, zero_structure
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure.count import Structure

FACTS = Facts(
    name="sb_issue_zeroout",
    title="ext4 lazy initialisation: every group's inode table after mkfs",
    kind="dma",
    source="fs/ext4/ialloc.c: ext4_init_inode_table; include/linux/blkdev.h: sb_issue_zeroout",
    before="one zero-out a group: its inode table (2 MiB at the default ratio), less the blocks in use",
    today="the same; the zero-out below takes the largest folio",
    converted_since=(6, 18),
    context=Context("", "the ext4lazyinit thread waits for each group's chain"),
    limited_by="one group a call, and a pause of ten times what it took before the next",
    why="a table of 2 MiB is one vector instead of 512, one bio instead of two: the largest regular customer of zero "
    "pages, 16 GiB a TiB",
)


@dataclass(frozen=True)
class Request:
    """A fresh file system, all its inode tables lazily initialised.

    :ivar filesystem_bytes: its bytes [byte].
    :ivar block_bytes: its block [byte].
    :ivar inode_ratio: bytes of file system for each inode [byte].
    :ivar inode_bytes: an inode [byte].
    :ivar used_inodes: inodes in use in the first group; the first block of a table in use is not zeroed.
    :ivar filesystem: what it is.
    """

    filesystem_bytes: Size
    block_bytes: int = 4 * KIB
    inode_ratio: Annotated[int, Meta(ge=1024, le=64 * 1024 * 1024)] = 16 * KIB
    inode_bytes: int = 256
    used_inodes: Annotated[int, Meta(ge=0)] = RESERVED_INODES
    filesystem: str = "ext4 lazy inode table"

    def __post_init__(self) -> None:
        if not is_power_of_two(self.block_bytes) or not KIB <= self.block_bytes <= 64 * KIB:
            raise InputError(FACTS.name, "block_bytes", self.block_bytes, "a power of two from 1024 to 65536")
        if not is_power_of_two(self.inode_bytes) or not 128 <= self.inode_bytes <= self.block_bytes:
            raise InputError(FACTS.name, "inode_bytes", self.inode_bytes, "a power of two from 128 to block_bytes")

    def calls(self) -> list[tuple[int, int]]:
        """(bytes, how many) of the zero-outs [byte]."""
        tables = inode_tables(self.filesystem_bytes, self.block_bytes, self.inode_ratio, self.inode_bytes)
        used = -(-min(self.used_inodes, tables.inodes) * self.inode_bytes // self.block_bytes)
        whole = tables.blocks * self.block_bytes
        calls = [((tables.blocks - used) * self.block_bytes, 1), (whole, tables.groups - 1)]
        return [(size, number) for size, number in calls if size and number]


class Ext4LazyInit:
    """Initialising all inode tables."""

    facts = FACTS
    request_type: type = Request

    def typical(self) -> Request:
        """A file system of 1 TiB."""
        return Request(TIB)

    def count(self, zero_page: ZeroPage, request: Request, kernel: Kernel) -> Counts:
        """A chain and a wait for each group."""
        calls = request.calls()
        bios = merge_bios(
            (row.bytes, row.bvecs, row.max_vecs, row.count * number)
            for size, number in calls
            for row in zero_range(FACTS, zero_page, size, kernel)
        )
        groups = sum(number for _, number in calls)
        return Counts(bios, calls=sum(row.count for row in bios), waits=groups)

    def structure(
        self, zero_page: ZeroPage, request: Request, kernel: Kernel, limits: QueueLimits, offset: int = 0
    ) -> Structure:
        """All groups, each by itself, each as if its table started at ``offset``."""
        return add_up(
            [
                (zero_structure(FACTS, zero_page, size, kernel, limits, offset), number)
                for size, number in request.calls()
            ]
        )


CALLER: Caller = Ext4LazyInit()
