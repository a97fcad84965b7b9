"""Curves: how many I/Os a second a device does, by block size and depth, as somebody published them."""

from pathlib import Path

import pandas as pd

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.base.files import LARGEST_BYTES, read_text
from zpmodel.base.table import read_columns
from zpmodel.datasets.schema import WRITES, Column, check_points, conform

_SUFFIX = "-write.csv"

CURVE: tuple[Column, ...] = tuple(
    column for column in WRITES if column.name in ("block_bytes", "depth", "memory", "max_sectors_kb", "rate")
)
"""A row of a curve: one point."""

_ACCEPTED = "a CSV table with columns block_bytes [byte], depth and rate [1/s]; lines that start with # are its source"


def curve_names() -> list[str]:
    """The shipped curves."""
    return sorted(path.name.removesuffix(_SUFFIX) for path in shipped.data("published").glob(f"*{_SUFFIX}"))


def read_curve(name: str) -> tuple[pd.DataFrame, str]:
    """Read a curve by the name of a shipped one or of a CSV file; and say what it rests on.

    :return: a table of ``block_bytes``, ``depth``, ``memory`` and ``rate``; its source in a line.
    :raises InputError: where there is none, or it is no such table.
    """
    names = curve_names()
    path = shipped.data("published", f"{name}{_SUFFIX}") if name in names else Path(name)
    try:
        text = read_text(path)
        comments = [line[1:].strip() for line in text.splitlines() if line.startswith("#")]
    except FileNotFoundError:
        raise InputError("curve", "name", name, f"one of {', '.join(names)}, or {_ACCEPTED}") from None
    except (OSError, ValueError) as error:
        accepted = f"{_ACCEPTED}; at most {LARGEST_BYTES} bytes"
        raise InputError(name, "curve", str(error), accepted) from None
    where = str(path)
    table = read_columns(text, name, _ACCEPTED, comment="#")
    found = conform(table.assign(memory=table.get("memory", "malloc"), max_sectors_kb=0), CURVE, where)
    check_points(found, where)
    said = next((line for line in comments if line.startswith("Source: ")), "").removeprefix("Source: ")
    return found, f"curve {name}" + (f" ({said.split(';')[0]})" if said else "")
