"""What the kernel's own zero-out costs a CPU, in instructions: one cost for each kind of work, counted exactly.

``blkdev_issue_zeroout()`` on a device that completes at once is CPU work alone. Its counts follow from the structure;
four costs carry nearly all of it (the call, a bio, a vector, a request). Of the loops inside (a vector cut into
segments, a plug flushed, a bio advanced past its vectors) a few sizes of request and page can't tell one from the
other, so their costs start from those of a kernel where every size was counted, and move only as far as the data ask.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from zpmodel.base.errors import InputError
from zpmodel.base.estimate import Estimate
from zpmodel.base.files import read_text
from zpmodel.base.table import LARGEST_BYTES, read_columns
from zpmodel.base.units import KIB
from zpmodel.queue.kernel import BIO_INLINE_VECS
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import Structure, count

Floats = npt.NDArray[np.float64]

WORK = (
    "call",
    "bio",
    "table",
    "table_vector",
    "vector",
    "request",
    "visit",
    "piece",
    "passed",
    "gap",
    "gap_walk",
    "flush",
    "worker",
)
"""Kinds of work, in this order.

``call``: one zero-out, with the wait for it. ``bio``: a bio allocated, submitted, completed. ``table``: a vector
table that is not inline, and ``table_vector`` its room, which kernels with ``init_on_alloc`` clear. ``vector``: a
vector added and walked. ``request``: a request made, issued and completed. ``visit``: a vector looked at by the slow
way of ``bio_split_io_at``, and ``piece`` a segment cut there. ``passed``: a vector that ``bio_advance`` steps over
after a split. ``gap``: two vectors compared because of a virt boundary, and ``gap_walk`` a vector passed on the way
to a bio's last one for that. ``flush``: a plug issued. ``worker``: a further request of the last plug, which a worker
issues.
"""

LOOPS = ("table_vector", "vector", "visit", "piece", "passed", "gap", "gap_walk")
"""Those of a vector: short loops, whose instructions run faster than calls, locked operations and misses elsewhere."""

_BUILD = np.array(
    [7331, 50, 459.5, 3.09, 171.4, 2071.4, 32.18, 31.07, 6.96, 3.25, 13.24, 90.3, 105.8],
    dtype=float,
)
"""Instructions of each in a 7.2.13 kernel with ``init_on_alloc``.

