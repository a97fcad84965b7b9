"""Which documents of a file are running totals of a run that a later document goes on with (``--status-interval``)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zpmodel.fio import rows
from zpmodel.fio.dialect import DIRECTIONS, number

_TOTALS = ("total_ios", "io_bytes", "runtime")


@dataclass(frozen=True)
class _State:
    """How far a run had come when a document was printed: per job what identifies it, running totals, times [s]."""

    jobs: tuple[object, ...]
    totals: tuple[float, ...]
    printed_s: float
    started_s: float
    whole_seconds: bool


def are_last(documents: Sequence[Mapping[str, Any]], where: str) -> list[bool]:
    """Say of each document whether no later one supersedes it.

    :raises InputError: where a document doesn't have fio's shape.
    """
    states = [_state(document, where) for document in documents]
    return [not any(_goes_on(state, later) for later in states[index + 1 :]) for index, state in enumerate(states)]


def _state(document: Mapping[str, Any], where: str) -> _State:
    entries = rows.entries(document, where)
    jobs: list[object] = []
    totals: list[float] = []
    for entry in entries:
        sides = {name: side for name in DIRECTIONS if isinstance(side := entry.get(name), dict)}
        jobs.append((rows.identity(entry), repr(entry.get("job options")), tuple(sides)))
        for side in sides.values():
            counted = [number(side, field, where) for field in _TOTALS]
            totals.extend(0.0 if math.isnan(total) else total for total in counted)
    exact = number(document, "timestamp_ms", where) / 1000.0
    printed = number(document, "timestamp", where) if math.isnan(exact) else exact
    elapsed = max(number(entry, "elapsed", where) for entry in entries)
    return _State(tuple(jobs), tuple(totals), printed, printed - elapsed, math.isnan(exact))


def _goes_on(earlier: _State, later: _State) -> bool:
    """Say whether a document has the running totals of another one, some time later.

    Runs that were merely appended to one file differ in their options, or in when they started, or have counted less,
    or their runtimes didn't grow while the clock went on.
    """
    if earlier.jobs != later.jobs or abs(later.started_s - earlier.started_s) > 2.5:
        return False
    growth = [new - old for old, new in zip(earlier.totals, later.totals, strict=True)]
    if min(growth) < 0:
        return False
    runtime_s = max(growth[_TOTALS.index("runtime") :: len(_TOTALS)]) / 1000.0
    # Whole seconds may be one too many.
    span_s = later.printed_s - earlier.printed_s - (1.0 if earlier.whole_seconds or later.whole_seconds else 0.0)
    return max(growth) == 0 or not runtime_s < max(0.02, 0.3 * span_s)
