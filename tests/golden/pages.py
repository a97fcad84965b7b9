"""The report's pages and its index, as text: notebooks run in this process, without kernels, on the small set.

What cells show goes into notebooks as papermill would leave them; fragments and the site are then made of those.
"""

import ast
import html
import json
import re
import warnings
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import IPython.display
import nbformat
import pandas as pd
import papermill
import pytest
import vl_convert

from golden import commands, inputs
from golden.case import Case
from golden.drawn import specification
from golden.likeness import FITTED
from zpmodel.base import shipped
from zpmodel.memory.life import vmstat
from zpmodel.report import fragment
from zpmodel.report import site as reports
from zpmodel.report.charts.theme import table_html
from zpmodel.report.fingerprint import package_digest
from zpmodel.report.part import read_part

NAMES = ("answers", "callers", "compare", "lifetime", "machine", "sweep", "validate", "zeroing")


class Site(NamedTuple):
    """Pages' texts by name, ``index`` among them, and each notebook's charts."""

    texts: dict[str, str]
    charts: dict[str, list[dict[str, Any]]]


@cache
def site() -> Site:
    """Run the notebooks and make the report of them, once for this process."""
    folder = inputs.scratch()
    out, data = folder / "report", inputs.small_set(folder)
    for name in ("notebooks", "parts", "data", "charts", "assets"):
        (out / name).mkdir(parents=True)
    given = {"data_set": str(data), "length": "1GiB", "resamples": inputs.RESAMPLES}
    # The page on zeroing has its own, finer sweep where no set is named.
    finer = {key: value for key, value in given.items() if key != "data_set"}
    charts = {name: _run(name, finer if name == "zeroing" else given, out) for name in NAMES}
    parts = [read_part(out, name) for name in reports.notebook_names()]
    reports._write_site(out, [part for part in parts if part is not None], "")
    texts = {path.stem: _text(path.read_text(encoding="utf-8")) for path in out.glob("*.html")}
    return Site({name: text.replace(str(folder), "...") for name, text in texts.items()}, charts)


def _run(name: str, given: dict[str, Any], out: Path) -> list[dict[str, Any]]:
    """Fill a notebook's outputs, write it, and return its charts."""
    source = shipped.notebooks() / f"{name}.ipynb"
    mine = {key: value for key, value in given.items() if key in papermill.inspect_notebook(str(source))}
    notebook = nbformat.read(str(source), as_version=4)
    shown: list[Any] = []
    buddyinfo, counters = inputs.memory_now(inputs.scratch())
    blocks, counts = vmstat.read_buddyinfo(buddyinfo), vmstat.read_vmstat(counters)
    names: dict[str, Any] = {"__name__": "__main__"}
    charts: list[dict[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch, commands.scored_once(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(IPython.display, "display", shown.append)
        patch.setattr(vmstat, "read_buddyinfo", lambda: blocks)
        patch.setattr(vmstat, "read_vmstat", lambda: counts)
        for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
            shown.clear()
            shown += _executed(cell.source, names)
            if "parameters" in cell.metadata.get("tags", []):
                names |= mine
            charts += [_drawn(item) for item in shown if _is_chart(item)]
            cell.outputs = [nbformat.v4.new_output("display_data", data=_bundle(item)) for item in shown]
    about = {"fingerprint": "", "data": "", "package": package_digest(), "provenance": {}, "seconds": 1.0}
    fragment.write(notebook, out=out, name=name, about=about)
    return charts


_DRAWN: set[str] = set()


def _drawn(chart: Any) -> dict[str, Any]:
    """A chart's specification without its data; drawn as every page shows it, unless it was with other numbers."""
    spec = chart.to_dict()
    found = specification(spec, data=False)
    unknown = [
        [name for row in rows for name, value in row.items() if value is None] for rows in spec["datasets"].values()
    ]
    kind = json.dumps([found, [sorted(set(names)) for names in unknown]])
    if kind not in _DRAWN:
        vl_convert.vegalite_to_svg(spec)
        _DRAWN.add(kind)
    return found


def _executed(source: str, names: dict[str, Any]) -> list[Any]:
    """Run a cell; its last expression's value is shown, as Jupyter does."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    value = eval(compile(ast.Expression(last.value), "cell", "eval"), names) if isinstance(last, ast.Expr) else None
    return [] if value is None else [value]


def _is_chart(item: Any) -> bool:
    return "altair" in type(item).__module__


def _bundle(item: Any) -> dict[str, str]:
    if _is_chart(item):
        return {"text/plain": "[a chart]"}
    if isinstance(item, IPython.display.Markdown):
        return {"text/markdown": str(item.data)}
    return {"text/html": table_html(item) if isinstance(item, pd.DataFrame) else item._repr_html_()}


def _text(page: str) -> str:
    """A page's words, a line a paragraph or a table's row."""
    body = re.sub(r"<style.*?</style>|<script.*?</script>|<head>.*?</head>", "", page, flags=re.DOTALL)
    body = re.sub(r'<details class="code">.*?</details>', "", body, flags=re.DOTALL)
    body = " ".join(body.split())
    body = re.sub(r"</t[hd]>\s*<t[hd]", " | <td", body)
    lines = (" ".join(html.unescape(re.sub(r"<[^>]+>", "", part)).split()) for part in re.split(_ENDS, body))
    # Beliefs are drawn from a covariance whose axes each BLAS library sorts in its own way.
    return "\n".join(re.sub(r"\| [\d.]+ \| [\d.]+ (\|[^|]*\| belief)$", r"| ~ | ~ \1", line) for line in lines if line)


_ENDS = r"</(?:p|h\d|tr|li|div|pre|section|nav)>"


def cases() -> list[Case]:
    """The index, and each page's words and charts."""
    found = [Case(f"page/{name}.txt", lambda name=name: site().texts[name], FITTED) for name in ("index", *NAMES)]
    return [
        *found,
        *(Case(f"page/{name}-charts.json", lambda name=name: site().charts[name], FITTED) for name in NAMES),
    ]
