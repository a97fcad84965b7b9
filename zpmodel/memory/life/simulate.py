"""Event simulation of the on-demand folio's life: every user is one event."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from zpmodel.base.accelerate import kernel
from zpmodel.base.errors import InputError
from zpmodel.base.estimate import LEVEL
from zpmodel.memory.life.closed_form import QUANTILES, Life, Outcome, delay_quantile

_SHAPES = {"exponential": 0, "fixed": 1, "lognormal": 2}
_POOL = 2048
_MEASURES = 5  # of a cycle: 1, time [s], failures, time present [s], users


@kernel
def _refill(rng: np.random.Generator, pool: NDArray[np.float64]) -> int:
    # One loop that does nothing else keeps the generator's state in registers: half the time of single draws.
    for i in range(pool.size):
        pool[i] = rng.standard_exponential()
    return 0


@kernel
def _failures(exponential: float, failure: float) -> float:
    """Failures before the next success: geometric, as a rounded-down exponential."""
    if failure <= 0.0:
        return 0.0
    if failure >= 1.0:
        return np.inf
    return math.floor(exponential / -math.log(failure))


@kernel
def _while_held(pool, at, now, held_until, end, gap, hold):  # type: ignore[no-untyped-def]
    """Users that arrive while somebody still holds a reference, hold times exponential: the state of most of them.

    :return: where the pool stands, the time, when the last reference is given back, how many arrived.
    """
    users = 0
    while at < _POOL:
        step = now + gap * pool[at]
        if step >= held_until or step >= end:
            break
        held_until = max(held_until, step + hold * pool[at + 1])
        now = step
        at += 2
        users += 1
    return at, now, held_until, users


@kernel
def _while_failing(pool, at, now, end, gap, failures_left):  # type: ignore[no-untyped-def]
    """Users that find no folio and fail to allocate one.

    :return: where the pool stands, the time, how many failures are left, how many arrived (and failed).
    """
    users = 0
    while at < _POOL and failures_left > 0.0:
        step = now + gap * pool[at]
        if step >= end:
            break
        failures_left -= 1.0
        now = step
        at += 1
        users += 1
    return at, now, failures_left, users


@kernel
def _fill(cycle, ended, seconds, failures, held_s, users):  # type: ignore[no-untyped-def]
    """A cycle's measures: whether it ended, its length [s], failures, time with the folio [s], users."""
    cycle[0], cycle[1], cycle[2], cycle[3], cycle[4] = ended, seconds, failures, held_s, users


@kernel
def _close(totals, products, cycle, full):  # type: ignore[no-untyped-def]
    """Add a cycle's measures to the totals and, where it was a full one, their products."""
    for i in range(_MEASURES):
        totals[i] += cycle[i]
        if full:
            for j in range(_MEASURES):
                products[i, j] += cycle[i] * cycle[j]


@kernel
def _hold(rng, exponential, shape, location, spread):  # type: ignore[no-untyped-def]
    """How long a user holds its reference [s]; the exponential is used up whatever the shape."""
    if shape == 0:
        return location * exponential
    return location if shape == 1 else math.exp(location + spread * rng.standard_normal())


