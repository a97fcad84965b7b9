"""Many questions at once: grids and samples over any inputs of a scenario.

A scenario follows from its number alone: which cell of the grid, which point of a scrambled Sobol' sequence. So pieces
can be worked out anywhere and in any order, and the result is the same whatever the pieces.
"""

import json
import pickle
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import qmc

from zpmodel.base.errors import InputError
from zpmodel.study.compare import compare
from zpmodel.study.inputs import WHOLE, WORDS, apply, best_only, check_name
from zpmodel.study.scenario import Scenario

RESULTS = {
    "elapsed_s": float,
    "cpu_s": float,
    "speedup": float,
    "cpu_saved_s": float,
    "bios": int,
    "vectors": int,
    "requests": int,
    "segments": int,
    "bound_by": str,
    "why_not": str,
}
"""Columns of a result after the inputs: best values of the zero page asked for; ``speedup`` [1] and ``cpu_saved_s`` [s]
are PAGE_SIZE over, and less, it. Where a scenario is impossible ``why_not`` says why, and there are no numbers (counts
are 0)."""

_MOST = 1 << 30
"""Points of the sequence."""


@dataclass(frozen=True)
class Span:
    """An input that is sampled between two values; with ``log`` evenly in its logarithm."""

    low: float
    high: float
    log: bool = False

    def at(self, share: float) -> float:
        """The value so far [1] from low to high."""
        if self.log:
            return float(self.low * (self.high / self.low) ** share)
        return float(self.low + share * (self.high - self.low))


@dataclass(frozen=True)
class Plan:
    """What is asked: every cell of a grid, and in each so many samples.

    :ivar base: the question whose other inputs are kept.
    :ivar grid: values of each input; all combinations are asked, the last input changing first.
    :ivar spans: inputs that are sampled.
    :ivar samples: how many, in each cell of the grid; 1 without spans.
    :ivar seed: of the sequence.
    :raises InputError: on names that are no inputs, and on spans that are none.
    """

    base: Scenario
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    spans: Mapping[str, Span] = field(default_factory=dict)
    samples: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (*self.grid, *self.spans):
            check_name(name)
        for name, values in self.grid.items():
            if not len(values):
                raise InputError("sweep", name, list(values), "at least one value")
            if name in self.spans:
                raise InputError("sweep", name, "twice", "a grid or a range, not both")
        for name, span in self.spans.items():
            fits = np.isfinite([span.low, span.high]).all() and span.low <= span.high
            if not fits or (span.log and span.low <= 0) or name in WORDS:
                raise InputError("sweep", name, f"{span.low}:{span.high}", "low:high, and above 0 with :log")
        if not 1 <= self.samples <= _MOST:
            raise InputError("sweep", "samples", self.samples, f"1 to {_MOST}")

    @property
    def rows(self) -> int:
        """Scenarios."""
        return int(np.prod([len(values) for values in self.grid.values()], dtype=object)) * self._each

    @property
    def _each(self) -> int:
        return self.samples if self.spans else 1

    def inputs(self, start: int, stop: int) -> pd.DataFrame:
        """The inputs of scenarios ``start`` to ``stop``, a column each."""
        rows = np.arange(start, stop)
        cells, points = rows // self._each, rows % self._each
        columns: dict[str, Any] = {}
        shape = [len(values) for values in self.grid.values()]
        if shape:
            for (name, values), at in zip(self.grid.items(), np.unravel_index(cells, shape), strict=True):
                columns[name] = np.array(list(values))[at]
        if self.spans:
            shares = self._shares(points)
            for i, (name, span) in enumerate(self.spans.items()):
                found = np.array([span.at(share) for share in shares[:, i]])
                columns[name] = self._rounded(name, found)
        return pd.DataFrame(columns, index=pd.RangeIndex(start, stop))

    def _shares(self, points: Any) -> Any:
        """The sequence at these points, which run on or start again."""
        shares = np.empty((len(points), len(self.spans)))
        edges = [0, *(np.flatnonzero(np.diff(points) != 1) + 1).tolist(), len(points)]
        for a, b in pairwise(edges):
            if a == b:
                continue
            sequence = qmc.Sobol(len(self.spans), seed=np.random.default_rng(self.seed))
            with warnings.catch_warnings():
                # That only powers of two are balanced is for whoever chose the number.
                warnings.simplefilter("ignore", UserWarning)
                if points[a]:
                    sequence.fast_forward(int(points[a]))
                shares[a:b] = sequence.random(b - a)
        return shares

    def _rounded(self, name: str, values: Any) -> Any:
        if name not in WHOLE:
            return values
        block = (self.base.limits or self.base.machine.limits).logical_block_size
        unit = block if name in ("length", "offset") else 1
        return np.maximum(np.round(values / unit), int(name == "length")).astype(np.int64) * unit

    def describe(self) -> str:
        """What decides the result, to recognise an unfinished one."""
        spans = {name: [span.low, span.high, span.log] for name, span in self.spans.items()}
        about = [
            pickle.dumps(self.base).hex(),
            {k: list(v) for k, v in self.grid.items()},
            spans,
            self.samples,
            self.seed,
        ]
        return json.dumps(about, default=str)


