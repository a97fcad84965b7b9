"""fio's points, predicted from fits that did not see them."""

from collections.abc import Iterator

from zpmodel.calibration.held_out import QUANTITIES, held_out_points, run_noise
from zpmodel.datasets.schema import DataSet
from zpmodel.validation.score import Score

TITLE = "fio points left out of the fit"

_FIO_BAR = 0.07
_COVERAGE_BAR = (0.85, 0.97)


def scores(data: DataSet) -> Iterator[Score]:
    """Points whose block size, depth or replicates were left out: median errors, and coverage of intervals."""
    points, floors = held_out_points(data), run_noise(data)
    source = f"{data.name}: fio, {data.describe()}"
    for (quantity, way), group in points.groupby(["quantity", "way"], sort=False):
        floor = float(group["floor"].median()) if way == "replicates" else floors.get(str(quantity), 0.0)
        bar, error = max(_FIO_BAR, floor), float(group["error"].abs().median())
        asked = f"at most {bar:.1%} (7 %, or noise floor {floor:.1%})"
        left = str(way).replace("_bytes", " sizes").replace("depth", "depths")
        what = f"median error of {len(group)}: {QUANTITIES[str(quantity)]}, whole {left} left out"
        yield Score("fio", what, None, None, None, None, "", error, asked, error <= bar, source)
    for quantity, group in points.groupby("quantity", sort=False):
        what = f"90 % intervals that hold the point: {QUANTITIES[str(quantity)]}"
        yield Score.covered("fio", what, float(group["inside"].mean()), _COVERAGE_BAR, source)
