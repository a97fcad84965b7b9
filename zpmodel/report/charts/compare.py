"""The charts of the comparison."""

from typing import Any

import altair as alt
import pandas as pd

from zpmodel.base.units import format_size
from zpmodel.report.charts.theme import BLUE, GREEN, GREY, LOG, ORANGE, SERIES, by_legend

PAGE_NAMES = {"malloc": "4 KiB vectors (as ZERO_PAGE)", "mmaphuge": "2 MiB vectors (as the static page)"}
_SHAPES = ["square", "circle", "diamond", "cross", "triangle-up", "triangle-down"]
_PAGE_COLOURS = alt.Scale(domain=list(PAGE_NAMES.values()), range=[ORANGE, BLUE])
_PAGE_SHAPES = alt.Scale(domain=list(PAGE_NAMES.values()), range=["circle", "square"])

Chart = alt.TopLevelMixin


def measured(summary: pd.DataFrame, field: str, unit: str, title: str, subtitle: str = "") -> Chart:
    """Medians with intervals against block size, one panel a queue depth.

    :param summary: rows of ``block_bytes``, ``depth``, ``memory`` and ``field``, ``field_low``, ``field_high``.
    :param unit: what the y axis says, with its unit in brackets.
    """
    table = summary.assign(
        block=[format_size(size) for size in summary["block_bytes"]],
        pages=summary["memory"].map(PAGE_NAMES),
        panel=[f"queue depth {depth}" for depth in summary["depth"]],
    )
    order = [format_size(size) for size in sorted(summary["block_bytes"].unique())]
    panels = [f"queue depth {depth}" for depth in sorted(summary["depth"].unique())]
    x = alt.X("block:N", sort=order, title="block size", axis=alt.Axis(labelAngle=-45))
    colour = alt.Color("pages:N", scale=_PAGE_COLOURS, legend=alt.Legend(title=None))
    unit = unit + LOG
    y = alt.Y(f"{field}:Q", title=unit, scale=alt.Scale(type="log"))
    pick, opacity = by_legend("pages")
    base = alt.Chart(table).encode(x=x, color=colour, opacity=opacity)
    bars = base.mark_rule(strokeWidth=2).encode(
        y=alt.Y(f"{field}_low:Q", title=unit, scale=alt.Scale(type="log")), y2=f"{field}_high:Q"
    )
    points = base.mark_point(filled=True, size=55).encode(
        y=y, shape=alt.Shape("pages:N", scale=_PAGE_SHAPES, legend=alt.Legend(title=None))
    )
    lines = base.mark_line(strokeWidth=1.2).encode(y=y)
    layer = alt.layer(bars, lines, points.add_params(pick)).properties(width=250, height=230)
    return _panels(layer, panels, title, subtitle)


def ratios(table: pd.DataFrame, title: str, subtitle: str = "") -> Chart:
    """Paired ratios with intervals against block size, one panel a queue depth, and the line of no difference.

    :param table: rows of ``block_bytes``, ``depth``, ``ratio``, ``low``, ``high`` and ``kind`` (legend).
    """
    shown = table.assign(
        block=[format_size(size) for size in table["block_bytes"]],
        panel=[f"queue depth {depth}" for depth in table["depth"]],
        one=1.0,
    )
    order = [format_size(size) for size in sorted(table["block_bytes"].unique())]
    panels = [f"queue depth {depth}" for depth in sorted(table["depth"].unique())]
    kinds = list(dict.fromkeys(table["kind"]))
    colour = alt.Color(
        "kind:N", scale=alt.Scale(domain=kinds, range=SERIES[: len(kinds)]), legend=alt.Legend(title=None)
    )
    base = alt.Chart(shown).encode(
        x=alt.X("block:N", sort=order, title="block size", axis=alt.Axis(labelAngle=-45)),
        xOffset=alt.XOffset("kind:N", sort=kinds),
        color=colour,
    )
    y_title = "2 MiB / 4 KiB throughput [ratio]"
    rules = base.mark_rule(strokeWidth=2).encode(
        y=alt.Y("low:Q", title=y_title, scale=alt.Scale(zero=False)), y2="high:Q"
    )
    points = base.mark_point(filled=True, size=60, opacity=1).encode(
        y=alt.Y("ratio:Q", title=y_title),
        shape=alt.Shape(
            "kind:N",
            scale=alt.Scale(domain=kinds, range=_SHAPES[: len(kinds)]),
            legend=alt.Legend(title=None),
        ),
    )
    one = (
        alt.Chart(shown)
        .transform_aggregate(one="min(one)", groupby=["panel"])
        .mark_rule(color=GREY, strokeDash=[5, 4])
        .encode(y="one:Q")
    )
    layer = alt.layer(one, rules, points).properties(width=250, height=230)
    return _panels(layer, panels, title, subtitle)


