"""From a run notebook to a page's fragment: HTML of its cells, charts, data as CSV and Parquet.

A fragment holds all that the site's page needs; its digests tell whether the page's files are whole.
"""

import gzip
import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nbformat
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from zpmodel.base.files import write_atomically
from zpmodel.report import escape
from zpmodel.report.charts.theme import CHART_TYPE, TABLE_TYPE
from zpmodel.report.describe import describe, title_of

HEADLINE_TAG = "headline"
"""The tag of the cell whose output is repeated on the site's first page."""

_FOLDED_ROWS = 15  # a table of more rows is folded
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_HIGHLIGHT = HtmlFormatter(nowrap=True)


class _Page:
    """Collects a page's files and HTML while its cells are gone through."""

    def __init__(self, out: Path, name: str) -> None:
        self.out, self.name = out, name
        self.charts = self.tables = 0
        self.digests: dict[str, str] = {}

    def keep(self, path: str, content: str | bytes) -> str:
        """Write a file of the page; returns its path in the site."""
        raw = content.encode() if isinstance(content, str) else content
        write_atomically(self.out / path, raw)
        self.digests[path] = hashlib.sha256(raw).hexdigest()
        return path

    def chart(self, spec: dict[str, Any]) -> str:
        """A chart: a picture that needs no script, the specification that becomes interactive, links to its files."""
        import vl_convert

        self.charts += 1
        stem, text = f"charts/{self.name}-{self.charts}", describe(spec)
        spec = {**spec, "description": text}
        svg = self.keep(f"{stem}.svg", vl_convert.vegalite_to_svg(spec))
        png = self.keep(f"{stem}.png", vl_convert.vegalite_to_png(spec, scale=1))
        links = [f'<a href="{svg}">SVG</a>', f'<a href="{png}">PNG</a>']
        for number, rows in enumerate(spec.get("datasets", {}).values()):
            links += self._data(f"{self.name}-chart-{self.charts}{f'-{number + 1}' if number else ''}", rows)
        # "</" would end the element; JSON may write it so.
        inside = json.dumps(spec, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
        title = escape.to_html(title_of(spec)[0] or "Chart")
        return (
            f'<figure class="chart" data-title="{title}"><div class="drawing">'
            f'<img src="{svg}" alt="{escape.to_html(text)}"></div>'
            f'<script type="application/json">{inside}</script><figcaption>{" ".join(links)}</figcaption></figure>'
        )

    def table(self, markup: str, csv: str) -> str:
        """A table: folded where it is long, in a box of its own that scrolls where it is wide."""
        body = escape.clean(markup)
        if "<table" not in body:
            return body
        self.tables += 1
        rows = body.count("<tr") - body.partition("</thead>")[0].count("<tr")
        links = " ".join(self._data(f"{self.name}-table-{self.tables}", csv)) if csv else ""
        box = f'<div class="table" tabindex="0" role="region" aria-label="Table {self.tables}">{body}</div>'
        if rows > _FOLDED_ROWS:
            box = f"<details><summary>Table of {rows} rows</summary>{box}</details>"
        return f'{box}<p class="files">{links}</p>' if links else box

    def _data(self, stem: str, content: Any) -> list[str]:
        import pandas as pd

        frame = pd.read_csv(io.StringIO(content)) if isinstance(content, str) else pd.DataFrame(content)
        csv = content if isinstance(content, str) else frame.to_csv(index=False)
        links = [f'<a href="{self.keep(f"data/{stem}.csv", csv)}">CSV</a>']
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            return links
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return [*links, f'<a href="{self.keep(f"data/{stem}.parquet", buffer.getvalue())}">Parquet</a>']


def write(notebook: Any, *, out: Path, name: str, about: Mapping[str, Any]) -> None:
    """Write the run notebook, the page's files, and last its fragment ``parts/NAME.json.gz``.

    :param about: what else the fragment keeps: fingerprint, provenance, seconds.
    :raises OSError: where the disk is full; the fragment is then missing, and the page will be run anew.
    """
    page = _Page(out, name)
    notebook.metadata.pop("papermill", {}).pop("input_path", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if CHART_TYPE in output.get("data", {}):
                output.data.pop("image/svg+xml", None)  # it lies beside the page, and would double the site
    page.keep(f"notebooks/{name}.ipynb", nbformat.writes(notebook) + "\n")  # type: ignore[no-untyped-call]
    error = failure(notebook)
    body, headline = [], []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            body.append(escape.from_markdown(cell.source))
            continue
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        shown = "".join(_output(page, output) for output in cell.get("outputs", []))
        body.append(shown)
        tags = cell.metadata.get("tags", [])
        if HEADLINE_TAG in tags:
            headline.append(shown)
        body.append(_code(cell.source))
    document = {
        **about,
        "name": name,
        "status": "failed" if error else "ok",
        "error": error,
        "headline": "".join(headline),
        "body": "\n".join(body),
        "charts": page.charts,
        "files": page.digests,
    }
    write_atomically(out / "parts" / f"{name}.json.gz", gzip.compress(json.dumps(document).encode()))


def failure(notebook: Any) -> str:
    """The first error of a run notebook in one line; empty where there is none."""
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                return f"cell {number}: {output.ename}: {' '.join(_ANSI.sub('', output.evalue).split())}"
        # A kernel that died, or an exception of papermill's, leaves no output.
        if cell.metadata.get("papermill", {}).get("exception"):
            return f"cell {number}: the kernel stopped"
    return ""


def _code(source: str) -> str:
    marked = highlight(source, PythonLexer(), _HIGHLIGHT)
    return f'<details class="code"><summary>Code</summary><pre><code>{marked}</code></pre></details>'


def _output(page: _Page, output: Any) -> str:
    if output.output_type == "stream":
        return f'<pre class="{"stderr" if output.name == "stderr" else "stdout"}">{_plain(output.text)}</pre>'
    if output.output_type == "error":
        trace = _plain("\n".join(output.traceback))
        name, text = _plain(output.ename), _plain(output.evalue)
        return (
            f'<div class="failure" role="alert"><strong>{name}</strong>: {text}'
            f"<details><summary>Where</summary><pre>{trace}</pre></details></div>"
        )
    data = output.get("data", {})
    if CHART_TYPE in data:
        return page.chart(dict(data[CHART_TYPE]))
    shapes: list[tuple[str, Callable[[str], str]]] = [
        (
            "text/html",
            lambda text: page.table(text, data.get(TABLE_TYPE, "")) if "<table" in text else escape.clean(text),
        ),
        ("text/markdown", escape.from_markdown),
        ("image/png", lambda text: f'<img alt="picture" src="data:image/png;base64,{escape.to_html(text.strip())}">'),
        ("text/plain", lambda text: f"<pre>{_plain(text)}</pre>"),
    ]
    for kind, show in shapes:
        if kind in data:
            return show(data[kind])
    return ""


def _plain(text: str) -> str:
    return escape.to_html(_ANSI.sub("", text))
