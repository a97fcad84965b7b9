"""The distinct points of a data set, each with what it is made of and the runs that repeat it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from zpmodel.base.units import MIB
from zpmodel.callers.fio_write import count_buffer
from zpmodel.datasets.schema import KEYS, DataSet, limits_of
from zpmodel.devices import DeviceKind
from zpmodel.devices.closed_loop import Load
from zpmodel.queue.limits import QueueLimits
from zpmodel.timing.events import EVENTS, as_row, events_of, in_flight_limit, sleeps

Floats = npt.NDArray[np.float64]

_WAIT = EVENTS.index("wait")


@dataclass(frozen=True)
class Groups:
    """The distinct points of a set, in one order everywhere.

    :ivar keys: what tells them apart, a DataFrame with the columns of :data:`zpmodel.datasets.schema.KEYS`.
    :ivar events: counts of each event, shape (points, events).
    :ivar load: what each asks of the device; its ``path`` is zero until costs are known.
    :ivar rows: for each point, the rows of the data set that repeat it.
    """

    keys: pd.DataFrame
    events: Floats
    load: Load
    rows: list[npt.NDArray[np.int64]]


def group(data: DataSet, writes: pd.DataFrame | None = None) -> Groups:
    """Gather the replicates of each point and count what each is made of."""
    table = data.writes if writes is None else writes
    keys, rows = [], []
    for key, members in table.groupby(list(KEYS), sort=True).indices.items():
        keys.append(key)
        rows.append(np.asarray(members, dtype=np.int64))
    frame = pd.DataFrame(keys, columns=list(KEYS))
    events, load = describe(data.limits, data.device, frame, copies=data.copies)
    if data.device.COMPLETES_SINGLY:
        waits = _sleeps(table, rows, load)
        events[:, _WAIT] = np.where(np.isfinite(waits), waits, events[:, _WAIT])
    return Groups(frame, events, load, rows)


def _sleeps(table: pd.DataFrame, rows: list[npt.NDArray[np.int64]], load: Load) -> Floats:
    """How often each point's thread slept for an operation [1], where completions come singly: what was counted, else
    what its time and rate say; NaN where those aren't known either."""

    def medians(name: str) -> Floats:
        values = table[name].to_numpy(float)
        return np.array([np.median(values[members]) for members in rows])

    counted = np.minimum(medians("waits"), 1.0)  # of more, the rest are no waits for a completion
    return np.where(np.isfinite(counted), counted, sleeps(medians("path_s"), medians("rate"), load.depth))


def describe(
    limits: QueueLimits, device: DeviceKind, keys: pd.DataFrame, *, copies: bool = True
) -> tuple[Floats, Load]:
    """Count events, and what the device is asked for, of fio writes, each under its own ``max_sectors_kb``.

    :param keys: rows with the columns of :data:`zpmodel.datasets.schema.KEYS`.
    :param copies: whether a CPU moves the data; else bytes are no event of its.
    """
    events, load = [], []
    for block, depth, memory, max_sectors_kb in keys[list(KEYS)].itertuples(index=False):
        own = limits_of(limits, int(max_sectors_kb))
        structure = count_buffer(memory, own, int(block))
        counts = events_of(structure, own, device, int(depth))
        events.append(as_row(counts if copies else counts | {"MiB": 0.0}))
        room = in_flight_limit(structure, own, device)
        size = structure.length / MIB
        load.append((0.0, structure.requests, structure.segments, size, room, depth, size * depth))
    return np.array(events), Load(*np.array(load, dtype=float).T.copy())
