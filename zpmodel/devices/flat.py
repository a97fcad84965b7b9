"""A device that takes a request as one entry whatever its segments; its tags alone bound what is in flight."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from zpmodel.devices.base import DATA_PATH, START, Floats, Parameter, PathCosts
from zpmodel.queue.limits import QueueLimits


@dataclass(frozen=True)
class Flat:
    """Tags and a data path.

    :ivar parameters: as in :data:`zpmodel.devices.base.DATA_PATH`.
    """

    parameters: PathCosts = START

    KIND: ClassVar[str] = "flat"
    COPIED_HERE: ClassVar[bool] = True
    COMPLETES_SINGLY: ClassVar[bool] = False
    FITTED: ClassVar[tuple[Parameter, ...]] = DATA_PATH

    @classmethod
    def recognise(cls, target: Mapping[str, Any], limits: QueueLimits) -> Self | None:
        """Any device."""
        return cls()

    def path(self) -> PathCosts:
        """Its costs as the kernels take them."""
        return self.parameters

    def room(self, requests: int, segments: int, tags: int) -> float:
        """Its tags."""
        return float(tags)

    def stalls(self, requests: int, room: float, depth: int) -> float:
        """None: where it is tags that run out, the submitter sleeps until one is free; nobody issues in its stead."""
        return 0.0

    def tables(self, requests: int, segments: int, length: int) -> float:
        """None that it is known to need."""
        return 0.0

    def known(self) -> dict[str, int]:
        """Nothing."""
        return {}

    def with_fitted(self, values: Floats) -> Self:
        """The same device with other parameters, shape (fitted,) or (fitted, draws)."""
        return replace(self, parameters=PathCosts(*values))
