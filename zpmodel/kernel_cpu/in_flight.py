"""Slow paths that depend on how many requests are in flight, not on the request: two allocators of the kernel.

An I/O virtual address comes from a cache in front of the IOMMU's address tree (drivers/iommu/iova.c: per CPU two
magazines of 127, and a depot), which holds what was ever in flight at once: the tree is asked only where more requests
are outstanding than ever before, or after a timer has trimmed the depot. Before 6.17 the driver takes each scatterlist
(4 KiB) from the slab allocator (mm/slub.c): freeing is cheap into the slab that the CPU allocates from, dearer into
another, and a slab that falls empty beyond those kept is given back and made anew. In flight are between what one plug
issues at once and the whole queue; a counted table may say what really happened.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from zpmodel.structure import Structure

COLUMNS = ("tree_allocations", "slabs_made", "slow_frees", "slabs_emptied")
"""Columns of a counted table, over all requests of a row, in the order of :class:`Events`."""

_IN_FLIGHT = 256  # the most that was seen at once in any counted call; the flush queue holds as many again
_FLUSH_QUEUE = 256  # IOVA_DEFAULT_FQ_SIZE
_SLAB_OBJECTS = 8  # of 4 KiB: an order-3 slab
_KEPT_SLABS = 6 + 2 + 1  # min_partial of 4 KiB objects, the CPU's partial slabs, the CPU's slab


class Events(NamedTuple):
    """Events a request [1].

    ``tree``: an I/O virtual address from the tree; ``made``: a slab made. Unmapping: ``freed``: a scatterlist freed
    into another slab than the CPU's, ``emptied``: a slab given back.
    """

    tree: float = 0.0
    made: float = 0.0
    freed: float = 0.0
    emptied: float = 0.0


@dataclass(frozen=True)
class Expected:
    """Events a request where nobody counted them: between the fewest and the most in flight, and at their geometric
    mean."""

    value: Events
    low: Events
    high: Events


def counted(row: Mapping[Hashable, Any]) -> Events | None:
    """What a row of a counted table says happened, a request, or None where it doesn't."""
    if COLUMNS[0] not in row:
        return None
    return Events(*(float(row.get(name, 0)) / float(row["requests"]) for name in COLUMNS))


def expect(structure: Structure, iterated: float, *, translating: bool, lazy: bool) -> Expected:
    """Events of a range.

    :param iterated: requests that take the slow path, and so a scatterlist.
    """
    requests = max(1, structure.requests)
    share = iterated / requests
    most = float(min(requests, _IN_FLIGHT))
    fewest = min(most, requests / max(1, structure.work.flushes))
    fresh = min(1.0, (_IN_FLIGHT + _FLUSH_QUEUE * lazy) / requests) if translating else 0.0
    ends = [_slabs(number, share) for number in ((fewest * most) ** 0.5, fewest, most)]
    return Expected(ends[0], ends[1], ends[2]._replace(tree=fresh))


def _slabs(in_flight: float, share: float) -> Events:
    # The CPU's slab holds from one to all of its objects.
    freed = max(0.0, 1 - (_SLAB_OBJECTS + 1) / 2 / in_flight)
    emptied = max(0.0, 1 - _KEPT_SLABS * _SLAB_OBJECTS / in_flight) / _SLAB_OBJECTS
    return Events(0.0, share * emptied, share * freed, share * emptied)
