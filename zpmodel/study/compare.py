"""The three policies side by side."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zpmodel.base.estimate import Estimate
from zpmodel.calibration.identify import Missing, missing
from zpmodel.queue.zeropage import POLICIES
from zpmodel.study.scenario import Scenario, predict
from zpmodel.timing.cpu import Term
from zpmodel.timing.machine import Machine
from zpmodel.timing.predict import Prediction

NO_GAIN_WITHIN = 1.5
"""An interval of the speed-up that holds 1 says "no gain" where it ends below this, else that nobody knows."""


@dataclass(frozen=True)
class Comparison:
    """One policy beside PAGE_SIZE.

    :ivar policy: its name.
    :ivar prediction: what zeroing the range takes.
    :ivar speedup: elapsed time of PAGE_SIZE over this policy's [1].
    :ivar cpu_saved_s: CPU time of PAGE_SIZE less this policy's [s].
    :ivar lacking: what the machine's calibration has not seen.
    """

    policy: str
    prediction: Prediction
    speedup: Estimate
    cpu_saved_s: Estimate
    lacking: tuple[Missing, ...] = ()

    @property
    def verdict(self) -> str:
        """The elapsed time in a word.

        ``gain``; ``loss``; ``no gain`` where the interval holds 1 and leaves no room for a factor of
        :data:`NO_GAIN_WITHIN`; ``unknown`` where it leaves room for one. PAGE_SIZE: ``-``.
        """
        ratio = self.speedup
        if self.policy == "page":
            return "-"
        if ratio.low != ratio.high and any(item.hides == "elapsed" for item in self.lacking):
            return "unknown"
        if ratio.low > 1:
            return "gain"
        if ratio.high < 1:
            return "loss"
        return "no gain" if ratio.high < NO_GAIN_WITHIN and ratio.low > 1 / NO_GAIN_WITHIN else "unknown"

    def _repr_html_(self) -> str:
        text = f"<b>{self.policy}</b>: {self.verdict}"
        if self.policy == "page":
            return f"<b>page</b>: {self.prediction.elapsed_s} s"
        return f"{text}; {self.speedup} times as fast, {self.cpu_saved_s} s of CPU time saved"

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


def compare(scenario: Scenario, policies: tuple[str, ...] = POLICIES) -> list[Comparison]:
    """Answer a question once for each policy, side by side with PAGE_SIZE.

    :raises InputError: on impossible ranges and shares.
    """
    page = predict(scenario.but(zero_page="page"))
    found = []
    for policy in policies:
        prediction = page if policy == "page" else predict(scenario.but(zero_page=policy))
        if policy == "on-demand" and scenario.fallback_share:
            prediction = _mixed(scenario.machine, page, prediction, scenario.fallback_share)
        found.append(_beside(scenario.machine, page, policy, prediction))
    return found


def _beside(machine: Machine, page: Prediction, policy: str, other: Prediction) -> Comparison:
    if other is page or _alike(page, other):
        return Comparison(policy, other, Estimate.exactly(1.0), Estimate.exactly(0.0))
    stretch = max(page.stretch, other.stretch)
    ratio, saved = page.elapsed_s.value / other.elapsed_s.value, page.cpu_s.value - other.cpu_s.value
    return Comparison(
        policy,
        other,
        # What one prediction errs by, the other shares in part; what ratios of held-out points scattered by is left.
        machine.estimate(ratio, page.elapsed_draws / other.elapsed_draws, machine.ratio_scatter * stretch),
        machine.estimate(saved, page.cpu_draws - other.cpu_draws, machine.cpu.scatter * stretch),
        tuple(missing(machine)),
    )


def _alike(page: Prediction, other: Prediction) -> bool:
    """Whether both are the same I/O: then nothing differs, whatever is not known of the machine."""
    a, b = page.structure, other.structure
    return a.operation == b.operation and a.vectors == b.vectors and a.request_histogram() == b.request_histogram()


def _mixed(machine: Machine, page: Prediction, huge: Prediction, share: float) -> Prediction:
    """The mean of many calls, ``share`` of which fell back to the 4 KiB page."""

    def mean(a: Any, b: Any) -> Any:
        return share * a + (1 - share) * b

    cpu_draws, elapsed_draws = (mean(getattr(page, n), getattr(huge, n)) for n in ("cpu_draws", "elapsed_draws"))
    cpu, elapsed = mean(page.cpu_s.value, huge.cpu_s.value), mean(page.elapsed_s.value, huge.elapsed_s.value)
    return replace(
        huge,
        cpu_s=machine.estimate(cpu, cpu_draws, machine.cpu.scatter * huge.stretch),
        elapsed_s=machine.estimate(elapsed, elapsed_draws, machine.device.scatter * huge.stretch),
        terms=_mixed_terms(page, huge, share),
        cpu_draws=cpu_draws,
        elapsed_draws=elapsed_draws,
    )


def _mixed_terms(page: Prediction, huge: Prediction, share: float) -> tuple[Term, ...]:
    """Mean terms of both: a kind of work may be in one alone, and cost more each in one than in the other."""
    names = dict.fromkeys(term.name for term in (*page.terms, *huge.terms))
    found = []
    for name in names:
        parts = [
            (weight, term)
            for weight, found_in in ((share, page), (1 - share, huge))
            for term in found_in.terms
            if term.name == name
        ]
        number = sum(weight * term.number for weight, term in parts)
        of_each = [(weight * term.number / number if number else 0.0, term) for weight, term in parts]
        each = sum(part * term.each_s for part, term in of_each)
        draws = np.asarray(sum(part * term.each_draws for part, term in of_each))
        found.append(Term(name, number, each, draws, parts[-1][1].says))
    return tuple(found)