Non-negative least squares of relative errors over the 890 ranges in zeroout-instructions-7.2-mitigated.csv without a
scheduler and with merging; ``bio`` is held, because call, table and vector, which come with every bio, leave it within
their errors of 0, where no other kernel could move it from. The root mean square of what is left is 0.5 %.
``tests/test_kernel_work.py`` repeats the fit.
"""

_DOUBT = np.array([0.5, 1.0, 0.6, 1.0, 0.3, 0.5, 0.1, 0.1, 0.2, 0.2, 0.2, 0.4, 0.4])
"""How far another build's costs may be from these, as shares: loops of a few lines compile alike, call chains do not,
and whether vector tables are cleared is an option."""

_MISFIT = 0.005
"""What the best fit to all ranges of one kernel leaves unexplained, one standard deviation [1]."""

_INTERVAL = 1.645  # standard deviations of a 90 % interval


def work_of(structure: Structure) -> Floats:
    """Count the work of one zero-out, shape (kinds,), in the order of :data:`WORK`.

    :param structure: what :func:`zpmodel.structure.count` makes of the range of the range.
    :raises InputError: on data-less Write Zeroes, which have no vectors.
    """
    if structure.operation != "write":
        raise InputError("kernel work", "operation", structure.operation, "write: limits without Write Zeroes")
    table, work = structure.bio_table, structure.work
    outline = table[table[:, 2] > BIO_INLINE_VECS]
    return np.array(
        [
            1,
            structure.bios,
            work.tables,
            int((outline[:, 2] * outline[:, 3]).sum()),
            structure.vectors,
            structure.requests,
            work.slow_visits,
            work.pieces,
            work.advanced,
            work.gap_checks,
            work.gap_walks,
            work.flushes,
            work.last_plug,
        ],
        dtype=float,
    )


def count_work(zero_page: ZeroPage, limits: QueueLimits, length: int, offset: int = 0) -> Floats:
    """Count the work of zeroing a range, shape (kinds,): :func:`work_of` its structure."""
    return work_of(count(zero_page, limits, offset, length))


_LIMITS = (
    *("max_sectors", "max_segments", "max_segment_size", "virt_boundary_mask"),
    *("logical_block_size", "nomerges", "scheduler"),
)
_ACCEPTED = "a table with a header line: zero page, limits and length of each zero-out"
_RANGE = ("zero_page_bytes", "offset_bytes", "length_bytes")


_Whole = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class _ZeroOut(msgspec.Struct):
    """What each row of a table must say; whole numbers."""

    zero_page_bytes: _Whole
    max_sectors: _Whole
    max_segments: _Whole
    max_segment_size: _Whole
    offset_bytes: _Whole
    length_bytes: _Whole


def read_table(path: Path | str) -> pd.DataFrame:
    """Read a table of zero-outs: instructions or nanoseconds by page, limits and range.

    :return: the file's columns, and ``zero_page_bytes``, ``max_sectors``, ``offset_bytes`` where it says them
        otherwise.
    :raises InputError: where it is no table, a column is missing, or a value is no whole number.
    """
    try:
        table = read_columns(read_text(path, LARGEST_BYTES), str(path), _ACCEPTED)
    except (OSError, ValueError) as error:
        raise InputError(str(path), "file", str(error), _ACCEPTED) from None
    folio, kib = (table.get(name) for name in ("persistent_huge_zero_folio", "max_sectors_kb"))
    if "zero_page_bytes" not in table and folio is not None and folio.dtype == bool:
        table["zero_page_bytes"] = np.where(folio, 2048 * KIB, 4 * KIB)
    if "max_sectors" not in table and kib is not None and kib.dtype.kind == "i":
        table["max_sectors"] = kib * 2
    if "offset_bytes" not in table:
        table["offset_bytes"] = 0
    for name in _ZeroOut.__struct_fields__:
        if name not in table:
            raise InputError(str(path), "column", name, _ACCEPTED)
    try:
        msgspec.convert(table[[*_ZeroOut.__struct_fields__]].to_dict("records"), list[_ZeroOut])
    except msgspec.ValidationError as error:
        raise InputError(str(path), "rows", str(error), _ACCEPTED) from None
    return table


def limits_of(row: Mapping[Hashable, Any]) -> QueueLimits:
    """The queue limits of one row of :func:`read_table`."""
    return QueueLimits.from_mapping({name: row[name] for name in _LIMITS if name in row}, source="table")


def table_work(table: pd.DataFrame) -> Floats:
    """Count the work of each row of :func:`read_table`, shape (rows, kinds)."""
    keys = [name for name in (*_LIMITS, *_RANGE) if name in table]
    counted: dict[tuple[Any, ...], Floats] = {}
    rows = []
    for row in table[keys].to_dict("records"):
        key = tuple(row.values())
        if key not in counted:
            page = ZeroPage("folio", row["zero_page_bytes"])
            counted[key] = count_work(page, limits_of(row), row["length_bytes"], row["offset_bytes"])
        rows.append(counted[key])
    return np.array(rows)


@dataclass(frozen=True)
class WorkCosts:
    """Fitted instructions of each kind of work.

    :ivar costs: in the order of :data:`WORK` [instructions], shape (kinds,).
    :ivar covariance: of ``costs``, shape (kinds, kinds).
    """

    costs: Floats
    covariance: Floats

    def predict(self, zero_page: ZeroPage, limits: QueueLimits, length: int, offset: int = 0) -> Estimate:
        """Instructions of zeroing a range, with the interval of costs and of what the model leaves unexplained."""
        return self.of(count_work(zero_page, limits, length, offset))

    def of(self, work: Floats) -> Estimate:
        """Instructions of counted work of shape (kinds,)."""
        value = float(work @ self.costs)
        wide = _INTERVAL * float(np.hypot(np.sqrt(work @ self.covariance @ work), _MISFIT * value))
        return Estimate(value, max(0.0, value - wide), value + wide)


def fit_work(table: pd.DataFrame, *, rounded_to: float = 1.0) -> WorkCosts:
    """Fit instruction costs to rows of :func:`read_table` with ``instructions``; few rows move few costs.

    Least squares with normal priors, no cost negative.

    :param rounded_to: what the counts are rounded to [instructions]: an error of its own, which weighs on short ranges.
    :raises InputError: without rows, or without counts.
    """
    from scipy.optimize import nnls  # half a second to import

    if table.empty or "instructions" not in table or not (table["instructions"] > 0).all():
        raise InputError("kernel work", "instructions", len(table), "at least one row, counts above 0")
    work, counted = table_work(table), table["instructions"].to_numpy(float)
    sigma = np.hypot(rounded_to / np.sqrt(12), _MISFIT * counted)
    scale = _BUILD * _DOUBT
    # In units of each prior's width, so that the solver sees columns of one size.
    system = np.vstack([work * scale / sigma[:, None], np.eye(len(WORK))])
    found, _ = nnls(system, np.concatenate([counted / sigma, 1 / _DOUBT]))
    covariance = np.linalg.inv(system.T @ system)
    return WorkCosts(found * scale, covariance * np.outer(scale, scale))
