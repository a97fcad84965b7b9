"""Parameters of notebooks: each wrong one is one line, at the command line and under plain papermill."""

import subprocess
import sys

import here
import nbformat
import pytest

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.report import pages, parameters


@pytest.mark.parametrize(
    "pair",
    [
        "resample=3",
        "resamples=many",
        "resamples=1e9",
        "resamples=19",
        "folio_bytes=2MiB",
        "users_per_s=1e9",
        "users_per_s=nan",
        "length=[",
        "length=-1",
        "length=0",
        "fallback_share=1.5",
        "memory=mmap",
        "data_set=/nonexistent",
        "length",
        "=3",
    ],
)
def test_a_wrong_parameter_is_one_line_and_nothing_is_written(pair, tmp_path):
    done = here.run("report", "--out", tmp_path / "out", "-p", pair)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_numbers_are_numbers_as_people_write_them():
    pairs = ["users_per_s=1e3", "length=1TiB", "resamples=50", "large_length=4096"]
    found = parameters.from_text(pairs, ["users_per_s", "length", "resamples", "large_length"])
    assert found == {"users_per_s": 1000.0, "length": "1TiB", "resamples": 50, "large_length": "4096"}
    assert parameters.value_of("length", "1TiB", where="test") == 1 << 40


@pytest.mark.parametrize("value", [True, None, [], "many", 3.5, 10**400, float("inf")])
def test_a_count_is_a_whole_number(value):
    with pytest.raises(InputError):
        parameters.value_of("resamples", value, where="test")


def test_plain_papermill_stops_at_a_wrong_parameter(tmp_path):
    source, out = shipped.notebooks() / "lifetime.ipynb", tmp_path / "out.ipynb"
    command = [sys.executable, "-m", "papermill", source, out, "--no-progress-bar", "-k", "python3"]
    done = subprocess.run([*command, "-p", "user_per_s", "3"], capture_output=True, text=True)
    assert done.returncode != 0
    outputs = [output for cell in nbformat.read(str(out), as_version=4).cells for output in cell.get("outputs", [])]
    (error,) = [output for output in outputs if output.output_type == "error"]
    assert error.ename == "InputError"
    assert "user_per_s" in error.evalue
    assert len(error.traceback) == 1
    assert "\n" not in error.traceback[0]


@pytest.mark.parametrize(("name", "value"), [("user_per_s", 3), ("hold_s", "many"), ("folio_bytes", "2MiB")])
def test_what_papermill_sets_is_checked_as_the_notebook_checks_it(name, value):
    cell = f"# Parameters\n{name} = {value!r}\n"
    given: dict[str, object] = dict.fromkeys(pages.find("lifetime").parameters, 1)
    given |= {"folio_bytes": 2 << 20, "ram_bytes": 1 << 30, "chart_renderer": "svg"}
    parameters.check("lifetime", given)
    with pytest.raises(InputError, match=name):
        parameters.check("lifetime", {**given, name: value, "In": ["", cell]})


def test_a_misspelt_command_is_told_the_near_one():
    done = here.run("compre")
    assert done.returncode == 2
    assert done.stderr == "zpmodel: No such command 'compre'. Did you mean 'compare'?\n"
