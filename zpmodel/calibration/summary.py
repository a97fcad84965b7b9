"""A data set in tables: medians with intervals, and the paired contrast of the two memories.

Both are of the runs under the queue's own limits: what `measure` did with ``max_sectors_kb`` lowered tells costs apart,
and is nobody's throughput. Both keep their columns when there is nothing to show.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from zpmodel.base.estimate import DEVIATIONS, TAILS, Floats
from zpmodel.base.units import GIB
from zpmodel.datasets.point import MEMORIES
from zpmodel.datasets.schema import KEYS, DataSet

_RESAMPLES = 1000
_UNTOLD = 0.1  # log standard deviation of a run where nothing was repeated, as a fit takes it

_MEDIANS = ("bytes_per_s", "gib_per_s", "cpu_s_per_gib", "cpu_us_per_io")
_RATIOS = ("throughput", "cpu", "cpu_saved_ns_per_vector")


def medians(data: DataSet, seed: int = 0) -> pd.DataFrame:
    """Medians over replicates with bootstrap intervals: a row for each block size, depth and memory.

    A single run shows no spread: it is given that of the points that were repeated.

    :return: the keys, ``replicates``, and with ``_low`` and ``_high`` beside each: ``bytes_per_s`` [byte/s],
        ``gib_per_s`` [GiB/s], ``cpu_s_per_gib`` [s/GiB] and ``cpu_us_per_io`` [us]; NaN where CPU was not measured.
    """
    rng = np.random.default_rng(seed)
    rows = []
    spreads = {name: _typical(data.plain, name) for name in ("rate", "cpu_s")}
    alike = [spreads[name] for name in ("rate", "rate", "cpu_s", "cpu_s")]
    for key, members in data.plain.groupby(list(KEYS), sort=True):
        block = key[0]
        rate, cpu = members["rate"].to_numpy(), members["cpu_s"].to_numpy()
        pick = rng.integers(0, len(rate), (_RESAMPLES, len(rate)))
        row = {**dict(zip(KEYS, key, strict=True)), "replicates": len(rate)}
        # A reading of nothing is anything up to what the clock would show, all of them alike.
        open_s = np.where(_at_floor(members), members["rounding_s"].to_numpy(), 0.0)
        exact = np.zeros(len(rate))
        columns = (
            (rate * block, exact),
            (rate * block / GIB, exact),
            (cpu / block * GIB, open_s / block * GIB),
            (cpu * 1e6, open_s * 1e6),
        )
        for name, (values, left_open), spread in zip(_MEDIANS, columns, alike, strict=True):
            row |= _median(name, values, pick, _around(values, spread), left_open)
        rows.append(row)
    return pd.DataFrame(rows, columns=[*KEYS, "replicates", *_with_ends(_MEDIANS)])


def contrast(data: DataSet, seed: int = 0) -> pd.DataFrame:
    """2 MiB against 4 KiB vectors, replicate by replicate, as they ran back to back.

    A single pair shows no spread: it is given that of the points that have several.

    :return: a row for each block size and depth that has both: ``pairs``, the median ratios ``throughput`` and
        ``cpu`` (2 MiB / 4 KiB) with bootstrap intervals in ``_low`` and ``_high``, and ``cpu_saved_ns_per_vector``
        [ns] likewise: the CPU time that the vectors of 4 KiB cost, over how many more of them there are. NaN where
        the CPU was not measured, or read as 0 by a clock too coarse.
    """
    rng = np.random.default_rng(seed)
    rows = []
    spreads = _typical_of_pairs(data)
    index = ["block_bytes", "depth", "replicate"]
    plain = data.plain.assign(cpu_s=data.plain["cpu_s"].mask(_at_floor(data.plain)))
    pairs = plain.pivot_table(index=index, columns="memory", values=["rate", "cpu_s"])
    pairs = pairs.reindex(columns=pd.MultiIndex.from_product([["rate", "cpu_s"], MEMORIES]))
    blocks, depths = (pairs.index.get_level_values(name).to_numpy() for name in index[:2])
    every = pairs.to_numpy(dtype=float)
    # Arrays and no tables for each point, which took longer than all the rest of a report's numbers.
    edges = np.flatnonzero((np.diff(blocks) != 0) | (np.diff(depths) != 0)) + 1
    for wide in np.split(np.arange(len(pairs)), edges):
        rates, cpus = every[wide, :2], every[wide, 2:]
        rates, cpus = rates[~np.isnan(rates).any(axis=1)], cpus[(cpus > 0).all(axis=1)]
        if not len(rates):
            continue
        block, depth = int(blocks[wide[0]]), int(depths[wide[0]])
        more = data.structure(block, "malloc").vectors - data.structure(block, "mmaphuge").vectors
        saved = (cpus[:, 0] - cpus[:, 1]) * 1e9
        values = (rates[:, 1] / rates[:, 0], cpus[:, 1] / cpus[:, 0], saved / more if more else saved[:0])
        row: dict[str, float] = {"block_bytes": block, "depth": depth, "pairs": len(rates)}
        # The difference errs by as much of the larger pages' time as the ratio of both does.
        ratio, each = _around(values[1], spreads["cpu_s"]), cpus[:, 0] * 1e9 / (more or 1)
        less = ((1 - ratio[1]) * each, (1 - ratio[0]) * each)
        ends = (_around(values[0], spreads["rate"]), ratio, less)
        for name, found, alone in zip(_RATIOS, values, ends, strict=True):
            picks = rng.integers(0, max(1, len(found)), (_RESAMPLES, len(found)))
            row |= _median(name, found, picks, alone)
        rows.append(row)
    return pd.DataFrame(rows, columns=["block_bytes", "depth", "pairs", *_with_ends(_RATIOS)])


def _at_floor(writes: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Runs whose CPU time, of all threads together, reads as nothing."""
    half = writes["rounding_s"].to_numpy()
    return np.asarray((half > 0) & (writes["cpu_s"].to_numpy() <= half * (1 + 1e-9)))


