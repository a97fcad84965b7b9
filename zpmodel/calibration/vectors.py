"""What a 4 KiB vector costs, read off the growth of CPU time with the block size at each depth, without a model.

A data set with one kind of buffer alone can't tell a vector from its bytes, unless the device fetches them itself: then
bytes cost no CPU time, and the slope is the vector's. But larger blocks also keep the device busy for longer, so that
the thread sleeps for more of them: fio counts its sleeps, and what one costs is found beside the vectors. And after a
longer sleep all instructions take longer, fio's own too, which never touch a vector: where the kernel's share of the
time is known, it alone is looked at, and the interval reaches down to what is left if it slowed as much as fio did.

Slopes scatter between the depths by more than noise, so the interval is of that: what to expect at another depth.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from zpmodel.base.estimate import LEVEL, Estimate
from zpmodel.calibration.observed import FLOOR
from zpmodel.datasets.schema import DataSet

Floats = npt.NDArray[np.float64]

_FEWEST_BLOCKS = 3


def vector_slopes(data: DataSet) -> pd.DataFrame:
    """The slopes of a data set, as :func:`slopes_of` has them; empty where bytes cost CPU time as well."""
    small = data.plain[(data.plain["memory"] == "malloc") & data.plain["cpu_s"].notna()]
    if data.copies:
        small = small.iloc[:0]
    if (small["kernel_s"] > 0).all():
        small = small.assign(cpu_s=small["kernel_s"], own_s=small["cpu_s"] - small["kernel_s"])
    else:
        small = small.assign(own_s=math.nan)
    medians = small.groupby(["depth", "block_bytes"])[["cpu_s", "own_s", "waits"]].median().reset_index()
    medians["vectors"] = [data.structure(int(size), "malloc").vectors for size in medians["block_bytes"]]
    return slopes_of(medians)


def slopes_of(points: pd.DataFrame) -> pd.DataFrame:
    """How CPU time grows with vectors at each depth, sleeps taken off, blocks of one vector left out.

    One vector has a way of its own through the driver (``nvme_setup_prp_simple``: no table, no list), so the step to
    two is no vector's cost.

    :param points: ``depth``, ``vectors`` of an I/O, ``cpu_s`` [s] positive; ``own_s``: what the program that submits
        took beside it [s], and ``waits``: sleeps of an I/O; NaN where nobody knows.
    :return: ``depth``, ``blocks`` used, ``vector_s`` [s], and ``slower_s``: how much of it would be there if the time
        grew by as large a part as the program's own does [s].
    """
    several = points[points["vectors"] > 1]
    kept = several[several.groupby("depth")["vectors"].transform("nunique") >= _FEWEST_BLOCKS]
    rows: list[tuple[int, int, float, float]] = []
    vector_s, own_s = _growth(kept, "cpu_s"), _growth(kept, "own_s")
    for depth, mine in kept.groupby("depth") if vector_s else ():
        times = mine["cpu_s"].mean() / mine["own_s"].mean()
        rows.append((int(str(depth)), len(mine), vector_s[depth], max(0.0, own_s.get(depth, 0.0) * times)))
    return pd.DataFrame(rows, columns=["depth", "blocks", "vector_s", "slower_s"])


def _growth(points: pd.DataFrame, name: str) -> dict[Any, float]:
    """Time of a further vector at each depth [s], with what sleeps cost taken off: found for all depths together, where
    sleeps were counted and vary within a depth; empty where there is no time.

    By least squares, in which each block counts by its lever: 8 and 16 KiB are two vectors apart, 32 and 64 KiB eight.
    """
    depths, vectors, known = points["depth"], points["vectors"].to_numpy(float), points[name].to_numpy(float)
    if points.empty or not (known > 0).all():
        return {}
    levels = [(depths == depth).to_numpy(float) for depth in depths.unique()]
    waits = points["waits"].to_numpy(float)
    if np.isfinite(waits).all() and (points["waits"].groupby(depths).transform("std") > 0).any():
        _, sleep_s, *_ = _least_squares([vectors, waits, *levels], known, known)
        awake = known - max(0.0, sleep_s) * waits
    else:
        awake = known
    here = [at > 0 for at in levels]
    slopes = [_least_squares([vectors[at], np.ones(at.sum())], awake[at], known[at])[0] for at in here]
    return dict(zip(depths.unique(), slopes, strict=True))


def _least_squares(columns: list[Floats], values: Floats, size: Floats) -> list[float]:
    """Coefficients of the columns, errors relative to ``size``."""
    rows = np.column_stack(columns) / size[:, None]
    return [float(each) for each in np.linalg.lstsq(rows, values / size, rcond=None)[0]]


def vector_cost(slopes: pd.DataFrame) -> Estimate | None:
    """CPU time of a vector at a depth that was not measured [s]: geometric mean over depths, Student's interval.

    :return: None where fewer than two depths have a slope above zero: then these data don't say.
    """
    good = slopes[slopes["vector_s"] > 0]
    logs = np.log(good["vector_s"].to_numpy(float))
    if len(logs) < 2:
        return None
    scatter = max(FLOOR, float(logs.std(ddof=1)))  # few depths may agree by chance
    width = float(stats.t.ppf((1 + LEVEL) / 2, len(logs) - 1)) * scatter * math.sqrt(1 + 1 / len(logs))
    centre = float(logs.mean())
    low = max(0.0, math.exp(centre - width) - float(good["slower_s"].median()))
    return Estimate(math.exp(centre), low, math.exp(centre + width), f"slopes at {len(logs)} depths")
