"""Drawing from what data allow where no straight line says it: walkers that step by the differences of others.

Differential evolution Markov chains (ter Braak 2006): a walker's step is the difference of two others, so steps are as
long, and lie in the directions, in which the walkers spread. Each has a distribution of its own; a step is as likely to
be taken forth as back, whatever the two others' are.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_JUMPS = 0.1  # of steps, the share as long as the difference itself: from one heap of walkers to another
_JITTER = 1e-3  # so that walkers that lie in a plane may leave it, in widths of the prior


def walked(
    start: Floats, misfit: Callable[[Floats, npt.NDArray[np.int64]], Floats], width: Floats, rounds: int, seed: int
) -> Floats:
    """Where walkers are after so many rounds, shape (walkers, dimensions).

    :param start: where they begin, shape (walkers, dimensions), four walkers at least.
    :param misfit: of places, shape (some, dimensions), for the walkers of these numbers: -2 times the logarithm of each
        walker's density, shape (some,).
    :param width: the size of a dimension, shape (dimensions,).
    """
    rng = np.random.default_rng(seed)
    now, walkers = start.copy(), len(start)
    halves = np.array_split(np.arange(walkers), 2)
    cost = misfit(now, np.arange(walkers))
    for _ in range(rounds):
        for own, others in (halves, halves[::-1]):
            one = rng.integers(0, len(others), len(own))
            two = (one + rng.integers(1, len(others), len(own))) % len(others)
            moved = rng.random((len(own), start.shape[1])) < rng.choice([0.2, 0.5, 1.0], (len(own), 1))
            length = 2.38 / np.sqrt(2 * np.maximum(1, moved.sum(axis=1)))
            length[rng.random(len(own)) < _JUMPS] = 1.0
            step = length[:, None] * (now[others[one]] - now[others[two]])
            step += _JITTER * width * rng.standard_normal(step.shape)
            there = now[own] + step * moved
            new = misfit(there, own)
            taken = np.log(rng.random(len(own))) < (cost[own] - new) / 2
            now[own[taken]], cost[own[taken]] = there[taken], new[taken]
    return now
