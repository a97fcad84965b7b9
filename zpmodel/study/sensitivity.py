"""Which inputs decide an answer: Sobol' indices (how much of its variance each explains) and Morris's screening.

Sources: Saltelli et al. 2010, Computer Physics Communications 181 (Sobol'); Morris 1991, Technometrics 33; by SALib.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from zpmodel.base.errors import InputError, RefusedError
from zpmodel.base.estimate import LEVEL, TAILS
from zpmodel.study.apart import overlapping
from zpmodel.study.scenario import Scenario
from zpmodel.study.sweep import WORTH_ROWS, Plan, Span, answer_all
from zpmodel.timing.counted import CountedCpu
from zpmodel.timing.events import EVENTS
from zpmodel.timing.fitted import FittedCpu
from zpmodel.timing.machine import Machine

Method = Literal["sobol", "morris"]
OUTPUTS = {
    "speedup": "the speed-up",
    "elapsed_s": "the elapsed time",
    "cpu_s": "the CPU time",
    "cpu_saved_s": "the CPU saved",
}
_MOST_EXPLAINED = 0.8
_LEAST = 0.05


@dataclass(frozen=True)
class Sensitivity:
    """What decides an answer.

    :ivar table: a row an input, the weightiest first. Sobol': ``first`` and ``total`` indices [1], ``first_conf`` and
        ``total_conf`` half their intervals. Morris: ``mu_star`` and ``sigma``, in the output's unit over the input's
        whole range, and ``mu_star_conf``. ``rank``, and ``not_told_from``: the ranks from which the samples can't tell
        its own, by ``total`` or ``mu_star`` and its interval.
    :ivar method, output: what was asked.
    :ivar varies: standard deviation of the output over the samples.
    """

    table: pd.DataFrame
    method: Method
    output: str
    varies: float

    @property
    def words(self) -> str:
        """The answer in words."""
        what, rows = OUTPUTS[self.output], self.table
        if self.varies == 0:
            return f"Nothing that was varied changes {what}."
        by = "total" if self.method == "sobol" else "mu_star"
        if self.method == "morris":
            shares = rows[by] / rows[by].sum()
            named = ", ".join(
                f"{name} ({share:.0%})" for name, share in zip(rows["input"], shares, strict=True) if share >= _LEAST
            )
            return f"What moves {what}, by mean effect: {named}. {self._first}"
        shares = rows[by].clip(lower=0)
        chosen = int(np.searchsorted(np.cumsum(shares), _MOST_EXPLAINED * min(1.0, float(shares.sum())))) + 1
        names = rows["input"].iloc[:chosen].tolist()
        explained = min(1.0, float(rows["first"].iloc[:chosen].clip(lower=0).sum()))
        together = names[0] if chosen == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
        text = f"{together} explain{'s' if chosen == 1 else ''} {explained:.0%} of {what}'s variance"
        rest = float((shares - rows["first"].clip(lower=0)).clip(lower=0).max())
        if rest > _LEAST:
            text += "; inputs also act together"
        few = rows["input"][shares < _LEAST].tolist()
        if few:
            text += f"; {', '.join(few)} hardly matter{'s' if len(few) == 1 else ''}"
        return f"{text}. {self._first}"

    @property
    def _first(self) -> str:
        """What to know better first, with whatever might as well be the weightiest."""
        rows = self.table
        names = rows["input"].tolist()
        with_first = [names[rank - 1] for rank in rows["not_told_from"].iloc[0]]
        if not with_first:
            return f"Know {names[0]} better first."
        return f"Know {names[0]} better first; the samples don't tell its weight from that of {', '.join(with_first)}."


def spans_of(machine: Machine) -> dict[str, Span]:
    """What a machine's own uncertainty spans: each cost's interval, where it has one."""
    found = {}
    drawn, best = machine.device.draws.path(), machine.device.best.path()
    for name, draws, value in zip(best._fields, drawn, best, strict=True):
        low, high = np.quantile(np.asarray(draws, dtype=float), TAILS)
        if high > low and value > 0:
            found[f"device.{name}"] = Span(float(low), float(high))
    if isinstance(machine.cpu, FittedCpu):
        for i, event in enumerate(EVENTS):
            if machine.cpu.total[i] > 0:
                low, high = np.quantile(machine.cpu.total_draws[:, i], TAILS) / machine.cpu.total[i]
                if high > low:
                    found[f"cpu.{event.replace(' ', '_')}"] = Span(float(low), float(high))
    if isinstance(machine.cpu, CountedCpu):
        low, high = np.quantile(machine.cpu.factor_draws, TAILS)
        found["cpu.factor"] = Span(float(low), float(high))
    return found


def sensitivity(
    base: Scenario,
    spans: Mapping[str, Span] | None = None,
    *,
    output: str = "speedup",
    method: Method = "sobol",
    samples: int = 256,
    seed: int = 0,
) -> Sensitivity:
    """Vary inputs over their ranges and say which decide the answer.

    :param spans: ranges by input; the machine's own uncertainty where left out.
    :param samples: base samples of Sobol' (a power of two), or trajectories of Morris; each asks inputs + 2 (+ 1)
        questions.
    :raises InputError: on names, ranges and samples that make no sense, and where a range holds impossible questions.
    :raises RefusedError: without SALib.
    """
    spans = dict(spans or spans_of(base.machine))
    plan = Plan(base, {}, spans, seed=seed)
    if output not in OUTPUTS:
        raise InputError("sensitivity", "output", output, ", ".join(OUTPUTS))
    if len(spans) < 2:
        raise InputError("sensitivity", "inputs", ", ".join(spans) or "none", "at least two inputs with a range")
    if samples < 2 or (method == "sobol" and samples & (samples - 1)):
        raise InputError("sensitivity", "samples", samples, "a power of two (Sobol'), or at least 2 (Morris)")
    sample, analyse = _methods(method)
    problem = {"num_vars": len(spans), "names": list(spans), "bounds": [[0.0, 1.0]] * len(spans)}
    with warnings.catch_warnings():
        # SALib's own use of pandas and numpy.
        warnings.simplefilter("ignore")
        shares = sample(problem, samples, seed)
        values = _answers(plan, shares, output)
        varies = float(np.std(values))
        found = analyse(problem, shares, values, seed) if varies > 0 else None
    return Sensitivity(_table(list(spans), method, found), method, output, varies)


def _methods(method: Method) -> tuple[Any, Any]:
    try:
        import SALib.analyze.morris
        import SALib.analyze.sobol
        import SALib.sample.morris
        import SALib.sample.sobol
    except ImportError:
        raise RefusedError("sensitivities need SALib: pip install 'zpmodel[sweep]'") from None
    if method == "morris":
        return (
            lambda problem, n, seed: SALib.sample.morris.sample(problem, n, seed=seed),
            lambda problem, x, y, seed: SALib.analyze.morris.analyze(problem, x, y, conf_level=LEVEL, seed=seed),
        )
    return (
        lambda problem, n, seed: SALib.sample.sobol.sample(problem, n, calc_second_order=False, seed=seed),
        lambda problem, x, y, seed: SALib.analyze.sobol.analyze(
            problem, y, calc_second_order=False, conf_level=LEVEL, seed=seed
        ),
    )


def _answers(plan: Plan, shares: Any, output: str) -> Any:
    columns = {name: plan.rounded(name, span.at(shares[:, i])) for i, (name, span) in enumerate(plan.spans.items())}
    results = answer_all(plan.base, pd.DataFrame(columns), quick=len(shares) >= WORTH_ROWS)
    bad = results["why_not"] != ""
    if bad.any():
        first = int(np.argmax(bad))
        asked = {name: values[first].item() for name, values in columns.items()}
        raise InputError("sensitivity", "ranges", str(asked), f"possible questions ({results['why_not'].iloc[first]})")
    return results[output].to_numpy()


def _table(names: list[str], method: Method, found: Any) -> pd.DataFrame:
    columns = {"first": "S1", "first_conf": "S1_conf", "total": "ST", "total_conf": "ST_conf"}
    if method == "morris":
        columns = {name: name for name in ("mu_star", "mu_star_conf", "sigma")}
    table = pd.DataFrame({"input": names})
    for ours, theirs in columns.items():
        table[ours] = 0.0 if found is None else np.asarray(found[theirs], dtype=float)
    by = "total" if method == "sobol" else "mu_star"
    table = table.sort_values(by, ascending=False, kind="stable").reset_index(drop=True)
    others = overlapping(table[by].tolist(), table[f"{by}_conf"].tolist())
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    table["not_told_from"] = [[n + 1 for n in found] for found in others]
    return table
