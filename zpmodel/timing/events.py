"""What an operation is made of, as far as it costs time: the counts that costs are multiplied with."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from zpmodel.base.units import MIB
from zpmodel.devices import DeviceKind
from zpmodel.queue.limits import QueueLimits
from zpmodel.structure import Structure

Floats = npt.NDArray[np.float64]

EVENTS = ("operation", "wait", "vector", "request", "stall", "MiB", "cold vector", "table")
"""Events of an operation, in this order.

``operation``: one call, with its first bio. ``wait``: a sleep that a completion ends; shared by all that the device
holds at once, since those that wait for room end one by one, each with a wake-up of its own (:func:`sleeps` where
completions come singly).
``vector``: a vector filled and walked. ``request``: a request allocated, issued and completed. ``stall``: a run of the
kernel thread that issues what found the device full; each issues as many requests as it has room for. ``MiB``: data
moved, where a CPU touches them; ``cold vector``: a vector copied whose data no cache held. Pages lie here and there in
memory, so that neither a prefetcher nor a TLB entry reaches from one into the next: it is vectors that cost, not bytes.
``table``: a request whose driver needs a table of its segments (scatterlist, PRP list).
"""


def in_flight_limit(structure: Structure, limits: QueueLimits, device: DeviceKind) -> float:
    """How many of these requests the queue holds at once: its tags, and what the device has room for."""
    return device.room(structure.requests, structure.segments, limits.nr_requests)


def cold_share(working_set_mib: float, cache_mib: float) -> float:
    """The share of data that comes from memory when a working set is walked round and round past a cache [1]."""
    return max(0.0, 1.0 - cache_mib / working_set_mib)


def events_of(
    structure: Structure, limits: QueueLimits, device: DeviceKind, depth: int, cold: float = 0.0
) -> dict[str, float]:
    """Count the events of one operation when ``depth`` of them are kept in flight.

    :param structure: the operation's structure.
    :param limits: the queue's limits.
    :param device: what requests go to.
    :param depth: operations in flight.
    :param cold: share of the data that no cache held, see :func:`cold_share`.
    """
    size = structure.length / MIB if structure.operation == "write" else 0.0  # Write Zeroes moves no data
    room = in_flight_limit(structure, limits, device)
    held = min(float(depth), max(1.0, room / max(1, structure.requests)))
    return {
        "operation": 1.0,
        "wait": 1.0 / held,
        "vector": float(structure.vectors),
        "request": float(structure.requests),
        "stall": device.stalls(structure.requests, room, depth),
        "MiB": size,
        "cold vector": structure.vectors * cold if size else 0.0,
        "table": device.tables(structure.requests, structure.segments, structure.length),
    }


def sleeps(path_s: Floats | float, rate: Floats | float, depth: Floats | float) -> Floats:
    """How often the submitting thread sleeps for an operation where completions come one by one [1].

    A completion ends a sleep unless it finds the thread at work. It finds what one operation fewer in flight would
    leave (arrival theorem, Reiser and Lavenberg 1980), which is (n - 1) / n of the share of time that the thread works
    (Schweitzer 1979): always at a depth of 1, never where the thread is what bounds the rate.

    :param path_s: the thread's CPU time for an operation [s]. :param rate: operations [1/s]. :param depth: in flight.
    """
    number = np.asarray(depth, dtype=float)
    awake = np.asarray(path_s) * np.asarray(rate)
    return np.asarray(np.clip(1.0 - (number - 1.0) / number * awake, 1.0 / number, 1.0))


def on_path(events: Floats, depth: Floats | float, device: DeviceKind) -> Floats:
    """The events of the submitting thread: who waits for room is woken elsewhere, and it sleeps once for all in flight,
    unless completions come singly.

    :param events: shape (..., points, events). :param depth: operations in flight, shape (points,).
    """
    if device.COMPLETES_SINGLY:
        return events
    mine = events.copy()
    mine[..., EVENTS.index("wait")] = 1.0 / np.asarray(depth, dtype=float)
    return mine


def as_row(events: Mapping[str, float]) -> list[float]:
    """The events in the order of :data:`EVENTS`."""
    return [events[name] for name in EVENTS]
