"""A measured data set as calibration sees it: one row a replicate, CPU and rate beside the exact structure."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from zpmodel.base.errors import InputError
from zpmodel.base.units import MIB
from zpmodel.callers.fio_write import count_buffer
from zpmodel.datasets.points import load
from zpmodel.devices.closed_loop import Load
from zpmodel.queue.limits import QueueLimits
from zpmodel.structure import Structure
from zpmodel.timing.events import as_row, events_of, in_flight_limit, ring_of

Floats = npt.NDArray[np.float64]
KEYS = ("block_bytes", "depth", "memory")


@dataclass(frozen=True)
class DataSet:
    """What one run of ``zpmodel measure`` found.

    :ivar name: the folder's name.
    :ivar machine: the facts of ``machine.toml``.
    :ivar limits: limits of the queue that was written to.
    :ivar ring: descriptors of the device's ring, or None.
    :ivar writes: one row a replicate: ``block_bytes``, ``depth``, ``memory``, ``replicate``, ``cpu_s`` and
        ``path_s`` per I/O [s], ``rate`` [I/O/s].
    """

    name: str
    machine: dict[str, Any]
    limits: QueueLimits
    ring: int | None
    writes: pd.DataFrame

    def describe(self) -> str:
        """The machine in a few words."""
        cpu, kernel, target = (self.machine.get(name, {}) for name in ("cpu", "kernel", "target"))
        parts = [
            str(cpu.get("model", "unknown CPU")),
            f"Linux {kernel.get('release', '?')}",
            f"{target.get('driver') or 'unknown device'}, {target.get('file_system') or 'raw'}",
        ]
        return ", ".join(parts)

    def structure(self, block_bytes: int, memory: str) -> Structure:
        """The structure of one of the set's writes."""
        return count_buffer(memory, self.limits, block_bytes)  # type: ignore[arg-type]


def read_set(folder: Path | str) -> DataSet:
    """Read a data set.

    :raises InputError: where there is none, or it has no writes to calibrate from.
    """
    folder = Path(folder)
    path = folder / "machine.toml"
    try:
        machine = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            str(path), "file", str(error), "the machine.toml of a folder made by zpmodel measure"
        ) from None
    limits = QueueLimits.from_file(path)
    points = load(folder)
    writes = points[(points["operation"] == "write") & ~points["reference"]]
    if writes.empty:
        raise InputError(str(folder), "points", "no writes", "a data set with points of both memories")
    per_io = pd.DataFrame(
        {
            **{name: writes[name] for name in (*KEYS, "replicate")},
            "cpu_s": writes["cpu_seconds"] / writes["ios"],
            "path_s": writes["thread_cpu_seconds"] / writes["ios"],
            "rate": writes["ios"] / writes["seconds"],
        }
    )
    driver = str(machine.get("target", {}).get("driver", ""))
    return DataSet(folder.resolve().name, machine, limits, ring_of(driver, limits), per_io.reset_index(drop=True))


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
    return Groups(frame, *describe(data.limits, data.ring, frame), rows)


def describe(limits: QueueLimits, ring: int | None, keys: pd.DataFrame) -> tuple[Floats, Load]:
    """Count events, and what the device is asked for, of fio writes given by block size, depth and memory."""
    events, load = [], []
    for block, depth, memory in keys[list(KEYS)].itertuples(index=False):
        structure = count_buffer(memory, limits, int(block))
        events.append(as_row(events_of(structure, limits, ring, int(depth))))
        room = in_flight_limit(structure, limits, ring)
        size = structure.length / MIB
        load.append((0.0, structure.requests, structure.segments, size, room, depth, size * depth))
    return np.array(events), Load(*np.array(load, dtype=float).T.copy())
