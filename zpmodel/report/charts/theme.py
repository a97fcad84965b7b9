"""How charts look and how notebooks show them: one theme, offline, interactive where a reader can draw them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import altair as alt
import pandas as pd
from pandas.io.formats.style import Styler

from zpmodel.base.estimate import digits
from zpmodel.report.describe import describe
from zpmodel.report.outputs import CHART_TYPE, TABLE_TYPE

_LAB_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.20.1.json"

BLUE, ORANGE, GREEN, BLACK, GREY = "#0072B2", "#D55E00", "#009E73", "#000000", "#767676"
"""Okabe's and Ito's colours, told apart by everybody."""

SERIES = [BLUE, ORANGE, GREEN, BLACK, "#CC79A7", "#56B4E9"]
"""As many of them as a chart can have series."""


LOG = ", log scale"
"""What the title of a logarithmic axis ends in: nobody should have to see it from the ticks."""


def setup(renderer: str = "offline") -> None:
    """Choose how a notebook shows charts, and let tables carry their values.

    :param renderer: ``offline`` (interactive, with a picture for whoever can't draw it), ``svg`` (pictures) or altair's
        ``default``.
    """
    alt.renderers.register("offline", _offline)
    alt.renderers.enable(renderer)
    alt.theme.register("zpmodel", enable=True)(_theme)
    alt.data_transformers.disable_max_rows()
    _tables_with_values()


@contextmanager
def themed() -> Iterator[None]:
    """Charts in the package's look outside notebooks, and altair as it was afterwards."""
    alt.theme.register("zpmodel", enable=False)(_theme)
    alt.data_transformers.disable_max_rows()
    with alt.theme.enable("zpmodel"):
        yield


def _offline(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    import vl_convert

    text = describe(spec)
    spec = {**spec, "description": text}
    # The one drawing of a chart: the report's SVG is this picture, its PNG is made of it.
    lab = {**spec, "$schema": _LAB_SCHEMA}
    return {CHART_TYPE: lab, "image/svg+xml": vl_convert.vegalite_to_svg(spec), "text/plain": text}


def _tables_with_values() -> None:
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:  # imported, not in a notebook
        return
    show = shell.display_formatter.mimebundle_formatter
    show.for_type(pd.DataFrame, lambda frame, **_: {TABLE_TYPE: frame.to_csv()})
    show.for_type(Styler, lambda style, **_: {TABLE_TYPE: style.data.to_csv()})
    shell.display_formatter.formatters["text/html"].for_type(pd.DataFrame, table_html)


def table_html(frame: pd.DataFrame) -> str:
    """A table for reading: three significant digits, and no row numbers that say nothing."""
    numbered = isinstance(frame.index, pd.RangeIndex)
    return str(frame.to_html(float_format=digits, index=not numbered, na_rep="-", border=0))


def _theme() -> alt.theme.ThemeConfig:
    return alt.theme.ThemeConfig(
        {
            "config": {
                "background": "white",
                "font": "DejaVu Sans, Arial, sans-serif",
                "axis": {
                    "labelFontSize": 12,
                    "titleFontSize": 13,
                    "gridColor": "#e3e3e3",
                    "titleFontWeight": "normal",
                    "labelSeparation": 6,
                },
                "legend": {"labelFontSize": 12, "titleFontSize": 12, "labelLimit": 400, "orient": "top", "title": None},
                "header": {"labelFontSize": 13, "titleFontSize": 13},
                "mark": {"tooltip": True},
                "title": {"fontSize": 15, "anchor": "start", "subtitleFontSize": 12, "subtitleColor": "#444444"},
                "view": {"strokeOpacity": 0},
            }
        }
    )


def by_legend(field: str) -> tuple[alt.Parameter, Any]:
    """A click in the legend picks a series and fades the others: the parameter to add, and the opacity to encode.

    :param field: the column that the legend shows.
    """
    # Its name has to be known: altair numbers them, and a page's fingerprint of the same chart would then differ.
    pick = alt.selection_point(fields=[field], bind="legend", name=f"pick_{field}")
    return pick, alt.condition(pick, alt.value(1.0), alt.value(0.15))
