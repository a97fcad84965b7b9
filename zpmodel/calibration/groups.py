"""The distinct points of a data set, each with what it is made of and the runs that repeat it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from zpmodel.base.units import MIB
from zpmodel.callers.fio_write import count_buffer
from zpmodel.datasets.schema import KEYS, DataSet
from zpmodel.devices import DeviceKind
from zpmodel.devices.closed_loop import Load
from zpmodel.queue.limits import QueueLimits
from zpmodel.timing.events import as_row, events_of, in_flight_limit

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Groups:
    """The distinct points of a set, in one order everywhere.

    :ivar keys: block size, depth and memory, shape (points, 3) as a DataFrame.
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
    return Groups(frame, *describe(data.limits, data.device, frame), rows)


def describe(limits: QueueLimits, device: DeviceKind, keys: pd.DataFrame) -> tuple[Floats, Load]:
    """Count events, and what the device is asked for, of fio writes given by block size, depth and memory."""
    events, load = [], []
    for block, depth, memory in keys[list(KEYS)].itertuples(index=False):
        structure = count_buffer(memory, limits, int(block))
        events.append(as_row(events_of(structure, limits, device, int(depth))))
        room = in_flight_limit(structure, limits, device)
        size = structure.length / MIB
        load.append((0.0, structure.requests, structure.segments, size, room, depth, size * depth))
    return np.array(events), Load(*np.array(load, dtype=float).T.copy())
