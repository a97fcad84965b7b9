"""Batch reports: notebooks through papermill, then one HTML site that opens without a network."""

import base64
import html
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat
import papermill
import yaml
from nbconvert import HTMLExporter
from traitlets.config import Config

from zpmodel.base import shipped
from zpmodel.base.errors import InputError, ZpmodelError

HEADLINE_TAG = "headline"
"""The tag of the cell whose output is repeated on the index page."""

_CHART = re.compile(r'<img[^>]*src="data:image/svg\+xml;base64,([^"]+)"[^>]*>')

_STYLE = """
body { font: 16px/1.5 "DejaVu Sans", Arial, sans-serif; color: #1a1a1a; max-width: 62rem; margin: 0 auto }
body { padding: 1rem 1.5rem 4rem }
nav { border-bottom: 1px solid #ccc; padding-bottom: .5rem; margin-bottom: 1rem }
nav a, nav b { margin-right: 1.2rem }
h1 { font-size: 1.7rem; line-height: 1.25 }
h2 { font-size: 1.25rem; margin-top: 2.2rem }
a { color: #0060a0 }
table { border-collapse: collapse; font-size: .88rem; margin: .8rem 0 }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #ddd; text-align: right }
thead th { background: #f3f3f3 }
tbody th { font-weight: normal; text-align: left }
svg, img { max-width: 100%; height: auto }
pre { background: #f6f6f6; padding: .6rem; overflow-x: auto; font-size: .85rem }
.cell, .output { overflow-x: auto }
.provenance { color: #555; font-size: .85rem; margin-top: 3rem; border-top: 1px solid #ccc }
.anchor-link, .prompt, .jp-InputPrompt, .jp-OutputPrompt { display: none }
section.card { border-left: 4px solid #0072B2; padding: .2rem 1rem; margin: 1.5rem 0 }
"""


@dataclass(frozen=True)
class Page:
    """One notebook of a report: its name, title, the HTML of its headline and of its body."""

    name: str
    title: str
    headline: str
    body: str


def notebook_names() -> list[str]:
    """The shipped notebooks, ``compare`` first: it answers the question that most come with."""
    names = sorted(path.stem for path in shipped.notebooks().glob("*.ipynb"))
    return sorted(names, key=lambda name: (name != "compare", name))


def make_report(
    out: Path,
    parameters: Mapping[str, Any],
    names: Sequence[str] | None = None,
    tell: Callable[[str], None] = lambda text: None,
    resume: bool = False,
) -> Path:
    """Run notebooks into ``out`` and build the site.

    Each finished notebook is a whole file, so an interrupted report can go on with ``resume``.

    :param out: folder for the report; made where it is missing.
    :param parameters: values for the notebooks' parameters; each notebook takes those that it has.
    :param names: which notebooks; all that are shipped by default.
    :param tell: told what is being done.
    :param resume: keep notebooks that were already run into ``out`` with these parameters.
    :return: the path of the site's first page.
    :raises InputError: on an unknown notebook or parameter, on a folder that can't be written.
    :raises ZpmodelError: where a notebook fails, with its last error.
    """
    chosen = list(names) if names else notebook_names()
    _check(chosen, parameters)
    try:
        (out / "notebooks").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(str(out), "folder", str(error), "a folder that can be written") from None
    pages = []
    for number, name in enumerate(chosen, 1):
        tell(f"{number}/{len(chosen)} {name}")
        pages.append(_render(name, _run(name, out, parameters, resume)))
    for page in pages:
        _write(
            out / f"{page.name}.html",
            _document(page.title, _nav(pages, page.name) + page.body + _provenance(parameters)),
        )
    cards = "".join(_card(page) for page in pages)
    title = "What a PMD-sized zero page is worth"
    _write(out / "index.html", _document(title, f"<h1>{title}</h1>{cards}{_provenance(parameters)}"))
    return out / "index.html"


def _check(chosen: Sequence[str], parameters: Mapping[str, Any]) -> None:
    known: set[str] = set()
    for name in chosen:
        if name not in notebook_names():
            raise InputError("report", "notebook", name, ", ".join(notebook_names()))
        known |= set(papermill.inspect_notebook(str(shipped.notebooks() / f"{name}.ipynb")))
    for name in parameters:
        if name not in known:
            raise InputError("report", "parameter", name, ", ".join(sorted(known)))


