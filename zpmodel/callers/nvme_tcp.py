"""``nvme_tcp_try_send_data``: the layer below, which sends a request's vectors (drivers/nvme/host/tcp.c)."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta

from zpmodel.base.errors import InputError
from zpmodel.base.units import KIB, MIB
from zpmodel.callers.base import Caller, Context, Counts, Facts, Kernel, merge_copies
from zpmodel.callers.zero_pages import check_sectors
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage

FACTS = Facts(
    name="nvme_tcp_try_send_data",
    title="nvme-tcp, the layer below: a request of zeroes sent over TCP",
    kind="dma",
    source="drivers/nvme/host/tcp.c: nvme_tcp_try_send_data; net/core/skbuff.c: skb_splice_from_iter",
    before="one sock_sendmsg() a vector, a reference on each 4 KiB page spliced",
    today="the same; since 6.18 the vectors above it are as long as the folio",
    converted_since=(6, 18),
    context=Context("", "it only passes on what the user above holds until the bio ends"),
    limited_by="one send a vector or PDU, one reference on the one shared page for each 4 KiB, however long the vector",
    why="sends fall as the vectors of the user above do; references don't, and all are on one counter",
    loses="with a data digest, or checksums by the CPU, it reads 2 MiB instead of a hot 4 KiB",
)

_PAGE = 4 * KIB


@dataclass(frozen=True)
class Request:
    """A write request as the driver gets it, of one bio of zeroes.

    :ivar length: bytes [byte].
    :ivar offset: where in its zero page it starts [byte].
    :ivar pdu_bytes: most data of one PDU that the controller takes (MAXH2CDATA), 0: all at once [byte].
    :ivar data_digest: whether a CRC of the data is sent along.
    """

    length: Annotated[int, Meta(ge=512, le=1 << 30)]
    offset: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0
    pdu_bytes: Annotated[int, Meta(ge=0, lt=1 << 32)] = 0
    data_digest: bool = False

    def __post_init__(self) -> None:
        check_sectors(FACTS.name, length=self.length, offset=self.offset)
        if self.pdu_bytes % 4 or 0 < self.pdu_bytes < _PAGE:
            raise InputError(FACTS.name, "pdu_bytes", self.pdu_bytes, "0, or a multiple of 4 from 4096")


class NvmeTcp:
    """Sending one request."""

    facts = FACTS
    request_type: type = Request

    def typical(self) -> Request:
        """One request of 1 MiB, all its data asked for at once."""
        return Request(MIB)

    def count(self, zero_page: ZeroPage, request: Request, kernel: Kernel) -> Counts:
        """Sends end where a vector or a PDU ends; each takes a reference for each page that it touches."""
        folio = FACTS.page_bytes(zero_page, kernel)
        start = request.offset % folio
        ends = [np.arange(folio, start + request.length, folio) - start, np.array([request.length])]
        if request.pdu_bytes:
            ends.append(np.arange(request.pdu_bytes, request.length, request.pdu_bytes))
        stop = np.unique(np.concatenate(ends))
        sent = np.diff(stop, prepend=0)
        first = start + stop - sent
        references = int(((first + sent - 1) // _PAGE - first // _PAGE + 1).sum())
        sizes, numbers = np.unique(sent, return_counts=True)
        sums = zip(sizes.tolist(), numbers.tolist(), strict=True) if request.data_digest else ()
        return Counts(calls=len(sent), copies=merge_copies(sums), page_references=references)

    def structure(
        self, zero_page: ZeroPage, request: Request, kernel: Kernel, limits: QueueLimits, offset: int = 0
    ) -> None:
        """It makes no bios of its own: it gets requests."""


CALLER: Caller = NvmeTcp()
