"""The public face of the structure model: ranges in, counts and histograms out."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from zpmodel.base.errors import InputError
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure.records import COUNTS, WORK, Log
from zpmodel.structure.zeroout import count_into

if TYPE_CHECKING:
    import pandas as pd

Operation = Literal["write", "write_zeroes"]

_LAST_BYTE = (1 << 63) - 1
_FIRST_ROWS, _MANY_ROWS = 128, 1 << 13
_MOST_ROWS = 1 << 24
_FEW_ROWS = 40
_ORDER = np.array([1 << 20, 1 << 12, 1])

Table = npt.NDArray[np.int64]


class Work(NamedTuple):
    """What the kernel's loops do for a range besides what can be traced; it costs instructions, so it is counted.

    :ivar pieces: turns of the loop that cuts a vector into segments (``bvec_split_segs``).
    :ivar slow_visits: vectors that a split's walk could not take by the fast test, the one it stops at included.
    :ivar gap_checks: vectors after a walk's first, with a virt boundary.
    :ivar unwalked: parts of one small vector, which no walk looks at.
    :ivar advanced: vectors that a bio is advanced past when its front is split off.
    :ivar gap_walks: vectors of the newest request's last bio, for each try to merge with a virt boundary.
    :ivar flushes: how many times the plug was flushed, the end included.
    :ivar last_plug: requests in the last flush but one.
    :ivar tables: bios with a vector table of their own (more than 4 vectors).
    """

    pieces: int
    slow_visits: int
    gap_checks: int
    unwalked: int
    advanced: int
    gap_walks: int
    flushes: int
    last_plug: int
    tables: int


@dataclass(frozen=True)
class Structure:
    """What the block layer makes of one range.

    :ivar operation: ``write`` (of zero pages) or ``write_zeroes`` (data-less).
    :ivar length: bytes of the range [byte].
    :ivar bios: bios as submitted, before splitting.
    :ivar vectors: vectors of all bios.
    :ivar vectors_allocated: vectors that the bios' tables have room for.
    :ivar splits: how many times a bio was cut in two.
    :ivar back_merges: how many (parts of) bios joined the request before.
    :ivar requests: requests as the driver gets them; splits + bios = requests + back_merges.
    :ivar segments: segments of all requests.
    :ivar work: what the kernel's loops do besides.
    :ivar bio_table: rows of (bytes, vectors, allocated, count), shape (kinds, 4).
    :ivar request_table: rows of (bytes, segments, offset of the first byte in its 4 KiB page, count), shape (kinds, 4).
    """

    operation: Operation
    length: int
    bios: int
    vectors: int
    vectors_allocated: int
    splits: int
    back_merges: int
    requests: int
    segments: int
    work: Work
    bio_table: Table
    request_table: Table

    def bio_histogram(self) -> list[dict[str, int]]:
        """Bios by size: rows of bytes, bvecs, max_vecs (room in the vector table) and count, the smallest first."""
        return [
            {"bytes": int(a), "bvecs": int(b), "max_vecs": int(c), "count": int(n)} for a, b, c, n in self.bio_table
        ]

    def request_histogram(self) -> list[dict[str, int]]:
        """Requests by size: rows of bytes, segments and count, the smallest first."""
        counts: dict[tuple[int, int], int] = {}
        for size, segments, _, number in self.request_table.tolist():
            counts[size, segments] = counts.get((size, segments), 0) + number
        return [{"bytes": a, "segments": b, "count": n} for (a, b), n in sorted(counts.items())]

    def totals(self) -> dict[str, Any]:
        """The scalar counts by name."""
        names = (
            "operation",
            "length",
            "bios",
            "vectors",
            "vectors_allocated",
            "splits",
            "back_merges",
            "requests",
            "segments",
        )
        return {name: getattr(self, name) for name in names}

    def _repr_html_(self) -> str:
        """The scalar counts as a table of two rows, for notebooks."""
        totals = self.totals()
        names = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in totals)
        values = "".join(f"<td>{v if isinstance(v, str) else f'{v:,}'}</td>" for v in totals.values())
        return f"<table><thead><tr>{names}</tr></thead><tbody><tr>{values}</tr></tbody></table>"

    def as_case(self) -> dict[str, Any]:
        """The counts in the fields of a traced case."""
        return {
            "operation": self.operation,
            "bios": self.bio_histogram(),
            "splits": self.splits,
            "back_merges": self.back_merges,
            "requests": self.request_histogram(),
        }


def check_range(offset: int, length: int, limits: QueueLimits) -> None:
    """Refuse what ``blkdev_issue_zeroout`` answers with EINVAL, and ranges that no device can have.

    :raises InputError: naming the rule.
    """
    block = limits.logical_block_size
    if type(offset) is int and type(length) is int and 0 <= offset <= _LAST_BYTE - length < _LAST_BYTE:
        bad = (offset | length) & (block - 1)
        if not bad:
            return
    for name, value in (("offset", offset), ("length", length)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise InputError("range", name, value, "a whole number of bytes")
        if value < 0 or value % block:
            raise InputError("range", name, int(value), f"a multiple of the logical block size, {block}")
    if length == 0:
        raise InputError("range", "length", 0, f"at least one logical block, {block}")
    if offset + length > _LAST_BYTE:
        raise InputError("range", "offset + length", int(offset) + int(length), "an end below 2^63, the largest device")


def check_ranges(offset: npt.ArrayLike, length: npt.ArrayLike, limits: QueueLimits) -> tuple[Table, Table]:
    """Broadcast offsets and lengths to one dimension, and refuse what :func:`check_range` would.

    :return: offsets and lengths [byte], shape (ranges,).
    :raises InputError: naming the first bad range.
    """
    columns = []
    for name, values in (("offset", np.asarray(offset)), ("length", np.asarray(length))):
        if values.dtype.kind not in "iu":
            if not all(type(value) is int for value in values.ravel().tolist()):
                raise InputError("range", name, values.ravel()[:3].tolist(), "whole numbers of bytes")
            values = values.astype(object)
        columns.append(values)
    try:
        offsets, lengths = (values.ravel() for values in np.broadcast_arrays(*columns))
    except ValueError:
        raise InputError("range", "length", np.shape(length), f"a shape as of offset, {np.shape(offset)}") from None
    block = limits.logical_block_size
    bad = (offsets < 0) | (offsets % block != 0) | (lengths <= 0) | (lengths % block != 0)
    bad = np.asarray(bad, bool) | np.asarray((offsets > _LAST_BYTE) | (lengths > _LAST_BYTE), bool)
    if not bad.any():
        # Both are below 2^63 here, so that nothing wraps round.
        bad = offsets.astype(np.uint64) + lengths.astype(np.uint64) > _LAST_BYTE
    if bad.any():
        first = int(np.argmax(bad))
        check_range(int(offsets[first]), int(lengths[first]), limits)
    return offsets.astype(np.int64), lengths.astype(np.int64)


@overload
def count(zero_page: ZeroPage, limits: QueueLimits, offset: int, length: int) -> Structure: ...
@overload
def count(
    zero_page: ZeroPage, limits: QueueLimits, offset: npt.NDArray[np.int64], length: npt.ArrayLike
) -> "pd.DataFrame": ...
@overload
def count(zero_page: ZeroPage, limits: QueueLimits, offset: int, length: npt.NDArray[np.int64]) -> "pd.DataFrame": ...
def count(zero_page: ZeroPage, limits: QueueLimits, offset: Any, length: Any) -> "Structure | pd.DataFrame":
    """Count the bios, splits, requests and segments of zeroing a range on an otherwise idle queue.

    :param zero_page: the zero page in use (after any fallback).
    :param limits: the device's queue limits.
    :param offset: first byte of the range [byte]; scalar or array.
    :param length: bytes of the range [byte]; scalar or array, broadcast with ``offset``.
    :return: a :class:`Structure` for scalars; for arrays a DataFrame, one row a range, with the scalar counts.
    :raises InputError: on a range that is empty, unaligned to the logical block, or ends past 2^63.
    """
    if (type(offset) is int and type(length) is int) or (np.ndim(offset) == 0 and np.ndim(length) == 0):
        return _count_one(zero_page, limits, offset, length)
    from zpmodel.structure.many import count_many

    rows = check_ranges(offset, length, limits)
    write_zeroes = limits.write_zeroes_max_bytes > 0
    try:
        return count_many(zero_page, limits, *rows, "write_zeroes" if write_zeroes else "write")
    except ArithmeticError:
        raise impossible(limits) from None


def _count_one(zero_page: ZeroPage, limits: QueueLimits, offset: int, length: int) -> Structure:
    check_range(offset, length, limits)
    offset, length = int(offset), int(length)
    kernel_limits = limits.for_kernel(zero_page.base_page_bytes)
    rows = _FIRST_ROWS if kernel_limits.chunk_sectors == 0 else _MANY_ROWS
    while True:
        bios, requests = np.empty((rows, 4), np.int64), np.empty((rows, 4), np.int64)
        outcome = count_into(
            kernel_limits, zero_page.size_bytes, zero_page.base_page_bytes, offset, length, bios, requests
        )
        status, full, bio_kinds, request_kinds, in_order, *numbers = outcome.tolist()
        if status:
            raise impossible(limits)
        if not full:
            break
        assert rows < _MOST_ROWS, "more kinds of requests than a range can have"
        rows = min(16 * rows, _MOST_ROWS)
    tables = bios[:bio_kinds], requests[:request_kinds]
    tables = (tables[0].copy(), tables[1].copy()) if in_order else (_kinds(tables[0]), _kinds(tables[1]))
    return _structure("write_zeroes" if kernel_limits.write_zeroes_sectors else "write", length, numbers, *tables)


def impossible(limits: QueueLimits) -> InputError:
    """What the kernel answers with EINVAL: a logical block that needs more segments than a request may have."""
    accepted = f"enough for a logical block of {limits.logical_block_size} bytes (the kernel fails this write: EINVAL)"
    return InputError(limits.source, "max_segments", limits.max_segments, accepted)


def make_structure(length: int, tally: Table, bios: Log, requests: Log) -> Structure:
    """Put what the kernels counted of a write into a :class:`Structure`.

    :param tally: row of :data:`zpmodel.structure.records.STATE`.
    """
    tables = [_kinds(log.rows[: log.reach["used"][0]]) for log in (bios, requests)]
    return _structure("write", length, tally[: len(COUNTS) + len(WORK)].tolist(), *tables)


def _structure(
    operation: Operation, length: int, numbers: list[int], bio_table: Table, request_table: Table
) -> Structure:
    """A :class:`Structure` of numbers in the order of ``COUNTS`` and ``WORK``."""
    bios, vectors, allocated, splits, back_merges, requests, segments, *work = numbers
    return Structure(
        operation,
        length,
        bios,
        vectors,
        allocated,
        splits,
        back_merges,
        requests,
        segments,
        Work(*work),
        bio_table,
        request_table,
    )


def _kinds(rows: Table) -> Table:
    """One row a kind, the smallest first, of a log's rows."""
    if len(rows) <= _FEW_ROWS:
        counts: dict[tuple[int, int, int], int] = {}
        for size, parts, detail, number in rows.tolist():
            counts[size, parts, detail] = counts.get((size, parts, detail), 0) + number
        return np.array([(*key, counts[key]) for key in sorted(counts)], np.int64).reshape(-1, 4)
    # One number that orders them: less than 2^41 bytes, 2^17 parts, and 4096 bytes or vectors.
    keys: Table = rows[:, :3] @ _ORDER
    if (keys[1:] > keys[:-1]).all():
        return rows.copy()
    order = keys.argsort(kind="stable")
    rows, keys = rows[order], keys[order]
    starts = np.concatenate([[0], np.flatnonzero(keys[1:] != keys[:-1]) + 1])
    found: Table = rows[starts]
    found[:, 3] = np.add.reduceat(rows[:, 3], starts)
    return found
