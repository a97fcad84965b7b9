"""A scrambled Sobol' sequence (scipy's) at any of its points, without walking through those before.

Its points are sums (bit by bit, modulo 2) over the bits of a Gray code, which is linear itself: point ``m 2^k + j`` is
the sum of point ``j``, point ``m 2^k`` and point 0. So one block of points and one point of each power of two give all.
"""

import warnings
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.stats import qmc

_BITS = 30
MOST = 1 << _BITS
"""Points of the sequence."""
_BLOCK_BITS = 16
_BLOCK = 1 << _BLOCK_BITS
_FEW = 64  # points that follow each other in a run, from where on runs are taken whole

Ints = npt.NDArray[np.int64]


def points_at(dimensions: int, seed: int, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Points of the sequence by their numbers, shape (points, dimensions), from 0 to below 1."""
    wanted = np.asarray(points, np.int64)
    block, low, high = _block(dimensions, seed), wanted & (_BLOCK - 1), wanted >> _BLOCK_BITS
    edges = np.flatnonzero((np.diff(wanted) != 1) | (np.diff(high) != 0)) + 1
    found = np.empty((len(wanted), dimensions), np.int64)
    if len(edges) < len(wanted) // _FEW:
        for a, b in pairwise([0, *edges.tolist(), len(wanted)]):
            shift = _shift(dimensions, seed, int(high[a]))
            np.bitwise_xor(block[low[a] : low[a] + b - a], shift, out=found[a:b])
    else:
        numbers, at = np.unique(high, return_inverse=True)
        shifts = np.array([_shift(dimensions, seed, int(number)) for number in numbers]).reshape(-1, dimensions)
        found = block[low] ^ shifts[at]
    return np.asarray(found / MOST)


def _sequence(dimensions: int, seed: int) -> "qmc.Sobol":
    from scipy.stats import qmc  # half a second to import

    return qmc.Sobol(dimensions, bits=_BITS, seed=np.random.default_rng(seed))


def _whole(points: npt.NDArray[np.float64]) -> Ints:
    return np.asarray(np.rint(points * MOST), np.int64)


@lru_cache(8)
def _block(dimensions: int, seed: int) -> Ints:
    """The first points, in units of the last bit."""
    return _whole(_sequence(dimensions, seed).random(_BLOCK))


@lru_cache(256)
def _power(dimensions: int, seed: int, bit: int) -> Ints:
    """Point ``2^bit`` plus point 0, bit by bit."""
    sequence = _sequence(dimensions, seed)
    sequence.fast_forward(1 << bit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that only powers of two are balanced
        point = _whole(sequence.random(1))[0]
    return np.asarray(point ^ _block(dimensions, seed)[0])


def _shift(dimensions: int, seed: int, high: int) -> Ints:
    """What the points of block number ``high`` differ by from those of the first."""
    found = np.zeros(dimensions, np.int64)
    for bit in range(high.bit_length()):
        if high >> bit & 1:
            found ^= _power(dimensions, seed, bit + _BLOCK_BITS)
    return found
