"""Which data sets a batch is of: folders, folders of folders, and tables that name them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zpmodel.base.errors import InputError
from zpmodel.base.table import read_csv
from zpmodel.datasets import form_of
from zpmodel.report.parameters import from_text

_ACCEPTED = "data sets, a folder of data sets, or a CSV table with a column data_set"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 60  # of a name [characters]


@dataclass(frozen=True)
class Chosen:
    """One data set of a batch.

    :ivar name: its folder in the batch, and what it is called there.
    :ivar path: where it lies.
    :ivar parameters: values for its notebooks that only it has.
    :ivar error: why it is no data set; empty where it is one.
    """

    name: str
    path: Path
    parameters: dict[str, Any] = field(default_factory=dict)
    error: str = ""


def find_sets(given: Sequence[Path], known: Iterable[str]) -> list[Chosen]:
    """The data sets that are meant, in their order; one that is none is kept with its error.

    :param given: data sets, folders of them, or tables (CSV): ``data_set`` is a folder, from the table's own where it
        is relative; ``name`` what to call it; every other column a parameter of the notebooks, empty for the default.
    :param known: the parameters that there are.
    :raises InputError: where nothing is a data set, or on a table that can't be read.
    """
    found: list[tuple[str, Path, dict[str, Any]]] = []
    for path in given:
        if path.is_file():
            found += _of_table(path, known)
        elif _is_set(path):
            found.append((path.resolve().name, path, {}))
        elif path.is_dir():
            inside = sorted(each for each in path.iterdir() if each.is_dir() and not each.name.startswith("."))
            found += [(each.name, each, {}) for each in inside]
        else:
            raise InputError(str(path), "data sets", "no such folder or file", _ACCEPTED)
    taken: dict[str, int] = {}
    chosen = [Chosen(_named(name, taken), path.resolve(), own, _error(path)) for name, path, own in found]
    if not any(not each.error for each in chosen):
        where = ", ".join(map(str, given))
        raise InputError(where, "data sets", chosen[0].error if chosen else "none in it", _ACCEPTED)
    return chosen


def _of_table(path: Path, known: Iterable[str]) -> list[tuple[str, Path, dict[str, Any]]]:
    _, rows = read_csv(path, _ACCEPTED)
    accepted = {"data_set", "name", *known}
    found = []
    for number, row in enumerate(rows, 2):
        where = f"{path}, line {number}"
        for name in row:
            if name not in accepted:
                raise InputError(where, "column", name, ", ".join(sorted(accepted)))
        if not row.get("data_set"):
            raise InputError(where, "data_set", row.get("data_set"), "a folder of a data set")
        folder = path.parent / row["data_set"]
        pairs = [f"{name}={text}" for name, text in row.items() if name not in ("data_set", "name") and text]
        found.append((row.get("name") or folder.resolve().name, folder, from_text(pairs, known)))
    return found


def _is_set(path: Path) -> bool:
    return path.is_dir() and not _error(path)


def _error(path: Path) -> str:
    try:
        form_of(path)
    except InputError as error:
        return str(error)
    return ""


def _named(name: str, taken: dict[str, int]) -> str:
    """A name that is safe as a folder's and an address, and nobody else's in this batch."""
    base = _UNSAFE.sub("-", name).strip(".-")[:_LONGEST] or "set"
    taken[base] = taken.get(base, 0) + 1
    return base if taken[base] == 1 else _named(f"{base}-{taken[base]}", taken)
