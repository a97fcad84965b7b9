"""Charts of the answers: intervals with their names above them, so that a narrow screen shows both."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from zpmodel.report.charts.theme import BLACK, BLUE, GREEN, GREY, LOG
from zpmodel.study.answers.base import Answer

Chart = alt.TopLevelMixin
_COLOURS = {"static": BLUE, "on-demand": GREEN}
_WIDE = 50.0  # from the least to the most, from where on an axis is logarithmic


def figures(answer: Answer) -> Chart | None:
    """Figures of an answer that share the first one's unit; None where there are not two of them."""
    first = answer.first
    shown = [] if first is None else [each for each in answer.figures if each.unit == first.unit]
    if first is None or len(shown) < 2:
        return None
    rows = [{"name": each.what, **each.estimate.as_dict()} for each in shown]
    unit = "ratio or share [1]" if first.unit == "1" else f"[{first.unit}]"
    return intervals(pd.DataFrame(rows), unit, f"Question {answer.number}: the figures", "bars are 90 % intervals")


def intervals(table: pd.DataFrame, axis: str, title: str, subtitle: str) -> Chart:
    """Values with intervals, each under its name.

    :param table: rows of ``name``, ``value``, ``low``, ``high``.
    :param axis: what the x axis says, with its unit in brackets.
    """
    names = list(table["name"])
    ends = [table["low"].min(), table["high"].max()]
    wide = ends[0] > 0 and ends[1] > _WIDE * ends[0]
    scale = alt.Scale(type="log") if wide else alt.Scale(zero=True)
    axis = f"{axis}{LOG}" if wide else axis
    base = alt.Chart(table).encode(y=alt.Y("name:N", sort=names, title=None, axis=None))
    rule = base.mark_rule(strokeWidth=3, color=BLUE).encode(x=alt.X("low:Q", title=axis, scale=scale), x2="high:Q")
    point = base.mark_point(filled=True, size=80, color=BLUE, opacity=1).encode(x=alt.X("value:Q", title=axis))
    text = base.mark_text(align="left", baseline="bottom", dy=-7, fontSize=11, color=BLACK).encode(
        x=alt.value(0), text="name:N"
    )
    chart: Chart = alt.layer(rule, point, text).properties(
        width=560, height=40 * len(names), title=alt.TitleParams(_lines(title), subtitle=_lines(subtitle))
    )
    return chart


def gains(table: pd.DataFrame, title: str, subtitle: str, published: float | None = None) -> Chart:
    """Gain by device and policy: throughput above, CPU time below.

    :param table: as :func:`zpmodel.study.answers.rows.gain_rows` gives it.
    :param published: a published ratio of throughputs, drawn as a dashed line.
    """
    devices, policies = (list(dict.fromkeys(table[name])) for name in ("device", "policy"))
    colour = alt.Color("policy:N", scale=alt.Scale(domain=policies, range=[_COLOURS[name] for name in policies]))
    shape = alt.Shape("policy:N", scale=alt.Scale(domain=policies, range=["circle", "square"][: len(policies)]))
    panels = []
    for name, axis in (("speedup", "throughput over 4 KiB [ratio]"), ("saved", "CPU time saved [ms/GiB]")):
        kind = alt.Scale(type="log", nice=False) if name == "speedup" else alt.Scale(zero=True)
        axis = f"{axis}{LOG}" if name == "speedup" else axis
        y = alt.Y("device:N", sort=devices, title=None, axis=None)
        base = alt.Chart(table).encode(y=y, yOffset=alt.YOffset("policy:N", sort=policies), color=colour)
        parts: list[alt.Chart] = []
        if name == "speedup":
            marks = [("no difference", 1.0)] + ([] if published is None else [("published", published)])
            lines = pd.DataFrame(marks, columns=["line", "at"])
            dash = alt.StrokeDash("line:N", scale=alt.Scale(range=[[1, 0], [5, 4]]), legend=alt.Legend(title=None))
            parts.append(alt.Chart(lines).mark_rule(color=GREY).encode(x=alt.X("at:Q", scale=kind), strokeDash=dash))
        parts.append(
            base.mark_rule(strokeWidth=3).encode(x=alt.X(f"{name}_low:Q", title=axis, scale=kind), x2=f"{name}_high:Q")
        )
        parts.append(
            base.mark_point(filled=True, size=70, opacity=1).encode(x=alt.X(f"{name}:Q", title=axis), shape=shape)
        )
        # Filtered where it is drawn: the same rows, so that the page offers them once.
        text = alt.Chart(table).transform_filter(f"datum.policy == '{policies[0]}'")
        text = text.mark_text(align="left", baseline="bottom", dy=-21, fontSize=11, color=BLACK)
        parts.append(text.encode(y=y, x=alt.value(0), text="device:N"))
        panels.append(alt.layer(*parts).properties(width=370, height=64 * len(devices)))
    return alt.hconcat(*panels, title=alt.TitleParams(_lines(title), subtitle=_lines(subtitle)))


