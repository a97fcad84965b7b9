"""What known CPUs say of one that was not measured: their middle, and how far a new one may lie from it."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit  # scipy.stats takes half a second to import

from zpmodel.base.estimate import DEVIATIONS, TAILS, Estimate

EXPECTED_DEVIATION = 0.5
"""Log standard deviation that costs of CPUs of the last fifteen years are thought to have before any is looked at [1]:
nine of ten within a factor of 2.3 of the middle. Page clearing published for three of them has 0.5."""

ANOTHER_MACHINE = 0.2
"""Log standard deviation between machines of one CPU model [1]: memory channels filled, clocks, the code that clears.
Measured once: clearing on a virtual machine of the same model as the published Milan is 0.19 from it, root mean square.
What one machine showed speaks for the others with that much more doubt."""

EXTRAPOLATED = 0.25
"""The same of a known CPU at a size or level of which no point is known [1]: half of another CPU's; an assumption."""

_WORTH = 4.0
"""How many CPUs that thought counts for."""


EXPECTED_OF_RATIOS = 0.15
"""The same of a ratio of two sources on one CPU [1], whose clock and copying code cancel."""


def of_another(
    values: Sequence[float], own_deviation: float = 0.0, source: str = "", *, expected: float = EXPECTED_DEVIATION
) -> Estimate:
    """The same quantity on one more CPU, from its value on each known one.

    The predictive distribution of a log-normal whose variance is not known (a scaled inverse chi-squared prior, with
    :data:`EXPECTED_DEVIATION`; Gelman et al., Bayesian Data Analysis, section 3.2).

    :param values: positive numbers, one a CPU.
    :param own_deviation: log standard deviation of each value by itself [1].
    :param expected: log standard deviation thought of before any was looked at [1].
    """
    logs = np.log(np.asarray(values, dtype=float))
    count = logs.size
    freedom = _WORTH + count - 1
    squares = _WORTH * expected**2 + float(np.sum((logs - logs.mean()) ** 2))
    deviation = math.sqrt(squares / freedom * (1 + 1 / count) + own_deviation**2)
    half = float(stdtrit(freedom, TAILS[1])) * deviation
    middle = float(logs.mean())
    return Estimate(math.exp(middle), math.exp(middle - half), math.exp(middle + half), source)


def with_doubt(estimate: Estimate, *deviations: float) -> Estimate:
    """A positive estimate with more log standard deviations [1] added to its own, to both sides alike.

    Deviations of independent reasons add up as squares.
    """
    ends = (estimate.high / estimate.value, estimate.value / estimate.low)
    own = max(math.log(end) for end in ends) / DEVIATIONS
    factor = math.exp(DEVIATIONS * math.hypot(own, *deviations))
    return Estimate(estimate.value, estimate.value / factor, estimate.value * factor, estimate.source)
