"""virtio-blk without indirect descriptors: each segment takes an entry of the device's ring, with two for the request.

Devices offer ``seg_max`` = ring - 2 (QEMU's ``seg-max-adjust``, Firecracker), which the driver makes ``max_segments``.
With VIRTIO_RING_F_INDIRECT_DESC (bit 28) a request takes one entry whatever its segments: then there is no ring to
fill. Source: ``virtblk_probe`` (drivers/block/virtio_blk.c), ``virtqueue_add_split`` (drivers/virtio/virtio_ring.c).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from zpmodel.devices.base import DATA_PATH, START, Floats, Parameter, PathCosts
from zpmodel.queue.limits import QueueLimits

_OWN = 2  # descriptors of a request besides its segments: header and status


@dataclass(frozen=True)
class Ring:
    """A ring and a data path.

    :ivar descriptors: how many the ring has.
    :ivar parameters: as in :data:`zpmodel.devices.base.DATA_PATH`.
    """

    descriptors: int
    parameters: PathCosts = START

    KIND: ClassVar[str] = "ring"
    COPIED_HERE: ClassVar[bool] = False
    COMPLETES_SINGLY: ClassVar[bool] = False
    FITTED: ClassVar[tuple[Parameter, ...]] = DATA_PATH

    @classmethod
    def recognise(cls, target: Mapping[str, Any], limits: QueueLimits) -> Self | None:
        """A virtio disk, unless its features say that it takes indirect descriptors."""
        if target.get("driver") != "virtio_blk" or target.get("indirect_descriptors") is True:
            return None
        return cls(limits.max_segments + _OWN)

    def path(self) -> PathCosts:
        """Its costs as the kernels take them."""
        return self.parameters

    def room(self, requests: int, segments: int, tags: int) -> float:
        """Its tags, and the ring's room for the segments of the mean request."""
        if requests == 0:
            return float(tags)
        per_request = segments / requests + _OWN
        return min(float(tags), max(1.0, self.descriptors // per_request))

    def stalls(self, requests: int, room: float, depth: int) -> float:
        """Runs of the kernel thread that issues what found the ring full.

        Once more requests are wanted than the ring holds, it never empties and each request waits for room; with one
        operation in flight it is empty at the operation's start, and the first ones go out at once.
        """
        if depth * requests <= room:
            return 0.0
        waiting = requests - min(room, requests) if depth == 1 else requests
        return waiting / room

    def tables(self, requests: int, segments: int, length: int) -> float:
        """None that it is known to need."""
        return 0.0

    def known(self) -> dict[str, int]:
        """The ring's size."""
        return {"descriptors": self.descriptors}

    def with_fitted(self, values: Floats) -> Self:
        """The same device with other parameters, shape (fitted,) or (fitted, draws)."""
        return replace(self, parameters=PathCosts(*values))
