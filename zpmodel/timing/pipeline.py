"""How long a call takes whose requests go through a CPU and a device: one kernel over all draws of the costs.

The requests of one call are of a few kinds. They are submitted one after the other and kept in flight as far as the
queue holds them. Had all one size, it would be the closed loop of :mod:`zpmodel.devices.overlap`; as they differ, each
kind's own times are taken, and the call is no shorter than its larger requests would take alone: one more small request
never makes a large one quicker. What is done once a call (it starts, it sleeps, it
is woken) comes before the first request or after the last, so nothing hides it.

``overlap`` says how much of submission hides behind the device: 1 as far as a pipeline can, 0 not at all (each request
is submitted, then waited for). Where nothing was measured, nobody knows.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zpmodel.base.accelerate import kernel
from zpmodel.devices.closed_loop import costs_of, latency_of, link_time
from zpmodel.devices.overlap import steady_rate

Floats = npt.NDArray[np.float64]


class Submission(NamedTuple):
    """Time of the submitting thread [s]: once a call, and for each request, segment and MiB; scalars or (draws,)."""

    call: Floats | float
    request: Floats | float
    segment: Floats | float
    mebibyte: Floats | float


class Kinds(NamedTuple):
    """Kinds of requests, the one that takes the device longest first: arrays of shape (kinds,).

    ``mebibytes`` and ``segments`` of a request, and how many (``number``) there are.
    """

    mebibytes: Floats
    segments: Floats
    number: Floats


@kernel
def call_seconds(device, submission, kinds, cold, far, room):  # type: ignore[no-untyped-def]
    """Time of one call [s].

    :param device: PathCosts, scalars. :param submission: Submission, scalars. :param kinds: Kinds.
    :param cold: share of the data that costs as if outside the cache [1]. :param far: the same of the segments [1].
    :param room: requests that may be in flight.
    """
    requests, cpu, link, latency, longest = 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(len(kinds.number)):
        number, size, segments = kinds.number[k], kinds.mebibytes[k], kinds.segments[k]
        cpu += number * (submission.request + segments * submission.segment + size * submission.mebibyte)
        requests += number
        link += number * link_time(device, 1.0, segments, size, cold, far)
        latency += number * latency_of(device, size)
        held = max(1, int(min(room, requests)))
        rate = steady_rate(cpu / requests, link / requests, latency / requests, held, device.rounds)
        serial = cpu + link + latency / held
        longest = max(longest, device.overlap * requests / rate + (1.0 - device.overlap) * serial)
    return submission.call + longest


@kernel
def many_call_seconds(devices, submissions, kinds, cold, far, room):  # type: ignore[no-untyped-def]
    """Time of one call for each draw [s]; fields of shape (draws,) but for ``kinds``."""
    out = np.empty(len(devices.latency))
    for i in range(len(out)):
        submission = Submission(
            submissions.call[i], submissions.request[i], submissions.segment[i], submissions.mebibyte[i]
        )
        out[i] = call_seconds(costs_of(devices, i), submission, kinds, cold[i], far[i], room)
    return out
