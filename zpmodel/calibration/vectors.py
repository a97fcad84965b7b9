"""What a 4 KiB vector costs, read off the growth of CPU time with the block size at each depth, without a model.

A data set with one kind of buffer alone can't tell a vector from its bytes, unless the device fetches them itself: then
bytes cost no CPU time, and the slope is the vector's. Depths differ by far more than noise (how many completions an
interrupt brings differs), so that the interval is of the scatter between depths: what to expect at yet another one.
"""

import math

import numpy as np
import pandas as pd
from scipy import stats

from zpmodel.base.estimate import LEVEL, Estimate
from zpmodel.datasets.schema import DataSet

_FEWEST_BLOCKS = 3


def vector_slopes(data: DataSet) -> pd.DataFrame:
    """The Theil-Sen slope of CPU time over vectors at each depth, blocks of one vector left out.

    One vector has a way of its own through the driver (``nvme_setup_prp_simple``: no table, no list), so the step to
    two is no vector's cost.

    :return: ``depth``, ``blocks`` used and ``vector_s`` [s]; empty where bytes cost CPU time as well.
    """
    rows: list[tuple[int, int, float]] = []
    small = data.plain[(data.plain["memory"] == "malloc") & data.plain["cpu_s"].notna()]
    if not data.copies and len(small):
        medians = small.groupby(["depth", "block_bytes"])["cpu_s"].median().reset_index()
        medians["vectors"] = [data.structure(int(size), "malloc").vectors for size in medians["block_bytes"]]
        for depth, mine in medians[medians["vectors"] > 1].groupby("depth"):
            if len(mine) >= _FEWEST_BLOCKS:
                slope = stats.theilslopes(mine["cpu_s"].to_numpy(), mine["vectors"].to_numpy()).slope
                rows.append((int(str(depth)), len(mine), float(slope)))
    return pd.DataFrame(rows, columns=["depth", "blocks", "vector_s"])


def vector_cost(slopes: pd.DataFrame) -> Estimate | None:
    """CPU time of a vector at a depth that was not measured [s]: geometric mean over depths, Student's interval.

    :return: None where fewer than two depths have a slope above zero: then these data don't say.
    """
    good = slopes["vector_s"].to_numpy(float)
    logs = np.log(good[good > 0])
    if len(logs) < 2:
        return None
    width = float(stats.t.ppf((1 + LEVEL) / 2, len(logs) - 1)) * logs.std(ddof=1) * math.sqrt(1 + 1 / len(logs))
    centre = float(logs.mean())
    low, high = math.exp(centre - width), math.exp(centre + width)
    return Estimate(math.exp(centre), low, high, f"slopes at {len(logs)} depths")
