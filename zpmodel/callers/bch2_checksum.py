"""``bch2_checksum_update`` in ``bch2_checksum_merge``: adding up checksums of extents (fs/bcachefs/checksum.c)."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from zpmodel.base.units import KIB
from zpmodel.callers.base import Caller, Context, Counts, Facts, Kernel, merge_copies, pieces
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage

FACTS = Facts(
    name="bch2_checksum_update",
    title="bcachefs: the checksum of two extents from those of its parts",
    kind="checksum",
    source="fs/bcachefs/checksum.c: bch2_checksum_merge",
    before="one bch2_checksum_update() for each min(left, 4 KiB) of ZERO_PAGE",
    today="gone from the mainline (6.18 was the last)",
    converted_since=None,
    gone_since=(6, 19),
    context=Context("", "it runs in workqueues; it sums up, then returns"),
    limited_by="checksums don't care where zeroes come from: the bytes summed up stay",
    why="nothing to gain in the mainline, which has it no more; out of it, calls only, and a 2 MiB source leaves L1",
    loses="the sum itself: it would read 2 MiB instead of a hot 4 KiB",
)


@dataclass(frozen=True)
class Request:
    """The second of two extents.

    :ivar length: its bytes [byte]; an unsigned int in the kernel.
    """

    length: Annotated[int, Meta(ge=1, lt=1 << 32)]


class Bch2Checksum:
    """Merging two checksums."""

    facts = FACTS
    request_type: type = Request

    def typical(self) -> Request:
        """An encoded extent at its default limit, 64 KiB."""
        return Request(64 * KIB)

    def count(self, zero_page: ZeroPage, request: Request, kernel: Kernel) -> Counts:
        """Sums over zeroes."""
        FACTS.require(kernel)
        copies = merge_copies(pieces(request.length, FACTS.page_bytes(zero_page, kernel)))
        return Counts(calls=sum(row.count for row in copies), copies=copies)

    def structure(
        self, zero_page: ZeroPage, request: Request, kernel: Kernel, limits: QueueLimits, offset: int = 0
    ) -> None:
        """No bios."""


CALLER: Caller = Bch2Checksum()
