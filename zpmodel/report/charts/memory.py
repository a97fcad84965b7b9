"""Charts of what the zero page itself costs. Colours are Okabe and Ito's; shapes and dashes say the same once more."""

import altair as alt
import numpy as np
import pandas as pd

from zpmodel.memory.clearing.model import ClearingModel
from zpmodel.report.charts.theme import BLACK, BLUE, GREEN, LOG, ORANGE, by_legend

_COLOURS = [BLUE, ORANGE, GREEN, BLACK, "#CC79A7"]
Chart = alt.Chart | alt.LayerChart
# The same legend for every channel of a series, so that they become one.
_LEGEND = alt.Legend(title=None, symbolOpacity=1)


def _sizes(field: str, title: str) -> alt.X:
    text = "datum.value < 1048576 ? datum.value / 1024 + ' KiB' : datum.value / 1048576 + ' MiB'"
    axis = alt.Axis(labelExpr=text, values=[4.0 * 1024 * 8**i for i in range(9)], grid=False)
    return alt.X(
        f"{field}:Q", title=title + LOG, scale=alt.Scale(type="log", base=2, nice=False, padding=10), axis=axis
    )


def clearing(points: pd.DataFrame, model: ClearingModel, title: str) -> Chart:
    """Measured clearing bandwidth (points), the model (line) and its interval (band), against size.

    :param points: columns ``method call_bytes region_bytes bandwidth_bytes_per_s``.
    :param model: the model fitted to them.
    """
    seen = points.assign(gb_s=points["bandwidth_bytes_per_s"] / 1e9)
    whole = bool((points["region_bytes"] == points["call_bytes"]).all())
    curves = []
    for method, mine in points.groupby("method"):
        sizes = np.geomspace(points["call_bytes"].min(), points["call_bytes"].max(), 120)
        region = sizes if whole else np.full(sizes.size, float(mine["region_bytes"].max()))
        pieces = mine["instruction_bytes"].max() if "instruction_bytes" in mine else None
        curves.append(model.predict(str(method), sizes, region, pieces))
    table = pd.concat(curves)
    for column in ("bandwidth", "low", "high"):
        table[column] = table[f"{column}_bytes_per_s"] / 1e9
    names = sorted(points["method"].unique())
    colour = alt.Color("method:N", scale=alt.Scale(domain=names, range=_COLOURS), legend=_LEGEND)
    x = _sizes("call_bytes", "bytes per call" + (", the same memory again" if whole else ", going round 4 GiB"))
    # Log, so that a factor looks the same everywhere.
    scale = alt.Scale(type="log", nice=True)
    band = (
        alt.Chart(table)
        .mark_area(opacity=0.18)
        .encode(x=x, y=alt.Y("low:Q", title=f"bandwidth [GB/s]{LOG}", scale=scale), y2="high:Q", color=colour)
    )
    line = (
        alt.Chart(table)
        .mark_line()
        .encode(
            x=x,
            y="bandwidth:Q",
            color=colour,
            strokeDash=alt.StrokeDash("method:N", scale=alt.Scale(domain=names), legend=_LEGEND),
        )
    )
    dots = (
        alt.Chart(seen)
        .mark_point(filled=True, size=60)
        .encode(
            x=x, y="gb_s:Q", color=colour, shape=alt.Shape("method:N", scale=alt.Scale(domain=names), legend=_LEGEND)
        )
    )
    chart: Chart = (band + line + dots).properties(width=560, height=280, title=title)
    return chart


def reading(table: pd.DataFrame, title: str) -> Chart:
    """Copy bandwidth against destination size, by the zero page's policy, with intervals.

    :param table: as :meth:`zpmodel.memory.reading.model.ReadingModel.predict` returns, sources below each other.
    """
    rows = table.assign(**{c: table[f"{c}_bytes_per_s"] / 1e9 for c in ("bandwidth", "low", "high")})
    # Of one domain, so that one legend shows colour and dash.
    names = list(dict.fromkeys(rows["source"]))
    colour = alt.Color("source:N", scale=alt.Scale(domain=names, range=_COLOURS), legend=_LEGEND)
    dash = alt.StrokeDash("source:N", scale=alt.Scale(domain=names), legend=_LEGEND)
    base = alt.Chart(rows).encode(x=_sizes("target_bytes", "destination, written again and again"), color=colour)
    low = alt.Y("low:Q", title="bandwidth [GB/s]", scale=alt.Scale(zero=True))
    band = base.mark_area(opacity=0.12).encode(y=low, y2="high:Q")
    line = base.mark_line(point=alt.OverlayMarkDef(size=50)).encode(y="bandwidth:Q", strokeDash=dash)
    chart: Chart = (band + line).properties(width=560, height=260, title=title)
    return chart


def life(table: pd.DataFrame, title: str) -> Chart:
    """Share of I/O that falls back to 4 KiB against memory pressure, a line for each failure probability.

    :param table: ``scans_per_hour failure fallback_share`` by the closed form.
    """
    rows = table.assign(chance=[f"{value:.0%} of allocations fail" for value in table["failure"]])
    names = [f"{value:.0%} of allocations fail" for value in sorted(table["failure"].unique())]
    # Log, because a day without pressure and one with it differ by orders of magnitude; below a millionth is cut off.
    shares = alt.Scale(type="log", domain=[1e-6, 1], clamp=True)
    pick, opacity = by_legend("chance")
    chart: Chart = (
        alt.Chart(rows)
        .mark_line(point=True)
        .encode(
            opacity=opacity,
            x=alt.X("scans_per_hour:Q", title=f"passes of the shrinker [1/h]{LOG}", scale=alt.Scale(type="log")),
            y=alt.Y(
                "fallback_share:Q",
                title=f"users on the 4 KiB page [share]{LOG}",
                axis=alt.Axis(format=".4~%"),
                scale=shares,
            ),
            color=alt.Color(
                "chance:N",
                scale=alt.Scale(domain=names, range=_COLOURS),
                legend=_LEGEND,
            ),
            strokeDash=alt.StrokeDash("chance:N", scale=alt.Scale(domain=names), legend=_LEGEND),
        )
        .add_params(pick)
        .properties(width=560, height=260, title=title)
    )
    return chart


def getter(table: pd.DataFrame, title: str) -> Chart:
    """Time spent in the getter against CPUs, by how references are counted.

    :param table: ``cpus counting getter_ns``.
    """
    scale = alt.Scale(type="symlog", constant=1)  # a static key costs nothing, which a log scale can't show
    pick, opacity = by_legend("counting")
    chart: Chart = (
        alt.Chart(table)
        .mark_line(point=True)
        .encode(
            opacity=opacity,
            x=alt.X("cpus:Q", title=f"CPUs that issue I/O at the same time{LOG}", scale=alt.Scale(type="log", base=2)),
            y=alt.Y(
                "getter_ns:Q",
                title=f"getter [ns per I/O]{LOG} above 1",
                scale=scale,
                axis=alt.Axis(values=[0, 1, 10, 100, 1000, 10000]),
            ),
            color=alt.Color("counting:N", scale=alt.Scale(range=_COLOURS), legend=_LEGEND),
            strokeDash=alt.StrokeDash("counting:N", legend=_LEGEND),
        )
        .add_params(pick)
        .properties(width=560, height=240, title=title)
    )
    return chart
