"""What the NVMe driver spends on a request, in instructions: exact counts of work x a fitted cost of each kind.

The kinds are those of ``nvme_prep_rq`` and ``nvme_unmap_data`` (drivers/nvme/host/pci.c, Linux 6.12 and 7.3) and of
what they call to map memory (block/blk-mq-dma.c, drivers/iommu/dma-iommu.c). One segment takes a fast path; more, or
one that PRPs can't hold without SGLs, go through an iterator (before 6.17 a scatterlist). A translating IOMMU makes one
range of all segments, so the driver sees one: from 32 KiB on that is a single SGL descriptor, however many pages.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from zpmodel.base.errors import InputError
from zpmodel.base.estimate import LEVEL, Estimate
from zpmodel.kernel_cpu.in_flight import Events, Expected, counted, expect
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.presets import nvme
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import Structure, count
from zpmodel.structure.nvme import PRP_PAGE, SGL_THRESHOLD

Floats = npt.NDArray[np.float64]
Iommu = Literal["none", "passthrough", "lazy", "strict"]
IOMMUS: tuple[Iommu, ...] = ("none", "passthrough", "lazy", "strict")

PREPARE = (
    *("simple", "simple_prp", "iterated", "retried", "sgl_check"),
    *("sgl_segment", "prp_segment", "large_segment", "entry", "list", "sgl_list"),
    *("mapping", "iova", "link", "page", "run"),
)
"""Kinds of preparing work. ``simple``: a command by the fast path, ``simple_prp`` with PRPs instead of its SGL.
``iterated``: one by the slow path; ``retried``: after the fast one gave up. ``sgl_check``: a controller with SGLs is
asked whether they are forced. ``sgl_segment``: one found, mapped directly and written as a descriptor,
``prp_segment`` one from inside the loop that writes PRPs, ``large_segment`` one of more than a page (6.12 has a shorter
way for the others). ``entry``: a PRP of 4 KiB. ``list``: a page of PRPs from its pool (small up to 32, then of 512),
``sgl_list`` one of SGL descriptors. Translating: ``mapping``: the fast path's; ``iova``: a range for all segments,
``link`` a segment in it; ``page``: an entry of the IOMMU's table; ``run``: a segment of several.
"""

UNMAP = (
    *("simple", "iterated", "list", "segment"),
    *("mapping", "iova", "page", "strict_mapping", "strict_iova", "drained_mapping", "drained_iova"),
)
"""Kinds of unmapping work: as above; ``strict_``: the flush of each, ``drained_``: a place in the lazy queue that is
full within the call (256 places; what is left, a timer flushes)."""

_FLUSH_QUEUE = 256  # IOVA_DEFAULT_FQ_SIZE
_LIST_ENTRIES = PRP_PAGE // 8
_TRANSLATING = ("lazy", "strict")
_ROUNDS = 30
_LEAST_SPREAD = 0.004  # what two builds of one source and pool refills differ by, one standard deviation [1]
_PRIOR = 0.001  # weight of costs staying small where no row tells kinds apart


@dataclass(frozen=True)
class Host:
    """What below the block layer decides the path.

    :ivar iommu: how DMA addresses are made.
    :ivar sgl: whether the controller has SGLs.
    """

    iommu: Iommu = "none"
    sgl: bool = True

    @property
    def translating(self) -> bool:
        """Whether an IOMMU's table must be written for each request."""
        return self.iommu in _TRANSLATING


def nvme_limits(
    kernel: str, mdts: int, iommu: Iommu, max_sectors_kb: int | None = None, *, source: str = "nvme"
) -> QueueLimits:
    """Queue limits as the driver of a kernel sets them, ``max_sectors_kb`` [KiB] lowered as sysfs allows.

    :raises InputError: on a kernel, MDTS or size that can't be.
    """
    limits = nvme(mdts, kernel_version(kernel, source), translating_iommu=iommu in _TRANSLATING)
    if max_sectors_kb is None:
        return limits
    most = limits.max_hw_sectors // 2 or limits.max_sectors // 2
    if not 4 <= max_sectors_kb <= most:
        raise InputError(source, "max_sectors_kb", max_sectors_kb, f"4 to {most} with MDTS {mdts} and this IOMMU")
    return replace(limits, max_sectors=2 * max_sectors_kb)


def kernel_version(text: str, source: str = "kernel") -> tuple[int, int]:
    """Major and minor of a kernel's name such as 7.3 or 6.12.117-1.

    :raises InputError: on anything else.
    """
    parts = text.split("-")[0].split(".")
    if len(parts) < 2 or not all(part.isascii() and part.isdigit() for part in parts[:2]):
        raise InputError(source, "kernel", text, "a version such as 6.12 or 7.3.4")
    return int(parts[0]), int(parts[1])


