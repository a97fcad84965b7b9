"""How many operations a second come out of a closed loop round a CPU and a device.

A request takes the device's data path, which serves one at a time, for ``request + segments x segment + size x
mebibyte``; and beside that ``latency + size x stream``, which requests spend in parallel (flash channels, copies by
several threads). So one large request can be slower than several small ones, where ``stream`` outweighs ``mebibyte``.
Where the device holds fewer requests than are wanted, that bounds what is in flight.

A device that is software (virtio, loop) copies the data with a CPU: what of the buffers in flight does not fit its
``cache`` costs ``cold`` more, and each segment of it ``cold_segment``: pages lie here and there in memory, so that
neither a prefetcher nor a TLB entry reaches from one into the next. Zeroes come from one page over and over, which
fits; fio's buffers may not.

A drive says that a write is done before it is: what its flash takes for it bounds the rate and is in nobody's latency.
So with the rest of a mapping unit that a small write leaves (read, merged, written): it bounds rates alone.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zpmodel.base.accelerate import kernel
from zpmodel.devices.base import PathCosts
from zpmodel.devices.overlap import steady_rate

Floats = npt.NDArray[np.float64]


class Load(NamedTuple):
    """What a closed loop asks of CPU and device, arrays of shape (points,).

    ``path`` [s] CPU time of the submitting thread per operation; ``requests``, ``segments``, ``mebibytes`` of one
    operation; ``room`` how many of its requests the queue holds; ``depth`` operations in flight; ``working_set`` [MiB]
    the memory that the data come from.
    """

    path: Floats
    requests: Floats
    segments: Floats
    mebibytes: Floats
    room: Floats
    depth: Floats
    working_set: Floats


@kernel
def link_time(device, requests, segments, mebibytes, cold, far):  # type: ignore[no-untyped-def]
    """Time on the data path [s]; ``device`` is a PathCosts, ``cold`` the share of the data that is not in the cache,
    ``far`` that of the segments."""
    return (
        requests * device.request
        + segments * (device.segment + far * device.cold_segment)
        + mebibytes * (device.mebibyte + cold * device.cold)
    )


@kernel
def latency_of(device, mebibytes):  # type: ignore[no-untyped-def]
    """Time that a request of this size spends beside others [s]."""
    return device.latency + device.stream * mebibytes


@kernel
def rest_of_units(device, mebibytes):  # type: ignore[no-untyped-def]
    """What a request of this size leaves of the device's units that it touches, if it starts with one [MiB]."""
    if device.unit <= 0.0:
        return 0.0
    return max(0.0, math.ceil(mebibytes / device.unit - 1e-9) * device.unit - mebibytes)


@kernel
def costs_of(devices, draw):  # type: ignore[no-untyped-def]
    """One draw of PathCosts whose fields have the shape (draws,)."""
    return PathCosts(
        devices.latency[draw],
        devices.stream[draw],
        devices.request[draw],
        devices.segment[draw],
        devices.mebibyte[draw],
        devices.cold[draw],
        devices.cache[draw],
        devices.rounds[draw],
        devices.cold_segment[draw],
        devices.overlap[draw],
        devices.unit[draw],
        devices.mend[draw],
        devices.partial[draw],
    )


@kernel
def operation_rates(devices, load, out):  # type: ignore[no-untyped-def]
    """Operations per second of each draw and point [1/s], into ``out``, shape (draws, points).

    ``devices`` is a PathCosts with arrays (draws,), ``load`` a Load whose ``path`` has the shape (draws, points).
    """
    for draw in range(len(out)):
        device = costs_of(devices, draw)
        for i in range(out.shape[1]):
            cold = max(0.0, 1.0 - device.cache / load.working_set[i])
            requests, room = load.requests[i], load.room[i]
            each = load.mebibytes[i] / requests
            rest = rest_of_units(device, each)
            link = link_time(device, requests, load.segments[i], load.mebibytes[i] + requests * rest, cold, cold)
            # An operation of more requests than the queue holds waits for the device several times over.
            times = max(1.0, requests / room)
            held = max(1, int(min(load.depth[i], max(1.0, room / requests))))
            late = device.partial if rest > 0.0 else 0.0
            latency = (latency_of(device, each) + late) * times
            rate = steady_rate(load.path[draw, i], link, latency, held, device.rounds)
            if rest > 0.0:
                rate = min(rate, 1.0 / (link + requests * rest * device.mend))
            out[draw, i] = rate


def closed_loop(device: PathCosts, load: Load) -> Floats:
    """Operations per second [1/s] of each point of a load, shape (points,).

    Where the device has draws, or the load's ``path`` has them (then its shape is (draws, points)), there is a row for
    each draw: shape (draws, points).
    """
    given = np.atleast_2d(load.path)
    draws = np.broadcast(*device, given[:, 0]).size
    costs, path = np.empty((len(device), draws)), np.empty((draws, given.shape[1]))
    path[:] = given
    for row, cost in zip(costs, device, strict=True):
        row[:] = cost
    out = np.empty_like(path)
    operation_rates(PathCosts(*costs), load._replace(path=path), out)
    return out if np.ndim(load.path) == 2 or np.ndim(device.latency) else out[0]