def _with_ends(names: tuple[str, ...]) -> list[str]:
    return [f"{name}{end}" for name in names for end in ("", "_low", "_high")]


def _typical(writes: pd.DataFrame, name: str) -> float:
    """Log standard deviation of a run of those points that were repeated, in the middle of them."""
    values = writes.set_index(list(KEYS))[name]
    return _middle(values.where(values > 0), list(KEYS))


def _typical_of_pairs(data: DataSet) -> dict[str, float]:
    """The same of the ratio of the two memories of a pair, for ``rate`` and ``cpu_s``."""
    index = ["block_bytes", "depth", "replicate"]
    found = {}
    for name in ("rate", "cpu_s"):
        wide = data.plain.pivot_table(index=index, columns="memory", values=name).reindex(columns=list(MEMORIES))
        ratio = wide[MEMORIES[1]] / wide[MEMORIES[0]]
        found[name] = _middle(ratio.where(ratio > 0), index[:2])
    return found


def _middle(values: pd.Series, levels: list[str]) -> float:
    """The median of the log standard deviations of positive values that share what the index says at these levels."""
    spreads = values.transform(np.log).groupby(level=levels).std().dropna()  # of none the median is a warning, pandas 2
    return float(spreads.median()) if len(spreads) else _UNTOLD


def _around(values: Floats, spread: float) -> tuple[Floats, Floats]:
    """Ends of the interval of each value by itself; ``spread``: its log standard deviation."""
    return values * np.exp(-DEVIATIONS * spread), values * np.exp(DEVIATIONS * spread)


def _median(
    name: str,
    values: Floats,
    picks: npt.NDArray[np.int64],
    alone: tuple[Floats, Floats],
    left_open: Floats | float = 0.0,
) -> dict[str, float]:
    """The median as ``name``, with its interval over bootstrap ``picks``, shape (resamples, values); NaN of none.

    :param alone: the interval of each value by itself: that of a single one, which shows no spread.
    :param left_open: how much smaller, as far as nothing, or larger each value may be.
    """
    if not len(values):
        return dict.fromkeys(_with_ends((name,)), float("nan"))
    if len(values) > 1 and not np.any(left_open):
        low, high = np.quantile(np.median(values[picks], axis=1), TAILS)
    else:
        ends = alone if len(values) == 1 else (values, values)
        least = np.where(np.asarray(left_open) > 0, np.maximum(0.0, ends[0] - left_open), ends[0])
        low, high = (
            np.quantile(np.median(end[picks], axis=1), tail)
            for end, tail in zip((least, ends[1] + left_open), TAILS, strict=True)
        )
    return {name: float(np.median(values)), f"{name}_low": float(low), f"{name}_high": float(high)}