def prepare_work(structure: Structure, host: Host) -> Floats:
    """Count the work of preparing all requests of a range, shape (kinds,), in the order of :data:`PREPARE`."""
    k = _Kinds(structure, host)
    return k.sum(
        *(k.simple, k.simple & k.small, k.iterated, k.iterated & (k.segments == 1), k.one * host.sgl),
        *(k.direct * ~k.prp * k.segments, k.direct * k.prp * k.segments, k.direct * k.large),
        *(k.prp * k.pages, k.prp * k.lists, k.sgl_list),
        *(k.simple & k.translated, k.iterated & k.translated, k.translated * k.iterated * k.segments),
        *(k.translated * k.mapped, k.translated * k.large),
    )


def unmap_work(structure: Structure, host: Host) -> Floats:
    """Count the work of unmapping all requests of a range, shape (kinds,), in the order of :data:`UNMAP`."""
    k = _Kinds(structure, host)
    number = max(1, structure.requests)
    drained = host.iommu == "lazy" and number // _FLUSH_QUEUE * _FLUSH_QUEUE / number
    strict = host.iommu == "strict"
    mapping, iova = k.simple & k.translated, k.iterated & k.translated
    return k.sum(
        *(k.simple, k.iterated, k.prp * k.lists + k.sgl_list),
        *(k.direct * k.segments, mapping, iova, k.translated * k.mapped),
        *(mapping * strict, iova * strict, mapping * drained, iova * drained),
    )


def expected_events(structure: Structure, host: Host) -> Expected:
    """Slow-path events of a request of a range, where nobody counted them."""
    kinds = _Kinds(structure, host)
    iterated = float(kinds.sum(kinds.iterated)[0])
    return expect(structure, iterated, translating=host.translating, lazy=host.iommu == "lazy")