def structure_bars(table: pd.DataFrame, title: str, subtitle: str = "") -> Chart:
    """Counts side by side on a log axis, a panel for each kind of thing counted.

    :param table: rows of ``zero_page``, ``thing`` and ``count``.
    """
    pages, things = (list(dict.fromkeys(table[name])) for name in ("zero_page", "thing"))
    shown = table.assign(label=[f"{value:,}" for value in table["count"]])
    base = alt.Chart(shown).encode(
        y=alt.Y("zero_page:N", sort=pages, title=None),
        x=alt.X(
            "count:Q",
            title=f"number{LOG}",
            scale=alt.Scale(type="log", domainMin=0.5),
            axis=alt.Axis(format="~s", tickCount=5),
        ),
    )
    bars = base.mark_bar(height=18).encode(
        x2=alt.datum(0.5),
        color=alt.Color(
            "zero_page:N", scale=alt.Scale(domain=pages, range=[ORANGE, GREEN, BLUE][: len(pages)]), legend=None
        ),
    )
    labels = base.mark_text(align="left", dx=5, fontSize=11).encode(text="label:N")
    layer = alt.layer(bars, labels).properties(width=250, height=28 * len(pages))
    return layer.facet(facet=alt.Facet("thing:N", sort=things, title=None), columns=3, title=_title(title, subtitle))


def predicted(rows: pd.DataFrame, title: str, subtitle: str = "") -> Chart:
    """Predictions with intervals: elapsed and CPU time of each policy.

    :param rows: as :meth:`zpmodel.study.compare.Comparison.row` gives them.
    """
    policies = list(rows["policy"])
    panels = []
    for name, axis in (("elapsed", "elapsed time [s]"), ("cpu", "CPU time, all threads [s]")):
        base = alt.Chart(rows).encode(y=alt.Y("policy:N", sort=policies, title=None))
        rule = base.mark_rule(strokeWidth=3).encode(
            x=alt.X(f"{name}_low_s:Q", title=axis, scale=alt.Scale(domainMin=0)),
            x2=f"{name}_high_s:Q",
            color=_policy_colour(policies),
        )
        point = base.mark_point(filled=True, size=90, opacity=1).encode(
            x=alt.X(f"{name}_s:Q", title=axis), color=_policy_colour(policies)
        )
        panels.append(alt.layer(rule, point).properties(width=360, height=110))
    return alt.hconcat(*panels, title=_title(title, subtitle))


def _policy_colour(policies: list[str]) -> alt.Color:
    return alt.Color(
        "policy:N", scale=alt.Scale(domain=policies, range=[ORANGE, GREEN, BLUE][: len(policies)]), legend=None
    )


def _title(title: str, subtitle: str) -> Any:
    return alt.TitleParams(title, subtitle=subtitle) if subtitle else alt.TitleParams(title)


def _panels(layer: alt.LayerChart | alt.FacetChart, panels: list[str], title: str, subtitle: str) -> Chart:
    """The layer once for each panel, three in a row; a line of text where there is none: no picture has no size."""
    if not panels:
        said = alt.Chart(pd.DataFrame({"said": ["Nothing was measured that this could show."]}))
        nothing: Chart = said.mark_text(size=14).encode(text="said:N")
        return nothing.properties(width=400, height=60, title=_title(title, subtitle))
    facet = alt.Facet("panel:N", sort=panels, title=None)
    chart: Chart = layer.facet(facet=facet, columns=3, title=_title(title, subtitle)).resolve_scale(x="independent")
    return chart
