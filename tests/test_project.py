"""The project's own files: in step with each other, and nothing kept that should not be."""

import ast
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest

from zpmodel.base import shipped

ROOT = Path(__file__).resolve().parent.parent


def test_environment_yml_is_in_step_with_pyproject():
    subprocess.run([sys.executable, ROOT / "tools" / "environment.py", "--check"], check=True)


def test_the_index_of_the_notebooks_names_every_page():
    subprocess.run([sys.executable, ROOT / "tools" / "index_notebook.py", "--check"], check=True)


def test_rooms_import_downwards_only():
    # The contract stands in pyproject.toml.
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_no_file_and_no_function_is_too_long():
    long = []
    for path in sorted((ROOT / "zpmodel").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if len(text.splitlines()) > 350:
            long.append(f"{path.name}: {len(text.splitlines())} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 60:
                long.append(f"{path.name}: {node.name}: {node.end_lineno - node.lineno + 1} lines")
    assert not long, "\n".join(long)


def test_few_files_stand_at_the_root():
    assert len([path for path in (ROOT / "zpmodel").iterdir() if path.is_file()]) <= 4


NOTEBOOKS = sorted(path for path in shipped.notebooks().glob("*.ipynb") if path.stem != "index")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_thin_and_stripped(path):
    notebook = nbformat.read(str(path), as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    for line in tagged[0].source.splitlines():
        assert ":" in line.split("=")[0], f"no type: {line}"
        assert "#" in line, f"no comment: {line}"
    assert any("headline" in cell.metadata.get("tags", []) for cell in code)
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")
    for cell in code:
        assert "def " not in cell.source, "functions live in the package"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_papermill_sees_the_parameters(path):
    parameters = papermill.inspect_notebook(str(path))
    assert parameters
    assert all(item["inferred_type_name"] != "None" for item in parameters.values())
