"""Fitting costs that can't be negative to counts of events, on a log scale, robustly.

A cost model is linear in its costs, errors are relative, and a few points are off: iteratively reweighted non-negative
least squares. Each round solves ``min ||w (X c / y^ - y / y^)||`` with c >= 0, where y^ is the last prediction and w
Huber's weight of the log residual; near the solution a relative residual is a log residual (to second order).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from zpmodel.base.errors import InputError

Floats = npt.NDArray[np.float64]

_HUBER = 1.345  # 95 % efficient for normal residuals (Huber 1981)
_ROUNDS = 30


@dataclass(frozen=True)
class Fit:
    """Non-negative costs.

    :ivar costs: cost of each event, shape (events,).
    :ivar residuals: log(observed / fitted), shape (points,).
    """

    costs: Floats
    residuals: Floats

    @property
    def spread(self) -> float:
        """Robust standard deviation of the log residuals."""
        return float(1.4826 * np.median(np.abs(self.residuals - np.median(self.residuals))))


def fit_costs(counts: npt.ArrayLike, observed: npt.ArrayLike, sigma: npt.ArrayLike = 1.0) -> Fit:
    """Fit ``observed ~ counts @ costs`` with non-negative costs.

    :param counts: events of each point, shape (points, events), none negative.
    :param observed: what was measured, shape (points,), positive.
    :param sigma: log standard deviation of each point, relative to the others; scalar or shape (points,).
    :raises InputError: on shapes that don't fit, on values that aren't positive, on fewer points than events.
    """
    x, y = np.asarray(counts, dtype=float), np.asarray(observed, dtype=float)
    scale = np.broadcast_to(np.asarray(sigma, dtype=float), y.shape)
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise InputError(
            "fit", "shape", f"{x.shape} counts, {y.shape} observed", "counts (points, events), observed (points,)"
        )
    if len(y) < x.shape[1]:
        raise InputError("fit", "points", len(y), f"at least as many as costs, {x.shape[1]}")
    if not (
        np.all(np.isfinite(x)) and np.all(x >= 0) and np.all(np.isfinite(y)) and np.all(y > 0) and np.all(scale > 0)
    ):
        raise InputError("fit", "values", "negative, zero or not finite", "counts of at least 0, observations above 0")
    fitted = y.copy()
    costs = np.zeros(x.shape[1])
    for _ in range(_ROUNDS):
        residual = np.log(y / fitted) / scale
        centre = 1.4826 * np.median(np.abs(residual)) or 1.0
        size = np.abs(residual) / centre
        weight = np.sqrt(np.where(size > _HUBER, _HUBER / np.maximum(size, 1e-12), 1.0)) / (scale * fitted)
        # Columns of one size: vectors come by the million where operations come one by one.
        columns = x * weight[:, None]
        norms = np.maximum(np.linalg.norm(columns, axis=0), 1e-300)
        solution, _ = nnls(columns / norms, weight * y)
        new = solution / norms
        done = np.allclose(new, costs, rtol=1e-7, atol=0)
        costs = new
        fitted = np.maximum(x @ costs, 1e-12 * y)
        if done:
            break
    return Fit(costs, np.log(y / fitted))