def curve(table: pd.DataFrame, title: str, subtitle: str) -> Chart:
    """CPU time saved by folio size, with its interval as a band, a panel a machine.

    :param table: as :func:`zpmodel.study.answers.gain.curve_rows` gives it.
    """
    order = list(dict.fromkeys(table.sort_values("folio_bytes")["folio"]))
    panels = []
    for machine, rows in table.groupby("machine", sort=False):
        base = alt.Chart(rows).encode(x=alt.X("folio:N", sort=order, title="folio", axis=alt.Axis(labelAngle=-60)))
        axis = "CPU time saved [ms/GiB]"
        band = base.mark_rule(strokeWidth=3, color=BLUE, opacity=0.5).encode(y=alt.Y("low:Q", title=axis), y2="high:Q")
        line = base.mark_line(point=True, color=BLUE).encode(y=alt.Y("saved:Q", title=axis))
        panels.append(alt.layer(band, line).properties(width=360, height=220, title=_lines(str(machine), 40)))
    return alt.hconcat(*panels, title=alt.TitleParams(_lines(title), subtitle=_lines(subtitle)))


def grid(table: pd.DataFrame, title: str, subtitle: str) -> Chart:
    """Throughput and CPU time saved by bandwidth and IOMMU.

    :param table: as :func:`zpmodel.study.answers.rows.grid_rows` gives it.
    """
    speeds, modes = list(dict.fromkeys(table["speed"])), list(dict.fromkeys(table["iommu"]))
    colour = alt.Color("iommu:N", scale=alt.Scale(domain=modes, range=[GREEN, BLUE, GREY][: len(modes)]))
    shape = alt.Shape("iommu:N", scale=alt.Scale(domain=modes, range=["circle", "square", "diamond"][: len(modes)]))
    panels = []
    for name, axis in (("speedup", "throughput over 4 KiB [ratio]"), ("saved", "CPU time saved [ms/GiB]")):
        zero = alt.Scale(zero=name == "saved")
        base = alt.Chart(table).encode(
            x=alt.X("speed:N", sort=speeds, title="the device writes", axis=alt.Axis(labelAngle=0)),
            xOffset=alt.XOffset("iommu:N", sort=modes),
            color=colour,
        )
        rule = base.mark_rule(strokeWidth=3).encode(y=alt.Y(f"{name}_low:Q", title=axis, scale=zero), y2=f"{name}_high")
        point = base.mark_point(filled=True, size=70, opacity=1).encode(y=alt.Y(f"{name}:Q", title=axis), shape=shape)
        panels.append(alt.layer(rule, point).properties(width=350, height=230))
    return alt.hconcat(*panels, title=alt.TitleParams(_lines(title), subtitle=_lines(subtitle)))


def _lines(text: str, most: int = 52) -> Sequence[str]:
    """A text in lines that a narrow screen holds."""
    lines: list[str] = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > most:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
