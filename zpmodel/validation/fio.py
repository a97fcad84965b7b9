"""fio's points, predicted by machines that were calibrated without them."""

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from zpmodel.base import shipped
from zpmodel.calibration.held_out import QUANTITIES, held_out_points, run_noise
from zpmodel.datasets.measured import read_set
from zpmodel.datasets.schema import DataSet
from zpmodel.timing.machine import LARGE_BYTES
from zpmodel.validation.score import Score

TITLE = "fio points left out of the fit"

_FIO_BAR = 0.07
_COVERAGE_BAR = (0.85, 0.97)


def scores(data: DataSet) -> Iterator[Score]:
    """The set's points and, where it is a shipped one, those of the other shipped sets."""
    yield from _scores(data)
    if data.name == shipped.DEFAULT_DATA_SET:
        for path in sorted(shipped.data("fio").glob("*/machine.toml")):
            if path.parent.name != data.name:
                yield from _scores(read_set(path.parent))


def _scores(data: DataSet) -> Iterator[Score]:
    """Points whose block size, depth or replicates were left out: median errors, and coverage of the intervals that a
    prediction prints; of all blocks, and of large ones by themselves. Nothing where the set is too small for that."""
    points = held_out_points(data)
    of = f"{data.name}: "
    source = f"{data.name}: fio, {data.describe()}"
    for least, which in ((0, ""), (LARGE_BYTES, ", blocks of 512 KiB and more")):
        some = points[points["block_bytes"] >= least]
        floors = run_noise(replace(data, writes=data.writes[data.writes["block_bytes"] >= least]))
        for (quantity, way), group in some.groupby(["quantity", "way"], sort=False):
            yield _error(group, str(quantity), str(way), floors, (of, which, source))
        for quantity, group in some[some["way"] != "replicates"].groupby("quantity", sort=False):
            what = f"{of}90 % intervals that hold the left-out point: {QUANTITIES[str(quantity)]}{which}"
            yield Score.covered("fio", what, float(group["inside"].mean()), _COVERAGE_BAR, source)


def _error(group: pd.DataFrame, quantity: str, way: str, floors: dict[str, float], said: tuple[str, str, str]) -> Score:
    of, which, source = said
    told = group["floor"].median() if way == "replicates" else floors.get(quantity, 0.0)
    floor = 0.0 if pd.isna(told) else float(told)
    bar, error = max(_FIO_BAR, floor), float(group["error"].abs().median())
    asked = f"at most {bar:.1%} (7 %, or noise floor {floor:.1%})"
    left = way.replace("_bytes", " sizes").replace("depth", "depths")
    what = f"{of}median error of {len(group)}: {QUANTITIES[quantity]}, whole {left} left out{which}"
    return Score("fio", what, None, None, None, None, "", error, asked, error <= bar, source)