def answer(scenario: Scenario) -> dict[str, Any]:
    """One scenario's results, as ``compare`` has them; see :data:`RESULTS`."""
    try:
        (found,) = compare(scenario, (scenario.zero_page,))
    except InputError as error:
        return _nothing(error)
    prediction = found.prediction
    return {
        "elapsed_s": prediction.elapsed_s.value,
        "cpu_s": prediction.cpu_s.value,
        "speedup": found.speedup.value,
        "cpu_saved_s": found.cpu_saved_s.value,
        **{name: getattr(prediction.structure, name) for name in ("bios", "vectors", "requests", "segments")},
        "bound_by": prediction.bound_by,
        "why_not": "",
    }


def _nothing(error: InputError) -> dict[str, Any]:
    none: dict[type, Any] = {float: np.nan, int: 0, str: ""}
    return {**{name: none[kind] for name, kind in RESULTS.items()}, "why_not": str(error)}


def work_out(plan: Plan, start: int, stop: int) -> pd.DataFrame:
    """Scenarios ``start`` to ``stop`` with their results, a row each."""
    inputs = plan.inputs(start, stop)
    base = replace(plan.base, machine=best_only(plan.base.machine))
    rows = []
    for row in inputs.to_dict("records") if len(inputs.columns) else [{} for _ in range(start, stop)]:
        try:
            scenario = apply(base, {str(name): value for name, value in row.items()})
        except InputError as error:
            rows.append(_nothing(error))
            continue
        rows.append(answer(scenario))
    results = pd.DataFrame(rows, columns=list(RESULTS), index=inputs.index)
    kinds = {name: kind for name, kind in RESULTS.items() if kind is not str}
    return pd.concat([inputs, results.astype(kinds)], axis=1)


def sweep(
    base: Scenario,
    grid: Mapping[str, Sequence[Any]] | None = None,
    spans: Mapping[str, Span] | None = None,
    *,
    samples: int = 1,
    seed: int = 0,
    jobs: int | None = None,
    client: Any = None,
) -> pd.DataFrame:
    """Ask every combination of a grid, with so many samples of what lies in a range.

    :param jobs: processes; all cores where left out. :param client: an existing Dask Client, to work there instead.
    :return: a row a scenario: its inputs, then :data:`RESULTS`.
    :raises InputError: on names that are no inputs.
    """
    from zpmodel.study.pieces import run

    plan = Plan(base, grid or {}, spans or {}, samples, seed)
    pieces = dict(run(plan, range(0, plan.rows), jobs=jobs, client=client))
    return pd.concat([pieces[start] for start in sorted(pieces)])
