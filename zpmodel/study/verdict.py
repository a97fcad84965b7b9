"""What the interval of a ratio says, in a word: the one rule of all comparisons, answers, fleets and pages."""

from typing import Literal

from zpmodel.base.estimate import Estimate

GAIN_FROM = 1.005
"""A speed-up from which there is a gain [1]: half a per cent. Less is none, however sure: it prints as 1."""

NO_GAIN_WITHIN = 1.05
"""No gain is said where the whole interval ends below this [1].

A convention: nobody zeroes differently for less. Nor do measurements show less: no median is believed to be known
better (:data:`zpmodel.calibration.observed.FLOOR`), and a single pair of runs of the shipped sets lies 2 to 6 % off its
point's ratio.
"""

Verdict = Literal["gain", "loss", "no gain", "no gain, perhaps a loss", "unknown"]

WHAT_COUNTS = (
    "gain: at least half a per cent faster, with the whole interval above 1; no gain: the whole interval within "
    f"{NO_GAIN_WITHIN - 1:.0%} of 1; unknown: these data exclude neither a gain nor none; what is saved in CPU time "
    "stands apart"
)
"""The rule, for people."""


def verdict_of(ratio: Estimate) -> Verdict:
    """What a speed-up says.

    ``gain``: at least :data:`GAIN_FROM`, and all of the interval, as it is printed, above 1; ``loss``: the same the
    other way round; ``no gain``: neither, and the whole interval within :data:`NO_GAIN_WITHIN` of 1, so that a gain
    anybody would care about is excluded; ``no gain, perhaps a loss``: that, but the lower end lies further off;
    ``unknown``: the rest, as where nobody knows the ratio at all.

    :param ratio: elapsed time before over after [1].

    >>> [verdict_of(each) for each in (Estimate(1.1, 1.02, 1.2), Estimate(1.1, 0.98, 1.2), Estimate(1.01, 0.98, 1.04))]
    ['gain', 'unknown', 'no gain']
    """
    if _gained(ratio):
        return "gain"
    if _gained(ratio.inverse()):
        return "loss"
    if not ratio.high <= NO_GAIN_WITHIN:  # NaN is not either
        return "unknown"
    return "no gain" if ratio.low >= 1 / NO_GAIN_WITHIN else "no gain, perhaps a loss"


def _gained(ratio: Estimate) -> bool:
    return ratio.value >= GAIN_FROM and round(ratio.low, 3) > 1
