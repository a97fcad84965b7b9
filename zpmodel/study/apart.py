"""Whether two independent estimates can be told apart, and an order of many of them."""

import math
from collections.abc import Sequence

from zpmodel.base.estimate import Estimate


def quotient(a: Estimate, b: Estimate) -> Estimate:
    """``a / b`` of independent, positive estimates, its interval recovered from theirs on the log scale.

    Each end takes the halves of both intervals that face it (Zou and Donner 2008, "Construction of confidence limits
    about effect measures: a general approach", Statistics in Medicine 27: 1693, eq. 8), so that lopsided intervals keep
    their sides.

    >>> print(quotient(Estimate(2.0, 1.8, 2.2), Estimate(1.0, 0.9, 1.1)))
    2 [1.74, 2.31]
    """
    for each in (a, b):
        if not each.low > 0:
            raise ValueError(f"a quotient is of positive estimates, not of {each}")
    value = math.log(a.value / b.value)
    down = math.hypot(math.log(a.value / a.low), math.log(b.high / b.value))
    up = math.hypot(math.log(a.high / a.value), math.log(b.value / b.low))
    return Estimate(a.value / b.value, math.exp(value - down), math.exp(value + up))


def alike(a: Estimate, b: Estimate) -> bool:
    """Whether two are not to be told apart: the interval of their quotient holds 1."""
    found = quotient(a, b)
    return found.low <= 1 <= found.high


def overlapping(values: Sequence[float], halves: Sequence[float]) -> list[list[int]]:
    """For each of several independent values, which others are not to be told from it, by their indices.

    For values that may be 0 or below: the interval of the difference, whose half is the root of the squares' sum, holds
    0.

    :param halves: half of each one's interval, in the values' unit.

    >>> overlapping([0.9, 0.5, 0.4, 0.0], [0.1, 0.1, 0.1, 0.0])
    [[], [2], [1], []]
    """
    numbers = range(len(values))
    return [
        [m for m in numbers if m != n and abs(values[n] - values[m]) <= math.hypot(halves[n], halves[m])]
        for n in numbers
    ]


def ranked(found: Sequence[Estimate]) -> list[tuple[int, list[int]]]:
    """The order, the largest first: each one's index in ``found``, and the indices that are not to be told from it."""
    order = sorted(range(len(found)), key=lambda n: -found[n].value)
    return [(n, [m for m in order if m != n and alike(found[n], found[m])]) for n in order]
