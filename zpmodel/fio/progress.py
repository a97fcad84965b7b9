"""Which documents of a file are running totals of a run that a later document goes on with (``--status-interval``)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zpmodel.fio import options, rows
from zpmodel.fio.dialect import DIRECTIONS, number

# Several runs that write into one file at a time; the documents of each still stand in order.
_RUNS_AT_A_TIME = 8
_CLOCKS_S = 2.5
# What fio prints as `elapsed` is up to a second more than it was.
_ELAPSED_S = 1.05
_LATENCIES = ("slat_ns", "clat_ns", "lat_ns", "slat", "clat", "lat")


@dataclass(frozen=True)
class _Side:
    """What a direction of a job had done: I/Os, bytes, runtime [ms], and (samples, least, most, mean) of latencies."""

    ios: float
    bytes: float
    runtime: float
    latencies: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class State:
    """How far a run had come when a document was printed: per job what identifies it, running totals, times [s]."""

    jobs: tuple[object, ...]
    sides: tuple[_Side, ...]
    printed_s: float
    elapsed_s: float
    whole_seconds: bool
    ramp: bool


def are_last(states: Sequence[State]) -> list[bool]:
    """Say of each document whether no later one supersedes it. Linear in the number of documents."""
    result = [True] * len(states)
    open_runs: dict[tuple[object, ...], list[int]] = {}
    for index, state in enumerate(states):
        candidates = open_runs.setdefault(state.jobs, [])
        for earlier in reversed(candidates):
            if _goes_on(states[earlier], state):
                result[earlier] = False
                candidates.remove(earlier)
                break
        candidates.append(index)
        del candidates[:-_RUNS_AT_A_TIME]
    return result


def state(document: Mapping[str, Any], where: str) -> State:
    """Take from a document what tells whether a later one goes on with it.

    :raises InputError: where it doesn't have fio's shape.
    """
    entries = rows.entries(document, where)
    jobs: list[object] = []
    sides: list[_Side] = []
    ramp = options.has_ramp(document.get("global options"))
    for entry in entries:
        given = entry.get("job options")
        ramp = ramp or options.has_ramp(given)
        found = {name: side for name in DIRECTIONS if isinstance(side := entry.get(name), dict)}
        jobs.append((rows.identity(entry), repr(given), tuple(found)))
        sides.extend(_side(side, where) for side in found.values())
    exact = number(document, "timestamp_ms", where) / 1000.0
    printed = number(document, "timestamp", where) if math.isnan(exact) else exact
    elapsed = max(number(entry, "elapsed", where) for entry in entries)
    return State(tuple(jobs), tuple(sides), printed, elapsed, math.isnan(exact), ramp)


def _side(fields: Mapping[str, Any], where: str) -> _Side:
    totals = [number(fields, name, where) for name in ("total_ios", "io_bytes", "runtime")]
    ios, amount, runtime = (0.0 if math.isnan(total) else total for total in totals)
    latencies = []
    for name in _LATENCIES if ios else ():
        held = fields.get(name)
        if isinstance(held, dict):
            least, most, mean = (number(held, each, where) for each in ("min", "max", "mean"))
            latencies.append((number(held, "N", where), least, most, mean))
    return _Side(ios, amount, runtime, tuple(latencies))


def _goes_on(earlier: State, later: State) -> bool:
    """Say whether a document has the running totals of another one, some time later.

    Runs that were merely appended to one file started at another time, or have counted less, or have another least or
    largest latency, or their runtimes didn't grow while the clock went on.
    """
    started_apart = (later.printed_s - later.elapsed_s) - (earlier.printed_s - earlier.elapsed_s)
    if abs(started_apart) > _CLOCKS_S:
        return False
    span_s = later.printed_s - earlier.printed_s
    if earlier.ramp and later.elapsed_s > earlier.elapsed_s and _began_before(later, earlier):
        # At the end of the ramp all counts begin anew, but the run is still the same.
        return True
    pairs = list(zip(earlier.sides, later.sides, strict=True))
    if not all(_continues(old, new) for old, new in pairs):
        return False
    if all(old == new for old, new in pairs):
        return True
    runtime_s = max(new.runtime - old.runtime for old, new in pairs) / 1000.0
    finished = all(new.ios == old.ios for old, new in pairs)
    # Whole seconds may be one too many.
    span_s -= 1.0 if earlier.whole_seconds or later.whole_seconds else 0.0
    return finished or not runtime_s < max(0.02, 0.3 * span_s)


def _began_before(later: State, earlier: State) -> bool:
    """Say whether a run had begun, by its own clock of whole seconds, before another document was printed."""
    if later.whole_seconds or earlier.whole_seconds:
        return earlier.elapsed_s > 2 * _CLOCKS_S
    return later.printed_s - earlier.printed_s < later.elapsed_s - _ELAPSED_S


def _continues(old: _Side, new: _Side) -> bool:
    """Say whether a direction can have gone on from one state to the other.

    Before fio 3.30 the runtime of a job that has finished goes on growing in running totals, until the last document
    has the real one: it may shrink, but only where nothing else changed at all.
    """
    if new.ios < old.ios or new.bytes < old.bytes:
        return False
    if old.ios == new.ios:
        return old.latencies == new.latencies and (new.runtime >= old.runtime or new.ios > 0)
    if new.runtime < old.runtime:
        return False
    if len(old.latencies) != len(new.latencies):
        return not old.latencies
    for (samples, least, most, _), (more, lesser, larger, _) in zip(old.latencies, new.latencies, strict=True):
        if more < samples or (most > 0 and (larger < most or lesser > least)):
            return False
    return True
