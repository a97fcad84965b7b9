"""The device: what it needs for a request, and how many operations a second come out of a closed loop.

A request takes the device's data path, which serves one at a time, for ``request + segments x segment + size x MiB``; and
beside that ``latency + size x stream``, which requests spend in parallel (flash channels, copies by several threads). So one
large request can be slower than several small ones, where ``stream`` outweighs ``MiB``. Where the ring holds fewer requests
than are wanted, that bounds what is in flight.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zpmodel.accelerate import kernel
from zpmodel.timing.overlap import steady_rate

Floats = npt.NDArray[np.float64]

PARAMETERS = ("latency", "stream", "request", "segment", "MiB", "rounds")
"""Of the device [s, s/MiB, s, s, s/MiB, 1]; ``rounds`` says how far completions come together (0 to 1)."""


class Load(NamedTuple):
    """What a closed loop asks of CPU and device, arrays of shape (points,).

    ``path`` [s] CPU time of the submitting thread per operation; ``requests``, ``segments``, ``mebibytes`` of one
    operation;
    ``room`` how many of its requests the queue holds; ``depth`` operations in flight.
    """

    path: Floats
    requests: Floats
    segments: Floats
    mebibytes: Floats
    room: Floats
    depth: Floats


@kernel
def operation_rates(device, path, requests, segments, mebibytes, room, depth, out):  # type: ignore[no-untyped-def]
    """Operations per second of each point [1/s], into ``out``; ``device`` is in the order of PARAMETERS."""
    for i in range(len(out)):
        link = requests[i] * device[2] + segments[i] * device[3] + mebibytes[i] * device[4]
        latency = device[0] + device[1] * mebibytes[i] / requests[i]
        # An operation of more requests than the queue holds waits for the device several times over.
        rounds = max(1.0, requests[i] / room[i])
        held = max(1, int(min(depth[i], max(1.0, room[i] / requests[i]))))
        out[i] = steady_rate(path[i], link, latency * rounds, held, device[5])


def closed_loop(device: Floats, load: Load) -> Floats:
    """Operations per second [1/s] of each point of a load, shape (points,)."""
    out = np.empty(len(load.path))
    operation_rates(device, *load, out)
    return out
