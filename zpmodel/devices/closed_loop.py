"""The device: what it needs for a request, and how many operations a second come out of a closed loop.

A request takes the device's data path, which serves one at a time, for ``request + segments x segment + size x
MiB``; and beside that ``latency + size x stream``, which requests spend in parallel (flash channels, copies by
several threads). So one large request can be slower than several small ones, where ``stream`` outweighs ``MiB``.
Where the ring holds fewer requests than are wanted, that bounds what is in flight.

A device that is software (virtio, loop) copies the data with a CPU: what of the buffers in flight does not fit its
``cache`` costs ``cold`` more. Zeroes come from one page over and over, which fits; fio's buffers may not.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zpmodel.base.accelerate import kernel
from zpmodel.timing.overlap import steady_rate

Floats = npt.NDArray[np.float64]

PARAMETERS = ("latency", "stream", "request", "segment", "MiB", "cold", "cache", "rounds")
"""Of the device [s, s/MiB, s, s, s/MiB, s/MiB, MiB, 1]; ``rounds`` says how far completions come together (0 to 1)."""


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
def link_time(device, requests, segments, mebibytes, cold):  # type: ignore[no-untyped-def]
    """Time on the data path [s]; ``device`` as in PARAMETERS, ``cold`` the share of the data outside the cache."""
    return requests * device[2] + segments * device[3] + mebibytes * (device[4] + cold * device[5])


@kernel
def latency_of(device, mebibytes):  # type: ignore[no-untyped-def]
    """Time that a request of this size spends beside others [s]."""
    return device[0] + device[1] * mebibytes


@kernel
def operation_rates(device, path, requests, segments, mebibytes, room, depth, working_set, out):  # type: ignore[no-untyped-def]
    """Operations per second of each point [1/s], into ``out``; ``device`` is in the order of PARAMETERS."""
    for i in range(len(out)):
        cold = max(0.0, 1.0 - device[6] / working_set[i])
        link = link_time(device, requests[i], segments[i], mebibytes[i], cold)
        # An operation of more requests than the queue holds waits for the device several times over.
        times = max(1.0, requests[i] / room[i])
        held = max(1, int(min(depth[i], max(1.0, room[i] / requests[i]))))
        out[i] = steady_rate(path[i], link, latency_of(device, mebibytes[i] / requests[i]) * times, held, device[7])


def closed_loop(device: Floats, load: Load) -> Floats:
    """Operations per second [1/s] of each point of a load, shape (points,)."""
    out = np.empty(len(load.path))
    operation_rates(device, *load, out)
    return out
