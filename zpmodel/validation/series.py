"""Published series: each fitted on its two ends, its middle predicted.

They were measured by others on machines of their own, so their costs say nothing about any other machine; what is
tested is the form: time is linear in vectors, flat where nothing is done per vector, CPU time is linear in length.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import stdtrit

from zpmodel.base import shipped
from zpmodel.base.estimate import LEVEL, Estimate
from zpmodel.base.units import GIB, KIB, MIB, format_size
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import count

Floats = npt.NDArray[np.float64]

_PAGE = 4 * KIB


@dataclass(frozen=True)
class _Series:
    """How a series is predicted: what its input counts, and how far off the middle may be [1]."""

    case: str
    output: str
    event: str
    bar: float
    events_of: Callable[[Floats], Floats]
    is_rate: bool = False


def _vectors(block_bytes: Floats) -> Floats:
    return np.asarray(np.ceil(block_bytes / _PAGE))


def _gibibytes(length_bytes: Floats) -> Floats:
    return length_bytes / GIB


_LINEAR = (
    _Series("nullblk-iovec-copy", "rate", "vector", 0.05, _vectors, is_rate=True),
    _Series("nullblk-iovec-reuse", "rate", "vector", 0.05, _vectors, is_rate=True),
    _Series("iommu-strict-slat", "submission_latency", "vector", 0.10, _vectors),
    _Series("iommu-strict-slat-pinned", "submission_latency", "vector", 0.10, _vectors),
    _Series("iommu-premapped-slat", "submission_latency", "vector", 0.10, _vectors),
    _Series("zeroout-dm-thin", "system_cpu", "GiB", 0.05, _gibibytes),
    _Series("zeroout-dm-thin", "elapsed", "GiB", 0.05, _gibibytes),
)

_FLAT = "iommu-premapped-slat"
_REFCOUNT_BAR = 0.10
_COUNT_BAR = 1e-5  # the published count leaves out the last, shorter bio


def predict_published(figures: pd.DataFrame | None = None) -> pd.DataFrame:
    """Predict what of each published series was not fitted.

    :param figures: rows as in ``data/published/figures.csv``, which is read by default.
    :return: a row a prediction: ``series``, ``truth``, ``input``, ``measured``, ``predicted``, ``unit``, ``error``
        [1], ``bar`` (largest error [1]), ``inside`` and ``source``.
    """
    table = pd.read_csv(shipped.data("published", "figures.csv")) if figures is None else figures
    rows = [row for series in _LINEAR for row in _middle(table, series)]
    return pd.DataFrame([*rows, *_slopes_against_zero(table), _write_zeroes_bios(table), _shared_reference(table)])


def slopes(figures: pd.DataFrame | None = None) -> pd.DataFrame:
    """Time per event of each series, by least squares over all its points.

    :return: rows of ``series``, ``output``, ``per`` (the event), ``value``, ``low``, ``high`` (90 % interval by
        Student's t) and ``unit``.
    """
    table = pd.read_csv(shipped.data("published", "figures.csv")) if figures is None else figures
    rows = []
    for series in _LINEAR:
        events, times, unit = _points(table, series)
        found = _slope(events, times)
        rows.append({"series": series.case, "output": series.output, "per": series.event, **vars(found), "unit": unit})
    return pd.DataFrame(rows)


def _points(table: pd.DataFrame, series: _Series) -> tuple[Floats, Floats, str]:
    """Events, times and the times' unit of a series."""
    chosen = table[(table["case"] == series.case) & (table["output"] == series.output)]
    events = series.events_of(chosen["input_value"].to_numpy(float))
    values = chosen["value"].to_numpy(float)
    return events, 1e9 / values if series.is_rate else values, "ns" if series.is_rate else str(chosen["unit"].iloc[0])


def _middle(table: pd.DataFrame, series: _Series) -> list[dict[str, object]]:
    chosen = table[(table["case"] == series.case) & (table["output"] == series.output)]
    events, times, _ = _points(table, series)
    first, last = int(np.argmin(events)), int(np.argmax(events))
    slope = (times[last] - times[first]) / (events[last] - events[first])
    rows = []
    for i, row in enumerate(chosen.itertuples(index=False)):
        if events[i] in (events[first], events[last]):
            continue
        time = times[first] + slope * (events[i] - events[first])
        predicted = 1e9 / time if series.is_rate else time
        source = f"{row.source}; fitted on both ends"
        what = f"{str(row.output).replace('_', ' ')} at {format_size(int(str(row.input_value)))}"
        rows.append(_row(series.case, what, float(str(row.value)), predicted, str(row.unit), series.bar, source))
    return rows


def _row(
    case: str, truth: str, measured: float, predicted: float, unit: str, bar: float, source: str
) -> dict[str, object]:
    error = predicted / measured - 1
    return {
        "series": case,
        "truth": truth,
        "measured": measured,
        "predicted": float(predicted),
        "unit": unit,
        "error": float(error),
        "bar": bar,
        "inside": bool(abs(error) <= bar),
        "source": source,
    }


def _slope(events: Floats, times: Floats) -> Estimate:
    spread = events - events.mean()
    slope = float(spread @ times / (spread @ spread))
    residuals = times - times.mean() - slope * spread
    free = len(times) - 2
    wide = stdtrit(free, (1 + LEVEL) / 2) * np.sqrt(residuals @ residuals / free / (spread @ spread))
    return Estimate(slope, slope - float(wide), slope + float(wide))


def _slopes_against_zero(table: pd.DataFrame) -> list[dict[str, object]]:
    """The flat series' cost per vector must be nothing, beside that of the same machine mapping each vector."""
    found = {
        series.case: (_slope(*_points(table, series)[:2]), _points(table, series)[2])
        for series in _LINEAR
        if series.case in (_FLAT, "iommu-strict-slat")
    }
    source = str(table.loc[table["case"] == _FLAT, "source"].iloc[0])
    rows: list[dict[str, object]] = []
    for case, (slope, unit) in found.items():
        flat = slope.low <= 0 <= slope.high
        rows.append(
            {
                "series": case,
                "truth": "cost per vector: " + ("none" if case == _FLAT else "not none"),
                "measured": 0.0 if case == _FLAT else None,
                "predicted": slope.value,
                "low": slope.low,
                "high": slope.high,
                "unit": unit,
                "error": None,
                "bar": None,
                "inside": flat if case == _FLAT else not flat,
                "source": source,
            }
        )
    return rows


def _write_zeroes_bios(table: pd.DataFrame) -> dict[str, object]:
    """The number of data-less bios, which the structure says exactly; with it comes their cost."""
    row = table[table["case"] == "write-zeroes-bios"].iloc[0]
    stated = int(str(row["condition"]).split(":")[-1].split()[0])
    limits = QueueLimits(16384, 128, UINT_MAX, write_zeroes_max_bytes=8 * MIB)
    bios = count(ZeroPage.named("page"), limits, 0, int(row["input_value"])).bios
    each = float(row["value"]) / bios * 1e6
    what = f"data-less bios ({each:,.0f} ns of CPU each)"
    return _row("write-zeroes-bios", what, stated, bios, "bios", _COUNT_BAR, str(row["source"]))


def _shared_reference(table: pd.DataFrame) -> dict[str, object]:
    """Throughput without the shared reference, if its cycles were all that it cost (Amdahl's law)."""
    chosen = table[table["case"] == "huge-zero-refcount"].set_index(["input_value", "output"])["value"]
    before, after = chosen["per-get", "cycles_share"] / 100, chosen["per-mm", "cycles_share"] / 100
    predicted = chosen["per-get", "throughput"] * (1 - after) / (1 - before)
    source = str(table.loc[table["case"] == "huge-zero-refcount", "source"].iloc[0])
    what = "throughput with one reference per mm, from the getter's share of cycles"
    measured = float(chosen["per-mm", "throughput"])
    return _row("huge-zero-refcount", what, measured, predicted, "1", _REFCOUNT_BAR, source)
