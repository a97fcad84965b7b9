"""From a run notebook to a page's fragment: HTML of its cells, charts, data as CSV and Parquet.

A fragment holds all that the site's page needs; its digests tell whether the page's files are whole.
"""

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
from zpmodel.report.describe import describe, title_of
from zpmodel.report.outputs import CHART_TYPE, SCHEMA, TABLE_TYPE
from zpmodel.report.part import write_part

HEADLINE_TAG = "headline"
"""The tag of the cell whose output is repeated on the site's first page."""

_FOLDED_ROWS = 15  # a table of more rows is folded
_PNG_SCALE = 1.5  # sharp in somebody's slides
_PRINTED_ROWS = 40  # a table of more is not opened for the printer
_MANY_COLUMNS = 8  # a table of more gets all the width and smaller letters
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_CELL = re.compile(r"<(t[dh])([^>]*)>(.*?)</t[dh]>", re.DOTALL)
_CLASS = re.compile(r'<(t[dh])(?= )([^>]*?) class="[^"]*"')
_NUMBER = re.compile(r"[-+\u2212]?[\d,.]+ ?%?( ?\[.*\])?|-|", re.DOTALL)
_HIGHLIGHT = HtmlFormatter(nowrap=True)


class PageFiles:
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

    def chart(self, spec: dict[str, Any], picture: str) -> str:
        """A chart: a picture that needs no script, the specification that becomes interactive, links to its files.

        :param picture: the chart as the kernel drew it, SVG; drawn here where there is none.
        """
        import vl_convert

        self.charts += 1
        stem, text = f"charts/{self.name}-{self.charts}", describe(spec)
        spec = {**spec, "description": text, "$schema": SCHEMA}
        picture = picture or vl_convert.vegalite_to_svg(spec)
        svg = self.keep(f"{stem}.svg", picture)
        png = self.keep(f"{stem}.png", _small_png(vl_convert.svg_to_png(picture, scale=_PNG_SCALE)))
        links = [f'<a href="{svg}">SVG</a>', f'<a href="{png}">PNG</a>']
        for number, rows in enumerate(spec.get("datasets", {}).values()):
            more = str(number + 1) if number else ""
            links += self._data(f"{self.name}-chart-{self.charts}{more and '-'}{more}", rows, f" {more}".rstrip())
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
        body = _text_to_the_left(escape.clean(markup))
        if "<table" not in body:
            return body
        self.tables += 1
        rows = body.count("<tr") - body.partition("</thead>")[0].count("<tr")
        links = " ".join(self._data(f"{self.name}-table-{self.tables}", csv)) if csv else ""
        kind = "table wide" if body.partition("</tr>")[0].count("<th") > _MANY_COLUMNS else "table"
        box = f'<div class="{kind}" tabindex="0" role="region" aria-label="Table {self.tables}">{body}</div>'
        if rows > _FOLDED_ROWS:
            long = ' class="long"' if rows > _PRINTED_ROWS else ""
            box = f"<details{long}><summary>Table of {rows} rows</summary>{box}</details>"
        return f'{box}<p class="files">{links}</p>' if links else box

    def _data(self, stem: str, content: Any, more: str = "") -> list[str]:
        import pandas as pd

        frame = pd.read_csv(io.StringIO(content)) if isinstance(content, str) else pd.DataFrame(content)
        csv = content if isinstance(content, str) else frame.to_csv(index=False)
        links = [f'<a href="{self.keep(f"data/{stem}.csv", csv)}">CSV{more}</a>']
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            return links
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return [*links, f'<a href="{self.keep(f"data/{stem}.parquet", buffer.getvalue())}">Parquet{more}</a>']