@kernel
def _simulate(rng, segments, shape, location, spread):  # type: ignore[no-untyped-def]
    """Run through the segments (end, users per s, passes per s, failure), one user an event.

    A user matters later only through the latest time at which somebody still holds a reference: no queue is needed.
    Passes of the shrinker are memoryless: the idle time until one comes is drawn once and used up as the folio idles.
    Failures in a row are geometric, drawn once for each time without a folio.
    """
    totals, products, cycle = np.zeros(_MEASURES), np.zeros((_MEASURES, _MEASURES)), np.zeros(_MEASURES)
    present, cycles, at = False, 0, _POOL
    # Of this cycle so far; scalars, since the loop runs tens of millions of times.
    failures, users, held_s = 0, 0, 0.0
    allocated_at = cycle_started = held_until = now = 0.0
    pool = np.empty(_POOL + 4)
    for k in range(segments.shape[0]):
        end, gap, failure = segments[k, 0], 1.0 / segments[k, 1], segments[k, 3]
        idle_mean = 1.0 / segments[k, 2] if segments[k, 2] > 0.0 else np.inf
        idle_left = idle_mean * rng.standard_exponential()
        failures_left = _failures(rng.standard_exponential(), failure)
        while True:
            if at >= _POOL:  # at most four are taken in one round
                at = _refill(rng, pool)
            # What ends these loops is left to what follows.
            if present and shape == 0:
                at, now, held_until, came = _while_held(pool, at, now, held_until, end, gap, location)
                users += came
            elif not present:
                at, now, failures_left, came = _while_failing(pool, at, now, end, gap, failures_left)
                users, failures = users + came, failures + came
            if at >= _POOL:
                continue
            arrival, at = now + gap * pool[at], at + 1
            last = arrival >= end
            until = end if last else arrival
            if present and held_until < until:
                idle_left -= until - (held_until if held_until > now else now)
                if idle_left < 0.0:
                    present = False
                    held_s += until + idle_left - allocated_at
                    failures_left = _failures(pool[at], failure)
                    at += 1
            now = until
            if last:
                break
            users += 1
            if not present:
                if failures_left > 0.0:
                    failures_left, failures = failures_left - 1.0, failures + 1
                    continue
                _fill(cycle, 1.0, now - cycle_started, failures, held_s, users)
                # The first one began with the machine, without a folio: not a full cycle.
                _close(totals, products, cycle, cycles > 0)
                cycles, failures, users, held_s, present = cycles + 1, 0, 0, 0.0, True
                cycle_started = allocated_at = held_until = now
                idle_left = idle_mean * pool[at]
                at += 1
            held_until, at = max(held_until, now + _hold(rng, pool[at], shape, location, spread)), at + 1
    held_s += now - allocated_at if present else 0.0
    _fill(cycle, 0.0, now - cycle_started, failures, held_s, users)
    _close(totals, products, cycle, False)
    return totals, products


@dataclass(frozen=True)
class Simulated:
    """A simulated outcome.

    :ivar outcome: means over the simulated time.
    :ivar intervals: ``name value low high``: the simulation's own interval (see ``confidence``) of ``fallback_share``,
        ``allocations_per_hour`` and ``held_share``; NaN where too few allocations happened to tell.
    :ivar confidence: of each interval [1].
    :ivar users: users simulated.
    :ivar seconds: time simulated [s].
    """

    outcome: Outcome
    intervals: pd.DataFrame
    confidence: float
    users: int
    seconds: float


def simulate(life: Life, *, seconds: float = 86_400.0, seed: int = 1, confidence: float = LEVEL) -> Simulated:
    """Simulate a machine's time under constant conditions, from a boot without folio.

    :param life: the conditions.
    :param seconds: time to simulate [s].
    :param seed: of the random numbers: the same seed gives the same result.
    :param confidence: of the intervals [1]. They come from the cycles between allocations, which are independent and
        alike whatever the hold times (regenerative method, ratio estimator).
    :raises InputError: on times, seeds or levels that can't be.
    """
    _check(seconds, seed, confidence)
    totals, products = _run([life], seconds, seed)
    full = totals[0] - 1
    rows = []
    for name, top, bottom, scale in _RATIOS:
        value = float(totals[top] / totals[bottom]) * scale
        half = math.nan
        if full >= 2 and bottom is not None:
            sums = products[0]
            ratio = sums[top] / sums[bottom]
            squares = products[top, top] - 2 * ratio * products[top, bottom] + ratio**2 * products[bottom, bottom]
            mean = sums[bottom] / full
            half = float(stdtrit(full - 1, 0.5 + confidence / 2) * math.sqrt(max(0.0, squares) / (full - 1) / full))
            half = half / mean * scale
        rows.append((name, value, value - half, value + half))
    table = pd.DataFrame(rows, columns=["name", "value", "low", "high"])
    return Simulated(_outcome([life], totals), table, confidence, int(totals[4]), seconds)


