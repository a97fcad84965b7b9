"""What goes into a pass over many predictions, and what comes out: a column an input, records within a block.

Arrays in tuples cost a counted reference each time that a kernel looks at one. So a block of rows is copied into
records first; all fields of one are of the same type, so that a record is also a row of numbers.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

QUEUE = (
    "max_sectors",
    "max_segments",
    "max_segment_size",
    "seg_boundary_mask",
    "virt_boundary_mask",
    "chunk_sectors",
    "logical_block_size",
    "physical_block_size",
    "write_zeroes_max_bytes",
    "max_hw_sectors",
    "dma_alignment",
    "nomerges",
    "nr_requests",
)
"""Fields of :class:`zpmodel.queue.limits.QueueLimits`."""

RANGE = ("length", "offset", "zero_bytes", "on_demand")
"""What is zeroed [byte] from which page [byte] (0: there is none of the name); whether that may not be there."""

DEVICE = ("latency", "stream", "request", "segment", "mebibyte", "cold", "cache", "rounds", "cold_segment", "overlap")
"""Fields of :class:`zpmodel.devices.base.PathCosts` that a call takes."""

CPU = ("operation", "wait", "vector", "request", "stall", "mebibyte", "cold_vector", "table")
"""Events of :data:`zpmodel.timing.events.EVENTS`, in their order."""

WHOLE = (*QUEUE, *RANGE)
REAL = (*(f"device_{name}" for name in DEVICE), *(f"cpu_{name}" for name in CPU), "fallback_share")
"""Inputs of a row: whole numbers; and costs of the device, factors on the CPU's [1], and the share of calls that fall
back [1] (NaN: as the folio's life says)."""

TIMES = ("elapsed_s", "cpu_s", "speedup", "cpu_saved_s")
COUNTS = ("bios", "vectors", "requests", "segments", "bound", "status")
"""Answers of a row: times [s] and a ratio [1]; counts, the index in :data:`BOUNDS`, and :data:`DONE` or
:data:`LEFT`."""

BOUNDS = ("submission", "device", "latency")
DONE, LEFT = 0, 1
"""What became of a row: it was answered, or is left to the oracle (which may refuse it)."""

BLOCK = 256
"""Rows of a block."""
MOST_KINDS = 128
"""Kinds of requests of a range; where there are more, the row is left to the oracle."""
ROOM = 4 * BLOCK + 2 * MOST_KINDS
"""Closed loops of a block."""

LOOP_FIELDS = ("cpu", "link", "latency", "depth", "rounds", "rate")

WHOLES = np.dtype((np.record, [(name, np.int64) for name in WHOLE]))
REALS = np.dtype((np.record, [(name, np.float64) for name in REAL]))
LOOP = np.dtype((np.record, [(name, np.float64) for name in LOOP_FIELDS]))
"""A closed loop: times of all its requests [s], how many are in flight, the device's ``rounds``, and how often all of
them would be done [1/s]."""


class Columns(NamedTuple):
    """Inputs of one type, in the order of :data:`WHOLE` or :data:`REAL`.

    ``varied``: those that differ from row to row, shape (varied, rows); ``at``: for each input its place there, or -1;
    ``same``: for each of the others its value.
    """

    varied: npt.NDArray[Any]
    at: npt.NDArray[np.int64]
    same: npt.NDArray[Any]


SPENT = np.dtype((np.record, [(name, np.float64) for name in CPU]))
"""CPU time of each event [s]."""

_SAME = ("descriptors", "most", "cache_mib", "known", "saved")
_FOLIO = ("first", "fell", "get", "get_bio", "clear", "fail", "flag")
FIXED = np.dtype((np.record, [(name, np.float64) for name in (*_SAME, *_FOLIO)]))
"""What is the same for all rows.

``descriptors`` of the machine's own queue's ring (0: none); ``most`` in flight that was measured; ``cache_mib`` of the
CPUs; ``known`` 1, or NaN where no CPU time was measured; ``saved`` likewise. On demand: ``first`` and ``fell``, the
shares of calls that allocate and that fall back [1]; ``get`` and ``get_bio`` [s] a call and a bio; ``clear`` and
``fail`` [s] of one that does; ``flag`` [s] where the share that falls back is given.
"""


class Fixed(NamedTuple):
    """Records, one of each but for ``spent``: ``home`` (of ``WHOLES``), the machine's own queue, another of which has
    no ring; ``spent``, CPU time on the submitting thread and on all; and ``same``, the rest (of ``FIXED``)."""

    home: npt.NDArray[Any]
    spent: npt.NDArray[Any]
    same: npt.NDArray[Any]


_COUNTED = ("known", "bios", "vectors", "requests", "segments", "first_loop", "end_loop", "bound")
_TIMED = ("start_s", "cpu_s")
CALL = np.dtype((np.record, [*((name, np.int64) for name in _COUNTED), *((name, np.float64) for name in _TIMED)]))
"""What is known of a call before its loops are: counts, its loops, the index in :data:`BOUNDS`, the time that nothing
hides, that of submitting all requests, and all CPU time [s]."""