def _run(name: str, out: Path, parameters: Mapping[str, Any], resume: bool) -> Path:
    source, target = shipped.notebooks() / f"{name}.ipynb", out / "notebooks" / f"{name}.ipynb"
    mine = {key: value for key, value in parameters.items() if key in papermill.inspect_notebook(str(source))}
    if resume and target.is_file() and _read(target).metadata.papermill.parameters == mine:
        return target
    unfinished = target.with_suffix(".running.ipynb")
    command = [
        sys.executable,
        "-m",
        "papermill",
        str(source),
        str(unfinished),
        "--kernel",
        "python3",
        "--no-progress-bar",
    ]
    # In a session of its own, so that Ctrl-C reaches only us: papermill and its kernel would each print a traceback.
    process = subprocess.Popen(
        [*command, "--parameters_yaml", yaml.safe_dump(mine)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, words = process.communicate()
        if process.returncode:
            raise ZpmodelError(f"notebook {name}: {_failure(unfinished, words)}")
        unfinished.replace(target)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        unfinished.unlink(missing_ok=True)
    return target


def _failure(unfinished: Path, words: str) -> str:
    """What went wrong in a notebook: its last error, or else the last words of papermill."""
    if unfinished.is_file():
        for number, cell in enumerate(_read(unfinished).cells):
            for output in cell.get("outputs", []):
                if output.output_type == "error":
                    return f"cell {number}: {output.ename}: {' '.join(output.evalue.split())}"
    return (words.strip().splitlines() or ["it failed"])[-1]


def _read(path: Path) -> Any:
    return nbformat.read(str(path), as_version=4)  # type: ignore[no-untyped-call]


def _render(name: str, path: Path) -> Page:
    notebook = _read(path)
    config = Config(
        {"HTMLExporter": {"exclude_input": True, "exclude_input_prompt": True, "exclude_output_prompt": True}}
    )
    # The "basic" template is the body alone: no scripts, nothing fetched.
    exporter = HTMLExporter(config=config, template_name="basic")  # type: ignore[no-untyped-call]
    first = next((c for c in notebook.cells if c.cell_type == "markdown"), None)
    title = re.sub(r"^#+\s*", "", first.source.splitlines()[0]) if first is not None else name
    tagged = [c for c in notebook.cells if HEADLINE_TAG in c.metadata.get("tags", [])]
    body, _ = exporter.from_notebook_node(notebook)
    short = nbformat.v4.new_notebook(cells=tagged, metadata=notebook.metadata)  # type: ignore[no-untyped-call]
    headline, _ = exporter.from_notebook_node(short)
    return Page(name, title, headline, _CHART.sub(_with_alternative_text, body))


def _with_alternative_text(image: re.Match[str]) -> str:
    """Give a chart its own title as the text that stands for it; nbconvert has none."""
    # The chart's own title comes after those of its panels.
    titles = re.findall(r"role-title-text.*?<text[^>]*>([^<]+)<", base64.b64decode(image[1]).decode("utf-8"), re.DOTALL)
    text = titles[-1].replace('"', "&quot;") if titles else "chart"
    return f'<img alt="{text}" src="data:image/svg+xml;base64,{image[1]}">'


def _nav(pages: Sequence[Page], current: str) -> str:
    links = ['<a href="index.html">Overview</a>']
    links += [
        f"<b>{html.escape(p.title)}</b>" if p.name == current else f'<a href="{p.name}.html">{html.escape(p.title)}</a>'
        for p in pages
    ]
    return f"<nav>{' '.join(links)}</nav>"


def _card(page: Page) -> str:
    link = f'<a href="{page.name}.html">{html.escape(page.title)}</a>'
    return f'<section class="card"><h2>{link}</h2>{page.headline}</section>'


def _provenance(parameters: Mapping[str, Any]) -> str:
    given = ", ".join(f"{key} = {value!r}" for key, value in parameters.items()) or "as shipped"
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f'<p class="provenance">Made {made} by zpmodel {version("zpmodel")}; parameters: {html.escape(given)}.</p>'


def _document(title: str, body: str) -> str:
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head><body>{body}</body></html>\n'


def _write(path: Path, text: str) -> None:
    unfinished = path.with_suffix(".html.part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
