"""What every user of a zero page has in common: its facts, a request in its own terms, and what it makes of one."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from zpmodel.base.errors import InputError
from zpmodel.queue.kernel import BIO_INLINE_VECS
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure.count import Structure
from zpmodel.structure.zeroout import vector_table

Kind = Literal["dma", "copy", "checksum"]
"""Who reads the zero page: a device, a CPU that copies (or encrypts) it, or a CPU that only sums it up."""

_OLDEST, _UNKNOWN = (6, 12), (8, 0)
# 6.12's code and 6.18's traces say all four, 7.2's traces the asked ones; between was not looked at.
_INLINE_EXACT = (7, 2)


@dataclass(frozen=True, order=True)
class Kernel:
    """A kernel's loops: of a released version, or as they would be with the conversion to large folios finished.

    :ivar version: (major, minor), from 6.12.
    :ivar finished: every user takes the largest folio and asks for vectors by its size; no kernel does that yet.
    """

    version: tuple[int, int]
    finished: bool = False

    @classmethod
    def parse(cls, text: str, where: str = "kernel") -> "Kernel":
        """Read ``6.12``, ``7.3.4``, ``7.3.4-1-amd64`` or ``finished``.

        :raises InputError: on anything else, and on versions whose loops were not read.

        >>> Kernel.parse("7.3.4-1-amd64").version, str(Kernel.parse("finished"))
        ((7, 3), 'finished')
        """
        if text == "finished":
            return FINISHED
        match = re.fullmatch(r"(\d{1,3})\.(\d{1,4})(?:[.+~-][\w.+~-]*)?", text)
        version = (int(match[1]), int(match[2])) if match else (0, 0)
        if not _OLDEST <= version < _UNKNOWN:
            raise InputError(where, "kernel", text, "a version from 6.12 to 7.x, or finished")
        return cls(version)

    @property
    def gives_all_inline(self) -> bool:
        """Whether a bio that asks for one vector gets all that fit it (bio_alloc_bioset, block/bio.c)."""
        return self.version < _INLINE_EXACT

    def room(self, vectors: int) -> int:
        """Vectors that a bio gets when it asks for some: a table's, or those inside the bio."""
        if 0 < vectors <= BIO_INLINE_VECS and self.gives_all_inline:
            return BIO_INLINE_VECS
        return int(vector_table(vectors))

    def __str__(self) -> str:
        return "finished" if self.finished else ".".join(map(str, self.version))


BEFORE, TODAY, FINISHED = Kernel((6, 12)), Kernel((7, 3)), Kernel((7, 3), finished=True)


@dataclass(frozen=True)
class BioRow:
    """Bios that are alike: bytes [byte], vectors used, vectors allocated, and how many bios."""

    bytes: int
    bvecs: int
    max_vecs: int
    count: int


@dataclass(frozen=True)
class CopyRow:
    """Reads of the zero page by a CPU that are alike: bytes of one [byte], and how many."""

    bytes: int
    count: int


@dataclass(frozen=True)
class Counts:
    """What a request makes of the layers below its user.

    :ivar bios: bios of zeroes as submitted, alike ones together, the smallest first.
    :ivar calls: calls that hand the zeroes down (a bio submitted, a send, a copy, a sum).
    :ivar waits: how often the user sleeps for what it handed down.
    :ivar copies: reads of the zero page by a CPU, by size.
    :ivar page_references: references taken on (4 KiB pages of) the zero page, on one shared counter.
    """

    bios: tuple[BioRow, ...] = ()
    calls: int = 0
    waits: int = 0
    copies: tuple[CopyRow, ...] = ()
    page_references: int = 0

    @property
    def bio_count(self) -> int:
        """How many bios."""
        return sum(row.count for row in self.bios)

    @property
    def vectors(self) -> int:
        """Vectors of all bios."""
        return sum(row.bvecs * row.count for row in self.bios)

    @property
    def vectors_allocated(self) -> int:
        """Vectors that the bios' tables have room for."""
        return sum(row.max_vecs * row.count for row in self.bios)

    @property
    def bytes_written(self) -> int:
        """Bytes of all bios [byte]."""
        return sum(row.bytes * row.count for row in self.bios)

    @property
    def bytes_read_by_cpu(self) -> int:
        """Bytes of the zero page that a CPU reads: copied, encrypted or summed up [byte]."""
        return sum(row.bytes * row.count for row in self.copies)

    def as_case(self) -> dict[str, Any]:
        """The counts as a line of output: bios always, the rest where a CPU does the reading or a layer takes pages."""
        case: dict[str, Any] = {"bios": [asdict(row) for row in self.bios]}
        if self.copies:
            case["copies"] = [asdict(row) for row in self.copies]
        if self.copies or self.page_references:
            case["calls"] = self.calls
        if self.page_references:
            case["page_references"] = self.page_references
        return case


