"""A folder that ``zpmodel measure`` made, as a data set."""

import tomllib
from pathlib import Path

import pandas as pd

from zpmodel.base.errors import InputError
from zpmodel.datasets.points import load
from zpmodel.datasets.schema import KEYS, DataSet
from zpmodel.devices import device_for
from zpmodel.queue.limits import QueueLimits

_FIO_ROUNDING_S = 1e-3


def recognises(path: Path) -> bool:
    """Whether a path is such a folder."""
    return (path / "machine.toml").is_file()


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
            # fio says its thread's user and system time in whole milliseconds each.
            "rounding_s": writes.get("thread_cpu_resolution_s", _FIO_ROUNDING_S) / writes["ios"],
            "rate": writes["ios"] / writes["seconds"],
        }
    )
    target = machine.get("target", {})
    return DataSet(folder.resolve().name, machine, limits, device_for(target, limits), per_io)
