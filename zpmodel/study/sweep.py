"""Many questions at once: grids and samples over any inputs of a scenario.

A scenario follows from its number alone: which cell of the grid, which point of a scrambled Sobol' sequence. So pieces
can be worked out anywhere and in any order, and the result is the same whatever the pieces.
"""

import json
import pickle
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from zpmodel.base.errors import InputError
from zpmodel.base.turn import wanted_until
from zpmodel.study.bulk import answer_table, can_pass
from zpmodel.study.compare import compare
from zpmodel.study.inputs import WHOLE, WORDS, apply, best_only, check_name
from zpmodel.study.scenario import Scenario
from zpmodel.study.sequence import MOST, points_at
from zpmodel.timing.bulk.records import BOUNDS, DONE

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


@dataclass(frozen=True)
class Span:
    """An input that is sampled between two values; with ``log`` evenly in its logarithm."""

    low: float
    high: float
    log: bool = False

    def at(self, shares: Any) -> Any:
        """The values so far [1] from low to high; an array of any shape."""
        shares = np.asarray(shares, float)
        if self.log:
            return self.low * np.exp(shares * np.log(self.high / self.low))
        return self.low + shares * (self.high - self.low)


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
        if not 1 <= self.samples <= MOST:
            raise InputError("sweep", "samples", self.samples, f"1 to {MOST}")
        if self.seed < 0:
            raise InputError("sweep", "seed", self.seed, "a whole number, not negative")

    @property
    def rows(self) -> int:
        """Scenarios."""
        return int(np.prod([len(values) for values in self.grid.values()], dtype=object)) * self._each

    @property
    def quick(self) -> bool:
        """Whether the compiled pass answers this: it can, and there are enough to be worth loading it."""
        return self.rows >= WORTH_ROWS and can_pass(self.base, (*self.grid, *self.spans))

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
                columns[name] = _chosen(name, list(values), at)
        if self.spans:
            shares = points_at(len(self.spans), self.seed, points)
            for i, (name, span) in enumerate(self.spans.items()):
                columns[name] = self.rounded(name, span.at(shares[:, i]))
        return pd.DataFrame(columns, index=pd.RangeIndex(start, stop))

    def rounded(self, name: str, values: Any) -> Any:
        """Values of an input as it can have them: counts whole, ranges of whole blocks, of at least one."""
        if name not in WHOLE:
            return np.asarray(values)
        block = (self.base.limits or self.base.machine.limits).logical_block_size
        unit = block if name in ("length", "offset") else 1
        return np.maximum(np.round(np.asarray(values) / unit), int(name == "length")).astype(np.int64) * unit

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


WORTH_ROWS = 1000
"""Scenarios for which the compiled pass is worth loading, or compiling for the first time."""

_BOUND = (*BOUNDS, "")
_NOBODY = len(BOUNDS)


def _chosen(name: str, values: list[Any], at: Any) -> Any:
    """Values of a grid by their place; words as categories, which take no room in many rows."""
    if name not in WORDS:
        return np.array(values)[at]
    known = list(dict.fromkeys(values))
    codes = np.array([known.index(value) for value in values], np.int32)
    return pd.Categorical.from_codes(codes[at], known)  # type: ignore[call-overload]


def work_out(plan: Plan, start: int, stop: int, ended: threading.Event | None = None) -> pd.DataFrame:
    """Scenarios ``start`` to ``stop`` with their results, a row each; see :func:`answer_all`."""
    inputs = plan.inputs(start, stop)
    with wanted_until(ended):
        return pd.concat([inputs, answer_all(plan.base, inputs, quick=plan.quick, ended=ended)], axis=1)


def answer_all(
    base: Scenario, inputs: pd.DataFrame, *, quick: bool, ended: threading.Event | None = None
) -> pd.DataFrame:
    """Results for each row of inputs.

    :param quick: by the compiled pass where it can, and one by one what that leaves; the same but for last digits.
    :param ended: set by another thread that wants no more answers.
    :raises InterruptedError: where it was set.
    """
    columns: dict[str, Any] = {name: np.zeros(len(inputs), kind) for name, kind in RESULTS.items() if kind is not str}
    columns["bound_by"] = np.full(len(inputs), _NOBODY, np.int8)
    columns["why_not"] = np.full(len(inputs), "", object)
    left = np.arange(len(inputs))
    names = tuple(map(str, inputs.columns))
    if quick and can_pass(base, names):
        found = answer_table(base, {name: inputs[name] for name in names}, len(inputs), ended)
        columns |= {name: found[name] for name in columns if name in found}
        columns["bound_by"] = found["bound"].astype(np.int8)
        left = np.flatnonzero(found["status"] != DONE)
    if len(left):
        base = replace(base, machine=best_only(base.machine))
        asked = inputs.iloc[left]
        for i, row in zip(left, asked.to_dict("records") if names else [{}] * len(left), strict=True):
            if ended is not None and ended.is_set():
                raise InterruptedError("no more answers are wanted")
            for name, value in _one_by_one(base, {str(name): value for name, value in row.items()}).items():
                columns[name][i] = _BOUND.index(value) if name == "bound_by" else value
    columns["bound_by"] = pd.Categorical.from_codes(columns["bound_by"], list(_BOUND))  # type: ignore[call-overload]
    return pd.DataFrame({name: columns[name] for name in RESULTS}, index=inputs.index)


def _one_by_one(base: Scenario, values: dict[str, Any]) -> dict[str, Any]:
    try:
        return answer(apply(base, values))
    except InputError as error:
        return _nothing(error)


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
