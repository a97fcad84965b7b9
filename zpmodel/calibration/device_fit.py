"""Fitting a device's parameters to the rates of closed loops, and drawing all that the rates allow."""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri

from zpmodel.calibration.walk import walked
from zpmodel.devices import DeviceKind
from zpmodel.devices.base import Parameter
from zpmodel.devices.closed_loop import Load, closed_loop

Floats = npt.NDArray[np.float64]

_EDGE = 1e-3  # a share starts no closer to 0 and 1
_HUBER = 2.0
_SMALL = float(np.finfo(float).eps ** 0.5)  # step of a derivative that only leads to the best fit, relative
_STEP = 1e-4  # of a numerical derivative, on the free scale
_BELIED = 1e-3  # of draws of a linear model grow the misfit by more than is allowed here
_LEAST_SHARE = 1e-3
_BENT = 1 / 3  # of steps that belie the rates, the share from which on draws walk
_MANY = 80  # points, from which on they don't: it takes seconds, and moves what a zero-out takes by 3 % (loop device)
_ROUNDS = (300, 1000)  # that draws walk, the fewer the more points there are
_WORK = 20_000  # rounds for a single point
_FEWEST = 8  # draws that can walk
_FARTHEST = 4.0  # a draw lies no farther from the best value than so many of its prior's widths


class DeviceFit(NamedTuple):
    """A fitted device and how the fit leans on its data.

    ``best`` the device; ``free`` its parameters on the free scale, shape (fitted,); ``prior`` where they started and
    ``width`` how far they may lie from there; ``jacobian`` of the log rates, shape (points, fitted); ``residuals``
    log(observed / fitted), shape (points,).
    """

    best: DeviceKind
    free: Floats
    prior: Floats
    width: Floats
    jacobian: Floats
    residuals: Floats


def fit_device(unfitted: DeviceKind, load: Load, rate: Floats, sigma: Floats) -> DeviceFit:
    """Fit a device's parameters to the rates of closed loops.

    :param unfitted: a device of the kind, with what is known of it.
    :param load: shape (points,) in each field, ``path`` included [s].
    :param rate: operations per second [1/s], shape (points,).
    :param sigma: log standard error of each rate.
    """
    from scipy.optimize import leastsq  # half a second to import

    table = unfitted.FITTED
    centre = np.array([parameter.start for parameter in table])
    # The fastest stream of bytes says what a MiB takes at the least.
    centre[[parameter.name for parameter in table].index("mebibyte")] = float(np.min(1 / (rate * load.mebibytes)))
    prior = _to_free(table, centre)
    width = np.array([parameter.prior for parameter in table])
    logs = _log_rates(unfitted, load)

    def residuals(free: Floats) -> Floats:
        scaled = (logs(free) - np.log(rate)) / sigma
        # Huber's loss as a residual, so that MINPACK's quick method can be used.
        size = np.abs(scaled)
        robust = np.where(
            size > _HUBER, np.sign(scaled) * np.sqrt(np.maximum(2 * _HUBER * size - _HUBER**2, 0)), scaled
        )
        return np.concatenate([robust, (free - prior) / width], axis=-1)

    def slopes(free: Floats) -> Floats:
        ahead = free + np.diag(np.where(free < 0, -_SMALL, _SMALL) * np.maximum(1.0, np.abs(free)))
        here, *there = residuals(np.vstack([free, ahead]))
        return np.asarray((np.array(there) - here) / (np.diag(ahead) - free)[:, None]).T

    # MINPACK's Levenberg-Marquardt, as least_squares(method="lm") calls it, without what that adds for other methods.
    found, *_ = leastsq(residuals, prior, Dfun=slopes, full_output=True, xtol=1e-4, ftol=1e-5, gtol=1e-8, maxfev=200)
    free = np.asarray(found, dtype=float)
    at = logs(free)
    jacobian = ((logs(free + np.eye(len(free)) * _STEP) - at) / _STEP).T
    return DeviceFit(unfitted.with_fitted(from_free(table, free)), free, prior, width, jacobian, np.log(rate) - at)


