"""Charts as Vega-Lite specifications: each chart function drawn from a few rows written by hand."""

import math
from typing import Any

import pandas as pd

from golden.case import Case
from golden.likeness import EXACT, FITTED
from zpmodel.memory.clearing.fit import fit_clearing
from zpmodel.memory.machines import Caches
from zpmodel.report.charts import compare as charts
from zpmodel.report.charts import memory as charts_memory
from zpmodel.report.charts import theme
from zpmodel.report.charts import validate as charts_validate

MIB = 1 << 20


def specification(chart: dict[str, Any], data: bool = True) -> dict[str, Any]:
    """A chart's specification without what the library adds: its schema, and names made of hashes of the data.

    :param chart: as its ``to_dict()`` is, which takes long.
    :param data: whether to keep the rows; else only how many there are and which columns they have.
    """
    tables = chart.get("datasets", {})
    made = {name: part for name, part in chart.items() if name not in ("$schema", "config", "datasets")}
    found = _inlined(made, tables, data)
    assert isinstance(found, dict)
    return found


def _inlined(part: Any, tables: dict[str, Any], data: bool) -> Any:
    if isinstance(part, list):
        return [_inlined(item, tables, data) for item in part]
    if not isinstance(part, dict):
        return part
    if set(part) == {"name"} and part["name"] in tables:
        rows = tables[part["name"]]
        return (
            {"values": rows} if data else {"rows": len(rows), "columns": sorted({key for row in rows for key in row})}
        )
    return {key: _inlined(value, tables, data) for key, value in part.items()}


def _intervals(name: str, value: float) -> dict[str, float]:
    return {name: value, f"{name}_low": value * 0.9, f"{name}_high": value * 1.2}


def _measured() -> Any:
    rows = [
        {"block_bytes": block, "depth": depth, "memory": memory, **_intervals("gib_per_s", rate * depth)}
        for block, rate in ((2 * MIB, 2.5), (4096, 0.25), (MIB, 1.25))
        for depth in (1, 16)
        for memory in ("malloc", "mmaphuge")
    ]
    return charts.measured(pd.DataFrame(rows), "gib_per_s", "throughput [GiB/s]", "Measured", "by hand")


def _ratios() -> Any:
    rows = [
        {"block_bytes": block, "depth": depth, "ratio": ratio, "low": 0.8 * ratio, "high": 1.1 * ratio, "kind": kind}
        for block, depth, ratio in ((4096, 1, 1.0), (MIB, 1, 1.5), (MIB, 4, 2.0))
        for kind in ("measured", "predicted")
    ]
    return charts.ratios(pd.DataFrame(rows), "Ratios")


def _structure_bars() -> Any:
    rows = [
        {"zero_page": page, "thing": thing, "count": number}
        for page, numbers in (("4 KiB", (1024, 262144)), ("64 KiB", (64, 16384)), ("2 MiB", (2, 512)))
        for thing, number in zip(("bios", "vectors"), numbers, strict=True)
    ]
    return charts.structure_bars(pd.DataFrame(rows), "Bars", "one GiB")


def _predicted() -> Any:
    rows = [
        {"policy": policy}
        | {"elapsed_s": at, "elapsed_low_s": at * 0.8, "elapsed_high_s": at * 1.5}
        | {"cpu_s": at / 8, "cpu_low_s": at / 10, "cpu_high_s": at / 4}
        for policy, at in (("page", 0.5), ("on-demand", 0.25), ("static", 0.2))
    ]
    return charts.predicted(pd.DataFrame(rows), "Predicted", "by hand")


def _off_by() -> Any:
    rows = [
        ("inside", 10.0, 11.0, 9.0, 12.0, 0.1, True),
        ("far off", 10.0, 500.0, 400.0, 600.0, 49.0, False),
        ("no interval", 4.0, 3.0, math.nan, math.nan, -0.25, False),
        ("nothing measured", math.nan, 3.0, math.nan, math.nan, math.nan, False),
    ]
    names = ["truth", "measured", "predicted", "low", "high", "error", "inside"]
    return charts_validate.off_by(pd.DataFrame(rows, columns=names), "Off by", "by hand")


def _error_histogram() -> Any:
    table = pd.DataFrame({"error": [0.01, -0.02, 0.5, -0.9], "panel": ["CPU", "CPU", "rate", "rate"]})
    return charts_validate.error_histogram(table, 0.07, "Errors", "by hand")


def _clearing() -> Any:
    """The fitted curve has 120 rows a method, so only their number is kept; the page keeps the words about them."""
    sizes = [4096 << n for n in range(0, 18, 2)]
    rows = [
        {"method": method, "call_bytes": size, "region_bytes": size, "bandwidth_bytes_per_s": rate * (1 + 1e6 / size)}
        for method, rate in (("rep-stos", 2e10), ("clzero", 3e10))
        for size in sizes
    ]
    points = pd.DataFrame(rows)
    model = fit_clearing(points, Caches(32 << 10, MIB, 32 * MIB))
    return charts_memory.clearing(points, model, "Clearing")


def _reading() -> Any:
    rows = [
        {"source": source, "target_bytes": size, **{f"{c}_bytes_per_s": rate * f for c, f in _BAND}}
        for source, rate in (("page", 4e10), ("static", 2e10))
        for size in (4096, MIB)
    ]
    return charts_memory.reading(pd.DataFrame(rows), "Reading")


_BAND = (("bandwidth", 1.0), ("low", 0.75), ("high", 1.25))


def _life() -> Any:
    rows = [(rate, chance, chance * rate / (rate + 100)) for rate in (1.0, 1000.0) for chance in (0.01, 0.5)]
    return charts_memory.life(pd.DataFrame(rows, columns=["scans_per_hour", "failure", "fallback_share"]), "Life")


def _getter() -> Any:
    rows = [
        (cpus, way, each * cpus) for cpus in (1, 64) for way, each in (("atomic per I/O", 10.0), ("static key", 0.0))
    ]
    return charts_memory.getter(pd.DataFrame(rows, columns=["cpus", "counting", "getter_ns"]), "Getter")


_DRAWN = (_measured, _ratios, _structure_bars, _predicted, _off_by, _error_histogram, _reading, _life, _getter)


def cases() -> list[Case]:
    """A case for each chart function, and the look that all share."""
    named = {function.__name__.lstrip("_").replace("_", "-"): function for function in _DRAWN}
    drawn = [Case(f"chart/{name}.json", lambda f=f: specification(f().to_dict()), EXACT) for name, f in named.items()]
    clearing = Case("chart/clearing.json", lambda: specification(_clearing().to_dict(), data=False), FITTED)
    return [*drawn, clearing, Case("chart/theme.json", lambda: dict(theme._theme()), EXACT)]
