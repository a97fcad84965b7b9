"""A tornado: how far each input alone moves an answer, the widest on top."""

import altair as alt
import pandas as pd

from zpmodel.report.charts.theme import BLACK, BLUE, GREY, ORANGE
from zpmodel.study.sensitivity import OUTPUTS
from zpmodel.study.swings import Swings

Chart = alt.TopLevelMixin

AXES = {
    "speedup": "times as fast as 4 KiB [ratio]",
    "elapsed_s": "elapsed time",
    "cpu_s": "CPU time",
    "cpu_saved_s": "CPU time saved",
}
_ENDS = ["at its low end", "at its high end"]
_SAYS = "one input at a time, from end to end of what is known of it"
_MOST = 12  # inputs that are drawn


def tornado(found: Swings, title: str = "", subtitle: str = _SAYS) -> Chart:
    """A bar for each input from one end of its range to the other, named above; the line is the best value.

    :param found: the widest swings of it are drawn.
    :param title: what was asked, where left out.
    """
    scale, unit = found.unit
    rows = [
        {"input": label, "end": end, "at": row[f"at_{side}"] * scale, "best": found.best * scale}
        for label, row in zip(found.labels(), found.table.to_dict("records"), strict=True)
        for end, side in zip(_ENDS, ("low", "high"), strict=True)
    ][: 2 * _MOST]
    table = pd.DataFrame(rows)
    axis = AXES[found.output] + (f" [{unit.strip()}]" if unit else "")
    base = alt.Chart(table).encode(
        y=alt.Y("input:N", sort=list(dict.fromkeys(table["input"])), title=None, axis=None),
        x=alt.X("at:Q", title=axis, scale=alt.Scale(zero=False, padding=10)),
        color=alt.Color("end:N", scale=alt.Scale(domain=_ENDS, range=[BLUE, ORANGE])),
    )
    bar = base.mark_bar(height=10, opacity=0.75).encode(x2="best:Q")
    # Colours alone are not told apart by everybody: the triangle points down at the low end.
    shape = alt.Shape("end:N", scale=alt.Scale(domain=_ENDS, range=["triangle-down", "triangle-up"]))
    point = base.mark_point(filled=True, size=60, opacity=1).encode(shape=shape)
    best = alt.Chart(table.head(1)).mark_rule(color=GREY, strokeWidth=1.5).encode(x="best:Q")
    text = (
        alt.Chart(table)
        .transform_filter(f"datum.end == '{_ENDS[0]}'")
        .mark_text(align="left", baseline="bottom", dy=-7, fontSize=11, color=BLACK)
        .encode(y=base.encoding.y, x=alt.value(0), text="input:N")
    )
    height = 36 * table["input"].nunique()
    names = alt.TitleParams(title or f"What moves {OUTPUTS[found.output]}", subtitle=subtitle)
    chart: Chart = alt.layer(bar, best, point, text).properties(width=560, height=height, title=names)
    return chart
