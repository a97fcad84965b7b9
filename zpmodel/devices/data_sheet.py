"""A device from its data sheet: a bandwidth, a latency, and how little is known of the rest."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zpmodel.base.estimate import Estimate
from zpmodel.base.units import MIB
from zpmodel.devices.base import PathCosts
from zpmodel.devices.flat import Flat

Floats = npt.NDArray[np.float64]

COMMAND_S = Estimate(1e-6, 0.3e-6, 3e-6, "a command of an NVMe drive that does 0.3 to 3 million a second")
"""What a command takes the device's data path beside its bytes [s]."""


@dataclass(frozen=True)
class DataSheet:
    """What somebody wrote down of a device.

    :ivar bandwidth: of large writes [byte/s].
    :ivar latency_s: of a small write alone [s].
    :ivar command_s: of the data path for a command [s].
    :ivar overlap: share of submission that hides behind the device [1]; anything from 0 to 1 where nobody knows.
    """

    bandwidth: Estimate
    latency_s: Estimate
    command_s: Estimate = COMMAND_S
    overlap: tuple[float, float] = (0.0, 1.0)

    def device(self) -> Flat:
        """Its best values; overlap and rounds in the middle of what they may be."""
        middle = sum(self.overlap) / 2
        return Flat(self._path(self.bandwidth.value, self.latency_s.value, self.command_s.value, middle, 0.5))

    def draws(self, bandwidth: Floats, latency_s: Floats, command_s: Floats, uniform: Floats) -> Flat:
        """Draws of it, from draws of its numbers and uniform ones of shape (2, draws) for overlap and rounds."""
        low, high = self.overlap
        return Flat(self._path(bandwidth, latency_s, command_s, low + (high - low) * uniform[0], uniform[1]))

    def _path(self, bandwidth, latency_s, command_s, overlap, rounds) -> PathCosts:  # type: ignore[no-untyped-def]
        zero = np.zeros_like(np.asarray(bandwidth, dtype=float))
        return PathCosts(
            latency=latency_s,
            stream=zero,
            request=command_s,
            segment=zero,
            mebibyte=MIB / np.asarray(bandwidth),
            cold=zero,
            cache=zero + 1e9,
            rounds=rounds,
            cold_segment=zero,
            overlap=overlap,
        )
