"""One truth beside its prediction, and the bar that it is held against."""

from dataclasses import dataclass

from zpmodel.base.estimate import LEVEL, UNTOLD, Estimate


@dataclass(frozen=True)
class Bar:
    """What is asked of a prediction.

    :ivar largest_error: of predicted / measured - 1 [1]; None where none is asked.
    :ivar interval: whether the truth has to lie in the prediction's interval, which has to say something.
    :ivar words: how to say it, where that is not plain from the others.
    """

    largest_error: float | None = None
    interval: bool = False
    words: str = ""

    def met(self, measured: float, found: Estimate) -> bool:
        """Whether a prediction meets it."""
        holds = not self.interval or (found.says_something and found.low <= measured <= found.high)
        return holds and (self.largest_error is None or abs(found.value / measured - 1) <= self.largest_error)

    def __str__(self) -> str:
        if self.words:
            return self.words
        parts = [f"interval, x{UNTOLD:g} at most"] if self.interval else []
        return ", ".join(parts + ([] if self.largest_error is None else [f"{self.largest_error:.0%}"]))


EVERY_ONE = Bar(words="every one")


@dataclass(frozen=True)
class Score:
    """One truth beside its prediction.

    :ivar family: name of its file in :mod:`zpmodel.validation`.
    :ivar truth: what was measured.
    :ivar measured, predicted: in ``unit``; ``low`` and ``high`` the prediction's interval, None where it has none.
    :ivar error: predicted / measured - 1 [1], or, of a set of points, the median size of that.
    :ivar bar: what is asked, in words.
    :ivar inside: whether it is met.
    :ivar source: where the truth comes from.
    """

    family: str
    truth: str
    measured: float | None
    predicted: float | None
    low: float | None
    high: float | None
    unit: str
    error: float | None
    bar: str
    inside: bool
    source: str

    @classmethod
    def of(cls, family: str, truth: str, measured: float, found: Estimate, unit: str, bar: Bar, source: str) -> "Score":
        """Score an estimate."""
        error = found.value / measured - 1
        inside = bar.met(measured, found)
        return cls(family, truth, measured, found.value, found.low, found.high, unit, error, str(bar), inside, source)

    @classmethod
    def counted(cls, family: str, truth: str, total: int, right: int, source: str) -> "Score":
        """Score cases that have to be right, every one."""
        error, inside = right / total - 1, right == total
        return cls(family, truth, total, right, None, None, "cases", error, str(EVERY_ONE), inside, source)

    @classmethod
    def covered(cls, family: str, truth: str, share: float, bar: tuple[float, float], source: str) -> "Score":
        """Score how many intervals hold what they should."""
        asked, inside = f"{bar[0]:.0%} to {bar[1]:.0%}", bar[0] <= share <= bar[1]
        return cls(family, truth, share, LEVEL, None, None, "share", LEVEL / share - 1, asked, inside, source)
