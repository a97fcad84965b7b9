"""One run of fio as a data set names it."""

import re
from dataclasses import dataclass

from zpmodel.base.errors import InputError
from zpmodel.base.units import KIB, MIB

HUGE_PAGE = 2 * MIB
"""The huge page of fio's ``mem=mmaphuge`` [byte]."""

MEMORIES = ("malloc", "mmaphuge")
"""The contrast: I/O buffers of 4 KiB pages (one vector each) and of 2 MiB pages (one vector each)."""

_ID = re.compile(r"(reference-)?(write|zero)-bs(\d{1,15})-qd(\d{1,9})-(malloc|mmaphuge)-r(\d{1,9})(?:-max(\d{1,9})k)?")


@dataclass(frozen=True)
class Point:
    """One run of fio.

    ``operation`` is "write" (direct, sequential writes to the target) or "zero" (reads of /dev/zero: the kernel
    clears the buffer); ``block_bytes`` the size of one I/O [byte]; ``depth`` how many are in flight; ``memory`` one
    of `MEMORIES`; ``replicate`` counts from 1; ``reference`` marks the points that are repeated through the run to
    see it drift; ``max_sectors_kb`` is what the queue's limit of that name was set to for this run [KiB], None where
    it was left alone.
    """

    operation: str
    block_bytes: int
    depth: int
    memory: str
    replicate: int
    reference: bool = False
    max_sectors_kb: int | None = None

    @property
    def id(self) -> str:
        """The name of the point's files."""
        prefix = "reference-" if self.reference else ""
        limit = "" if self.max_sectors_kb is None else f"-max{self.max_sectors_kb}k"
        return (
            f"{prefix}{self.operation}-bs{self.block_bytes}-qd{self.depth}-{self.memory}-r{self.replicate:02d}{limit}"
        )

    @classmethod
    def from_id(cls, name: str) -> "Point":
        """Read a point back from its name.

        :raises InputError: where the name is none.
        """
        match = _ID.fullmatch(name)
        if match is None:
            raise InputError("fio data set", "point", name, "a name such as write-bs1048576-qd4-mmaphuge-r03")
        reference, operation, block, depth, memory, replicate, limit = match.groups()
        changed = None if limit is None else int(limit)
        return cls(operation, int(block), int(depth), memory, int(replicate), reference is not None, changed)

    @property
    def pair(self) -> tuple[str, int, int, int]:
        """What a point shares with its counterpart in the other memory; the last is 0 where no limit was changed."""
        return self.operation, self.block_bytes, self.depth, self.max_sectors_kb or 0

    @property
    def huge_pages(self) -> int:
        """How many huge pages fio needs; it adds a small page twice (for alignment), and rounds up each time."""
        return -(-(self.block_bytes * self.depth + 4 * KIB) // HUGE_PAGE) + 1 if self.memory == "mmaphuge" else 0
