"""A number with its interval."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEVEL = 0.90
"""Probability that every interval of the package is meant to have."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value and the interval that holds it with probability :data:`LEVEL`; all in one unit."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, draws: npt.ArrayLike, level: float = LEVEL) -> "Estimate":
        """The interval from draws: their quantiles, widened to hold the value itself."""
        low, high = np.quantile(np.asarray(draws, dtype=float), [(1 - level) / 2, (1 + level) / 2])
        return cls(float(value), float(min(low, value)), float(max(high, value)))

    def scaled(self, factor: float) -> "Estimate":
        """The same in another unit; ``factor`` is positive."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"
