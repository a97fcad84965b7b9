"""Rates of many closed loops at once, by the normalising constants of the network instead of mean values.

What :func:`zpmodel.devices.overlap.mva_rate` finds step by step is G(N - 1) / G(N), where G comes from a sum and two
products a step and no division (Buzen 1973, Communications of the ACM 16; a delay and two single servers). All terms
are positive, so nothing cancels. Times are in units of the bound on the rate, so that G lies between 1 and e^N.
"""

import numpy as np
import numpy.typing as npt

from zpmodel.base.accelerate import borrowing_kernel, kernel
from zpmodel.devices.overlap import rate_bound, steady_rate

# mypy: disable-error-code="no-untyped-def"

LANES = 32
"""Loops that are stepped together."""

DEEPEST = 512
"""Operations in flight up to which G is a number; above, mean values step by step."""

INVERSE: npt.NDArray[np.float64] = 1.0 / np.maximum(1.0, np.arange(DEEPEST + 1))

# Rows of the scratch, one after the other in one array: so the compiler sees that no two share memory.
_CPU, _LINK, _LATENCY, _DEPTH, _DELAYED, _AT_CPU, _LAST, _TOTAL = (LANES * row for row in range(8))
_ROUNDS = _DELAYED  # once all steps are done

_LOWEST, _HIGHEST = 0.4999, 1.0001  # of what small_power takes, with room for rounding


@kernel
def _by_depth(loops, number):
    """Places of so many loops, those of the least depth first: lanes that are stepped together end together.

    :return: shape (number,).
    """
    ends, order = np.zeros(DEEPEST + 3, np.int64), np.empty(number, np.int64)
    for i in range(number):
        ends[int(min(loops[i].depth, DEEPEST + 1.0)) + 1] += 1
    for depth in range(1, DEEPEST + 3):
        ends[depth] += ends[depth - 1]
    for i in range(number):
        depth = int(min(loops[i].depth, DEEPEST + 1.0))
        order[ends[depth]] = i
        ends[depth] += 1
    return order


@borrowing_kernel
def _load(loops, order, first, number, s):
    """Put so many loops in the lanes; return the least and the greatest depth among those that are not too deep."""
    least, deepest = DEEPEST, 0
    for j in range(LANES):
        s[_CPU + j], s[_LINK + j], s[_LATENCY + j], s[_DEPTH + j] = 0.0, 0.0, 1.0, 0.0
        s[_DELAYED + j], s[_AT_CPU + j], s[_LAST + j], s[_TOTAL + j] = 1.0, 1.0, 1.0, 1.0
    for j in range(number):
        loop = loops[order[first + j]]
        # Until it is known, the rate is the bound on it.
        loop.rate = rate_bound(loop.cpu, loop.link, loop.latency, loop.depth)
        if loop.depth <= DEEPEST:
            least, deepest = min(least, int(loop.depth)), max(deepest, int(loop.depth))
            s[_CPU + j], s[_LINK + j] = loop.cpu * loop.rate, loop.link * loop.rate
            s[_LATENCY + j], s[_DEPTH + j] = loop.latency * loop.rate, loop.depth
    return least, deepest


@borrowing_kernel
def _step_all(s, inverse, steps):
    """The first steps, which no lane ends before: four of them at a time."""
    for n in range(1, steps + 1, 4):
        for j in range(LANES):
            a, b, z = s[_CPU + j], s[_LINK + j], s[_LATENCY + j]
            term = s[_DELAYED + j] * z * inverse[n]
            with_cpu = term + a * s[_AT_CPU + j]
            total = with_cpu + b * s[_TOTAL + j]
            term = term * z * inverse[n + 1]
            with_cpu = term + a * with_cpu
            total = with_cpu + b * total
            term = term * z * inverse[n + 2]
            with_cpu = term + a * with_cpu
            total = with_cpu + b * total
            term = term * z * inverse[n + 3]
            with_cpu = term + a * with_cpu
            s[_TOTAL + j] = with_cpu + b * total
            s[_DELAYED + j], s[_AT_CPU + j] = term, with_cpu


