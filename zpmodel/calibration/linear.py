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
from scipy.optimize import nnls

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
    fitted, costs = y.copy(), np.zeros(x.shape[1])
    for _ in range(_ROUNDS):
        residual = np.log(y / fitted) / scale
        centre = 1.4826 * np.median(np.abs(residual)) or 1.0
        size = np.abs(residual) / centre
        weight = np.sqrt(np.where(size > _HUBER, _HUBER / np.maximum(size, 1e-12), 1.0)) / (scale * fitted)
        rows = x * weight[:, None]
        # Columns of one size: vectors come by the million where operations come one by one.
        norms = np.maximum(np.linalg.norm(rows, axis=0), 1e-300)
        solution, _ = nnls(rows / norms, weight * y)
        new = solution / norms
        done = bool((np.abs(new - costs) <= 1e-7 * costs).all())
        costs = new
        fitted = np.maximum(x @ costs, 1e-12 * y)
        if done:
            break
    return Fit(costs, np.log(y / fitted), rows, weight * y)


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
