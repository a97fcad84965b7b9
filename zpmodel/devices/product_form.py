"""Rates of many closed loops at once, by the normalising constants of the network instead of mean values.

What :func:`zpmodel.devices.overlap.mva_rate` finds step by step is G(N - 1) / G(N), where G comes from a sum and two
products a step and no division (Buzen 1973, Communications of the ACM 16; a delay and two single servers). All terms
are positive, so nothing cancels. Times are in units of the bound on the rate, so that G lies between 1 and e^N.
"""

import numpy as np
import numpy.typing as npt

from zpmodel.base.accelerate import kernel
from zpmodel.devices.overlap import mva_rate, rate_bound, round_rate

# mypy: disable-error-code="no-untyped-def"

LANES = 32
"""Loops that are stepped together."""

DEEPEST = 512
"""Operations in flight up to which G is a number; above, mean values step by step."""

INVERSE: npt.NDArray[np.float64] = 1.0 / np.maximum(1.0, np.arange(DEEPEST + 1))


@kernel
def steady_rates(loops, number, inverse, scratch):
    """Operations per second of so many loops; see :func:`zpmodel.devices.overlap.steady_rate`.

    :param loops: records of ``cpu``, ``link`` and ``latency`` [s], ``depth`` (whole), ``rounds`` [1], and ``rate``
        [1/s], to be filled. :param inverse: :data:`INVERSE`. :param scratch: shape (8, LANES).
    """
    a, b, z, deep = scratch[0], scratch[1], scratch[2], scratch[3]
    delayed, at_cpu, last, total = scratch[4], scratch[5], scratch[6], scratch[7]
    for first in range(0, number, LANES):
        deepest = 0.0
        for j in range(LANES):
            a[j], b[j], z[j], deep[j] = 0.0, 0.0, 0.0, 0.0
            delayed[j], at_cpu[j], last[j], total[j] = 1.0, 1.0, 1.0, 1.0
        for j in range(min(LANES, number - first)):
            loop = loops[first + j]
            if loop.depth <= DEEPEST:
                deepest = max(deepest, loop.depth)
                unit = rate_bound(loop.cpu, loop.link, loop.latency, loop.depth)
                a[j], b[j], z[j], deep[j] = loop.cpu * unit, loop.link * unit, loop.latency * unit, loop.depth
        for n in range(1, int(deepest) + 1):
            share, step = inverse[n], float(n)
            for j in range(LANES):
                goes_on = step <= deep[j]
                term = delayed[j] * z[j] * share
                with_cpu = term + a[j] * at_cpu[j]
                both = with_cpu + b[j] * total[j]
                last[j] = total[j] if goes_on else last[j]
                total[j] = both if goes_on else total[j]
                delayed[j], at_cpu[j] = term, with_cpu
        for j in range(min(LANES, number - first)):
            loop = loops[first + j]
            together = round_rate(loop.cpu, loop.link, loop.latency, loop.depth)
            if loop.depth > DEEPEST:
                one_by_one = mva_rate(loop.cpu, loop.link, loop.latency, int(loop.depth))
            else:
                one_by_one = last[j] / total[j] * rate_bound(loop.cpu, loop.link, loop.latency, loop.depth)
            loop.rate = together * (one_by_one / together) ** (1.0 - loop.rounds)
