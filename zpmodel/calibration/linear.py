"""Fitting costs that can't be negative to counts of events: the best costs, and draws of all that the data allow.

A cost model is linear in its costs, errors are relative, and a few points are off: iteratively reweighted non-negative
least squares. Each round solves ``min ||w (X c / y^ - y / y^)||`` with c >= 0, where y^ is the last prediction and w
Huber's weight of the log residual; near the solution a relative residual is a log residual (to second order).

What the data allow is the same normal likelihood, cut off at zero costs. Draws come from it by Gibbs sampling (each
cost in turn from its truncated normal, Geweke 1991), so that a cost whose best value is zero has the upper limit that
the data give it, and two that can't be told apart share what they have between them in every way.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zpmodel.base.accelerate import kernel
from zpmodel.base.errors import InputError

Floats = npt.NDArray[np.float64]

_HUBER = 1.345  # 95 % efficient for normal residuals (Huber 1981)
_ROUNDS = 30
_THIN = 200  # sweeps between draws: costs that are tied move along their tie in small steps
_WARM = 2000


@dataclass(frozen=True)
class Fit:
    """Non-negative costs.

    :ivar costs: cost of each event, shape (events,).
    :ivar residuals: log(observed / fitted), shape (points,).
    :ivar rows: the weighted system whose least squares they are: rows, shape (points, events), of relative errors in
        units of each point's sigma; ``target`` is its right side, shape (points,).
    """

    costs: Floats
    residuals: Floats
    rows: Floats
    target: Floats

    @property
    def spread(self) -> float:
        """Robust standard deviation of the log residuals."""
        return float(1.4826 * np.median(np.abs(self.residuals - np.median(self.residuals))))


def fit_costs(counts: npt.ArrayLike, observed: npt.ArrayLike, sigma: npt.ArrayLike = 1.0) -> Fit:
    """Fit ``observed ~ counts @ costs`` with non-negative costs.

    :param counts: events of each point, shape (points, events), none negative.
    :param observed: what was measured, shape (points,), positive.
    :param sigma: log standard deviation of each point; scalar or shape (points,).
    :raises InputError: on shapes that don't fit, on values that aren't positive, without points.
    """
    x, y = np.asarray(counts, dtype=float), np.asarray(observed, dtype=float)
    scale = np.broadcast_to(np.asarray(sigma, dtype=float), y.shape)
    _check(x, y, scale)
    return fit_each(x[None], y, scale, np.ones((1, len(y)), dtype=bool))[0]


def fit_each(counts: Floats, observed: Floats, sigma: Floats, kept: npt.NDArray[np.bool_]) -> list[Fit]:
    """Fit many times in one pass, each time as :func:`fit_costs` does, to the points that are kept for it.

    :param counts: shape (fits, points, events).
    :param observed, sigma: shape (points,).
    :param kept: shape (fits, points); where none is, all costs are 0.
    """
    from scipy.optimize import nnls  # half a second to import

    costs, weights = np.zeros((len(kept), counts.shape[2])), np.zeros(kept.shape)
    all_fitted = np.where(kept, observed, 1.0)
    going = np.flatnonzero(kept.any(axis=1))  # fits that still change
    x, told = counts[going], kept[going]
    y, scale = np.where(told, observed, 1.0), np.where(told, sigma, 1.0)
    fitted = y
    for _ in range(_ROUNDS):
        if not len(going):
            break
        residual = np.abs(np.log(y / fitted) / scale)
        centre = 1.4826 * _medians(residual, told)
        size = residual / np.where(centre == 0.0, 1.0, centre)[:, None]
        weight = np.sqrt(np.where(size > _HUBER, _HUBER / np.maximum(size, 1e-12), 1.0)) / (scale * fitted) * told
        rows = x * weight[..., None]
        # Columns of one size: vectors come by the million where operations come one by one.
        norms = np.maximum(np.linalg.norm(rows, axis=1), 1e-300)
        rows /= norms[:, None, :]
        systems = zip(rows, weight * y, told, strict=True)
        new = np.array([nnls(scaled[mine], right[mine])[0] for scaled, right, mine in systems]) / norms
        fitted = np.maximum((x @ new[..., None])[..., 0], 1e-12 * y)
        moved = (np.abs(new - costs[going]) > 1e-7 * costs[going]).any(axis=1)
        costs[going], weights[going], all_fitted[going] = new, weight, fitted
        if not moved.all():
            going, x, told, y, scale, fitted = (part[moved] for part in (going, x, told, y, scale, fitted))
    rows = counts * weights[..., None]
    return [
        Fit(costs[i], np.log(observed[own] / all_fitted[i, own]), rows[i, own], weights[i, own] * observed[own])
        for i, own in enumerate(kept)
    ]


def _medians(values: Floats, kept: npt.NDArray[np.bool_]) -> Floats:
    """The median of those that are kept in each row."""
    ordered, number = np.sort(np.where(kept, values, np.inf), axis=1), kept.sum(axis=1)
    row = np.arange(len(values))
    return np.asarray(0.5 * (ordered[row, (number - 1) // 2] + ordered[row, number // 2]))


def _check(x: Floats, y: Floats, scale: Floats) -> None:
    if x.ndim != 2 or y.shape != x.shape[:1] or not len(y):
        raise InputError(
            "fit", "shape", f"{x.shape} counts, {y.shape} observed", "counts (points, events), observed (points,)"
        )
    good = (np.isfinite(x) & (x >= 0)).all() and (np.isfinite(y) & (y > 0) & (scale > 0)).all()
    if not good:
        raise InputError("fit", "values", "negative, zero or not finite", "counts of at least 0, observations above 0")


def draw_costs(fit: Fit, draws: int, widened: float = 1.0, seed: int = 0) -> Floats:
    """Draw costs from all that the data allow, shape (draws, events).

    An event that no point has keeps the best value, 0: the data say nothing of it.

    :param widened: how many times larger errors are than the fit's sigmas say.
    """
    told = np.linalg.norm(fit.rows, axis=0) > 0
    norms = np.linalg.norm(fit.rows[:, told], axis=0)
    rows = fit.rows[:, told] / norms / widened
    found = np.zeros((draws, len(told)))
    scaled = fit.costs[told] * norms
    rng = np.random.default_rng(seed)
    found[:, told] = (
        _gibbs(rows.T @ rows, rows.T @ (fit.target / widened), scaled, draws, rng) / norms if told.any() else 0.0
    )
    return found


@kernel
def _gibbs(precision, shift, start, draws, rng):  # type: ignore[no-untyped-def]
    """Sample a normal of this precision matrix and precision x mean, cut off at 0; all in one unit."""
    now = start.copy()
    out = np.empty((draws, len(now)))
    for step in range(_WARM + draws * _THIN):
        for j in range(len(now)):
            pull = shift[j]
            for k in range(len(now)):
                if k != j:
                    pull -= precision[j, k] * now[k]
            deviation = 1.0 / math.sqrt(precision[j, j])
            now[j] = deviation * _above(-pull * deviation, rng) + pull * deviation * deviation
            now[j] = max(now[j], 0.0)
        if step >= _WARM and (step - _WARM + 1) % _THIN == 0:
            out[(step - _WARM) // _THIN] = now
    return out


@kernel
def _above(least, rng):  # type: ignore[no-untyped-def]
    """A standard normal not below ``least``: by rejection, from an exponential in the tail (Robert 1995)."""
    if least <= 0.5:
        while True:
            found = rng.standard_normal()
            if found >= least:
                return found
    rate = (least + math.sqrt(least * least + 4.0)) / 2.0
    while True:
        found = least + rng.standard_exponential() / rate
        if rng.random() <= math.exp(-0.5 * (found - rate) ** 2):
            return found
