"""Queue limits of a block device, as the kernel has them: 512-byte sectors inside, the names of sysfs outside."""

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from zpmodel.base.errors import InputError
from zpmodel.base.units import KIB, SECTOR, is_power_of_two

UINT_MAX = (1 << 32) - 1

# What sysfs calls a value; a queue directory holds more files than these, which say nothing about structure.
_SYSFS_NAMES = (
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
_EXTRA_NAMES = ("max_sectors", "seg_boundary_mask", "source")
_REQUIRED = ("max_segments", "max_segment_size")

_NULL_BLK_DEFAULT_SECTORS = 255


class KernelLimits(NamedTuple):
    """The limits that the numba kernels take: plain integers only."""

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
    :ivar source: where the values come from.
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
    source: str = "given"

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if item.type in (int, "int") and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                self._refuse(item.name, value, "a whole number, not negative")
        self._validate()

    def _validate(self) -> None:
        logical, physical = self.logical_block_size, self.physical_block_size
        if not is_power_of_two(logical) or not 512 <= logical <= 64 * KIB:
            self._refuse("logical_block_size", logical, "a power of two from 512 to 65536")
        if not is_power_of_two(physical):
            self._refuse("physical_block_size", physical, "a power of two")
        # The kernel raises it rather than refuse.
        physical = max(physical, logical)
        object.__setattr__(self, "physical_block_size", physical)
        least = max(8, logical // SECTOR)
        if not least <= self.max_sectors <= UINT_MAX:
            self._refuse(
                "max_sectors",
                self.max_sectors,
                f"at least {least} sectors (a 4096-byte page and a logical block) and at most {UINT_MAX}",
            )
        if self.max_hw_sectors and self.max_sectors > self.max_hw_sectors:
            self._refuse("max_sectors", self.max_sectors, f"at most max_hw_sectors, {self.max_hw_sectors} sectors here")
        # The kernel rounds rather than refuses here.
        object.__setattr__(self, "max_sectors", self.max_sectors - self.max_sectors % (logical // SECTOR))
        if not 1 <= self.max_segments <= 65535:
            self._refuse("max_segments", self.max_segments, "1 to 65535")
        if not 4096 <= self.max_segment_size <= UINT_MAX:
            self._refuse("max_segment_size", self.max_segment_size, f"4096 (a page) to {UINT_MAX}")
        if not is_power_of_two(self.seg_boundary_mask + 1) or self.seg_boundary_mask < 4095:
            self._refuse("seg_boundary_mask", self.seg_boundary_mask, "a power of two less 1, at least 4095 (a page)")
        if not is_power_of_two(self.virt_boundary_mask + 1):
            self._refuse("virt_boundary_mask", self.virt_boundary_mask, "0, or a power of two less 1")
        if self.chunk_sectors % (physical // SECTOR) or self.chunk_sectors > UINT_MAX:
            self._refuse(
                "chunk_sectors", self.chunk_sectors, f"a multiple of the physical block, {physical // SECTOR} sectors"
            )
        if self.write_zeroes_max_bytes % SECTOR:
            self._refuse("write_zeroes_max_bytes", self.write_zeroes_max_bytes, f"a multiple of {SECTOR}")
        if self.nomerges not in (0, 1, 2):
            self._refuse("nomerges", self.nomerges, "0, 1 or 2")
        if self.nr_requests < 1:
            self._refuse("nr_requests", self.nr_requests, "at least 1")
        if not re.fullmatch(r"[a-z][\w-]*", self.scheduler):
            self._refuse("scheduler", self.scheduler, "a scheduler's name, such as none or mq-deadline")

    def _refuse(self, field: str, value: object, accepted: str) -> None:
        raise InputError(self.source, field, value, accepted)

    @property
    def max_bytes(self) -> int:
        """The largest request [byte]."""
        return self.max_sectors * SECTOR

    def for_kernel(self, base_page_bytes: int = 4096) -> KernelLimits:
        """The integers that the structure kernels take."""
        return KernelLimits(
            self.max_sectors,
            self.max_segments,
            self.max_segment_size,
            self.seg_boundary_mask,
            self.virt_boundary_mask,
            self.chunk_sectors,
            self.logical_block_size // SECTOR,
            self.physical_block_size // SECTOR,
            min(self.max_segment_size, self.seg_boundary_mask + 1, base_page_bytes),
            int(self.nomerges != 2),
        )

    def to_sysfs(self) -> dict[str, int | str]:
        """The values under their sysfs names; ``max_sectors``, ``seg_boundary_mask`` and ``source`` beside them."""
        names = (*_SYSFS_NAMES, *_EXTRA_NAMES)
        values: dict[str, int | str] = {name: getattr(self, name) for name in names if hasattr(self, name)}
        kib = {"max_sectors_kb": self.max_sectors // 2, "max_hw_sectors_kb": self.max_hw_sectors // 2}
        return {**kib, **values}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], *, source: str = "limits") -> "QueueLimits":
        """Read limits under their sysfs names, from JSON or TOML.

        ``max_sectors`` [sector] goes before ``max_sectors_kb``, which can't show half a KiB.

        :raises InputError: on missing, misspelt or impossible values.
        """
        if not isinstance(values, Mapping):
            raise InputError(source, "limits", values, "an object with the names of /sys/block/DEV/queue")
        known = {*_SYSFS_NAMES, *_EXTRA_NAMES}
        for name in values:
            near = difflib.get_close_matches(str(name), known - set(values), n=1, cutoff=0.85)
            if name not in known and near:
                raise InputError(source, "name", str(name), near[0])
        if values.get("zoned", "none") not in (None, "", "none"):
            raise InputError(source, "zoned", values["zoned"], "none: zoned devices are not modelled")
        for name in _REQUIRED:
            if name not in values:
                raise InputError(source, name, "(missing)", "a value as under /sys/block/DEV/queue")
        given = {name: value for name, value in values.items() if name in known and value is not None}
        kib = given.pop("max_sectors_kb", None)
        hardware_kib = given.pop("max_hw_sectors_kb", 0)
        if "max_sectors" not in given:
            if kib is None:
                raise InputError(source, "max_sectors_kb", "(missing)", "a value as under /sys/block/DEV/queue")
            given["max_sectors"] = 2 * _whole(kib, source, "max_sectors_kb")
        hardware = 2 * _whole(hardware_kib, source, "max_hw_sectors_kb")
        for name, value in given.items():
            if name not in ("scheduler", "source"):
                given[name] = _whole(value, source, name)
        if hardware and given["max_sectors"] == hardware + 1:
            hardware += 1  # the half KiB that sysfs does not show
        if "scheduler" in given:
            given["scheduler"] = _active_scheduler(str(given["scheduler"]))
        given.setdefault("physical_block_size", max(512, given.get("logical_block_size", 512)))
        given["source"] = str(given.get("source", source))
        return cls(**{**given, "max_hw_sectors": hardware})

    @classmethod
    def from_directory(cls, path: Path | str) -> "QueueLimits":
        """Read a device's ``queue`` directory: /sys/block/DEV, its ``queue``, or a copy of either from another machine.

        sysfs rounds ``max_sectors_kb`` down. The one default with half a KiB is 255 sectors (shown as 127), which is
        what 127 with a hardware limit of 127 is taken for.

        :raises InputError: where there is no such directory, or it holds something else.
        """
        path = Path(path)
        folder = path / "queue" if (path / "queue").is_dir() else path
        if not (folder / "max_segments").is_file():
            raise InputError(str(path), "directory", path.name, "/sys/block/DEV, its queue directory, or a copy of it")
        values: dict[str, str] = {}
        for name in (*_SYSFS_NAMES, "zoned"):
            try:
                values[name] = (folder / name).read_text(encoding="utf-8", errors="replace").strip()
            except OSError:
                continue  # older kernels have fewer files
        if values.get("max_sectors_kb") == values.get("max_hw_sectors_kb") == "127":
            values["max_sectors"] = str(_NULL_BLK_DEFAULT_SECTORS)
        return cls.from_mapping(values, source=str(path))

    @classmethod
    def from_file(cls, path: Path | str) -> "QueueLimits":
        """Read limits from a JSON or TOML file; in TOML, and in JSON, they may stand in a table named ``limits``.

        :raises InputError: on a file that can't be read, or with impossible values.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
            values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(str(path), "file", str(error), "a readable JSON or TOML file with queue limits") from None
        inner = values.get("limits", values) if isinstance(values, dict) else values
        return cls.from_mapping(inner, source=str(path))


def _whole(value: object, source: str, field: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{1,20}", value.strip()):
        return int(value)
    raise InputError(source, field, value, "a whole number, not negative")


def _active_scheduler(text: str) -> str:
    """sysfs shows all of them, the active one in brackets: ``[none] mq-deadline``."""
    match = re.search(r"\[([\w-]+)\]", text)
    return match[1] if match else text.strip()
