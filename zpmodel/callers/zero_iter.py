"""``zero_iter``: holes of vmalloc space read through /proc/kcore (mm/vmalloc.c, fs/proc/kcore.c)."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from zpmodel.base.units import KIB
from zpmodel.callers.base import Caller, Context, Counts, Facts, Kernel, merge_copies, pieces
from zpmodel.callers.zero_pages import Size
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage

FACTS = Facts(
    name="zero_iter",
    title="holes of vmalloc space, read through /proc/kcore",
    kind="copy",
    source="mm/vmalloc.c: zero_iter; fs/proc/kcore.c: read_kcore_iter",
    before="min(left, 4 KiB) a copy from ZERO_PAGE",
    today="the same: not converted",
    converted_since=None,
    context=Context("the mm of the reading process", "it could give it back at once: it copies, then returns"),
    limited_by="read_kcore_iter asks for at most a page at a time",
    why="nothing to gain: its one caller never asks for more than a page, so there is one copy whatever the page",
)


@dataclass(frozen=True)
class Request:
    """A hole to read.

    :ivar length: bytes [byte].
    :ivar offset: where in its page it starts [byte].
    :ivar asked_by: ``kcore``, a page at a time; ``vread_iter``, all at once, as no kernel does.
    """

    length: Size
    offset: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0
    asked_by: Literal["kcore", "vread_iter"] = "kcore"


class ZeroIter:
    """Reading a hole."""

    facts = FACTS
    request_type: type = Request

    def typical(self) -> Request:
        """What /proc/kcore asks for."""
        return Request(4 * KIB)

    def count(self, zero_page: ZeroPage, request: Request, kernel: Kernel) -> Counts:
        """Copies; a call is one of ``copy_page_to_iter_nofault``."""
        step, page = FACTS.page_bytes(zero_page, kernel), zero_page.base_page_bytes
        asked = [(request.length, 1)]
        if request.asked_by == "kcore":
            first = min(page - request.offset % page, request.length)
            asked = [(first, 1), *pieces(request.length - first, page)]
        copies = merge_copies((size, number * n) for ask, n in asked for size, number in pieces(ask, step))
        return Counts(calls=sum(row.count for row in copies), copies=copies)

    def structure(
        self, zero_page: ZeroPage, request: Request, kernel: Kernel, limits: QueueLimits, offset: int = 0
    ) -> None:
        """No bios."""


CALLER: Caller = ZeroIter()
