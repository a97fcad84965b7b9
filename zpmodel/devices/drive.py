"""A drive that fetches its data itself, behind a write cache, with flash that is mapped in units.

No CPU copies anything, so nothing depends on what a cache of the host holds. A write that fills a mapping unit (4 KiB
in nearly every drive) in part costs more than one that fills it: the rest is read, merged and written
(read-modify-write; NVMe base specification, Namespace Preferred Write Granularity, has the unit).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

from zpmodel.base.units import KIB, MIB
from zpmodel.devices.base import DATA_PATH, Floats, Parameter, PathCosts
from zpmodel.queue.limits import QueueLimits


class DriveCosts(NamedTuple):
    """As in :class:`zpmodel.devices.base.PathCosts`."""

    latency: Any
    stream: Any
    request: Any
    segment: Any
    mebibyte: Any
    rounds: Any
    mend: Any
    partial: Any


_SHARED = tuple(parameter for parameter in DATA_PATH if parameter.name in DriveCosts._fields)
_OWN = (
    Parameter("mend", "s/MiB", 4e-18, 2980.0, 1e-3, 4.0, "of a unit's rest, where a request fills it in part"),
    Parameter("partial", "s", 4e-18, 2980.0, 1e-6, 4.0, "that a request takes longer which fills a unit in part"),
)
_IN_COMMAND = 8 * KIB
_START = DriveCosts(*(parameter.start for parameter in (*_SHARED, *_OWN)))


@dataclass(frozen=True)
class Drive:
    """Tags, a data path and mapping units.

    :ivar unit_bytes: of the mapping [byte].
    :ivar parameters: the fitted ones.
    """

    unit_bytes: int = 4 * KIB
    parameters: DriveCosts = _START

    KIND: ClassVar[str] = "drive"
    COPIED_HERE: ClassVar[bool] = False
    COMPLETES_SINGLY: ClassVar[bool] = True
    FITTED: ClassVar[tuple[Parameter, ...]] = (*_SHARED, *_OWN)

    @classmethod
    def recognise(cls, target: Mapping[str, Any], limits: QueueLimits) -> Self | None:
        """What a data set says is a drive. (Of `measure`'s targets nobody says what is behind them.)"""
        return cls() if target.get("kind") == "drive" else None

    def path(self) -> PathCosts:
        """Its costs as the kernels take them."""
        shared = {name: getattr(self.parameters, name) for name in DriveCosts._fields}
        like = self.parameters.latency * 0.0  # scalars, or arrays of as many draws
        return PathCosts(
            **shared,
            cold=like,
            cold_segment=like,
            cache=like + 1.0,
            overlap=like + 1.0,
            unit=like + self.unit_bytes / MIB,
        )

    def room(self, requests: int, segments: int, tags: int) -> float:
        """Its tags."""
        return float(tags)

    def stalls(self, requests: int, room: float, depth: int) -> float:
        """None: where it is tags that run out, the submitter sleeps until one is free; nobody issues in its stead."""
        return 0.0

    def tables(self, requests: int, segments: int, length: int) -> float:
        """One a request, but where it is one segment of two pages at most, which the command itself holds
        (``nvme_setup_prp_simple``)."""
        return 0.0 if segments <= requests and length <= requests * _IN_COMMAND else float(requests)

    def known(self) -> dict[str, int]:
        """Its mapping unit."""
        return {"unit_bytes": self.unit_bytes}

    def with_fitted(self, values: Floats) -> Self:
        """The same device with other parameters, shape (fitted,) or (fitted, draws)."""
        return replace(self, parameters=DriveCosts(*values))
