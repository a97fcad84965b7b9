"""Read a machine's fragmentation and counters, and turn them into the inputs of the on-demand folio's life."""

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import betaincinv, gammaincinv  # scipy.stats takes half a second to import

from zpmodel.base.errors import InputError
from zpmodel.base.estimate import TAILS, Estimate
from zpmodel.base.files import read_bounded

PMD_ORDER = 9
"""Order of a PMD folio with 4 KiB pages and 2 MiB PMDs: 512 pages."""

COMPACTION_THRESHOLD = 0.5
"""extfrag index up to which the kernel does not compact (vm.extfrag_threshold, default 500 of 1000)."""

USABLE_TYPES = ("Unmovable", "Movable", "Reclaimable")
"""Free blocks that an unmovable order-9 allocation may take; those of HighAtomic, CMA and Isolate it may not."""


def _read(path: str | Path) -> str:
    try:
        return read_bounded(path).decode("ascii")
    except (OSError, ValueError) as error:
        raise InputError(str(path), "file", str(error), "a readable file of /proc (pagetypeinfo: as root)") from None


def read_buddyinfo(path: str | Path = "/proc/buddyinfo") -> pd.DataFrame:
    """Free blocks by zone and order: ``node zone order free_blocks``.

    :raises InputError: on a file of another kind.
    """
    rows = []
    for line in _read(path).splitlines():
        match = re.fullmatch(r"Node\s+(\d+), zone\s+(\S+)((?:\s+\d{1,15})+)\s*", line)
        if match is None:
            raise InputError(str(path), "line", line, "Node N, zone NAME and a number for each order")
        counts = [int(text) for text in match[3].split()]
        rows += [(int(match[1]), match[2], order, count) for order, count in enumerate(counts)]
    if not rows:
        raise InputError(str(path), "lines", "none", "a line for each zone")
    return pd.DataFrame(rows, columns=["node", "zone", "order", "free_blocks"])


def read_pagetypeinfo(path: str | Path = "/proc/pagetypeinfo") -> pd.DataFrame:
    """Free blocks by zone, migrate type and order: ``node zone type order free_blocks``.

    Counts that the kernel cuts off (``>100000``) are taken at the limit.

    :raises InputError: on a file of another kind.
    """
    rows = []
    for line in _read(path).splitlines():
        match = re.fullmatch(r"Node\s+(\d+), zone\s+(\S+), type\s+(\S+)((?:\s+>?\d{1,15})+)\s*", line)
        if match is not None:
            counts = [int(text.lstrip(">")) for text in match[4].split()]
            rows += [(int(match[1]), match[2], match[3], order, count) for order, count in enumerate(counts)]
    if not rows:
        raise InputError(str(path), "lines", "none", "lines Node N, zone NAME, type NAME and a number for each order")
    return pd.DataFrame(rows, columns=["node", "zone", "type", "order", "free_blocks"])


def read_free_blocks(path: str | Path) -> pd.DataFrame:
    """A copy of /proc/pagetypeinfo or of /proc/buddyinfo, whichever it is.

    :raises InputError: on a file of another kind.
    """
    if "Free pages count per migrate type" in _read(path):
        return read_pagetypeinfo(path)
    return read_buddyinfo(path)


def read_vmstat(path: str | Path = "/proc/vmstat") -> dict[str, int]:
    """The kernel's counters by name.

    :raises InputError: on a file of another kind.
    """
    counters = {}
    for line in _read(path).splitlines():
        match = re.fullmatch(r"(\w+)\s+(-?\d{1,20})", line)
        if match is None:
            raise InputError(str(path), "line", line, "a name and a whole number")
        counters[match[1]] = int(match[2])
    if not counters:
        raise InputError(str(path), "lines", "none", "names and numbers")
    return counters


def usable_blocks(frame: pd.DataFrame) -> pd.DataFrame:
    """Free blocks by zone and order that an order-9 kernel allocation may take.

    Zone DMA is left out: lowmem_reserve keeps it for those who need it.

    :param frame: of :func:`read_pagetypeinfo` (better), or of :func:`read_buddyinfo`, which can't tell the types apart.
    :return: ``node zone order free_blocks``.
    """
    mine = frame[frame["zone"] != "DMA"]
    if "type" in mine:
        mine = mine[mine["type"].isin(USABLE_TYPES)]
    return mine.groupby(["node", "zone", "order"])["free_blocks"].sum().reset_index()


