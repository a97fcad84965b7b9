"""Notebooks that run in a moment, in place of the shipped ones, for tests of what runs and shows them."""

import os
import subprocess
from pathlib import Path

import children
import nbformat

COMMAND = """
import sys
from pathlib import Path
from zpmodel.base import shipped
shipped.notebooks = lambda: Path({folder!r})
from zpmodel.commands.main import main
main()
"""
CHART = """
import altair as alt
import pandas as pd
from zpmodel.report.charts.theme import by_legend, setup
setup("offline")
table = pd.DataFrame({"size": [1, 2, 3, 4], "rate": [1.0, 4.0, 9.0, 16.0], "kind": ["a", "a", "b", "b"]})
pick, opacity = by_legend("kind")
alt.Chart(table).mark_line(point=True).encode(
    x=alt.X("size:Q", title="block [KiB]"), y=alt.Y("rate:Q", title="rate [1/s]"), color="kind:N", opacity=opacity
).add_params(pick).properties(title="Rate by block")
"""
TABLE = "pd.DataFrame({'n': range(30), 'third': [number / 3 for number in range(30)]})"
WORDS = "from IPython.display import Markdown\nMarkdown('**An answer.**')"


def write(folder: Path, name: str, *cells: str, parameters: str = 'chart_renderer: str = "offline"  # how') -> None:
    folder.mkdir(exist_ok=True)
    made = [nbformat.v4.new_markdown_cell(f"# {name} of a test"), nbformat.v4.new_code_cell(parameters)]
    made[1].metadata["tags"] = ["parameters"]
    made += [nbformat.v4.new_code_cell(cell) for cell in cells]
    if len(made) > 2:
        made[2].metadata["tags"] = ["headline"]
    nbformat.write(nbformat.v4.new_notebook(cells=made), str(folder / f"{name}.ipynb"))


def command(notebooks: Path, *arguments: object, **more: object) -> subprocess.Popen[str]:
    code = COMMAND.format(folder=str(notebooks))
    return children.python(code, "report", *map(str, arguments), stderr=subprocess.PIPE, **more)


def processes_under(folder: Path) -> list[str]:
    """Processes that work in a folder or name it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        if int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            inside = (entry / "cwd").readlink().is_relative_to(folder) or f"{folder}/" in words
            if state != "Z" and inside:
                found.append(f"{entry.name} {words}")
        except OSError:
            continue
    return found
