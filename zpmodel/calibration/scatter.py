"""By how much points that were left out lie off their prediction: what a prediction's interval has to hold."""

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from zpmodel.base.estimate import DEVIATIONS, LEVEL
from zpmodel.timing.machine import LARGE_BYTES, Scatter

Floats = npt.NDArray[np.float64]

UNTOLD_SCATTER = 0.5
"""Log standard deviation of what was never held out: anything from half to double."""

ENOUGH = 8
"""Points, to say by how much they scatter."""


def widest(table: pd.DataFrame, name: str) -> float:
    """Log standard deviation of held-out points around their prediction, so that nine of ten are inside an interval.

    Zeroing is done in large pieces, one at a time, from pages of one kind. Such points may lie off further than most,
    all to one side where costs grow with what is in flight: the widest of all, of large and of each such kind counts.

    :param table: as :func:`zpmodel.calibration.left_out.left_out` or ``ratio_table`` return it; ``name``: of what.
    """
    told = _off(table, name)
    if told.empty:
        return UNTOLD_SCATTER
    logs, large = told["off"].to_numpy(), told["block_bytes"].to_numpy() >= LARGE_BYTES
    alone = large & (told["depth"].to_numpy() == 1)
    pages = told["memory"].to_numpy() if "memory" in told else np.full(len(told), "")
    kinds = [alone & (pages == each) for each in np.unique(pages)]
    parts = [logs, *(logs[some] for some in (large, *kinds) if some.sum() >= ENOUGH)]
    return float(max(np.quantile(part, LEVEL) for part in parts)) / DEVIATIONS


def of_writes(table: pd.DataFrame, name: str) -> Scatter:
    """What fio's own writes scatter by, inside the measured range by size, and at each of its ends.

    What was left out at an end of the range was predicted from beyond it, and says by how much one is off there; the
    rest says it of the inside.

    :param table: as :func:`widest` takes it; ``name``: of what.
    """
    told = _off(table, name)
    if told.empty:
        return Scatter(*[UNTOLD_SCATTER] * len(Scatter._fields))
    parts = told["left_out"].str.split(" ")
    way, value = parts.str[0], parts.str[1].astype(float)
    first, last = (value.groupby(way).transform(end) == value for end in ("min", "max"))
    inside, large = ~(first | last), told["block_bytes"] >= LARGE_BYTES
    kept = told[inside] if inside.sum() >= ENOUGH else told
    sizes = [kept[part[kept.index]] for part in (~large, large)]
    own = [_of_one_more(some if len(some) >= ENOUGH else kept) for some in sizes]
    ends = [
        _at_end(told[end & (way == name_of)], value[way == name_of], at_first)
        for name_of in ("depth", "block_bytes")
        for at_first, end in ((True, first), (False, last))
    ]
    return Scatter(*own, *ends)


def _at_end(points: pd.DataFrame, values: pd.Series, at_first: bool) -> float:
    """What points at an end of the range scatter by, for each doubling from there to the nearest other; 0 of too few.

    :param values: depths or block sizes that were left out.
    """
    if len(points) < ENOUGH:
        return 0.0
    steps = np.sort(values.unique())
    nearest = steps[:2] if at_first else steps[-2:]
    return _of_one_more(points) / math.sqrt(max(1.0, math.log2(nearest[-1] / nearest[0])))


def _of_one_more(points: pd.DataFrame) -> float:
    """Log standard deviation of points around their prediction.

    What is to be predicted is one more of them: of n that are alike nine tenths of n + 1 lie within it (split conformal
    prediction, Vovk et al. 2005). Both memories of a block size and depth, left out in either way, count as one.
    """
    alike = len(points[["block_bytes", "depth"]].drop_duplicates())
    return float(np.quantile(points["off"], min(1.0, LEVEL * (1 + 1 / alike)))) / DEVIATIONS


def _off(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The held-out points of which a quantity is known, and how far they are off their prediction [log]."""
    told = table.dropna(subset=[name, f"{name}_predicted"]) if name in table else table.iloc[:0]
    return told.assign(off=np.abs(np.log(told[name].astype(float) / told[f"{name}_predicted"].astype(float))))