def draw_device(
    fit: DeviceFit, load: Load, paths: Floats, sigma: Floats, widened: float = 1.0, seed: int = 0
) -> DeviceKind:
    """Draw parameters from all that the rates allow, given draws of the submitting thread's time.

    Each draw perturbs the rates by their error and the prior by its width, and takes one Gauss-Newton step from the
    best fit (randomize, then optimize; exact for a linear model, Bardsley et al. 2014). Where many of these steps belie
    the rates, no straight line says what they allow, and draws walk on from there (:mod:`zpmodel.calibration.walk`).

    :param load: as it was fitted to.
    :param paths: the submitting thread's time of each point, shape (draws, points) [s].
    :param sigma: as it was fitted with.
    :param widened: how many times larger errors are than that.
    :return: the device with arrays of shape (draws,).
    """
    rng = np.random.default_rng(seed)
    table, draws = fit.best.FITTED, len(paths)
    weight = 1 / (sigma * widened)
    size = np.abs(fit.residuals) * weight
    weight = weight * np.sqrt(np.where(size > _HUBER, _HUBER / np.maximum(size, 1e-12), 1.0))
    system = np.vstack([fit.jacobian * weight[:, None], np.diag(1 / fit.width)])
    solve = np.linalg.pinv(system)
    loads = load._replace(path=paths)
    logs = np.log(closed_loop(fit.best.path(), loads))
    observed = np.log(closed_loop(fit.best.path(), load)) + fit.residuals
    noisy = observed + rng.standard_normal(logs.shape) * sigma * widened
    pulled = (fit.prior - fit.free + rng.standard_normal((draws, len(table))) * fit.width) / fit.width
    right = np.concatenate([(noisy - logs) * weight, pulled], axis=1)
    far = _FARTHEST * fit.width
    steps = np.clip(right @ solve.T, -far, far)
    allowed = _allowed(_log_rates(fit.best, loads), observed, weight, fit.free, steps)
    free = fit.free + allowed[:, None] * steps
    if np.mean(allowed < 1) > _BENT and len(observed) < _MANY and draws >= _FEWEST:
        rounds = int(np.clip(_WORK // len(observed), *_ROUNDS))
        free = walked(free, _misfit(fit, loads, observed, weight), fit.width, rounds, seed)
    return fit.best.with_fitted(from_free(table, free.T))


def _misfit(
    fit: DeviceFit, loads: Load, observed: Floats, weight: Floats
) -> Callable[[Floats, npt.NDArray[np.int64]], Floats]:
    """What places on the free scale are off rates and prior, for draws of these numbers (chi squared)."""

    def misfit(free: Floats, of: npt.NDArray[np.int64]) -> Floats:
        off = (observed - _log_rates(fit.best, loads._replace(path=loads.path[of]))(free)) * weight
        return np.asarray(np.sum(off**2, axis=1) + np.sum(((free - fit.prior) / fit.width) ** 2, axis=1))

    return misfit


def _allowed(logs: Callable[[Floats], Floats], observed: Floats, weight: Floats, free: Floats, steps: Floats) -> Floats:
    """How much of each step is taken [1], shape (draws,): where rates bend, a step that a straight line allows may
    belie them; it is halved until the misfit (chi squared) has grown by no more than draws' does."""

    def misfit(free: Floats) -> Floats:
        return np.asarray(np.sum(((observed - logs(free)) * weight) ** 2, axis=1))

    share = np.ones(len(steps))
    most = misfit(np.tile(free, (len(steps), 1))) + float(chdtri(len(free), _BELIED))
    while (halved := (misfit(free + share[:, None] * steps) > most) & (share > _LEAST_SHARE)).any():
        share[halved] /= 2
    return share


def _log_rates(unfitted: DeviceKind, load: Load) -> Callable[[Floats], Floats]:
    """Logarithms of the rates [1/s] as a function of free parameters, (fitted,) or a row a draw."""
    table = unfitted.FITTED
    return lambda free: np.log(closed_loop(unfitted.with_fitted(from_free(table, free.T)).path(), load))


def _to_free(table: tuple[Parameter, ...], values: Floats) -> Floats:
    """Parameters on a scale without bounds: logarithms, log odds of shares."""
    share = np.array([parameter.is_share for parameter in table])
    inside = np.clip(values, _EDGE, 1 - _EDGE)
    return np.where(share, np.log(inside / (1 - inside)), np.log(np.where(share, 1.0, values)))


def from_free(table: tuple[Parameter, ...], free: Floats) -> Floats:
    """The parameters of a point on the free scale, shape (fitted,) or (fitted, draws)."""
    share, low, high = _bounds(table)
    inside = np.clip(np.asarray(free).T, low, high)
    return np.where(share, 1 / (1 + np.exp(-inside)), np.exp(inside)).T


@cache
def _bounds(table: tuple[Parameter, ...]) -> tuple[npt.NDArray[np.bool_], Floats, Floats]:
    """Which parameters are shares, and all bounds on the free scale, shape (fitted,) each."""
    ends = [(-30.0, 30.0) if one.is_share else (math.log(one.low), math.log(one.high)) for one in table]
    low, high = np.array(ends, dtype=float).T
    return np.array([one.is_share for one in table]), low, high
