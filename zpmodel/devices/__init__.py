"""Models of devices: what each needs for a request, and how many requests it holds.

A kind of device is one file with a NamedTuple (:class:`zpmodel.devices.base.DeviceKind` says what it must have) and its
line in :data:`KINDS`.
"""

from collections.abc import Mapping
from typing import Any

from zpmodel.devices.base import DeviceKind
from zpmodel.devices.drive import Drive
from zpmodel.devices.flat import Flat
from zpmodel.devices.ring import Ring
from zpmodel.queue.limits import QueueLimits

__all__ = ["KINDS", "DeviceKind", "Drive", "Flat", "Ring", "device_for", "kind_named"]

KINDS: tuple[type[DeviceKind], ...] = (
    Ring,
    Drive,
    Flat,
)
"""Every kind, the one that takes any device last."""


def device_for(target: Mapping[str, Any], limits: QueueLimits) -> DeviceKind:
    """The device that a data set was measured on, not fitted yet.

    :param target: facts of the target, as ``machine.toml`` has them under ``target``.
    :param limits: the queue's limits.
    """
    return next(found for kind in KINDS if (found := kind.recognise(target, limits)) is not None)


def kind_named(name: str) -> type[DeviceKind]:
    """The kind of a name.

    :raises KeyError: where there is none.
    """
    return {kind.KIND: kind for kind in KINDS}[name]
