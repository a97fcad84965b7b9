"""Verdicts in words: a gain, a loss, no gain, none to be known, a ring, and a set that knows one memory only."""

from golden import inputs
from golden.case import Case
from golden.likeness import FITTED
from zpmodel.base.units import GIB, MIB
from zpmodel.calibration.calibrate import calibrate
from zpmodel.calibration.identify import doubts
from zpmodel.calibration.summary import contrast, medians
from zpmodel.report.words import beside_measured, headline, measured_line
from zpmodel.study.compare import compare
from zpmodel.study.scenario import Scenario

_LENGTHS = {"loss": 4 * MIB}


def _words(name: str) -> str:
    data = inputs.machines()[name]
    model = calibrate(data, resamples=inputs.RESAMPLES)
    page, on_demand, static = compare(Scenario(model, _LENGTHS.get(name, GIB)))
    ratios = contrast(data)
    measured = measured_line(ratios) if len(ratios) else "(no pair of both memories: nothing was contrasted)"
    parts = [headline(model, static, page), headline(model, on_demand, page), beside_measured(static, medians(data))]
    return "\n\n".join([*parts, measured, *doubts(model)])


def cases() -> list[Case]:
    """A case for each verdict."""
    return [Case(f"headline/{name}.txt", lambda name=name: _words(name), FITTED) for name in inputs.machines()]
