"""A chart that answers by itself: sliders bound to a table of scenarios, without a kernel."""

from typing import Any

import altair as alt
import pandas as pd

from zpmodel.base.units import KIB, format_size
from zpmodel.report.charts.theme import BLUE, GREEN, GREY, LOG
from zpmodel.study.what_if import DEFAULTS, IOMMUS, LENGTHS, MDTS, SPEEDS_GB_S

Chart = alt.TopLevelMixin

_POLICIES = ["static", "on-demand"]
# The lines above the panels name the policies, each in its colour.
_COLOUR = alt.Color("policy:N", scale=alt.Scale(domain=_POLICIES, range=[BLUE, GREEN]), legend=None)
_DASH = alt.StrokeDash("policy:N", scale=alt.Scale(domain=_POLICIES, range=[[1, 0], [6, 3]]), legend=None)
LABELS = {
    "speed": [f"{speed:g} GB/s" for speed in SPEEDS_GB_S],
    "length": [format_size(length) for length in LENGTHS],
    "mdts": [format_size((4 << mdts) * KIB) for mdts in MDTS],
    "iommu": list(IOMMUS),
}
"""What stands for each position of a slider."""
_NAMES = {
    "speed": "The device writes",
    "length": "A call zeroes",
    "mdts": "Largest transfer (MDTS)",
    "iommu": "IOMMU",
}


def what_if(table: pd.DataFrame, title: str, subtitle: str) -> Chart:
    """Gain against the device's bandwidth for what the sliders say, with intervals; the chosen bandwidth in words.

    :param table: as :func:`zpmodel.study.what_if.table` gives it.
    """
    panels = [
        _panel(table, "speedup", "throughput over 4 KiB [ratio]", alt.Scale(zero=False)),
        _panel(table, "saved", "CPU time saved [ms/GiB]", alt.Scale(zero=True)),
    ]
    names = alt.TitleParams(title, subtitle=subtitle)
    chart: Chart = alt.hconcat(*panels, title=names).add_params(*map(_slider, LABELS))
    return chart.properties(usermeta={"sliders": {name: LABELS[name] for name in LABELS if name != "iommu"}})


def _slider(name: str) -> alt.Parameter:
    """A choice by its words wherever a chart is drawn; a report's page makes a slider of each that ``usermeta`` names.

    Vega's own slider shows its position, a number that says nothing.
    """
    places = list(range(len(LABELS[name])))
    kind: Any = alt.binding_radio if name == "iommu" else alt.binding_select
    return alt.param(
        name=name, value=DEFAULTS[name], bind=kind(options=places, labels=LABELS[name], name=f"{_NAMES[name]} ")
    )


def _panel(table: pd.DataFrame, field: str, axis: str, scale: alt.Scale) -> Any:
    chosen = " && ".join(f"datum.{name} == {name}" for name in ("length", "mdts", "iommu"))
    base = alt.Chart(table).transform_filter(chosen)
    x = alt.X(
        "speed_gb_s:Q",
        title=f"the device writes [GB/s]{LOG}",
        scale=alt.Scale(type="log", nice=False, padding=12),
        axis=alt.Axis(values=list(SPEEDS_GB_S), format="~g"),
    )
    y = alt.Y(f"{field}:Q", title=axis, scale=scale)
    band = base.mark_area(opacity=0.15).encode(
        x=x, y=alt.Y(f"{field}_low:Q", title=axis, scale=scale), y2=f"{field}_high:Q", color=_COLOUR
    )
    line = base.mark_line(point=True).encode(x=x, y=y, color=_COLOUR, strokeDash=_DASH)
    here = base.transform_filter("datum.speed == speed")
    rule = here.mark_rule(color=GREY, strokeDash=[5, 4]).encode(x=x)
    # Above the panel, so that no line crosses it.
    said = [
        here.transform_filter(f"datum.policy == '{policy}'")
        .transform_calculate(text=f"'{policy}: ' + datum.{field}_says")
        .mark_text(align="left", baseline="bottom", fontSize=13)
        .encode(x=alt.value(0), y=alt.value(-6 - 18 * place), text="text:N", color=_COLOUR)
        for place, policy in enumerate(reversed(_POLICIES))
    ]
    words = {name: f"{LABELS[name]}[{name}]" for name in LABELS}
    setting = f"{words['length']} a call, MDTS ' + {words['mdts']} + ', IOMMU ' + {words['iommu']}"
    of = (
        here.transform_filter(f"datum.policy == '{_POLICIES[0]}'")
        .transform_calculate(text=setting.replace(" a call", " + ' a call", 1))
        .mark_text(align="left", baseline="bottom", fontSize=12, color=GREY)
        .encode(x=alt.value(0), y=alt.value(-6 - 18 * len(_POLICIES)), text="text:N")
    )
    return alt.layer(band, line, rule, of, *said).properties(width=370, height=240)
