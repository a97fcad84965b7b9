"""Which counts answer for which kernel: the driver before 6.17 fills scatterlists, the one after walks an iterator."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.base.estimate import Estimate
from zpmodel.kernel_cpu.instructions import WorkCosts, fit_work, read_table
from zpmodel.kernel_cpu.nvme import Host, NvmeCosts, PartCosts, fit_nvme, kernel_version
from zpmodel.kernel_cpu.stacks import Stack, StackCosts, fit_stacks
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import count

ITERATOR_FROM = (6, 17)
"""The first kernel whose driver maps with the block layer's DMA iterator (drivers/nvme/host/pci.c)."""

_EARLIEST = (5, 0)
_COUNTED = {"scatterlist": (6, 12), "iterator": (7, 3)}
_TABLES = {"scatterlist": "nvme-instructions-6.12.csv", "iterator": "nvme-instructions.csv"}
_OWN_TABLES = {"iterator": "nvme-instructions-7.3-own.csv"}
"""Where slow paths were counted, of the same kernel in another build, for a table that has not."""
_BLOCK_TABLES = {
    "6.12": "zeroout-instructions-6.12.csv",
    "7.2": "zeroout-instructions.csv",
    "7.3": "zeroout-instructions-7.3-tiny.csv",
}
_ROUNDED_TO = {"7.2": 1000}  # what a table's counts are rounded to [instructions]
_OTHER_KERNEL = 0.05
"""How far a kernel that was not counted may be from its neighbour, 90 %: 173 against 176 instructions a vector from 7.2
to 7.3, and as much again for what changes elsewhere."""


@dataclass(frozen=True)
class Question:
    """One zero-out on one host.

    :ivar kernel: version, such as 7.3.4.
    :ivar host: IOMMU and SGLs.
    :ivar limits: of the queue.
    :ivar zero_page: in use.
    :ivar length: bytes of the range [byte].
    """

    kernel: str
    host: Host
    limits: QueueLimits
    zero_page: ZeroPage
    length: int


@dataclass(frozen=True)
class Answer:
    """Instructions of a zero-out.

    :ivar requests: NVMe commands.
    :ivar prepare: mean of a request, in ``nvme_prep_rq``.
    :ivar unmap: mean of a request, in ``nvme_unmap_data``.
    :ivar block_layer: of the whole zero-out, submission and completion, without the driver.
    :ivar counted_on: kernel whose driver was counted.
    """

    requests: int
    prepare: Estimate
    unmap: Estimate
    block_layer: Estimate
    counted_on: str


def answer(question: Question, source: str = "kernel") -> Answer:
    """Predict the driver's and the block layer's instructions.

    :raises InputError: on a kernel that nobody counted, a range or limits that can't be, or data-less Write Zeroes.
    """
    version = kernel_version(question.kernel, source)
    if not _EARLIEST <= version < (8, 0):
        raise InputError(source, "kernel", question.kernel, "a version from 5.0 to 7.x")
    driver = driver_of(version)
    structure = count(question.zero_page, question.limits, 0, question.length)
    prepare, unmap = nvme_costs(driver).predict(structure, question.host)
    block = block_costs(version).predict(question.zero_page, question.limits, question.length)
    nvme_doubt = _OTHER_KERNEL if version != _COUNTED[driver] else 0.0
    block_doubt = _OTHER_KERNEL if ".".join(map(str, version)) not in _BLOCK_TABLES else 0.0
    return Answer(
        structure.requests,
        _widened(prepare, nvme_doubt),
        _widened(unmap, nvme_doubt),
        _widened(block, block_doubt),
        ".".join(map(str, _COUNTED[driver])),
    )


def driver_of(version: tuple[int, int]) -> str:
    """The way of mapping, ``scatterlist`` or ``iterator``, of a kernel's driver."""
    return "iterator" if version >= ITERATOR_FROM else "scatterlist"


@cache
def nvme_costs(driver: str) -> NvmeCosts:
    """Costs of one way of mapping, as ``tools/fit_costs.py`` fitted them to the shipped counts."""
    parts = _kept()["nvme"][driver]
    return NvmeCosts(*(PartCosts(*_arrays(parts[name])) for name in ("prepare", "unmap")))


def block_costs(version: tuple[int, int]) -> WorkCosts:
    """The block layer's costs of the last kernel counted before a version, or of the first, kept likewise."""
    counted = [name for name in _BLOCK_TABLES if kernel_version(name) <= version]
    # From 6.17 on the driver maps otherwise; the block layer came with it.
    return _block_costs("7.2" if ITERATOR_FROM <= version < (7, 2) else counted[-1] if counted else "6.12")


@cache
def _block_costs(name: str) -> WorkCosts:
    return WorkCosts(*_arrays(_kept()["block"][name]))


@cache
def stack_costs(stack: Stack) -> StackCosts:
    """Costs of virtio_blk, or of what stacks on a device, counted on 7.3; kept likewise."""
    return StackCosts(*_arrays(_kept()["stack"][stack]))


def fit_all() -> dict[str, dict[str, dict[str, Any]]]:
    """Fit every kind of cost to the shipped counts; it takes seconds, so the outcome is kept in a file."""
    nvme, block = {}, {}
    for driver, name in _TABLES.items():
        own = _OWN_TABLES.get(driver)
        like = fit_nvme(pd.read_csv(shipped.data("kernel", own))) if own else None
        found = fit_nvme(pd.read_csv(shipped.data("kernel", name)), like)
        nvme[driver] = {"prepare": _plain(found.prepare), "unmap": _plain(found.unmap)}
    for kernel, name in _BLOCK_TABLES.items():
        table = read_table(shipped.data("kernel", name))
        block[kernel] = _plain(fit_work(table, rounded_to=_ROUNDED_TO.get(kernel, 1)))
    virtio, stacked = (
        pd.read_csv(shipped.data("kernel", f"{name}-instructions.csv")) for name in ("virtio", "stacked")
    )
    tiny = fit_work(read_table(shipped.data("kernel", _BLOCK_TABLES["7.3"])))
    stacks: dict[str, Any] = {str(name): _plain(found) for name, found in fit_stacks(virtio, stacked, tiny).items()}
    return {"nvme": nvme, "block": block, "stack": stacks}


def _kept() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(shipped.data("kernel", "costs.json").read_text(encoding="utf-8"))
    return found


def _plain(costs: Any) -> dict[str, Any]:
    """A record of numbers and arrays as JSON has it, six digits each."""
    return {name: np.vectorize(lambda v: float(f"{v:.6g}"))(value).tolist() for name, value in vars(costs).items()}


def _arrays(kept: dict[str, Any]) -> list[Any]:
    return [np.array(value) if isinstance(value, list) else value for value in kept.values()]


def _widened(estimate: Estimate, share: float) -> Estimate:
    return Estimate(estimate.value, estimate.low * (1 - share), estimate.high * (1 + share))
