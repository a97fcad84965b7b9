"""What else spends instructions below the block layer: virtio_blk, and what stacks on another device (loop, dm-linear).

virtio_blk (drivers/block/virtio_blk.c) fills a scatterlist and writes a descriptor for each segment, into a table of
the request's own where the device has indirect descriptors, else into the ring; lists of more than two are allocated
(``VIRTIO_BLK_INLINE_SG_CNT``). A loop device with direct I/O (drivers/block/loop.c) hands each request to a worker,
which sends it as a bio to what is below. A dm target (drivers/md/dm.c) clones each bio whole; what is below cuts it.
Costs of a stack are those over null_blk alone, so they hold the lower queue's own request.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from zpmodel.base.errors import InputError
from zpmodel.base.units import KIB
from zpmodel.kernel_cpu.instructions import WORK, WorkCosts, work_of
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import Structure, count

Floats = npt.NDArray[np.float64]
Stack = Literal["virtio-blk", "virtio-blk-no-indirect", "loop", "dm-linear"]

STACKS: dict[Stack, tuple[str, ...]] = {
    "virtio-blk": ("request", "segment", "table"),
    "virtio-blk-no-indirect": ("request", "segment", "table"),
    "loop": ("call", "request", "vector", "large vector"),
    "dm-linear": ("bio", "split"),
}
"""Kinds of work of each. ``table``: a scatterlist that is not inline. ``call``: the worker woken and waited for.
``large vector``: one of more than a page, which the queue below looks at the slow way: the block layer's own costs.
``split``: a clone cut below."""

_INLINE_SEGMENTS = 2  # VIRTIO_BLK_INLINE_SG_CNT
_PAGE = 4 * KIB


def stack_work(stack: Stack, structure: Structure) -> Floats:
    """Count the work of a range, shape (kinds,), in the order of :data:`STACKS`.

    :raises InputError: on data-less Write Zeroes, which have no vectors.
    """
    if structure.operation != "write":
        raise InputError("stack", "operation", structure.operation, "write: limits without Write Zeroes")
    if stack == "dm-linear":
        return np.array([structure.bios, structure.requests - structure.bios], dtype=float).clip(0)
    if stack == "loop":
        # A cut through a vector makes two of it.
        vectors = max(structure.vectors, structure.requests)
        large = vectors if structure.length > vectors * _PAGE else 0
        return np.array([1, structure.requests, vectors, large], dtype=float)
    segments, number = structure.request_table[:, 1], structure.request_table[:, 3]
    tables = int(number[segments > _INLINE_SEGMENTS].sum())
    return np.array([structure.requests, structure.segments, tables], dtype=float)


@dataclass(frozen=True)
class StackCosts:
    """Fitted instructions.

    :ivar costs: of each kind of work [instructions], shape (kinds,).
    :ivar worst: the largest distance of the fit to a counted row, as a share of what was counted.
    """

    costs: Floats
    worst: float


def fit_stacks(virtio: pd.DataFrame, stacked: pd.DataFrame, block: WorkCosts) -> dict[Stack, StackCosts]:
    """Fit every stack to its counted rows, least squares of relative errors, no cost negative.

    :param virtio: as data/kernel/virtio-instructions.csv; of a ring, only calls that never found it full.
    :param stacked: as data/kernel/stacked-instructions.csv.
    :param block: costs of the same kernel's block layer.
    """
    found: dict[Stack, StackCosts] = {}
    rings: dict[Stack, int] = {"virtio-blk": 1, "virtio-blk-no-indirect": 0}
    for stack, indirect in rings.items():
        rows = virtio[(virtio["indirect"] == indirect) & (virtio["adds"] == virtio["requests"])]
        parts = [f"{part}_instructions" for part in ("prepare", "add", "detach", "unmap")]
        found[stack] = _fit(stack, rows, np.zeros(len(rows)), rows[parts].sum(axis=1).to_numpy(float))
    loop = stacked[stacked["device"] == "loop0"]
    upper = np.array([work_of(row_structure(row)) @ block.costs for _, row in loop.iterrows()])
    large = float(block.costs[[WORK.index("visit"), WORK.index("piece")]].sum())
    found["loop"] = _fit("loop", loop, upper, loop["instructions"].to_numpy(float), (large,))
    keys = ["zero_page_bytes", "length_bytes"]
    bare = stacked[(stacked["device"] == "nullb0") & (stacked["max_sectors_kb"] == stacked["max_sectors_kb"].max())]
    clones = stacked[stacked["device"] == "dm-0"].merge(bare[[*keys, "instructions"]], on=keys, suffixes=("", "_bare"))
    # dm cuts nothing by its own max_sectors: the queue below does.
    clones["max_sectors_kb"] = int(bare["max_sectors_kb"].iloc[0])
    below = clones["instructions_bare"].to_numpy(float)
    found["dm-linear"] = _fit("dm-linear", clones, below, clones["instructions"].to_numpy(float))
    return found


def row_structure(row: pd.Series) -> Structure:
    """The structure of a row of either table."""
    limits = QueueLimits(
        2 * int(row["max_sectors_kb"]), int(row["max_segments"]), int(row.get("max_segment_size", UINT_MAX))
    )
    return count(ZeroPage("folio", int(row["zero_page_bytes"])), limits, 0, int(row["length_bytes"]))


def _fit(
    stack: Stack, rows: pd.DataFrame, without: Floats, counted: Floats, held: tuple[float, ...] = ()
) -> StackCosts:
    """Fit the costs of all kinds but the last ones, which are held."""
    from scipy.optimize import nnls  # half a second to import

    work = np.array([stack_work(stack, row_structure(row)) for _, row in rows.iterrows()])
    free = work.shape[1] - len(held)
    rest = counted - without - work[:, free:] @ np.array(held)
    found, _ = nnls(work[:, :free] / counted[:, None], rest / counted)
    costs = np.concatenate([found, held])
    return StackCosts(costs, float(np.abs((work @ costs + without) / counted - 1).max()))
