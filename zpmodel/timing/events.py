"""What an operation is made of, as far as it costs time: the counts that costs are multiplied with."""

from collections.abc import Mapping

from zpmodel.base.units import MIB
from zpmodel.queue.limits import QueueLimits
from zpmodel.structure import Structure

EVENTS = ("operation", "wait", "vector", "request", "stall", "MiB", "cold MiB")
"""Events of an operation, in this order.

``operation``: one call, with its first bio. ``wait``: the caller sleeps and is woken; shared by all that are in flight.
``vector``: a vector filled and walked. ``request``: a request allocated, issued and completed. ``stall``: a run of the
kernel thread that issues what found the device's ring full; each issues as many requests as the ring has room for.
``MiB``: data moved, where a CPU touches them; ``cold MiB``: the part of them that no cache held.
"""


def ring_of(driver: str, limits: QueueLimits) -> int | None:
    """Descriptors that the device's ring holds; None where a request takes one entry whatever its segments.

    virtio-blk puts every segment into the ring, with two descriptors of its own; devices offer ``seg_max`` = ring - 2.
    """
    return limits.max_segments + 2 if driver == "virtio_blk" else None


def in_flight_limit(structure: Structure, limits: QueueLimits, ring: int | None) -> float:
    """How many of these requests the queue holds at once: its tags, and its ring's room for their segments."""
    if ring is None or structure.requests == 0:
        return float(limits.nr_requests)
    per_request = structure.segments / structure.requests + 2
    return min(float(limits.nr_requests), max(1.0, ring // per_request))


def cold_share(working_set_mib: float, cache_mib: float) -> float:
    """The share of data that comes from memory when a working set is walked round and round past a cache [1]."""
    return max(0.0, 1.0 - cache_mib / working_set_mib)


def events_of(
    structure: Structure, limits: QueueLimits, ring: int | None, depth: int, cold: float = 0.0
) -> dict[str, float]:
    """Count the events of one operation when ``depth`` of them are kept in flight.

    :param structure: the operation's structure.
    :param limits: the queue's limits.
    :param ring: see :func:`ring_of`.
    :param depth: operations in flight.
    :param cold: share of the data that no cache held, see :func:`cold_share`.
    """
    size = structure.length / MIB
    return {
        "operation": 1.0,
        "wait": 1.0 / depth,
        "vector": float(structure.vectors),
        "request": float(structure.requests),
        # Where it is tags that run out, the submitter sleeps until one is free; nobody issues in its stead.
        "stall": 0.0 if ring is None else _stalls(structure.requests, in_flight_limit(structure, limits, ring), depth),
        "MiB": size,
        "cold MiB": size * cold,
    }


def _stalls(requests: int, room: float, depth: int) -> float:
    """Runs of the issuing thread for one operation.

    Once more requests are wanted than the ring holds, it never empties and each request waits for room; with one
    operation in flight it is empty at the operation's start, and the first ones go out at once.
    """
    if depth * requests <= room:
        return 0.0
    waiting = requests - min(room, requests) if depth == 1 else requests
    return waiting / room


def as_row(events: Mapping[str, float]) -> list[float]:
    """The events in the order of :data:`EVENTS`."""
    return [events[name] for name in EVENTS]
