"""How much of a region that is gone through again and again still sits in a cache."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zpmodel.base.accelerate import kernel


@kernel
def miss_share(region_bytes: float, cache_bytes: float) -> float:
    """Share of a region's lines that miss a cache when the region is gone through in a cycle.

    A cache of C lines with random replacement, cycled over W lines: a line survives the m*W replacements of one
    round with probability exp(-m*W/C), so that ``1 - m = exp(-m*W/C)``; m = 0 up to W = C. (With true LRU it would
    jump from 0 to 1 at W = C. Real caches lie between; sliced, hashed last-level caches close to random.)

    :param region_bytes: W x line [byte].
    :param cache_bytes: C x line [byte].
    :return: m, 0 ... 1.
    """
    ratio = region_bytes / cache_bytes
    if ratio <= 1.0:
        return 0.0
    if ratio > 40.0:
        return 1.0
    # Newton from above converges: the function is convex there and 1 lies right of the root.
    miss = 1.0
    for _ in range(60):
        decay = math.exp(-miss * ratio)
        step = (miss - 1.0 + decay) / (1.0 - ratio * decay)
        miss -= step
        if abs(step) < 1e-12:
            break
    return max(0.0, min(1.0, miss))


@kernel
def _miss_shares(regions: NDArray[np.float64], cache_bytes: float) -> NDArray[np.float64]:
    out = np.empty(regions.size)
    for i in range(regions.size):
        out[i] = miss_share(regions[i], cache_bytes)
    return out


def miss_shares(region_bytes: ArrayLike, cache_bytes: float) -> NDArray[np.float64]:
    """:func:`miss_share` of many regions [byte]; one share each, same shape."""
    regions = np.atleast_1d(np.asarray(region_bytes, dtype=np.float64))
    return np.asarray(_miss_shares(regions.ravel(), float(cache_bytes))).reshape(regions.shape)
