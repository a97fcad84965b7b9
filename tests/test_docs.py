"""What README, docs and docstrings show is run: Python blocks, commands that need neither root nor fio, examples."""

import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys

import here
import pytest
from blocks import ROOT, ZPMODEL, blocks, commands

import zpmodel

PAGES = sorted(path for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")] if path.stem != "how-to-add")
TUTORIAL = ROOT / "docs" / "tutorial.md"
MODULES = sorted(module.name for module in pkgutil.walk_packages(zpmodel.__path__, "zpmodel."))


def _of(*languages):
    pages = [path for path in PAGES if path != TUTORIAL]
    found = [(path, block) for path in pages for block in blocks(path) if block.language in languages]
    return [pytest.param(block, id=f"{path.name}:{block.line}") for path, block in found]


def run_in(folder, command):
    """Run what a page shows; its own commands in this process, where starting one takes no second."""
    if command[: len(ZPMODEL)] == ZPMODEL:
        return here.run(*command[len(ZPMODEL) :], cwd=folder)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("block", _of("python"))
def test_python_runs_as_shown(block, tmp_path):
    done = run_in(tmp_path, [sys.executable, "-c", block.text])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", _of("console"))
def test_commands_run_as_shown(block, tmp_path):
    for command in commands(block):
        done = run_in(tmp_path, command)
        assert done.returncode == 0, (command, done.stderr)


@pytest.mark.slow
def test_the_tutorial_runs_from_its_beginning_to_its_end(tmp_path):
    ran = ""
    for block in blocks(TUTORIAL):
        steps = [[sys.executable, "-c", block.text]] if block.language == "python" else []
        for command in commands(block) if block.language == "console" else steps:
            done = run_in(tmp_path, command)
            assert done.returncode == 0, (command, done.stderr)
            ran += done.stdout
    assert "Worth it: more than a CPU-minute a day" in ran
    assert (tmp_path / "report" / "index.html").is_file()


def test_examples_in_docstrings_are_true():
    tried = 0
    for name in MODULES:
        failed, number = doctest.testmod(importlib.import_module(name))
        assert failed == 0, name
        tried += number
    assert tried > 5


def test_every_link_between_pages_leads_somewhere():

    for path in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "docs" / "how-to-add.md"]:
        for target in re.findall(r"\]\(([^)#:\s]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_every_page_has_its_place_in_the_site():
    listed = (ROOT / "docs" / "index.md").read_text(encoding="utf-8").splitlines()
    assert not [path.stem for path in (ROOT / "docs").glob("*.md") if path.stem not in ("index", *listed)]


def test_the_command_table_of_the_readme_is_whole():
    from zpmodel.commands.main import COMMANDS

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [name for name in COMMANDS if f"`zpmodel {name}" not in text]