class _Kinds:
    """The kinds of requests of a range as columns, and which path each takes (``nvme_map_data``)."""

    def __init__(self, structure: Structure, host: Host) -> None:
        size, self.segments, start, self.number = structure.request_table.T
        self.one = np.ones_like(size)
        self.pages = (start + size + PRP_PAGE - 1) // PRP_PAGE
        self.mapped = np.maximum(self.pages, self.segments)
        self.translated = np.full(len(size), host.translating)
        self.large = np.minimum(self.segments, self.mapped - self.segments)
        self.small = start + size <= 2 * PRP_PAGE
        self.simple = (self.segments == 1) & (self.small | host.sgl)
        self.iterated = ~self.simple
        seen = np.where(self.translated, 1, np.maximum(1, self.segments))
        by_sgl = self.iterated & host.sgl & (-(-size // seen) >= SGL_THRESHOLD)
        self.prp = self.iterated & ~by_sgl
        self.sgl_list = by_sgl & (seen > 1)
        self.direct = self.iterated & ~self.translated
        listed = np.where(self.pages > 2, self.pages - 1, 0)
        # The last entry of a full list points to the next one.
        self.lists = np.where(listed > _LIST_ENTRIES, -(-(listed - 1) // (_LIST_ENTRIES - 1)), listed > 0)

    def sum(self, *columns: npt.NDArray[Any]) -> Floats:
        return np.array([float(np.sum(column * self.number)) for column in columns])


@dataclass(frozen=True)
class PartCosts:
    """Fitted instructions of one part of a request's life.

    :ivar costs: of each kind [instructions], shape (kinds,).
    :ivar covariance: of ``costs``, shape (kinds, kinds).
    :ivar below: what rows of the same form lie off the fit, at the interval's edge, as a share.
    :ivar events: of each event of a slow path [instructions], in the order of :class:`Events`, shape (4,).
    """

    costs: Floats
    covariance: Floats
    below: float
    events: Floats

    def mean(self, work: Floats, requests: int, events: Expected) -> Estimate:
        """Mean of a request [instructions] from the work of all of them, with its 90 % interval."""
        each = work / requests
        direct = float(each @ self.costs)
        value, low, high = (
            direct + float(np.asarray(e) @ self.events) for e in (events.value, events.low, events.high)
        )
        wide = np.hypot(1.645 * max(0.0, float(each @ self.covariance @ each)) ** 0.5, self.below * value)
        return Estimate(value, max(0.0, min(low, value) - wide), max(high, value) + wide)


@dataclass(frozen=True)
class NvmeCosts:
    """Fitted instructions of preparing and unmapping, for one kernel's driver."""

    prepare: PartCosts
    unmap: PartCosts

    def predict(self, structure: Structure, host: Host, happened: Events | None = None) -> tuple[Estimate, Estimate]:
        """Mean instructions of preparing and of unmapping a request of a range of written zero pages.

        :param happened: events of slow paths a request, where they were counted.
        :raises InputError: on data-less Write Zeroes, which map nothing.
        """
        _check(structure)
        events = expected_events(structure, host) if happened is None else Expected(happened, happened, happened)
        return (
            self.prepare.mean(prepare_work(structure, host), structure.requests, events),
            self.unmap.mean(unmap_work(structure, host), structure.requests, events),
        )


def _check(structure: Structure) -> None:
    if structure.operation != "write":
        raise InputError("nvme work", "operation", structure.operation, "write: limits without Write Zeroes")


def row_structure(row: Mapping[Hashable, Any]) -> tuple[Structure, Host]:
    """The structure and path of one row of a counted table (columns as in data/kernel/nvme-instructions.csv)."""
    host = Host(row["iommu"], bool(row["sgl"]))
    limits = nvme_limits(str(row["kernel"]), int(row["mdts"]), host.iommu, _lowered(row))
    return _count(int(row["zero_page_bytes"]), limits, int(row["length_bytes"])), host


@lru_cache(maxsize=4096)
def _count(page: int, limits: QueueLimits, length: int) -> Structure:
    """Tables have the same range under every IOMMU and with SGLs or without."""
    return count(ZeroPage("folio", page), limits, 0, length)


def _lowered(row: Mapping[Hashable, Any]) -> int:
    kernel = kernel_version(str(row["kernel"]))
    hardware = nvme(int(row["mdts"]), kernel, translating_iommu=row["iommu"] in _TRANSLATING).max_hw_sectors // 2
    return min(int(row["max_sectors_kb"]), hardware)


def fit_nvme(table: pd.DataFrame, like: NvmeCosts | None = None) -> NvmeCosts:
    """Fit costs to the counted rows of one kernel: least absolute relative errors, no cost negative.

    Absolute, because rows whose slow paths nobody counted hold what is no property of the request.

    :param table: columns ``iommu, sgl, mdts, zero_page_bytes, max_sectors_kb, length_bytes, prepare_instructions,
        unmap_instructions`` and ``kernel``; and those of :data:`zpmodel.kernel_cpu.in_flight.COLUMNS`, if counted.
    :param like: costs of the same driver, whose events' costs are taken where the table has no such columns.
    :raises InputError: without rows.
    """
    if table.empty:
        raise InputError("nvme work", "rows", 0, "at least one counted row")
    records = table.to_dict("records")
    rows = [row_structure(row) for row in records]
    translating = np.array([host.translating for _, host in rows])
    happened = [counted(row) for row in records]
    known = all(events is not None for events in happened)
    # A part's own events: the tree and slabs made while preparing, the rest while unmapping.
    found = []
    for work_of, column, own in ((prepare_work, "prepare", slice(0, 2)), (unmap_work, "unmap", slice(2, 4))):
        work = np.array([work_of(structure, host) / structure.requests for structure, host in rows])
        events = np.zeros((len(rows), 4))
        if known:
            events[:, own] = np.array(happened, dtype=float)[:, own]
        part = _fit(work, events, table[f"{column}_instructions"].to_numpy(float), translating & (not known))
        held = np.zeros(4) if like is None else getattr(like, column).events
        found.append(part if known else replace(part, events=held))
    return NvmeCosts(*found)


def _fit(work: Floats, events: Floats, truth: Floats, disturbed: npt.NDArray[np.bool_]) -> PartCosts:
    """Fit one part; ``disturbed`` rows hold slow paths that nobody counted."""
    from scipy.optimize import nnls  # half a second to import

    kinds = work.shape[1]
    system, weight = np.hstack([work, events]) / truth[:, None], np.ones(len(truth))
    scale = np.maximum(np.linalg.norm(system, axis=0), 1e-12)
    prior = np.eye(len(scale)) * _PRIOR * _LEAST_SPREAD
    for _ in range(_ROUNDS):
        stacked = np.vstack([system * weight[:, None] / scale, prior])
        found, _residual = nnls(stacked, np.concatenate([weight, np.zeros(len(scale))]))
        error = system @ (found / scale) - 1
        weight = 1 / np.sqrt(np.maximum(np.abs(error), _LEAST_SPREAD) / _LEAST_SPREAD)
    covariance = np.linalg.inv(stacked.T @ stacked) * _LEAST_SPREAD**2 / np.outer(scale, scale)
    direct = np.abs(error if disturbed.all() else error[~disturbed])
    below = float(max(2 * _LEAST_SPREAD, np.quantile(direct, LEVEL)))
    costs = found / scale
    return PartCosts(costs[:kinds], covariance[:kinds, :kinds], below, costs[kinds:])
