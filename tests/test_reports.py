"""Reports: whole, offline, resumable; and what a broken notebook says."""

import re
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from zpmodel.base.errors import InputError, ZpmodelError
from zpmodel.report import site as reports

QUICK = {"resamples": 20}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    reports.make_report(out, QUICK, ["compare"])
    return out


def test_the_site_is_whole_and_fetches_nothing(site):
    index, page = (site / "index.html").read_text(), (site / "compare.html").read_text()
    for text in (index, page):
        assert not re.search(r"""(src|href)=["'](https?:)?//""", text)
        assert not re.search(r"@import|<script|url\(\s*['\"]?http", text)
    assert page.count('src="data:image/svg+xml') >= 5
    assert "No description" not in page
    assert 'alt="Throughput of direct writes' in page
    assert "Traceback" not in page
    assert {path.name for path in site.iterdir()} == {"index.html", "compare.html", "notebooks"}
    assert [path.name for path in (site / "notebooks").iterdir()] == ["compare.ipynb"]


def test_the_first_lines_answer_with_a_number(site):
    index = (site / "index.html").read_text()
    answer = index[index.index('class="card"') :]
    assert re.search(r"(A gain|A loss|No gain)", answer)
    assert re.search(r"\d+(\.\d+)? \[\d", answer)


def test_the_run_notebook_keeps_its_parameters(site):
    notebook = nbformat.read(str(site / "notebooks" / "compare.ipynb"), as_version=4)
    assert notebook.metadata.papermill.parameters == QUICK


def test_resuming_keeps_what_is_finished(site):
    finished = site / "notebooks" / "compare.ipynb"
    before = finished.stat().st_mtime_ns
    reports.make_report(site, QUICK, ["compare"], resume=True)
    assert finished.stat().st_mtime_ns == before


def test_a_failing_notebook_is_one_line_and_leaves_no_page(tmp_path):
    with pytest.raises(ZpmodelError, match=r"notebook compare.*InputError") as caught:
        reports.make_report(tmp_path, {"data_set": "/nonexistent"}, ["compare"])
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*.html"))


def test_unknown_notebooks_and_parameters_are_refused(tmp_path):
    with pytest.raises(InputError, match="compare"):
        reports.make_report(tmp_path / "a", {}, ["nosuch"])
    with pytest.raises(InputError, match="resamples"):
        reports.make_report(tmp_path / "b", {"resample": 3}, ["compare"])
    assert not list(tmp_path.iterdir())


def test_ctrl_c_is_one_line_and_leaves_nothing_half_done(tmp_path):
    command = [
        sys.executable,
        "-c",
        "from zpmodel.commands.main import main; main()",
        "report",
        "--out",
        str(tmp_path / "out"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "out" / "notebooks").is_dir() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130
    assert words.strip().splitlines()[-1] == "zpmodel: interrupted"
    assert "Traceback" not in words
    assert not list((tmp_path / "out" / "notebooks").iterdir())
