"""A machine: CPU costs, a driver with its queue, and a device, each with its own source, scatter and reach.

Parts come from one calibration or from several; a machine whose parts don't come from one is composed, and says so.
"""

import math
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


class Scatter(NamedTuple):
    """Log standard deviations of held-out points of fio's writes around their prediction [1].

    ``small``, ``large``: inside the measured range, below :data:`LARGE_BYTES` and from there on; ``fewer``, ``more``,
    ``smaller``, ``larger``: with fewer or more in flight, with smaller or larger blocks than any that the prediction
    was calibrated from, for a doubling; 0 where nobody knows.
    """

    small: float
    large: float
    fewer: float
    more: float
    smaller: float
    larger: float

    def of(self, large: bool, doublings: tuple[float, float, float, float]) -> float:
        """Of a write: what it scatters by before it is stretched by each doubling outside the range.

        :param doublings: by which it is outside, in the order of the fields [1].
        """
        outside = sum(doubled * end**2 for doubled, end in zip(doublings, self[2:], strict=True))
        return max(self.large if large else self.small, math.sqrt(outside / (1 + sum(doublings))))


class WriteScatter(NamedTuple):
    """Of fio's own writes: by how much CPU time, rate and the ratio of two zero pages scatter."""

    cpu: Scatter
    rate: Scatter
    ratio: Scatter


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
    :ivar assumed: what its data did not say and was taken for granted, a line each.
    """

    name: str
    cpu: Cpu
    driver: Driver
    device: Device
    ratio_scatter: float
    write_scatter: WriteScatter | None = None
    assumed: tuple[str, ...] = ()

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

    def for_writes(self, block_bytes: int, depth: int) -> Self:
        """The machine as it predicts fio's own writes of this size [byte], so many in flight.

        They are what was held out, so what they scatter by is what those of their size did, or those at the end of the
        range that they lie beyond. Anything else (a zero-out is no write of fio's) may be like any of them, and
        scatters by the widest.
        """
        reach = self.device.reach
        if self.write_scatter is None or self.composed or not isinstance(self.cpu, FittedCpu) or reach is None:
            return self
        low, high = reach.block_bytes
        past = reach.depths[0] / depth, depth / reach.depths[-1], low / block_bytes, block_bytes / high
        fewer, more, smaller, larger = (math.log2(max(1.0, ratio)) for ratio in past)
        large, outside = block_bytes >= LARGE_BYTES, (fewer, more, smaller, larger)
        cpu, rate, ratio = (each.of(large, outside) for each in self.write_scatter)
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

    def estimate_of_write(self, best: float, draws: Floats, sigma: float, stretch: float) -> Estimate:
        """The same of one of fio's writes: what it scatters by was seen of its like, who were predicted from costs that
        are known no better, so that inside the measured range the draws' own width is a part of it.

        :param sigma: what its like scatter by [1]. :param stretch: by what that grows outside the range [1].
        """
        told = float(np.std(np.log(np.maximum(draws, np.finfo(float).tiny))))
        beside = max(0.0, sigma**2 - told**2) + sigma**2 * (stretch**2 - 1)
        return self.estimate(best, draws, math.sqrt(beside))