def simulate_day(
    lives: Sequence[Life], *, seconds_each: float = 3600.0, runs: int = 8, seed: int = 1, confidence: float = LEVEL
) -> Simulated:
    """Simulate a day whose conditions change: one :class:`Life` after the other, several independent days.

    :param lives: the conditions of each part; rates and failure may differ, hold times, folio and its times may not.
    :param seconds_each: length of a part [s].
    :param runs: days to simulate; their scatter gives the intervals (Student's t).
    :param seed: of the first day.
    :param confidence: of the intervals [1].
    :raises InputError: on fewer than two runs, and on parts that differ in what may not.
    """
    _check(seconds_each, seed, confidence)
    if not lives:
        raise InputError("simulated day", "lives", "none", "at least one")
    if runs < 2:
        raise InputError("simulated day", "runs", runs, "2 or more")
    kinds = {_fixed(life) for life in lives}
    if len(kinds) > 1:
        raise InputError("simulated day", "lives", f"{len(kinds)} kinds", "the same hold times and folio in every part")
    totals = np.zeros(_MEASURES)
    values = np.empty((runs, len(_RATIOS)))
    for run in range(runs):
        mine, _ = _run(lives, seconds_each, seed + run)
        totals += mine
        values[run] = [mine[top] / mine[bottom] * scale for _, top, bottom, scale in _RATIOS]
    factor = stdtrit(runs - 1, 0.5 + confidence / 2) / math.sqrt(runs)
    mean, half = values.mean(axis=0), factor * values.std(axis=0, ddof=1)
    table = pd.DataFrame(
        {"name": [name for name, *_ in _RATIOS], "value": mean, "low": mean - half, "high": mean + half}
    )
    return Simulated(_outcome(lives, totals), table, confidence, int(totals[4]), seconds_each * len(lives) * runs)


_RATIOS = (
    ("fallback_share", 2, 4, 1.0),
    ("allocations_per_hour", 0, 1, 3600.0),
    ("held_share", 3, 1, 1.0),
)


def _check(seconds: float, seed: int, confidence: float) -> None:
    if not (seconds > 0 and math.isfinite(seconds)):
        raise InputError("simulation", "seconds", seconds, "a positive time [s]")
    if seed < 0:
        raise InputError("simulation", "seed", seed, "0 or more")
    if not 0 < confidence < 1:
        raise InputError("simulation", "confidence", confidence, "a level above 0 and below 1")


def _fixed(life: Life) -> tuple[float | str, ...]:
    users = life.users
    times = (life.clear_ns, life.allocate_ns, life.fail_ns)
    return (users.hold_s, users.shape, users.variation, life.folio_bytes, *times)


def _run(lives: Sequence[Life], seconds_each: float, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    users = lives[0].users
    location, spread = users.hold_s, 0.0
    if users.shape == "lognormal" and math.isfinite(users.hold_s):
        spread = math.sqrt(math.log1p(users.variation**2))
        location = math.log(users.hold_s) - spread**2 / 2
    segments = np.array(
        [[(i + 1) * seconds_each, x.users.per_s, x.scans_per_s, x.failure] for i, x in enumerate(lives)]
    )
    # The fastest of numpy's bit generators here; any would do.
    rng = np.random.Generator(np.random.SFC64(seed))
    totals, products = _simulate(rng, segments, _SHAPES[users.shape], location, spread)
    return np.asarray(totals), np.asarray(products)


def _outcome(lives: Sequence[Life], totals: NDArray[np.float64]) -> Outcome:
    allocations, seconds, failures, present, users = (float(x) for x in totals)
    life = lives[0]
    hours = seconds / 3600
    users = max(users, 1.0)
    rate = sum(x.users.per_s for x in lives) / len(lives)
    allocated, failed = allocations / users, failures / users
    p50, p99, p999 = (delay_quantile(life, allocated, failed, q) for q in QUANTILES)
    return Outcome(
        huge_share=1 - failed,
        fallback_share=failed,
        allocations_per_hour=allocations / hours,
        failures_per_hour=failures / hours,
        cleared_bytes_per_hour=allocations / hours * life.folio_bytes,
        racing_per_hour=allocations / hours * rate * (life.clear_ns + life.allocate_ns) * 1e-9,
        held_share=present / seconds,
        held_bytes=present / seconds * life.folio_bytes,
        mean_delay_ns=allocated * (life.clear_ns + life.allocate_ns) + failed * life.fail_ns,
        delay_ns=(p50, p99, p999),
    )
