"""A data set in tables: medians with intervals, and the paired contrast of the two memories."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from zpmodel.base.estimate import TAILS, Floats
from zpmodel.base.units import GIB
from zpmodel.datasets.schema import KEYS, DataSet

_RESAMPLES = 1000

CONTRAST_COLUMNS = (
    *("block_bytes", "depth", "pairs"),
    *(f"{name}{end}" for name in ("throughput", "cpu", "cpu_saved_ns_per_vector") for end in ("", "_low", "_high")),
)
"""Of :func:`contrast`, empty or not."""


def medians(data: DataSet, seed: int = 0) -> pd.DataFrame:
    """Medians over replicates with bootstrap intervals: a row for each block size, depth and memory.

    :return: the keys, ``replicates``, and with ``_low`` and ``_high`` beside each: ``bytes_per_s`` [byte/s],
        ``gib_per_s`` [GiB/s], ``cpu_s_per_gib`` [s/GiB] and ``cpu_us_per_io`` [us].
    """
    rng = np.random.default_rng(seed)
    rows = []
    for key, members in data.writes.groupby(list(KEYS), sort=True):
        block = key[0]
        rate, cpu = members["rate"].to_numpy(), members["cpu_s"].to_numpy()
        pick = rng.integers(0, len(rate), (_RESAMPLES, len(rate)))
        row = {**dict(zip(KEYS, key, strict=True)), "replicates": len(rate)}
        for name, values in (
            ("bytes_per_s", rate * block),
            ("gib_per_s", rate * block / GIB),
            ("cpu_s_per_gib", cpu / block * GIB),
            ("cpu_us_per_io", cpu * 1e6),
        ):
            row |= _median(name, values, pick)
        rows.append(row)
    return pd.DataFrame(rows)


def contrast(data: DataSet, seed: int = 0) -> pd.DataFrame:
    """2 MiB against 4 KiB vectors, replicate by replicate, as they ran back to back.

    :return: a row for each block size and depth that has both: ``pairs``, the median ratios ``throughput`` and
        ``cpu`` (2 MiB / 4 KiB) with bootstrap intervals in ``_low`` and ``_high``, and ``cpu_saved_ns_per_vector``
        [ns] likewise: the CPU time that the vectors of 4 KiB cost, over how many more of them there are.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for _, members in data.writes.groupby(["block_bytes", "depth"], sort=True):
        block, depth = int(members["block_bytes"].iloc[0]), int(members["depth"].iloc[0])
        wide = members.pivot_table(index="replicate", columns="memory", values=["rate", "cpu_s"]).dropna()
        if wide.empty or not {"malloc", "mmaphuge"} <= set(members["memory"]):
            continue
        more = data.structure(block, "malloc").vectors - data.structure(block, "mmaphuge").vectors
        ratios = {
            "throughput": (wide["rate", "mmaphuge"] / wide["rate", "malloc"]).to_numpy(),
            "cpu": (wide["cpu_s", "mmaphuge"] / wide["cpu_s", "malloc"]).to_numpy(),
            "cpu_saved_ns_per_vector": (
                (wide["cpu_s", "malloc"] - wide["cpu_s", "mmaphuge"]).to_numpy() / more * 1e9
                if more
                else np.array([np.nan])
            ),
        }
        row: dict[str, float] = {"block_bytes": block, "depth": depth, "pairs": len(wide)}
        for name, values in ratios.items():
            row |= _median(name, values, rng.integers(0, len(values), (_RESAMPLES, len(values))))
        rows.append(row)
    return pd.DataFrame(rows, columns=list(CONTRAST_COLUMNS))


def _median(name: str, values: Floats, picks: npt.NDArray[np.int64]) -> dict[str, float]:
    """The median as ``name``, with its interval over bootstrap ``picks``, shape (resamples, values)."""
    low, high = np.quantile(np.median(values[picks], axis=1), TAILS)
    return {name: float(np.median(values)), f"{name}_low": float(low), f"{name}_high": float(high)}
