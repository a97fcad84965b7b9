"""Measured and published data, read into one form."""

import importlib
from pathlib import Path

from zpmodel.base.errors import InputError
from zpmodel.datasets.schema import DataSet

READERS = (
    "measured",
    # one more form, one more line
)
"""Every form of data set: a file here with ``recognises(path)`` and ``read_set(path)``, asked in this order."""


def read_data_set(path: Path | str) -> DataSet:
    """Read a data set of any form.

    :raises InputError: where no reader knows it, or what it holds can't be taken.
    """
    path = Path(path)
    for name in READERS:
        reader = importlib.import_module(f"zpmodel.datasets.{name}")
        if reader.recognises(path):
            found = reader.read_set(path)
            assert isinstance(found, DataSet)
            return found
    raise InputError(str(path), "data set", path.name, f"one of the forms {', '.join(READERS)}: see docs/measuring.md")
