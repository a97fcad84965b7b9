"""A calibrated machine: costs of events and of the device, with draws that carry their uncertainty to every
prediction."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zpmodel.base.estimate import Estimate
from zpmodel.queue.limits import QueueLimits

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """Log standard deviations of held-out points around their prediction: what the model can't explain, and noise."""

    cpu: float
    rate: float
    ratio: float


@dataclass(frozen=True)
class Reach:
    """What the calibration saw; beyond, a prediction is an extrapolation.

    :ivar request_bytes: its smallest and its largest request [byte].
    :ivar request_segments: most segments of a request.
    :ivar in_flight: most requests in flight.
    :ivar depths: its queue depths.
    :ivar memories: its buffer memories.
    """

    request_bytes: tuple[int, int]
    request_segments: int
    in_flight: int
    depths: tuple[int, ...]
    memories: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    """Costs of one machine and device.

    :ivar name: which data set they come from.
    :ivar limits: the measured device's limits.
    :ivar ring: descriptors of its ring, or None.
    :ivar cache_mib: what the CPUs that touch the data keep in cache [MiB].
    :ivar cpu: CPU time of each of EVENTS, all threads [s], shape (events,).
    :ivar path: the part of it on the submitting thread [s], shape (events,).
    :ivar device: the device's PARAMETERS, shape (parameters,).
    :ivar cpu_draws: bootstrap draws of ``cpu``, shape (draws, events); ``path_draws``, ``device_draws`` of the others.
    :ivar spread: what held-out points scatter by.
    :ivar reach: the calibrated range.
    """

    name: str
    limits: QueueLimits
    ring: int | None
    cache_mib: float
    cpu: Floats
    path: Floats
    device: Floats
    cpu_draws: Floats
    path_draws: Floats
    device_draws: Floats
    spread: Spread
    reach: Reach

    @property
    def draws(self) -> int:
        """How many draws there are."""
        return len(self.cpu_draws)

    def scatter(self, sigma: float, draws: Floats) -> Floats:
        """Multiply draws with log-normal scatter, always the same for the same number of draws."""
        noise = np.random.default_rng(len(draws)).standard_normal(len(draws))
        scattered: Floats = draws * np.exp(sigma * (noise - noise.mean())).reshape(-1, *(1,) * (draws.ndim - 1))
        return scattered

    def estimate(self, best: float, draws: Floats, sigma: float) -> Estimate:
        """A value with the interval of its draws and of the scatter around them."""
        return Estimate.of(best, self.scatter(sigma, draws))
