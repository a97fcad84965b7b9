"""``rxperf_process_call``: replies of the RxRPC performance test (net/rxrpc/rxperf.c)."""

from dataclasses import dataclass

from zpmodel.base.units import MIB
from zpmodel.callers.base import Caller, Context, Counts, Facts, Kernel, merge_copies, pieces
from zpmodel.callers.zero_pages import Size
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage

FACTS = Facts(
    name="rxperf_process_call",
    title="replies of the RxRPC performance test",
    kind="copy",
    source="net/rxrpc/rxperf.c: rxperf_process_call; net/rxrpc/sendmsg.c: rxrpc_kernel_send_data",
    before="one rxrpc_kernel_send_data() for each 4 KiB of ZERO_PAGE, and one for the cookie",
    today="the same: not converted",
    converted_since=None,
    context=Context("", "it runs in a workqueue of the kernel's own server"),
    limited_by="the call's mutex, taken for each send; bytes are copied (or encrypted) into packets all the same",
    why="sends and mutexes fall by Z / 4 KiB, bytes copied don't, and they come from 2 MiB instead of a hot 4 KiB",
    loses="the copy itself, where 2 MiB of zeroes push L1 and L2 out",
)


@dataclass(frozen=True)
class Request:
    """A reply.

    :ivar length: bytes of zeroes in it [byte].
    """

    length: Size


class Rxperf:
    """Sending a reply."""

    facts = FACTS
    request_type: type = Request

    def typical(self) -> Request:
        """A reply of 1 MiB."""
        return Request(MIB)

    def count(self, zero_page: ZeroPage, request: Request, kernel: Kernel) -> Counts:
        """Sends, a mutex each, the cookie's included; copies by how much a send offers (packets cut them again)."""
        copies = merge_copies(pieces(request.length, FACTS.page_bytes(zero_page, kernel)))
        return Counts(calls=sum(row.count for row in copies) + 1, copies=copies)

    def structure(
        self, zero_page: ZeroPage, request: Request, kernel: Kernel, limits: QueueLimits, offset: int = 0
    ) -> None:
        """No bios."""


CALLER: Caller = Rxperf()
