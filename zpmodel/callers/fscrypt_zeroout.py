"""``fscrypt_zeroout_range``: zeroes of an encrypted file (fs/crypto/block.c in 7.3, fs/crypto/bio.c in 6.12)."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from zpmodel.base.errors import InputError
from zpmodel.base.units import KIB, MIB, SECTOR, is_power_of_two
from zpmodel.callers.base import Caller, Context, Counts, Facts, Kernel, merge_bios, merge_copies
from zpmodel.callers.submit import submit, zero_bio
from zpmodel.callers.zero_pages import Size
from zpmodel.queue.kernel import BIO_MAX_VECS
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure.count import Structure

FACTS = Facts(
    name="fscrypt_zeroout_range",
    title="zeroes of an encrypted file (f2fs secure trim, ext4 extents)",
    kind="dma",
    source="fs/crypto/block.c: fscrypt_zeroout_range; 6.12: fs/crypto/bio.c: fscrypt_zeroout_range_inline_crypt",
    before="one bio of 256 vectors, a ZERO_PAGE a vector, submitted and waited for, then used again",
    today="bios of 256 vectors even for one block, a ZERO_PAGE a vector, ended where data unit numbers don't go on; "
    "all in flight, no plug, one wait",
    converted_since=None,
    context=Context("the mm of the process that trims", "the bios' end (fscrypt_zeroout_range_end_io)"),
    limited_by="blk-crypto's fallback encrypts every 4 KiB into a page of its own; only inline encryption hardware "
    "sees the larger source",
    why="with inline encryption hardware it gains as a zero-out does; with the fallback next to nothing: the pages "
    "that are written are the encrypted ones",
)

_SOFTWARE_PAGES = 16  # fscrypt_zeroout_range of 6.12 without inline encryption: pages[16]
_IN_FLIGHT = (7, 0)  # one bio at a time in 6.12, all in flight in 7.3; no kernel between the two was read


@dataclass(frozen=True)
class Request:
    """A range of an encrypted file, contiguous in the file and on the device.

    :ivar length: bytes [byte]; a file's last block is written whole.
    :ivar filesystem: its name.
    :ivar block_bytes: the file system's block [byte].
    :ivar data_unit_bytes: what is encrypted with one IV [byte].
    :ivar first_data_unit: number of the first data unit, as the encryption sees it.
    :ivar dun_bits: width of data unit numbers; 32 wraps around (IV_INO_LBLK_32).
    :ivar crypto: who encrypts: ``inline`` hardware, blk-crypto's ``fallback``, or the file system itself, ``software``
        (6.12 only).
    """

    length: Size
    filesystem: str = "f2fs"
    block_bytes: int = 4 * KIB
    data_unit_bytes: int = 4 * KIB
    first_data_unit: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0
    dun_bits: Literal[32, 64] = 64
    crypto: Literal["inline", "fallback", "software"] = "inline"

    def __post_init__(self) -> None:
        if not is_power_of_two(self.block_bytes) or not SECTOR <= self.block_bytes <= 64 * KIB:
            raise InputError(FACTS.name, "block_bytes", self.block_bytes, "a power of two from 512 to 65536")
        unit = self.data_unit_bytes
        if not is_power_of_two(unit) or not SECTOR <= unit <= self.block_bytes:
            raise InputError(FACTS.name, "data_unit_bytes", unit, "a power of two from 512 to block_bytes")
        if self.first_data_unit >> self.dun_bits:
            raise InputError(FACTS.name, "first_data_unit", self.first_data_unit, f"below 2^{self.dun_bits}")

    @property
    def bytes_written(self) -> int:
        """Whole blocks [byte]."""
        return -(-self.length // self.block_bytes) * self.block_bytes

    @property
    def units_to_wrap(self) -> int:
        """Data units until their number starts again at 0."""
        return (1 << self.dun_bits) - self.first_data_unit


def _runs(request: Request, step: int) -> list[int]:
    """Bytes between two ends of a bio that data unit numbers force [byte].

    They are looked at after each step (a page), not within: a bio ends after the step in which they wrapped.
    """
    runs: list[int] = []
    left, until = request.bytes_written, request.units_to_wrap * request.data_unit_bytes
    wrap = (1 << request.dun_bits) * request.data_unit_bytes
    while left > 0:
        run = min(left, -(-until // step) * step)
        runs.append(run)
        left -= run
        until = until - run if run < until else wrap - (run - until) % wrap
    return runs


def _bio_sizes(request: Request, zero_page: ZeroPage, kernel: Kernel) -> list[tuple[int, int]]:
    """(bytes, how many) of bios, in their order."""
    step = FACTS.page_bytes(zero_page, kernel)
    full = min(BIO_MAX_VECS, UINT_MAX // step) * step
    sizes: list[tuple[int, int]] = []
    # With the conversion finished the last page before a wrap would be cut at it; a base page is the finest cut.
    for run in _runs(request, zero_page.base_page_bytes):
        sizes += [(size, number) for size, number in ((full, run // full), (run % full, 1)) if size and number]
    return sizes


def _software(request: Request, zero_page: ZeroPage, kernel: Kernel) -> Counts:
    """6.12 without inline encryption: up to 16 pages of ciphertext, encrypted, written and waited for.

    Vectors are the most there can be: pages of ciphertext that happen to lie side by side share one.
    """
    page, total = zero_page.base_page_bytes, request.bytes_written
    pages = min(_SOFTWARE_PAGES, -(-total // page))
    full, room = pages * page, kernel.room(pages)
    rows = [(full, pages, room, total // full)]
    if total % full:
        rows.append((total % full, -(-(total % full) // page), room, 1))
    bios = merge_bios(rows)
    number = sum(row.count for row in bios)
    unit = request.data_unit_bytes
    return Counts(bios, calls=number, waits=number, copies=merge_copies([(unit, total // unit)]))


class FscryptZeroout:
    """Zeroing a range of an encrypted file."""

    facts = FACTS
    request_type: type = Request

    def typical(self) -> Request:
        """A secure trim of 4 MiB, with inline encryption hardware."""
        return Request(4 * MIB)

    def count(self, zero_page: ZeroPage, request: Request, kernel: Kernel) -> Counts:
        """Bios as submitted to blk-crypto; its fallback reads them a data unit at a time."""
        if request.crypto == "software":
            if kernel.version >= _IN_FLIGHT:
                raise InputError(FACTS.name, "crypto", "software", "inline or fallback: 7.3 leaves it to blk-crypto")
            return _software(request, zero_page, kernel)
        step = FACTS.page_bytes(zero_page, kernel)
        bios = merge_bios(
            (size, -(-size // step), _room(-(-size // step), kernel), number)
            for size, number in _bio_sizes(request, zero_page, kernel)
        )
        number = sum(row.count for row in bios)
        unit = request.data_unit_bytes
        copies = merge_copies([(unit, request.bytes_written // unit)] if request.crypto == "fallback" else [])
        return Counts(bios, calls=number, waits=1 if kernel.version >= _IN_FLIGHT else number, copies=copies)

    def structure(
        self, zero_page: ZeroPage, request: Request, kernel: Kernel, limits: QueueLimits, offset: int = 0
    ) -> Structure:
        """No plug: every bio is issued by itself. The fallback's are of scattered 4 KiB pages, like ZERO_PAGE's."""
        scattered = request.crypto != "inline"
        step = zero_page.base_page_bytes if scattered else FACTS.page_bytes(zero_page, kernel)
        most = (_SOFTWARE_PAGES if request.crypto == "software" else BIO_MAX_VECS) * step
        bios = []
        for size, number in _bio_sizes(request, zero_page, kernel):
            for left in range(size * number, 0, -min(size, most)):
                part = min(left, size, most)
                vectors = -(-part // step)
                bios.append(zero_bio(offset, part, step, kernel.room(vectors) if scattered else _room(vectors, kernel)))
                offset += part
        return submit(bios, limits, plug=False, base_page_bytes=zero_page.base_page_bytes)


def _room(vectors: int, kernel: Kernel) -> int:
    """Vectors allocated: always 256, unless the conversion were finished."""
    return kernel.room(vectors) if kernel.finished else BIO_MAX_VECS


CALLER: Caller = FscryptZeroout()