def _orders(free_blocks: ArrayLike, order: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    blocks = np.asarray(free_blocks, dtype=np.float64)
    if blocks.ndim != 1 or blocks.size <= order or order < 0 or np.any(blocks < 0):
        raise InputError(
            "extfrag", "free_blocks", blocks.tolist(), f"a number of 0 or more for each order, past {order}"
        )
    return blocks


def extfrag_index(free_blocks: ArrayLike, order: int = PMD_ORDER) -> float:
    """Why an allocation would fail, as the kernel computes it (``__fragmentation_index`` in mm/vmstat.c).

    -1: it would not fail, a block is free. Towards 0: for lack of memory. Towards 1: for fragmentation.

    :param free_blocks: free blocks of one zone, order 0 first.
    :param order: of the allocation.
    :raises InputError: on negative numbers and too few orders.
    """
    blocks = _orders(free_blocks, order)
    total = blocks.sum()
    if total == 0:
        return 0.0
    if blocks[order:].sum() > 0:
        return -1.0
    pages = float(blocks @ 2.0 ** np.arange(blocks.size))
    return float(1 - (1 + pages / 2**order) / total)


def compaction_success(vmstat: Mapping[str, int]) -> Estimate:
    """Probability that a direct compaction makes a block, from ``compact_success`` and ``compact_fail`` (Jeffreys)."""
    good, bad = vmstat.get("compact_success", 0), vmstat.get("compact_fail", 0)
    return _share(good, bad, f"compact_success {good}, compact_fail {bad}")


ENOUGH = 20
"""Allocations that must have been counted before the counters speak for themselves."""


def failure_probability(
    frame: pd.DataFrame, vmstat: Mapping[str, int], *, order: int = PMD_ORDER, least: int = ENOUGH
) -> Estimate:
    """Probability that allocating a PMD folio fails on this machine.

    What the kernel counted for the zero folio itself comes first, then what it counted for other PMD folios (page
    faults), and only then an estimate from a snapshot: no free block at another moment (their number taken as Poisson
    around the one seen), and a compaction that fails, or is not tried because memory is lacking.

    :param frame: of :func:`read_pagetypeinfo` or :func:`read_buddyinfo`.
    :param vmstat: of :func:`read_vmstat`.
    :param order: of the folio.
    :param least: allocations that must have been counted, or the counters are passed over.
    """
    for good, bad in (
        ("thp_zero_page_alloc", "thp_zero_page_alloc_failed"),
        ("thp_fault_alloc", "thp_fault_fallback"),
    ):
        if vmstat.get(good, 0) + vmstat.get(bad, 0) >= least:
            return _share(vmstat.get(bad, 0), vmstat.get(good, 0), f"counters {bad} / ({good} + {bad})")
    zones = usable_blocks(frame)
    if zones.empty:
        raise InputError("buddy lists", "zones", "none", "at least one zone other than DMA")
    large = int(zones[zones["order"] >= order]["free_blocks"].sum())
    # Jeffreys' posterior of a Poisson mean after one count is Gamma(count + 1/2); P(none) is the mean of exp(-m).
    none = [0.5 ** (large + 0.5), *(math.exp(-float(gammaincinv(large + 0.5, q))) for q in reversed(TAILS))]
    blocks = zones.groupby("order")["free_blocks"].sum().to_numpy()
    index = extfrag_index(blocks, order)
    text = f"{large} free blocks of order {order} or more"
    if 0 <= index <= COMPACTION_THRESHOLD:
        return Estimate(none[0], none[1], none[2], f"{text}; extfrag index {index:.2f}: too little memory to compact")
    rescue = compaction_success(vmstat)
    lost = (1 - rescue.value, 1 - rescue.high, 1 - rescue.low)
    values = [a * b for a, b in zip(none, lost, strict=True)]
    return Estimate(values[0], values[1], values[2], f"{text}; {rescue.source}")


def scans_per_s(before: Mapping[str, int], after: Mapping[str, int], seconds: float) -> float:
    """Passes of the shrinkers between two readings of vmstat [1/s].

    Every round of kswapd (``pageoutrun``), every direct reclaim (``allocstall_*``) and every drop of slabs calls them.

    :param seconds: time between the readings [s].
    :raises InputError: on a time that is not positive, and when counters run backwards.
    """
    if not seconds > 0:
        raise InputError("vmstat", "seconds", seconds, "a positive time [s]")
    names = [n for n in after if n in ("pageoutrun", "drop_slab") or n.startswith("allocstall")]
    total = sum(after[name] - before.get(name, 0) for name in names)
    if total < 0:
        raise InputError("vmstat", "counters", total, "readings in order, of the same boot")
    return total / seconds


def scans_since_boot(root: str | Path = "/proc") -> Estimate:
    """Passes of the shrinkers since boot [1/s], with the interval of a Poisson rate (Jeffreys).

    Pressure comes and goes: the mean since boot says nothing of an hour.

    :param root: /proc, or a folder with copies of its ``vmstat`` and ``uptime``.
    :raises InputError: on files of another kind.
    """
    text = _read(Path(root) / "uptime").split()
    try:
        seconds = float(text[0])
    except (IndexError, ValueError):
        raise InputError(str(Path(root) / "uptime"), "seconds", " ".join(text), "two numbers of seconds") from None
    rate = scans_per_s({}, read_vmstat(Path(root) / "vmstat"), seconds)
    passes = round(rate * seconds)
    low, high = (float(gammaincinv(passes + 0.5, q)) / seconds for q in TAILS)
    return Estimate(rate, low, high, f"{passes} passes of the shrinkers in {seconds:.0f} s since boot, by vmstat")


def failure_here(root: str | Path = "/proc") -> Estimate:
    """:func:`failure_probability` of a machine: of its free lists by migrate type where they can be read (as root).

    :param root: /proc, or a folder with copies of its ``vmstat`` and ``buddyinfo`` (or ``pagetypeinfo``).
    :raises InputError: on files of another kind.
    """
    folder, types = Path(root), Path(root) / "pagetypeinfo"
    readable = types.exists() and os.access(types, os.R_OK)
    frame = read_pagetypeinfo(types) if readable else read_buddyinfo(folder / "buddyinfo")
    return failure_probability(frame, read_vmstat(folder / "vmstat"))


def _share(hits: int, misses: int, source: str) -> Estimate:
    """Jeffreys' estimate and interval of a share."""
    posterior = (hits + 0.5, misses + 0.5)
    low, high = (float(betaincinv(*posterior, q)) for q in TAILS)
    return Estimate(posterior[0] / sum(posterior), low, high, source)
