"""Charts of predictions beside what was measured: truths inside their bar and outside it."""

import altair as alt
import pandas as pd

from zpmodel.report.charts.theme import BLUE, GREY, LOG, ORANGE

Chart = alt.TopLevelMixin

_VERDICTS = ["within its bar", "outside its bar"]
_COLOUR = alt.Color("verdict:N", scale=alt.Scale(domain=_VERDICTS, range=[BLUE, ORANGE]), legend=alt.Legend(title=None))
_SHAPE = alt.Shape(
    "verdict:N", scale=alt.Scale(domain=_VERDICTS, range=["circle", "diamond"]), legend=alt.Legend(title=None)
)
_LEAST, _MOST = 0.1, 10.0  # ratios beyond are drawn at the edge


def off_by(table: pd.DataFrame, title: str, subtitle: str = "") -> Chart:
    """Predicted over measured of each truth by name, the farthest off on top; intervals where there are any.

    :param table: rows of ``truth``, ``measured``, ``predicted``, ``low``, ``high`` and ``inside``.
    """
    shown = _verdicts(table.dropna(subset=["measured", "predicted"]))
    shown = shown[shown["measured"] > 0]
    for name in ("predicted", "low", "high"):
        shown[f"{name}_ratio"] = (shown[name].astype(float) / shown["measured"]).clip(_LEAST, _MOST)
    order = list(shown.assign(size=(shown["error"].abs())).sort_values("size", ascending=False)["truth"])
    ratios = shown[["predicted_ratio", "low_ratio", "high_ratio"]]
    farthest = 1.02 * float(max(ratios.max().max(), 1 / ratios.min().min()))
    reach = [1 / farthest, farthest]
    base = alt.Chart(shown).encode(
        y=alt.Y("truth:N", sort=order, title=None, axis=alt.Axis(labelLimit=600)), color=_COLOUR
    )
    axis = alt.X(
        "low_ratio:Q",
        title=f"predicted / measured [ratio]{LOG}",
        scale=alt.Scale(type="log", domain=reach, nice=False),
        axis=alt.Axis(format="~g", values=_ticks(farthest)),
    )
    rules = base.mark_rule(strokeWidth=2).encode(x=axis, x2="high_ratio:Q")
    points = base.mark_point(filled=True, size=60, opacity=1).encode(x=alt.X("predicted_ratio:Q"), shape=_SHAPE)
    one = alt.Chart(pd.DataFrame({"one": [1.0]})).mark_rule(color=GREY, strokeDash=[5, 4]).encode(x="one:Q")
    layer = alt.layer(one, rules, points)
    return layer.properties(width=420, height=18 * len(shown), title=alt.TitleParams(title, subtitle=subtitle))


def _ticks(farthest: float) -> list[float]:
    """Ratios to mark on a log axis that reaches so far to both sides."""
    if farthest < 1.2:
        return [0.85, 0.9, 0.94, 0.96, 0.98, 1, 1.02, 1.04, 1.06, 1.1, 1.15]
    if farthest < 3:
        return [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 1.75, 2, 2.5]
    return [0.1, 0.2, 0.5, 1, 2, 5, 10]


def error_histogram(points: pd.DataFrame, bar: float, title: str, subtitle: str = "") -> Chart:
    """How often predictions are off by how much, a panel for each kind of thing predicted, with the bar.

    :param points: rows of ``error`` [1] and ``panel``.
    :param bar: largest error that is asked for [1]; drawn on both sides.
    """
    edges = pd.DataFrame({"edge": [-100 * bar, 100 * bar]})
    step = bar * 100 / 4
    ticks = [bar * 100 * n for n in (-4, -2, -1, 0, 1, 2, 4)]
    # Only what is drawn: these columns go into the page, once for each reader.
    shown = points[["panel"]].assign(percent=(100 * points["error"]).clip(-5 * bar * 100, 5 * bar * 100).round(3))
    bars = (
        alt.Chart()
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X(
                "percent:Q",
                bin=alt.Bin(step=step, anchor=0),
                title="error of the prediction [%]",
                axis=alt.Axis(values=ticks, format=".0f"),
            ),
            y=alt.Y("count()", title="predictions"),
        )
    )
    # One line a panel, not one for each of its rows.
    rules = alt.Chart().transform_aggregate(n="count()", groupby=["panel"])
    rules = rules.mark_rule(color=ORANGE, strokeDash=[5, 4], strokeWidth=2)
    sides = [rules.encode(x=alt.datum(float(edge))) for edge in edges["edge"]]
    layer = alt.layer(bars, *sides, data=shown).properties(width=270, height=190)
    panels = list(dict.fromkeys(points["panel"]))
    faceted: Chart = layer.facet(
        column=alt.Column("panel:N", sort=panels, title=None), title=alt.TitleParams(title, subtitle=subtitle)
    ).resolve_scale(y="independent")
    return faceted


def _verdicts(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(verdict=[_VERDICTS[0] if inside else _VERDICTS[1] for inside in table["inside"]])