def merge_bios(rows: Iterable[tuple[int, int, int, int]]) -> tuple[BioRow, ...]:
    """Put bios of the same size, vectors and room together, the smallest first."""
    counts: Counter[tuple[int, int, int]] = Counter()
    for size, used, room, number in rows:
        counts[size, used, room] += number
    return tuple(BioRow(*key, number) for key, number in sorted(counts.items()) if number)


def merge_copies(rows: Iterable[tuple[int, int]]) -> tuple[CopyRow, ...]:
    """Put reads of the same size together, the smallest first; reads of nothing are none."""
    counts: Counter[int] = Counter()
    for size, number in rows:
        counts[size] += number
    return tuple(CopyRow(size, number) for size, number in sorted(counts.items()) if number and size)


def pieces(length: int, step: int) -> tuple[tuple[int, int], ...]:
    """The turns of a loop that takes ``min(left, step)`` at a time, as (bytes, how many)."""
    return ((step, length // step), (length % step, int(length % step > 0)))


@dataclass(frozen=True)
class Context:
    """What a user has at hand for an on-demand page.

    :ivar mm: whose mm could hold the reference; empty where it runs without one.
    :ivar end: where the reference could be given back when the zeroes have been read.
    """

    mm: str
    end: str


@dataclass(frozen=True)
class Owed:
    """What a user owes for a zero page, and whether it can give it.

    :ivar mm: an mm to hang the reference on.
    :ivar destructor: something that runs when the I/O ends, to give the reference back.
    :ivar fallback_bytes: the page used instead when there is none [byte]; None where that can't be.
    :ivar possible: whether the user can use the page at all.
    :ivar how: in words.
    """

    mm: bool
    destructor: bool
    fallback_bytes: int | None
    possible: bool
    how: str


@dataclass(frozen=True)
class Facts:
    """What is known of a user without asking for anything.

    :ivar name: the kernel's function.
    :ivar title: what people call it.
    :ivar kind: who reads the zero page.
    :ivar source: the file of the kernel, and the loop there.
    :ivar before: the loop of 6.12 in words.
    :ivar today: the loop of 7.3 in words.
    :ivar converted_since: the first kernel that takes the largest folio, None: none does.
    :ivar gone_since: the first kernel without this user, None: it is there.
    :ivar context: what it has at hand for an on-demand page.
    :ivar limited_by: what limits it.
    :ivar why: what converting it gains or loses, with the reason.
    :ivar loses: who loses by a larger zero page, and why; empty: nobody.
    """

    name: str
    title: str
    kind: Kind
    source: str
    before: str
    today: str
    converted_since: tuple[int, int] | None
    context: Context
    limited_by: str
    why: str
    loses: str = ""
    gone_since: tuple[int, int] | None = None

    def page_bytes(self, zero_page: ZeroPage, kernel: Kernel) -> int:
        """The zero page this user really reads in a kernel [byte]: one base page where it was not converted yet."""
        converted = self.converted_since is not None and kernel.version >= self.converted_since
        return zero_page.size_bytes if kernel.finished or converted else zero_page.base_page_bytes

    def require(self, kernel: Kernel) -> None:
        """Refuse kernels that this user is gone from.

        :raises InputError: naming the first such kernel.
        """
        if self.gone_since is not None and kernel.version >= self.gone_since and not kernel.finished:
            gone = ".".join(map(str, self.gone_since))
            raise InputError(self.name, "kernel", str(kernel), f"one before {gone}, which has it no more")

    def owes(self, zero_page: ZeroPage) -> Owed:
        """What this user owes for a zero page, and how it could pay."""
        needs_mm, needs_end = zero_page.needs_mm, zero_page.needs_destructor
        if not needs_mm:
            how = "nothing: a drop-in for ZERO_PAGE"
        elif not self.context.mm:
            how = f"it has no mm to hang the reference on; {self.context.end}"
        else:
            how = f"a reference in {self.context.mm}; {self.context.end}"
        possible = not needs_mm or bool(self.context.mm)
        return Owed(needs_mm, needs_end, zero_page.fallback_bytes, possible, how)


class Caller(Protocol):
    """A user of zero pages. To add one: a file that ends in ``CALLER = ...``, and a line in ``callers/find.py``."""

    @property
    def facts(self) -> Facts:
        """What is known of it."""
        ...

    @property
    def request_type(self) -> type:
        """A frozen dataclass with a request's fields, in this user's own terms; msgspec checks them."""
        ...

    def typical(self) -> Any:
        """The request that tables show."""
        ...

    def count(self, zero_page: ZeroPage, request: Any, kernel: Kernel) -> Counts:
        """Count what a request makes.

        :param zero_page: the largest zero page the kernel has (after any fallback).
        :param request: a ``request_type``.
        :param kernel: whose loop.
        :raises InputError: on a request that the kernel would refuse.
        """
        ...

    def structure(
        self, zero_page: ZeroPage, request: Any, kernel: Kernel, limits: QueueLimits, offset: int = 0
    ) -> Structure | None:
        """What the block layer makes of a request's zeroes; None for a user that makes no bios.

        :param offset: where on the device the first zero goes [byte].
        :raises InputError: on a request that the kernel would refuse.
        """
        ...
