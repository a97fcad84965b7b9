"""A machine: CPU costs, a driver with its queue, and a device, each with its own source, scatter and reach.

Parts come from one calibration or from several; a machine whose parts don't come from one is composed, and says so.
"""

from dataclasses import dataclass, replace
from html import escape
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from zpmodel.base.estimate import Estimate
from zpmodel.base.units import KIB
from zpmodel.devices import DeviceKind, Flat
from zpmodel.devices.base import PathCosts
from zpmodel.queue.limits import QueueLimits
from zpmodel.timing.cpu import Cpu, Reach
from zpmodel.timing.fitted import FittedCpu

Floats = npt.NDArray[np.float64]

LARGE_BYTES = 512 * KIB
"""Blocks from which on a larger zero page matters; they are scored by themselves, too [byte]."""


class WriteScatter(NamedTuple):
    """Log standard deviations of held-out points of fio's writes around their prediction [1], each below
    :data:`LARGE_BYTES` and from there on."""

    cpu: tuple[float, float]
    rate: tuple[float, float]
    ratio: tuple[float, float]


@dataclass(frozen=True)
class Driver:
    """What stands between the block layer and the device.

    :ivar source: where its limits come from.
    :ivar limits: the queue's limits.
    :ivar known: whether the costs were fitted with the limits of the queue that was measured; False where nobody knows
        these, and others were assumed.
    :ivar assumed: which limits were assumed when the costs were fitted, so that what they say holds if that queue's are
        the same; empty where they were known.
    """

    source: str
    limits: QueueLimits
    known: bool = True
    assumed: str = ""


@dataclass(frozen=True)
class Device:
    """A device's parameters.

    :ivar source: what they were fitted to, or who published them.
    :ivar best: the best values.
    :ivar draws: the same with arrays of shape (draws,).
    :ivar scatter: log standard deviation of held-out rates around their prediction [1].
    :ivar reach: the calibrated range; None where nothing bounds it.
    """

    source: str
    best: DeviceKind
    draws: DeviceKind
    scatter: float
    reach: Reach | None = None

    def paths(self, draws: int) -> PathCosts:
        """So many draws of its costs, arrays of shape (draws,); the same ones again where there are fewer."""
        return PathCosts(*(np.resize(np.asarray(values, dtype=float), draws) for values in self.draws.path()))

    @property
    def may_hide_all(self) -> bool:
        """Whether nobody knows how much of submission hides behind it, and it may be all (overlap from less to 1)."""
        overlap = np.asarray(self.draws.path().overlap)
        return bool(np.ptp(overlap) > 0 and overlap.max() > 0.98)

    def hiding(self, share: float) -> "Device":
        """The same device, known to hide this share of submission [1]."""
        best, draws = self.best.path(), self.draws.path()
        hidden = np.full(np.shape(draws.overlap), share)
        return replace(self, best=Flat(best._replace(overlap=share)), draws=Flat(draws._replace(overlap=hidden)))

    def elsewhere(self) -> "Device":
        """The same data path behind another queue, which is not known to have this one's ring.

        Nor is it known whether a segment costs the device anything there: a virtio device reads a descriptor for each,
        others don't. From nothing to all of it.
        """
        best, draws = self.best.path(), self.draws.path()
        share = np.random.default_rng(3).uniform(0, 1, np.shape(draws.segment))
        return replace(
            self,
            best=Flat(best._replace(segment=best.segment / 2)),
            draws=Flat(draws._replace(segment=share * draws.segment)),
        )


@dataclass(frozen=True)
class Machine:
    """CPU, driver and device.

    :ivar name: what to call it.
    :ivar cpu, driver, device: its parts.
    :ivar ratio_scatter: log standard deviation of held-out ratios of two zero pages [1].
    :ivar write_scatter: the same three scatters for fio's own writes, by size; None where nobody knows them apart.
    """

    name: str
    cpu: Cpu
    driver: Driver
    device: Device
    ratio_scatter: float
    write_scatter: WriteScatter | None = None

    @property
    def limits(self) -> QueueLimits:
        """The queue's limits."""
        return self.driver.limits

    @property
    def draws(self) -> int:
        """How many draws there are."""
        return self.cpu.draws

    @property
    def composed(self) -> str:
        """Where its parts come from; empty where they come from one calibration."""
        sources = {"CPU": self.cpu.source, "queue": self.driver.source, "device": self.device.source}
        if len(set(sources.values())) == 1:
            return ""
        return "; ".join(f"{part}: {source}" for part, source in sources.items())

    def with_limits(self, limits: QueueLimits | None) -> "Machine":
        """The same machine with another queue; itself where the limits are its own."""
        if limits is None or limits == self.limits:
            return self
        driver = replace(self.driver, source=limits.source, limits=limits)
        return replace(self, driver=driver, device=self.device.elsewhere())

    def with_device(self, device: Device) -> "Machine":
        """The same machine with another device behind its queue."""
        return replace(self, device=device)

    def for_writes(self, block_bytes: int) -> Self:
        """The machine as it predicts fio's own writes of this size [byte].

        They are what was held out, so what they scatter by is what those of their size did. Anything else (a zero-out
        is no write of fio's) may be like any of them, and scatters by the widest.
        """
        if self.write_scatter is None or self.composed or not isinstance(self.cpu, FittedCpu):
            return self
        cpu, rate, ratio = (each[block_bytes >= LARGE_BYTES] for each in self.write_scatter)
        device = replace(self.device, scatter=rate)
        return replace(self, cpu=replace(self.cpu, scatter=cpu), device=device, ratio_scatter=ratio)

    def _repr_html_(self) -> str:
        parts = {"CPU costs": self.cpu.source, "queue": self.driver.source, "device": self.device.source}
        rows = "".join(f"<tr><th>{part}</th><td>{escape(source)}</td></tr>" for part, source in parts.items())
        return f"<b>{escape(self.name)}</b><table>{rows}</table>"

    def scattered(self, sigma: float, draws: Floats) -> Floats:
        """Multiply draws with log-normal scatter, always the same for the same number of draws."""
        noise = np.random.default_rng(len(draws)).standard_normal(len(draws))
        scattered: Floats = draws * np.exp(sigma * (noise - noise.mean())).reshape(-1, *(1,) * (draws.ndim - 1))
        return scattered

    def estimate(self, best: float, draws: Floats, sigma: float) -> Estimate:
        """A value with the interval of its draws and of the scatter around them."""
        return Estimate.of(best, self.scattered(sigma, draws), self.name)
