"""One fit of a machine's costs to the medians of its points."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zpmodel.calibration.device_fit import DeviceFit, fit_device
from zpmodel.calibration.linear import Fit, fit_each
from zpmodel.calibration.observed import Observed
from zpmodel.devices import DeviceKind
from zpmodel.devices.closed_loop import Load
from zpmodel.timing.events import EVENTS, cold_share, on_path

Floats = npt.NDArray[np.float64]

QUANTITIES = ("cpu_s", "path_s", "rate")

LEAST_PATH_S = 1e-9
"""The least that an operation takes the submitting thread, so that logarithms hold."""

_CACHES = (2.0, 4.0, 8.0, 16.0, 32.0)


@dataclass(frozen=True)
class Once:
    """One fit to a set's medians: CPU of all threads, of the submitting thread, and the device.

    :ivar cache_mib: what of the data costs CPUs nothing extra [MiB].
    """

    cache_mib: float
    total: Fit
    path: Fit
    device: DeviceFit


def fit_once(device: DeviceKind, events: Floats, load: Load, seen: dict[str, Observed]) -> Once:
    """Fit costs to the medians of all points, see :func:`fit_each_time`."""
    return fit_each_time(device, events, load, seen, np.ones((1, len(events)), dtype=bool))[0]


def fit_each_time(
    device: DeviceKind, events: Floats, load: Load, seen: dict[str, Observed], kept: npt.NDArray[np.bool_]
) -> list[Once]:
    """Fit costs to medians, each time to other points; those whose CPU time nobody told have a say in the rates alone.

    :param events: counts of each point without cold vectors, shape (points, events).
    :param kept: the points of each fit, shape (fits, points).
    """
    # Where no CPU of this kernel copies, all caches are alike.
    sizes = _CACHES if device.COPIED_HERE else _CACHES[:1]
    cold = np.stack([with_cold(device, events, load, size) for size in sizes])
    submitted = on_path(cold, load.depth, device)
    caches, totals = _caches_of(cold, seen["cpu_s"], kept)
    spent, rate, found = seen["path_s"], seen["rate"], []
    paths = fit_each(submitted[caches], spent.median, spent.sigma, kept & spent.told)
    for cache, total, path, own in zip(caches, totals, paths, kept, strict=True):
        mine = Load(*(field[own] for field in load))
        mine = mine._replace(path=np.maximum(submitted[cache][own] @ path.costs, LEAST_PATH_S))
        fitted = fit_device(device, mine, rate.median[own], rate.sigma[own])
        found.append(Once(sizes[cache], total, path, fitted))
    return found


def _caches_of(cold: Floats, cpu: Observed, kept: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], list[Fit]]:
    """Which of the caches CPU times fit best with, each time, and the fit; only its rough size can be told.

    :param cold: events with each of the caches, shape (caches, points, events).
    """
    told = np.repeat(kept & cpu.told, len(cold), axis=0)
    tried = fit_each(np.tile(cold, (len(kept), 1, 1)), cpu.median, cpu.sigma, told)
    scaled = [np.abs(fit.residuals / cpu.sigma[own]) for fit, own in zip(tried, told, strict=True)]
    misfit = np.array([np.sum(np.minimum(size, 3.0)) for size in scaled]).reshape(len(kept), len(cold))
    best = np.argmin(misfit, axis=1)
    return best, [tried[i * len(cold) + cache] for i, cache in enumerate(best)]


def with_cold(device: DeviceKind, events: Floats, load: Load, cache_mib: float) -> Floats:
    """The events with the vectors that a cache of this size [MiB] doesn't hold, shape (points, events); none where no
    CPU of this kernel copies them."""
    share = np.array([cold_share(float(size), cache_mib) for size in load.working_set])
    filled = events.copy()
    filled[:, EVENTS.index("cold vector")] = events[:, EVENTS.index("vector")] * share * device.COPIED_HERE
    return filled