@borrowing_kernel
def _step_each(s, inverse, done, deepest):
    """The other steps, each lane as far as it goes."""
    for n in range(done + 1, deepest + 1):
        share, step = inverse[n], float(n)
        for j in range(LANES):
            goes_on = step <= s[_DEPTH + j]
            before = s[_TOTAL + j]
            term = s[_DELAYED + j] * s[_LATENCY + j] * share
            with_cpu = term + s[_CPU + j] * s[_AT_CPU + j]
            both = with_cpu + s[_LINK + j] * before
            s[_LAST + j] = before if goes_on else s[_LAST + j]
            s[_TOTAL + j] = both if goes_on else before
            s[_DELAYED + j], s[_AT_CPU + j] = term, with_cpu


@borrowing_kernel
def small_power(x, exponent):
    """``x ** exponent`` for x from 1/2 to 1 and exponents from 0 to 1, without a branch; to 3 units in the last place.

    The logarithm by the series of the area tangent about 1/sqrt 2, the exponential by its own about -0.35.
    """
    s = (x * 1.4142135623730951 - 1.0) / (x * 1.4142135623730951 + 1.0)
    q = s * s
    log = 1 / 13 + q * (1 / 15 + q * (1 / 17 + q * (1 / 19 + q * (1 / 21 + q * (1 / 23)))))
    log = 1.0 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9 + q * (1 / 11 + q * log)))))
    t = exponent * (2.0 * s * log - 0.34657359027997264) + 0.35
    e = 1 / 5040 + t * (
        1 / 40320 + t * (1 / 362880 + t * (1 / 3628800 + t * (1 / 39916800 + t * (1 / 479001600 + t / 6227020800))))
    )
    e = 1.0 + t * (1.0 + t * (1 / 2 + t * (1 / 6 + t * (1 / 24 + t * (1 / 120 + t * (1 / 720 + t * e))))))
    return e * 0.7046880897187134


@kernel
def steady_rates(loops, number, inverse, scratch):
    """Operations per second of so many loops; see :func:`zpmodel.devices.overlap.steady_rate`.

    :param loops: records of ``cpu``, ``link`` and ``latency`` [s], ``depth`` (whole), ``rounds`` [1], and ``rate``
        [1/s], to be filled. :param inverse: :data:`INVERSE`. :param scratch: shape (8, LANES).
    """
    s, order = scratch.reshape(8 * LANES), _by_depth(loops, number)
    for first in range(0, number, LANES):
        here = min(LANES, number - first)
        least, deepest = _load(loops, order, first, here, s)
        # The last step of any lane is among the others: it says what was before it too.
        alike = max(0, min(least - 1, deepest)) // 4 * 4
        _step_all(s, inverse, alike)
        _step_each(s, inverse, alike, deepest)
        for j in range(here):
            s[_ROUNDS + j] = loops[order[first + j]].rounds
        # What a round takes of the time that one by one takes, to the share of rounds: lanes that went far enough.
        for j in range(LANES):
            one_by_one = s[_LAST + j] / s[_TOTAL + j]
            longer = max(s[_CPU + j], s[_LINK + j])
            serial = s[_LATENCY + j] + s[_CPU + j] + s[_LINK + j] + (s[_DEPTH + j] - 1.0) * longer
            ratio = s[_DEPTH + j] / (serial * one_by_one)
            s[_TOTAL + j], s[_LAST + j] = one_by_one * small_power(ratio, s[_ROUNDS + j]), ratio
        for j in range(here):
            loop = loops[order[first + j]]
            if _LOWEST <= s[_LAST + j] <= _HIGHEST and loop.rounds <= 1.0:
                loop.rate *= s[_TOTAL + j]
            else:
                loop.rate = steady_rate(loop.cpu, loop.link, loop.latency, int(loop.depth), loop.rounds)
