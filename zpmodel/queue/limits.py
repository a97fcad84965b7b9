"""Queue limits of a block device, as the kernel has them: 512-byte sectors inside, the names of sysfs outside."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from zpmodel.base.errors import InputError
from zpmodel.base.units import KIB, SECTOR, is_power_of_two
from zpmodel.queue.kernel import PAGE_BYTES
from zpmodel.queue.kernel import UINT_MAX as UINT_MAX

# What sysfs calls a value; a queue directory holds more files than these, which say nothing about structure.
SYSFS_NAMES = (
    "max_sectors_kb",
    "max_hw_sectors_kb",
    "max_segments",
    "max_segment_size",
    "virt_boundary_mask",
    "chunk_sectors",
    "logical_block_size",
    "physical_block_size",
    "write_zeroes_max_bytes",
    "dma_alignment",
    "nomerges",
    "nr_requests",
    "scheduler",
)
EXTRA_NAMES = ("max_sectors", "seg_boundary_mask", "source")


class KernelLimits(NamedTuple):
    """The limits that the numba kernels take: plain integers only.

    :ivar max_sectors, max_segments, max_segment_size, seg_boundary_mask, virt_boundary_mask, chunk_sectors: as in
        :class:`QueueLimits`.
    :ivar logical_block_sectors, physical_block_sectors: powers of two [sector].
    :ivar fast_segment_bytes: a vector that ends so far into its page is one segment at the first look [byte].
    :ivar may_merge: 0 with ``nomerges`` 2, else 1.
    :ivar write_zeroes_sectors: largest data-less bio of ``blkdev_issue_zeroout`` [sector]; 0: zero pages are written.
    """

    max_sectors: int
    max_segments: int
    max_segment_size: int
    seg_boundary_mask: int
    virt_boundary_mask: int
    chunk_sectors: int
    logical_block_sectors: int
    physical_block_sectors: int
    fast_segment_bytes: int
    may_merge: int
    write_zeroes_sectors: int


@dataclass(frozen=True)
class QueueLimits:
    """The limits of one request queue.

    :ivar max_sectors: largest request [sector]; ``max_sectors_kb`` in sysfs is this, rounded down to a KiB.
    :ivar max_segments: most segments of a request.
    :ivar max_segment_size: largest segment [byte].
    :ivar seg_boundary_mask: a segment may not cross a multiple of this + 1 [byte]; not in sysfs.
    :ivar virt_boundary_mask: between two vectors, offset and end may have no bits of this.
    :ivar chunk_sectors: requests don't cross multiples of this [sector]; 0: no chunks.
    :ivar logical_block_size: unit of addressing [byte].
    :ivar physical_block_size: unit that is written without a read first [byte].
    :ivar write_zeroes_max_bytes: largest data-less Write Zeroes command [byte]; 0: the device has none.
    :ivar max_hw_sectors: what the hardware takes [sector]; 0: not known.
    :ivar dma_alignment: mask of buffer addresses.
    :ivar nomerges: 0 merge, 1 only the simplest, 2 never.
    :ivar nr_requests: tags of the queue.
    :ivar scheduler: the active I/O scheduler.
    :ivar source: where the values come from; no part of what is compared.
    :raises InputError: on values that the kernel would refuse (``blk_validate_limits``).
    """

    max_sectors: int
    max_segments: int
    max_segment_size: int
    seg_boundary_mask: int = UINT_MAX
    virt_boundary_mask: int = 0
    chunk_sectors: int = 0
    logical_block_size: int = 512
    physical_block_size: int = 512
    write_zeroes_max_bytes: int = 0
    max_hw_sectors: int = 0
    dma_alignment: int = 511
    nomerges: int = 0
    nr_requests: int = 64
    scheduler: str = "none"
    source: str = field(default="given", compare=False)

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if item.type in (int, "int") and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                self._refuse(item.name, value, "a whole number, not negative")
        self._validate()

    def _validate(self) -> None:
        self._validate_blocks()
        self._validate_sectors()
        self._validate_segments()
        if self.write_zeroes_max_bytes % SECTOR:
            self._refuse("write_zeroes_max_bytes", self.write_zeroes_max_bytes, f"a multiple of {SECTOR}")
        if self.nomerges not in (0, 1, 2):
            self._refuse("nomerges", self.nomerges, "0, 1 or 2")
        if not 1 <= self.nr_requests <= UINT_MAX:
            self._refuse("nr_requests", self.nr_requests, f"at least 1 and at most {UINT_MAX}")
        if not isinstance(self.scheduler, str) or not re.fullmatch(r"[a-z][\w-]*", self.scheduler):
            self._refuse("scheduler", self.scheduler, "a scheduler's name, such as none or mq-deadline")

    def _validate_blocks(self) -> None:
        logical, physical = self.logical_block_size, self.physical_block_size
        if not is_power_of_two(logical) or not 512 <= logical <= 64 * KIB:
            self._refuse("logical_block_size", logical, "a power of two from 512 to 65536")
        if not is_power_of_two(physical):
            self._refuse("physical_block_size", physical, "a power of two")
        # The kernel raises it rather than refuse.
        object.__setattr__(self, "physical_block_size", max(physical, logical))

    def _validate_sectors(self) -> None:
        block_sectors = self.logical_block_size // SECTOR
        least = max(PAGE_BYTES // SECTOR, block_sectors)
        if not least <= self.max_sectors <= UINT_MAX:
            accepted = f"at least {least} sectors (a 4096-byte page and a logical block) and at most {UINT_MAX}"
            self._refuse("max_sectors", self.max_sectors, accepted)
        if self.max_hw_sectors and self.max_sectors > self.max_hw_sectors:
            self._refuse("max_sectors", self.max_sectors, f"at most max_hw_sectors, {self.max_hw_sectors} sectors here")
        # The kernel rounds rather than refuses here.
        object.__setattr__(self, "max_sectors", self.max_sectors - self.max_sectors % block_sectors)
        physical = self.physical_block_size // SECTOR
        if self.chunk_sectors % physical or self.chunk_sectors > UINT_MAX:
            self._refuse("chunk_sectors", self.chunk_sectors, f"a multiple of the physical block, {physical} sectors")

    def _validate_segments(self) -> None:
        if not 1 <= self.max_segments <= 65535:
            self._refuse("max_segments", self.max_segments, "1 to 65535")
        if not PAGE_BYTES <= self.max_segment_size <= UINT_MAX:
            self._refuse("max_segment_size", self.max_segment_size, f"{PAGE_BYTES} (a page) to {UINT_MAX}")
        boundary, gap = self.seg_boundary_mask, self.virt_boundary_mask
        if not is_power_of_two(boundary + 1) or boundary < PAGE_BYTES - 1:
            self._refuse("seg_boundary_mask", boundary, "a power of two less 1, at least 4095 (a page)")
        if not is_power_of_two(gap + 1):
            self._refuse("virt_boundary_mask", gap, "0, or a power of two less 1")

    def _refuse(self, field: str, value: object, accepted: str) -> None:
        raise InputError(self.source, field, value, accepted)

    @property
    def max_bytes(self) -> int:
        """The largest request [byte]."""
        return self.max_sectors * SECTOR

    def for_kernel(self, base_page_bytes: int = 4096) -> KernelLimits:
        """The integers that the structure kernels take."""
        block_sectors = self.logical_block_size // SECTOR
        return KernelLimits(
            self.max_sectors,
            self.max_segments,
            self.max_segment_size,
            self.seg_boundary_mask,
            self.virt_boundary_mask,
            self.chunk_sectors,
            block_sectors,
            self.physical_block_size // SECTOR,
            min(self.max_segment_size, self.seg_boundary_mask + 1, base_page_bytes),
            int(self.nomerges != 2),
            min(self.write_zeroes_max_bytes // SECTOR, (UINT_MAX // SECTOR) & ~(block_sectors - 1)),
        )

    def to_sysfs(self) -> dict[str, int | str]:
        """The values under their sysfs names; ``max_sectors``, ``seg_boundary_mask`` and ``source`` beside them."""
        names = (*SYSFS_NAMES, *EXTRA_NAMES)
        values: dict[str, int | str] = {name: getattr(self, name) for name in names if hasattr(self, name)}
        kib = {"max_sectors_kb": self.max_sectors // 2, "max_hw_sectors_kb": self.max_hw_sectors // 2}
        return {**kib, **values}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], *, source: str = "limits") -> "QueueLimits":
        """:func:`zpmodel.queue.read.from_mapping`."""
        from zpmodel.queue import read

        return read.from_mapping(values, source=source)

    @classmethod
    def from_directory(cls, path: Path | str) -> "QueueLimits":
        """:func:`zpmodel.queue.read.from_directory`."""
        from zpmodel.queue import read

        return read.from_directory(path)

    @classmethod
    def from_file(cls, path: Path | str) -> "QueueLimits":
        """:func:`zpmodel.queue.read.from_file`."""
        from zpmodel.queue import read

        return read.from_file(path)
