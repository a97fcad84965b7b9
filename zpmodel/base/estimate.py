"""A number with its interval: the one class, the one level and the one printed form of the package."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

LEVEL = 0.90
"""Probability that every interval of the package is meant to have."""

TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
"""The quantiles between which an interval lies."""

DEVIATIONS = NormalDist().inv_cdf(TAILS[1])
"""From the middle of a normal to the end of its interval [standard deviations]: 1.645."""

RESAMPLES = 1000
"""Draws of a calibration by default (also a page's and the command's), and as many as its file keeps: the same question
has the same interval wherever it is asked."""

UNTOLD = 10.0
"""An interval that spans more than this factor says nothing: to hold the truth is no merit, and it is never in bold."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value and the interval that holds it with probability :data:`LEVEL`; all in one unit.

    ``low <= value <= high`` holds by construction: bounds that rounding left on the wrong side are moved to the value.

    :ivar source: what it rests on; empty where the text around it says so.
    """

    value: float
    low: float
    high: float
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            object.__setattr__(self, name, float(getattr(self, name)))
        object.__setattr__(self, "low", min(self.low, self.value))
        object.__setattr__(self, "high", max(self.high, self.value))

    @classmethod
    def of(cls, value: float, draws: npt.ArrayLike, source: str = "") -> "Estimate":
        """The interval from draws: their quantiles at :data:`TAILS`, widened to hold the value itself."""
        drawn = np.asarray(draws, dtype=float)
        # A machine of best values alone has one draw, which a sweep asks for a million times.
        low, high = (drawn.item(),) * 2 if drawn.size == 1 else np.quantile(drawn, TAILS)
        return cls(float(value), float(low), float(high), source)

    @classmethod
    def unknown(cls) -> "Estimate":
        """A number that nobody measured: NaN, which stays NaN whatever is calculated from it."""
        return cls(math.nan, math.nan, math.nan)

    @property
    def known(self) -> bool:
        """Whether there is a number at all."""
        return not math.isnan(self.value)

    @classmethod
    def exactly(cls, value: float) -> "Estimate":
        """A number that is counted, or the same by definition."""
        return cls(value, value, value)

    def scaled(self, factor: float) -> "Estimate":
        """The same in another unit, or with its sign turned by a negative factor."""
        ends = (self.low * factor, self.high * factor)
        return Estimate(self.value * factor, min(ends), max(ends), self.source)

    def times(self, other: "Estimate") -> "Estimate":
        """The product of two positive numbers that know nothing of each other: their logarithms' spreads add up in
        squares."""

        def end(name: str) -> float:
            spread = (math.log(getattr(one, name) / one.value) for one in (self, other))
            return math.hypot(*spread)

        value = self.value * other.value
        return Estimate(value, value * math.exp(-end("low")), value * math.exp(end("high")), self.source)

    def inverse(self) -> "Estimate":
        """One over it; of a positive number."""
        return Estimate(1 / self.value, 1 / self.high, 1 / self.low, self.source)

    @property
    def says_something(self) -> bool:
        """Whether the interval is narrower than a factor of :data:`UNTOLD`, or (where it holds 0) to one side of it."""
        low, high = sorted((abs(self.low), abs(self.high)))
        return self.low * self.high > 0 and high <= UNTOLD * low

    def __str__(self) -> str:
        if not self.known:
            return "unknown"
        if self.low == self.high:
            return digits(self.value)
        return f"{digits(self.value)} [{digits(self.low)}, {digits(self.high)}]"

    def as_ratio(self) -> str:
        """As printed, of a ratio: what would read as 1 and is not gets a digit more, as it says which is more.

        >>> Estimate(1.016, 1.0015, 1.041).as_ratio(), Estimate(2.0, 1.2, 3.0).as_ratio()
        ('1.02 [1.002, 1.04]', '2 [1.2, 3]')
        """
        low, value, high = (digits(end, 4 if digits(end) == "1" else 3) for end in (self.low, self.value, self.high))
        return str(self) if not self.known or self.low == self.high else f"{value} [{low}, {high}]"

    def columns(self, name: str, unit: str = "") -> dict[str, float]:
        """Value and bounds as columns of a table: ``name``, ``name_low``, ``name_high``, each with its unit behind."""
        ends = (("", self.value), ("_low", self.low), ("_high", self.high))
        return {f"{name}{end}{unit}": number for end, number in ends}

    def as_dict(self) -> dict[str, float]:
        """Value and bounds by name."""
        return {"value": self.value, "low": self.low, "high": self.high}

    def percent(self) -> str:
        """A share in per cent: ``0.48 % [0, 23]``."""
        if not self.known:
            return "unknown"
        low, value, high = (digits(end * 100) for end in (self.low, self.value, self.high))
        return f"{value} %" if self.low == self.high else f"{value} % [{low}, {high}]"


def bold(text: str, *said: Estimate) -> str:
    """A text in Markdown's bold where each number that it says, in the unit in which it says it, says something."""
    return f"**{text}**" if all(each.says_something for each in said) else text


def digits(value: float, significant: int = 3) -> str:
    """Write a number for people: so many significant digits, no exponent, thousands apart.

    >>> digits(25_812.3), digits(0.0012345), digits(114.0), digits(2.0)
    ('25,800', '0.00123', '114', '2')
    """
    if not math.isfinite(value):
        return "-" if math.isnan(value) else "unbounded" if value > 0 else "-unbounded"
    if value == 0:
        return "0"
    decimals = significant - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, decimals)
    text = f"{rounded:,.{max(0, min(decimals, 12))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
