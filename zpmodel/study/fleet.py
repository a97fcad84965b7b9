"""A fleet: a table of machines in; who gains, what, and what it costs, with totals, out.

Each row is one machine, or ``machines`` alike. Columns: ``gib_per_day`` that each zeroes [GiB] (required), ``name``,
``machines``, ``calibration`` or ``machine`` (a file, or a shipped machine's name; else the one given), ``device``,
``cpu``, ``iommu`` and ``kernel`` (other parts of it), ``limits`` (a preset or a file), and any input by its name
(:mod:`zpmodel.study.inputs`), such as ``length``, ``max_sectors`` or ``device.bandwidth``. Files are relative to the
table; an empty cell is the machine's own.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zpmodel.base.errors import InputError, ZpmodelError
from zpmodel.base.estimate import Estimate
from zpmodel.base.files import read_bounded
from zpmodel.base.table import LARGEST_BYTES, read_csv
from zpmodel.base.units import GIB, MIB
from zpmodel.queue.presets import find_limits
from zpmodel.study.compare import compare
from zpmodel.study.inputs import KNOWN, parse
from zpmodel.study.inputs import apply as with_inputs
from zpmodel.study.scenario import Scenario
from zpmodel.timing.machine import Machine

MACHINE = ("calibration", "machine", "device", "cpu", "iommu", "kernel")
"""Columns that say which machine a row is of, and what is another part of it."""

_OWN = ("name", "gib_per_day", "machines", *MACHINE, "limits")
_ACCEPTED = "a CSV or Parquet file with a row a machine"
_MOST_ROWS = 1_000_000
_MOST_GIB, _MOST_MACHINES = 1e12, 1e9
_TOTALS = ("cpu_saved_s_per_day", "elapsed_saved_s_per_day")


@dataclass(frozen=True)
class Fleet:
    """What a larger zero page is worth to a fleet.

    :ivar machines: a row each that could be answered: name, machines, speed-up, CPU and elapsed time saved a day [s]
        by all of the row's machines, each with ``_low`` and ``_high``; ``memory_mib`` held by its zero pages; verdict.
    :ivar bad: rows that could not: ``row`` (the first after the header is 1), ``name``, ``machines`` (None where the
        row doesn't say how many), ``why``, which names row and column.
    :ivar totals: over all that could: an estimate of each saving, by its column's name.
    """

    machines: pd.DataFrame
    bad: pd.DataFrame
    totals: dict[str, Estimate]

    @property
    def words(self) -> str:
        """The answer in words, with what is in none of its numbers."""
        if self.machines.empty:
            return f"No row could be answered.{self._left_out}"
        number = self.machines["machines"].sum()
        gaining, untold = (
            self.machines.loc[self.machines["verdict"].str.startswith(word), "machines"].sum()
            for word in ("gain", "unknown")
        )
        saved = self.totals["cpu_saved_s_per_day"]
        machines = "machine gains" if number == 1 else "machines gain"
        text = f"{gaining:,} of {number:,} {machines} in elapsed time"
        if untold:
            text += f", of {untold:,} it can't be told"
        text += f"; all together save {saved} s of CPU time a day"
        return f"{text} and hold {self.machines['memory_mib'].sum():,.0f} MiB for it.{self._left_out}"

    @property
    def machines_left_out(self) -> int:
        """How many machines the bad rows stand for, those rows aside that don't say it."""
        return int(sum(number for number in self.bad["machines"] if number is not None))

    @property
    def _left_out(self) -> str:
        if self.bad.empty:
            return ""
        silent = sum(number is None for number in self.bad["machines"])
        text = f" {_counted(len(self.bad), 'row')} could not be answered for"
        if silent < len(self.bad):
            text += f": {_counted(self.machines_left_out, 'machine')}, in none of these numbers"
        if silent:
            text += f"; how many machines {_counted(silent, 'row')} may stand for is not known"
        return f"{text}."


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def read_table(path: Path) -> pd.DataFrame:
    """A table of machines, all cells as text; CSV or Parquet.

    :raises InputError: where it is neither, or lacks what every row needs.
    """
    if path.suffix == ".parquet":
        table = _parquet(path)
    else:
        columns, rows = read_csv(path, _ACCEPTED)
        table = pd.DataFrame(rows, columns=columns, dtype=object)
    if "gib_per_day" not in table.columns:
        raise InputError(str(path), "columns", ", ".join(map(str, table.columns)), "gib_per_day among them")
    for name in table.columns:
        if name not in (*_OWN, *KNOWN):
            raise InputError(str(path), "column", str(name), ", ".join((*_OWN, *KNOWN)))
    return table


def _parquet(path: Path) -> pd.DataFrame:
    try:
        from pyarrow import parquet

        file = parquet.ParquetFile(io.BytesIO(read_bounded(path, LARGEST_BYTES)))
        # A few bytes may stand for any number of rows.
        if file.metadata.num_rows > _MOST_ROWS:
            raise InputError(str(path), "rows", file.metadata.num_rows, f"at most {_MOST_ROWS}")
        table: pd.DataFrame = file.read().to_pandas()
        return table.map(lambda cell: _as_text(cell, path))
    except InputError:
        raise
    # pyarrow's own errors are of these kinds, and NotImplementedError where a type is unknown to it.
    except (OSError, ValueError, TypeError, KeyError, NotImplementedError, ImportError, MemoryError) as error:
        raise InputError(str(path), "table", str(error), _ACCEPTED) from None


def _as_text(cell: Any, path: Path) -> str:
    if cell is None or cell is pd.NA or (isinstance(cell, float) and np.isnan(cell)):
        return ""
    if not isinstance(cell, str | int | float | np.number):
        raise InputError(str(path), "cell", repr(cell), "a number or a text")
    return f"{cell:.17g}" if isinstance(cell, float) else str(cell)


def fleet(
    table: pd.DataFrame,
    load: Callable[[dict[str, str]], Machine | None],
    *,
    policy: str = "static",
    where: str = "fleet",
    folder: Path = Path(),
) -> Fleet:
    """Answer for each machine of a table.

    :param table: of text, as :func:`read_table` gives it.
    :param load: the machine of a row's cells :data:`MACHINE`, those that are not empty, by name; None where neither
        they nor anything else name one. What is wrong with a cell is an error of its name.
    :param policy: the zero page beside PAGE_SIZE. :param folder: where files of limits are.
    """
    good, bad = list[dict[str, Any]](), list[dict[str, Any]]()
    drawn: dict[str, list[Any]] = {name: [] for name in _TOTALS}
    for i, row in enumerate(table.to_dict("records"), start=1):
        cells = {str(name): str(cell).strip() for name, cell in row.items()}
        name = cells.get("name") or f"row {i}"
        try:
            where_in = f"row {i} ({name[:60]})" if cells.get("name") else name
            found, draws = _one(cells, load, policy, where_in, folder)
        except ZpmodelError as error:
            bad.append({"row": i, "name": name, "machines": _machines(cells), "why": str(error)})
            continue
        good.append({"name": name, **found})
        for total in _TOTALS:
            drawn[total].append(draws[total])
    machines = pd.DataFrame(good, columns=None if good else ["name", "machines", *_TOTALS, "memory_mib", "verdict"])
    totals = {n: Estimate.of(float(machines[n].sum()), _sum(drawn[n]), where) for n in _TOTALS} if good else {}
    # Objects, so that None stays what it is.
    return Fleet(machines, pd.DataFrame(bad, columns=["row", "name", "machines", "why"], dtype=object), totals)


def _sum(drawn: list[Any]) -> Any:
    """Draws of a sum: machines of one calibration err together, draw by draw; each of another by itself."""
    return np.sum([np.resize(draws, max(map(len, drawn))) for draws in drawn], axis=0)


def _number(cells: dict[str, str], name: str, where: str, least: float, most: float, default: str = "") -> float:
    text = cells.get(name) or default
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not least <= value <= most:
        raise InputError(where, name, text, f"a number from {least:g} to {most:g}")
    return value


def _machines(cells: dict[str, str]) -> int | None:
    try:
        return int(_number(cells, "machines", "", 1, _MOST_MACHINES, "1"))
    except InputError:
        return None


@contextmanager
def _said_of(row: str, cells: dict[str, str], column: str = "") -> Iterator[None]:
    """Let errors inside name the row, and its column: that of an argument or option, ``column``, or the input's own."""
    try:
        yield
    except InputError as error:
        named = error.where.removeprefix("--")
        own = named if named in (*MACHINE, "limits") else "" if column else error.field
        if cells.get(own):
            raise InputError(row, own, error.value, error.accepted) from None
        # It is in what the cell names, such as a file: say that, too.
        place = f"{row}: {column}" if column else row
        raise InputError(f"{place}: {error.where}", error.field, error.value, error.accepted) from None


def _machine(cells: dict[str, str], load: Callable[[dict[str, str]], Machine | None], row: str) -> Machine:
    asked = {name: cells[name] for name in MACHINE if cells.get(name)}
    both = [asked[name] for name in MACHINE[:2] if name in asked]
    if len(both) > 1:
        raise InputError(row, "calibration, machine", ", ".join(both), "one of them in a row")
    with _said_of(row, cells, next((name for name in MACHINE[:2] if name in asked), "")):
        machine = load(asked)
    if machine is None:
        raise InputError(row, "machine", "none", "calibration or machine in the row, --calibration or --machine")
    return machine


def _scenario(base: Scenario, values: dict[str, Any], row: str) -> Scenario:
    try:
        return with_inputs(base, values)
    except InputError as error:
        named = [error.field] if error.field in values else [n for n in values if not _fits(base, n, values[n])]
        raise InputError(row, ", ".join(named or values), error.value, error.accepted) from None


def _fits(base: Scenario, name: str, value: Any) -> bool:
    try:
        with_inputs(base, {name: value})
    except InputError:
        return False
    return True


def _one(
    cells: dict[str, str], load: Callable[[dict[str, str]], Machine | None], policy: str, where: str, folder: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    daily, machines = (
        _number(cells, "gib_per_day", where, 0, _MOST_GIB),
        int(_number(cells, "machines", where, 1, _MOST_MACHINES, "1")),
    )
    with _said_of(where, cells, "limits"):
        limits = find_limits(cells["limits"], folder) if cells.get("limits") else None
    loaded = _machine(cells, load, where)
    with _said_of(where, cells):
        values = {"zero_page": policy} | {name: parse(name, cells[name]) for name in KNOWN if cells.get(name)}
        scenario = _scenario(Scenario(loaded, limits=limits), values, where)
        page, other = compare(scenario, ("page", scenario.zero_page))
    calls = machines * daily * GIB / scenario.length
    one, two, machine = page.prediction, other.prediction, scenario.machine
    elapsed = machine.scattered(machine.device.scatter, one.elapsed_draws - two.elapsed_draws)
    cpu = machine.scattered(machine.cpu.scatter, one.cpu_draws - two.cpu_draws)
    same = other.speedup == Estimate.exactly(1.0)
    draws = {"cpu_saved_s_per_day": cpu * calls, "elapsed_saved_s_per_day": elapsed * calls}
    best = {
        "cpu_saved_s_per_day": (one.cpu_s.value - two.cpu_s.value) * calls,
        "elapsed_saved_s_per_day": (one.elapsed_s.value - two.elapsed_s.value) * calls,
    }
    found: dict[str, Any] = {"machines": machines, **other.speedup.columns("speedup")}
    for name in _TOTALS:
        if same:
            draws[name], best[name] = draws[name] * 0, 0.0
        found |= Estimate.of(best[name], draws[name]).columns(name)
    large = two.zero_page.size_bytes > two.zero_page.base_page_bytes
    found |= {"memory_mib": machines * two.zero_page.size_bytes / MIB * large, "verdict": other.row()["verdict"]}
    return found, draws
