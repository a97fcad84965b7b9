"""Fit the clearing model to measured bandwidths, and score it on sizes that were left out."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from zpmodel.base.errors import InputError
from zpmodel.base.results import kept_result
from zpmodel.memory.clearing.model import BELIEFS, NAMES, Calls, ClearingModel, Floats, call_ns
from zpmodel.memory.machines import Caches

PUBLISHED_NOISE = 0.05
"""Relative scatter of a published or repeated bandwidth [1], before the fit says it is larger. Published standard
deviations of clearing bandwidth go from 0.03 % to 9 %."""

_WORTH = 6.0
"""A step is believed when it lowers chi-squared by more than this (about 1.4 % chance by luck alone)."""


def series(
    method: str,
    call_bytes: ArrayLike,
    bandwidth_bytes_per_s: ArrayLike,
    region_bytes: ArrayLike | None = None,
    instruction_bytes: ArrayLike | None = None,
) -> pd.DataFrame:
    """Make the table that :func:`fit_clearing` reads out of a list of sizes and bandwidths.

    :param method: ``rep-stos``, ``non-temporal`` or ``clzero``.
    :param call_bytes: the sizes cleared in one call, or "chunks" [byte].
    :param bandwidth_bytes_per_s: one for each [byte/s].
    :param region_bytes: memory gone round [byte]; by default each call clears the same bytes again.
    :param instruction_bytes: longest piece that one instruction clears [byte]; the whole call by default.
    :raises InputError: on what the model can't take.
    """
    calls = Calls.of(method, call_bytes, region_bytes, instruction_bytes)
    return pd.DataFrame(
        {
            "method": calls.method,
            "call_bytes": calls.call_bytes,
            "region_bytes": calls.region_bytes,
            "instruction_bytes": calls.instruction_bytes,
            "bandwidth_bytes_per_s": np.broadcast_to(np.asarray(bandwidth_bytes_per_s, dtype=np.float64), len(calls)),
        }
    )


def fit_clearing(
    points: pd.DataFrame, caches: Caches, *, noise: float = PUBLISHED_NOISE, page: str = "not stated"
) -> ClearingModel:
    """Fit one CPU's clearing costs to all its methods at once.

    Residuals are logarithms of bandwidth over the noise; :data:`zpmodel.memory.clearing.model.BELIEFS` join as further
    residuals, so that one point is enough to start from and what no point tells keeps its wide prior interval. Loss:
    soft L1, so that a disturbed measurement does not pull the rest along.

    :param points: columns ``method call_bytes region_bytes bandwidth_bytes_per_s``, ``instruction_bytes`` optional.
    :param caches: the CPU's caches.
    :param noise: relative scatter of one bandwidth [1]; raised when the fit leaves more.
    :param page: how the memory was mapped, for the record.
    :raises InputError: on missing columns, no rows, or bandwidths that are not positive.
    """
    needed = ["method", "call_bytes", "region_bytes", "bandwidth_bytes_per_s"]
    missing = [name for name in needed if name not in points.columns]
    if missing or points.empty:
        raise InputError("clearing points", "columns", ", ".join(missing) or "no rows", ", ".join(needed))
    rate = points["bandwidth_bytes_per_s"].to_numpy(dtype=np.float64)
    if not np.all(np.isfinite(rate) & (rate > 0)):
        raise InputError("clearing points", "bandwidth_bytes_per_s", float(np.min(rate)), "positive numbers")
    if not 0 < noise < 1:
        raise InputError("clearing fit", "noise", noise, "a share above 0 and below 1")
    pieces = points.get("instruction_bytes")
    calls = Calls.of(points["method"].to_numpy(str), points["call_bytes"], points["region_bytes"], pieces)
    # A fit takes a quarter of a second, and every comparison with an on-demand page rests on those of all known CPUs.
    given = [values.tolist() for values in (*vars(calls).values(), rate)]
    return kept_result(f"clearing {given} {caches} {noise} {page}", lambda: _fitted(calls, rate, caches, noise, page))


def _fitted(calls: Calls, rate: Floats, caches: Caches, noise: float, page: str) -> ClearingModel:
    """What :func:`fit_clearing` finds."""
    strings = calls.method == "rep-stos"
    can_tell = bool(np.any(strings & (calls.instruction_bytes > caches.llc_bytes / 4)))
    theta, cost, jacobian = _minimise(calls, rate, caches, noise, elides=False)
    elides: bool | None = False if can_tell else None
    if can_tell:
        other = _minimise(calls, rate, caches, noise, elides=True)
        if cost - other[1] > _WORTH:
            (theta, cost, jacobian), elides = other, True
    left = np.log(call_ns(theta, caches, calls, elides=bool(elides)) * rate / calls.call_bytes / 1e9)
    # The median resists the disturbed points that soft L1 already plays down; 1.48 makes it a standard deviation.
    scatter = max(noise, 1.48 * float(np.median(np.abs(left))) if rate.size > 2 else noise)
    covariance: Floats = np.asarray(np.linalg.inv(jacobian.T @ jacobian)) * (scatter / noise) ** 2
    # What no point speaks of must not become wider than the belief because other points scatter.
    covariance = _capped(covariance)
    return ClearingModel(caches, theta, covariance, scatter, elides, calls, page)


def _capped(covariance: Floats) -> Floats:
    belief = np.array([BELIEFS[name][1] for name in NAMES])
    shrink = np.minimum(1.0, belief / np.sqrt(np.diag(covariance)))
    return np.asarray(covariance * np.outer(shrink, shrink), dtype=np.float64)


def _minimise(
    calls: Calls, rate: Floats, caches: Caches, noise: float, *, elides: bool
) -> tuple[Floats, float, Floats]:
    from scipy.optimize import least_squares  # half a second to import

    mean = np.array([BELIEFS[name][0] for name in NAMES])
    deviation = np.array([BELIEFS[name][1] for name in NAMES])
    seen = np.log(calls.call_bytes / rate * 1e9)

    def residuals(theta: Floats) -> Floats:
        data = (np.log(call_ns(theta, caches, calls, elides=elides)) - seen) / noise
        return np.concatenate([data, (theta - mean) / deviation])

    # Levels make the surface uneven: the better of a few starts, fixed so that a fit is repeatable.
    starts = [mean, mean + deviation, mean - deviation, np.where([n == "llc_share" for n in NAMES], 0.0, mean)]
    best = min(
        (least_squares(residuals, start, loss="soft_l1", f_scale=2.0, x_scale=deviation) for start in starts),
        key=lambda found: float(found.cost),
    )
    return np.asarray(best.x), 2 * float(best.cost), np.asarray(best.jac)


def linear_bandwidth(points: pd.DataFrame, asked: pd.DataFrame) -> Floats:
    """Bandwidth [byte/s] by the straight line ``time = a + b x bytes`` of each method: what the LLC step breaks.

    Fitted like the model (log residuals, a and b not negative); NaN where a method has no point.
    """
    from scipy.optimize import least_squares  # half a second to import

    out = np.full(len(asked), np.nan)
    for method, mine in points.groupby("method"):
        size = mine["call_bytes"].to_numpy(float)
        time = size / mine["bandwidth_bytes_per_s"].to_numpy(float)
        slope = float(np.median(time / size))

        def residuals(x: Floats, size: Floats = size, time: Floats = time) -> Floats:
            return np.asarray(np.log(np.exp(x[0]) + np.exp(x[1]) * size) - np.log(time))

        if size.size == 1:
            a, b = 0.0, slope
        else:
            found = least_squares(residuals, [np.log(50e-9), np.log(slope)])
            a, b = np.exp(found.x)
        chosen = (asked["method"] == method).to_numpy()
        sizes = asked["call_bytes"].to_numpy(float)[chosen]
        out[chosen] = sizes / (a + b * sizes)
    return out


def leave_out(points: pd.DataFrame, caches: Caches, kept: ArrayLike, *, noise: float = PUBLISHED_NOISE) -> pd.DataFrame:
    """Fit to the rows that ``kept`` (booleans) names and predict the others.

    :return: the left-out rows with ``predicted_bytes_per_s low_bytes_per_s high_bytes_per_s error linear_error
        extrapolates``; errors are relative, ``abs(predicted / seen - 1)``.
    :raises InputError: as :func:`fit_clearing`.
    """
    mask = np.asarray(kept, dtype=bool)
    model = fit_clearing(points[mask], caches, noise=noise)
    rest = points[~mask]
    pieces = rest.get("instruction_bytes")
    guess = model.predict(rest["method"].to_numpy(str), rest["call_bytes"], rest["region_bytes"], pieces)
    seen = rest["bandwidth_bytes_per_s"].to_numpy(float)
    out = rest.reset_index(drop=True)
    out["predicted_bytes_per_s"] = guess["bandwidth_bytes_per_s"]
    out[["low_bytes_per_s", "high_bytes_per_s"]] = guess[["low_bytes_per_s", "high_bytes_per_s"]]
    out["error"] = np.abs(guess["bandwidth_bytes_per_s"].to_numpy() / seen - 1)
    out["linear_error"] = np.abs(linear_bandwidth(points[mask], rest) / seen - 1)
    out["extrapolates"] = guess["extrapolates"]
    return out


def halves(points: pd.DataFrame) -> list[NDArray[np.bool_]]:
    """Ways to keep half of the sizes: every other one of each method, from the first or from the second.

    :return: which rows are kept; none where one side would be empty.
    """
    order = points.groupby("method")["call_bytes"].rank(method="first").to_numpy()
    return [kept for kept in (order % 2 == 1, order % 2 == 0) if kept.any() and not kept.all()]
