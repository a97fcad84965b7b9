"""One fit of a machine's costs to the medians of its points."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zpmodel.calibration.device_fit import DeviceFit, fit_device
from zpmodel.calibration.linear import Fit, fit_costs
from zpmodel.calibration.observed import Observed
from zpmodel.devices import DeviceKind
from zpmodel.devices.closed_loop import Load
from zpmodel.timing.events import EVENTS, cold_share

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
    """Fit costs to medians; points whose CPU time nobody told have a say in the rates alone.

    :param events: counts of each point without cold vectors, shape (points, events).
    """
    cpu = seen["cpu_s"]
    cache = _cache_of(device, events[cpu.told], _some(load, cpu.told), cpu.median[cpu.told], cpu.sigma[cpu.told])
    full = with_cold(device, events, load, cache)
    total, path = (_fit_told(full, seen[name]) for name in ("cpu_s", "path_s"))
    rate = seen["rate"]
    loaded = load._replace(path=np.maximum(full @ path.costs, LEAST_PATH_S))
    return Once(cache, total, path, fit_device(device, loaded, rate.median, rate.sigma))


def _fit_told(events: Floats, seen: Observed) -> Fit:
    if not seen.told.any():
        return Fit(np.zeros(len(EVENTS)), np.zeros(0), np.zeros((0, len(EVENTS))), np.zeros(0))
    return fit_costs(events[seen.told], seen.median[seen.told], seen.sigma[seen.told])


def _some(load: Load, which: npt.NDArray[np.bool_]) -> Load:
    return Load(*(field[which] for field in load))


def with_cold(device: DeviceKind, events: Floats, load: Load, cache_mib: float) -> Floats:
    """The events with the vectors that a cache of this size [MiB] doesn't hold, shape (points, events); none where no
    CPU of this kernel copies them."""
    share = np.array([cold_share(float(size), cache_mib) for size in load.working_set])
    filled = events.copy()
    filled[:, EVENTS.index("cold vector")] = events[:, EVENTS.index("vector")] * share * device.COPIED_HERE
    return filled


def _cache_of(device: DeviceKind, events: Floats, load: Load, cpu_s: Floats, sigma: Floats) -> float:
    """The cache [MiB] with which CPU times fit best; only its rough size can be told, so a few are tried."""
    if not len(cpu_s):
        return _CACHES[0]

    def misfit(cache_mib: float) -> float:
        residuals = fit_costs(with_cold(device, events, load, cache_mib), cpu_s, sigma).residuals / sigma
        return float(np.sum(np.minimum(np.abs(residuals), 3.0)))

    return min(_CACHES, key=misfit)