def write(notebook: Any, *, out: Path, name: str, about: Mapping[str, Any]) -> None:
    """Write the run notebook, the page's files, and last its fragment ``parts/NAME.json.gz``.

    :param about: what else the fragment keeps: fingerprint, provenance, seconds.
    :raises OSError: where the disk is full; the fragment is then missing, and the page will be run anew.
    """
    page = PageFiles(out, name)
    notebook.metadata.pop("papermill", {}).pop("input_path", None)
    pictures = {id(output): _picture(output) for cell in notebook.cells for output in cell.get("outputs", [])}
    # Compact: indented, the charts' rows would take half as much again.
    text = json.loads(nbformat.writes(notebook))  # type: ignore[no-untyped-call]
    page.keep(f"notebooks/{name}.ipynb", json.dumps(text, ensure_ascii=False, separators=(",", ":")) + "\n")
    error = failure(notebook)
    body, headline = [], []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            body.append(escape.from_markdown(cell.source))
            continue
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        shown = "".join(_output(page, output, pictures[id(output)]) for output in cell.get("outputs", []))
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
    write_part(out, name, document)


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
    return f'<details class="code"><summary>Code</summary><pre tabindex="0"><code>{marked}</code></pre></details>'


def _text_to_the_left(markup: str) -> str:
    """A table whose columns of text, and their heads, are marked as such; numbers stay to the right."""
    rows = [_CELL.findall(row) for row in markup.split("<tr")]
    body = [row for row in rows if any(tag == "td" for tag, _, _ in row)]
    width = max(map(len, body), default=0)
    words = [any(len(row) > n and not _NUMBER.fullmatch(row[n][2].strip()) for row in body) for n in range(width)]

    def marked(row: str) -> str:
        if len(_CELL.findall(row)) != width:
            return row
        column = iter(words)
        return _CELL.sub(lambda cell: cell[0].replace(">", ' class="text">', 1) if next(column) else cell[0], row)

    bare = _CLASS.sub(r"<\1\2", markup)
    return "<tr".join(marked(row) for row in bare.split("<tr"))


def _picture(output: Any) -> str:
    """Take a chart's picture out of the notebook: it lies beside the page, and would double the site."""
    data = output.get("data", {})
    return str(data.pop("image/svg+xml", "")) if CHART_TYPE in data else ""


def _small_png(raw: bytes) -> bytes:
    """The same picture with a palette, a tenth of the size: nobody tells a chart's other colours apart."""
    from PIL import Image

    small = io.BytesIO()
    with Image.open(io.BytesIO(raw)) as picture:
        opaque = Image.new("RGBA", picture.size, "white")
        opaque.alpha_composite(picture.convert("RGBA"))
        palette = opaque.convert("RGB").quantize(method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette.save(small, "PNG")
    return small.getvalue()


def _output(page: PageFiles, output: Any, picture: str) -> str:
    if output.output_type == "stream":
        kind = "stderr" if output.name == "stderr" else "stdout"
        return f'<pre tabindex="0" class="{kind}">{_plain(output.text)}</pre>'
    if output.output_type == "error":
        trace = _plain("\n".join(output.traceback))
        name, text = _plain(output.ename), _plain(output.evalue)
        return (
            f'<div class="failure" role="alert"><strong>{name}</strong>: {text}'
            f'<details><summary>Where</summary><pre tabindex="0">{trace}</pre></details></div>'
        )
    data = output.get("data", {})
    if CHART_TYPE in data:
        return page.chart(dict(data[CHART_TYPE]), picture)
    shapes: list[tuple[str, Callable[[str], str]]] = [
        (
            "text/html",
            lambda text: page.table(text, data.get(TABLE_TYPE, "")) if "<table" in text else escape.clean(text),
        ),
        ("text/markdown", escape.from_markdown),
        ("image/png", lambda text: f'<img alt="picture" src="data:image/png;base64,{escape.to_html(text.strip())}">'),
        ("text/plain", lambda text: f'<pre tabindex="0">{_plain(text)}</pre>'),
    ]
    for kind, show in shapes:
        if kind in data:
            return show(data[kind])
    return ""


def _plain(text: str) -> str:
    return escape.to_html(_ANSI.sub("", text))
