"""Measured and published data, read into one form."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from zpmodel.base.errors import InputError

if TYPE_CHECKING:  # pandas and numba come with it, which whoever asks for a form alone has no use for
    from zpmodel.datasets.schema import DataSet

READERS = (
    "measured",
    "imported",
)
"""Every form of data set: a file here with ``recognises(path)`` and ``read_set(path)``, asked in this order."""


def form_of(path: Path | str) -> ModuleType:
    """The reader that knows a data set.

    :raises InputError: where none does.
    """
    path = Path(path)
    for name in READERS:
        reader = importlib.import_module(f"zpmodel.datasets.{name}")
        if reader.recognises(path):
            return reader
    accepted = "a folder that zpmodel measure (machine.toml) or zpmodel import (set.toml) made"
    raise InputError(str(path), "data set", path.name or str(path), accepted)


def read_data_set(path: Path | str) -> "DataSet":
    """Read a data set of any form.

    :raises InputError: where no reader knows it, or what it holds can't be taken.
    """
    path = Path(path)
    found: DataSet = form_of(path).read_set(path)
    return found
