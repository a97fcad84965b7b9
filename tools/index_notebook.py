"""Write notebooks/index.ipynb, which `make lab` opens, from pages.toml; ``--check`` says whether it is in step."""

import json
import sys
from pathlib import Path

from zpmodel.report import pages

ROOT = Path(__file__).resolve().parent.parent
HEAD = """# Notebooks

Open one, change what its first cell names, and choose *Run, Run All Cells*. Each stands for itself.
`zpmodel report` runs them all and makes one site of them.
"""


def notebook() -> str:
    rows = [f"- [{page.title}]({page.name}.ipynb): {page.line}" for page in pages.load().page]
    source = "\n".join([HEAD, *rows]).splitlines(keepends=True)
    document = {
        "cells": [{"cell_type": "markdown", "id": "0", "metadata": {}, "source": source}],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    path = ROOT / "notebooks" / "index.ipynb"
    if "--check" in sys.argv[1:]:
        if path.is_file() and path.read_text(encoding="utf-8") == notebook():
            return 0
        print(
            "notebooks/index.ipynb is out of step with pages.toml: run python tools/index_notebook.py", file=sys.stderr
        )
        return 1
    path.write_text(notebook(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
