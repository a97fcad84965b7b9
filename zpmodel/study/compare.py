"""The three policies side by side."""

from dataclasses import dataclass
from typing import Any

from zpmodel.base.errors import InputError
from zpmodel.base.estimate import Estimate
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import POLICIES, ZeroPage
from zpmodel.timing.machine import Model
from zpmodel.timing.predict import Prediction, predict_zeroout


@dataclass(frozen=True)
class Comparison:
    """One policy beside PAGE_SIZE.

    :ivar policy: its name.
    :ivar prediction: what zeroing the range takes.
    :ivar speedup: elapsed time of PAGE_SIZE over this policy's [1].
    :ivar cpu_saved_s: CPU time of PAGE_SIZE less this policy's [s].
    """

    policy: str
    prediction: Prediction
    speedup: Estimate
    cpu_saved_s: Estimate

    @property
    def verdict(self) -> str:
        """The elapsed time in a word: ``gain``, ``loss``, or ``no gain`` where the interval holds 1; PAGE_SIZE:
        ``-``."""
        if self.policy == "page":
            return "-"
        if self.speedup.low > 1:
            return "gain"
        return "loss" if self.speedup.high < 1 else "no gain"

    def row(self) -> dict[str, Any]:
        """The comparison as a flat row, with units in the names."""
        counts = self.prediction.structure
        return {
            "policy": self.policy,
            "zero_page_bytes": self.prediction.zero_page.size_bytes,
            "elapsed_s": self.prediction.elapsed_s.value,
            "elapsed_low_s": self.prediction.elapsed_s.low,
            "elapsed_high_s": self.prediction.elapsed_s.high,
            "cpu_s": self.prediction.cpu_s.value,
            "cpu_low_s": self.prediction.cpu_s.low,
            "cpu_high_s": self.prediction.cpu_s.high,
            "speedup": self.speedup.value,
            "speedup_low": self.speedup.low,
            "speedup_high": self.speedup.high,
            "cpu_saved_s": self.cpu_saved_s.value,
            "cpu_saved_low_s": self.cpu_saved_s.low,
            "cpu_saved_high_s": self.cpu_saved_s.high,
            "bound_by": self.prediction.bound_by,
            "verdict": f"{self.verdict} (extrapolated)"
            if self.prediction.beyond and self.policy != "page"
            else self.verdict,
            "bios": counts.bios,
            "vectors": counts.vectors,
            "requests": counts.requests,
            "segments": counts.segments,
            "beyond": self.prediction.beyond,
        }


def compare(
    model: Model,
    length: int,
    *,
    offset: int = 0,
    limits: QueueLimits | None = None,
    fallback_share: float = 0.0,
    policies: tuple[str, ...] = POLICIES,
) -> list[Comparison]:
    """Predict zeroing a range with each policy.

    :param length: bytes to zero [byte]; ``offset`` where [byte]; ``limits`` where not the calibrated device's.
    :param fallback_share: for on-demand, the share of I/O that finds no huge zero folio and is written from 4 KiB
        (0 to 1).
    :raises InputError: on impossible ranges and shares.
    """
    if not 0 <= fallback_share <= 1:
        raise InputError("compare", "fallback_share", fallback_share, "a share from 0 to 1")
    page = predict_zeroout(model, ZeroPage.named("page"), length, offset=offset, limits=limits)
    found = []
    for policy in policies:
        zero_page = ZeroPage.named(policy)
        prediction = (
            page if policy == "page" else predict_zeroout(model, zero_page, length, offset=offset, limits=limits)
        )
        if policy == "on-demand" and fallback_share:
            prediction = _mixed(model, page, prediction, fallback_share)
        found.append(_beside(model, page, policy, prediction))
    return found


def _beside(model: Model, page: Prediction, policy: str, other: Prediction) -> Comparison:
    if other is page:
        return Comparison(policy, page, Estimate(1.0, 1.0, 1.0), Estimate(0.0, 0.0, 0.0))
    ratio, saved = page.elapsed_s.value / other.elapsed_s.value, page.cpu_s.value - other.cpu_s.value
    return Comparison(
        policy,
        other,
        # What one prediction errs by, the other shares in part; what ratios of held-out points scattered by is left.
        model.estimate(ratio, page.elapsed_draws / other.elapsed_draws, model.spread.ratio),
        model.estimate(saved, page.cpu_draws - other.cpu_draws, model.spread.cpu),
    )


def _mixed(model: Model, page: Prediction, huge: Prediction, share: float) -> Prediction:
    """The mean of many calls, ``share`` of which fell back to the 4 KiB page."""

    def mean(a: float, b: float) -> float:
        return share * a + (1 - share) * b

    cpu_draws = share * page.cpu_draws + (1 - share) * huge.cpu_draws
    elapsed_draws = share * page.elapsed_draws + (1 - share) * huge.elapsed_draws
    return Prediction(
        zero_page=huge.zero_page,
        structure=huge.structure,
        cpu_s=model.estimate(mean(page.cpu_s.value, huge.cpu_s.value), cpu_draws, model.spread.cpu),
        elapsed_s=model.estimate(mean(page.elapsed_s.value, huge.elapsed_s.value), elapsed_draws, model.spread.rate),
        bound_by=huge.bound_by,
        beyond=huge.beyond,
        events=share * page.events + (1 - share) * huge.events,
        cpu_draws=cpu_draws,
        elapsed_draws=elapsed_draws,
    )
