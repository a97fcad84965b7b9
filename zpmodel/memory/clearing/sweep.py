"""The sweep of /dev/zero that a report is made of: the data set's own, or the shipped one."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.memory.clearing.series import zero_sweep
from zpmodel.memory.machines import Machine, measured_machine, read_machine

_SHIPPED = "epyc-turin"


class Sweep(NamedTuple):
    """The CPU, its runs as :func:`zpmodel.memory.clearing.series.zero_sweep` reads them, and what must be said."""

    cpu: Machine
    runs: pd.DataFrame
    note: str


def sweep_of(data_set: str | Path) -> Sweep:
    """Read the sweep of a data set; the shipped, finer one where none is named or the set has none that can be used.

    :param data_set: its folder; empty: none.
    """
    note = ""
    if str(data_set):
        try:
            return Sweep(measured_machine(data_set), zero_sweep(Path(data_set) / "points"), "")
        except InputError as error:
            name = Path(data_set).resolve().name
            note = f"{name} has no sweep of /dev/zero that can be used ({error}): what follows is of another machine."
    return Sweep(read_machine(_SHIPPED), zero_sweep(shipped.data("memory", _SHIPPED, "zero-sweep")), note)
