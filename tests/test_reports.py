"""Reports: pages run beside each other, kept, refused, resumed, and ended whatever ends the report."""

import gzip
import hashlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import here
import nbformat
import pytest
import tiny_report

from zpmodel.base import shipped
from zpmodel.base.errors import InputError, RefusedError
from zpmodel.report import pages
from zpmodel.report import site as reports
from zpmodel.report.folder import claimed
from zpmodel.report.part import path_of, read_part, write_part

ALL = ["compare", "machine", "sweep", "callers", "answers", "zeroing", "lifetime", "validate"]
# One that depends on the data and more, one on the data, one on neither: a page takes seconds, its kernel has to start.
SOME = ["compare", "zeroing", "lifetime"]


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    folder = tmp_path / "notebooks"
    for name in ALL:
        tiny_report.write(folder, name, tiny_report.WORDS)
    monkeypatch.setattr(shipped, "notebooks", lambda: folder)
    return folder


@pytest.fixture
def data_set(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "machine.toml").write_text('[cpu]\nmodel = "A CPU"\n')
    return folder


def test_pages_that_did_not_change_are_not_run_again(notebooks, data_set, tmp_path):
    def made(**parameters):
        return reports.make_report(tmp_path / "out", {"data_set": str(data_set), **parameters}, SOME, workers=2).ran

    parameters = 'data_set: str = ""  # folder\nresamples: int = 20  # number'
    tiny_report.write(notebooks, "compare", tiny_report.WORDS, parameters=parameters)
    assert made() == SOME
    assert made() == []
    (data_set / "points.json").write_text("{}")  # other data, the same parameters
    assert made() == ["compare", "zeroing"]
    tiny_report.write(notebooks, "lifetime", tiny_report.WORDS, "1 + 1")
    assert made() == ["lifetime"]
    (tmp_path / "out" / "notebooks" / "zeroing.ipynb").write_text("{")  # damaged
    assert made() == ["zeroing"]
    (tmp_path / "out" / "parts" / "zeroing.json.gz").write_text('{"name": "zero')
    assert made() == ["zeroing"]
    assert made(resamples=30) == ["compare"]


def test_a_page_whose_fragment_is_not_whole_is_run_again(notebooks, tmp_path):
    """Whatever is in its place: a FIFO and a device would be waited for, and a few bytes may unpack to all memory."""
    out = tmp_path / "out"
    assert reports.make_report(out, {}, ["zeroing"]).ran == ["zeroing"]
    path = path_of(out, "zeroing")
    good = read_part(out, "zeroing")
    outside = hashlib.sha256(Path("/etc/hostname").read_bytes()).hexdigest()
    wrong = [{"charts": None}, {"seconds": "1"}, {"provenance": {"a": 1}}, {"files": {"../../etc/hostname": outside}}]
    wrong += [{"files": {"/etc/hostname": outside}}, {"files": {"notebooks/../notebooks/zeroing.ipynb": outside}}]
    for change in wrong:
        write_part(out, "zeroing", good | change)
        assert read_part(out, "zeroing") is None, change
    write_part(out, "zeroing", {name: value for name, value in good.items() if name != "body"})
    assert read_part(out, "zeroing") is None
    write_part(out, "zeroing", good)
    assert read_part(out, "zeroing") == good
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.write_bytes(bomb())):
        path.unlink()
        make(path)
        assert read_part(out, "zeroing") is None
    assert reports.make_report(out, {}, ["zeroing"]).ran == ["zeroing"]


def bomb():
    """4 GiB of blanks, in 4 MiB."""
    return gzip.compress(b" " * (64 << 20)) * 64


def test_all_pages_the_longest_first_and_one_that_raises_is_kept_while_the_others_go_on(notebooks, tmp_path):
    """The shortest, which needs the longest's kernels, comes last."""
    order = tmp_path / "order"
    for name in ALL:
        began = f"open({str(order)!r}, 'a').write('{name} ')"
        cells = [tiny_report.WORDS, "raise ValueError('<b>no</b> disk')", "never = 1"] if name == "zeroing" else []
        tiny_report.write(notebooks, name, began, *cells)
    done = here.run("report", "--out", tmp_path / "out", "--workers", "1")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == "zpmodel: failed: zeroing; their pages say why"
    assert "Traceback" not in done.stderr
    assert order.read_text().split() == [
        *("validate", "answers", "machine", "sweep", "callers", "zeroing", "lifetime", "compare")
    ]
    page = (tmp_path / "out" / "zeroing.html").read_text()
    assert "An answer" in page
    assert "ValueError: &lt;b&gt;no&lt;/b&gt; disk" in page
    assert all((tmp_path / "out" / f"{name}.html").is_file() for name in ["index", *ALL])
    assert 'class="failed"' in (tmp_path / "out" / "compare.html").read_text()


def test_a_page_that_takes_too_long_is_stopped(notebooks, tmp_path):
    tiny_report.write(notebooks, "compare", "import time; time.sleep(600)")
    made = reports.make_report(tmp_path / "out", {}, ["compare"], timeout_s=10)
    assert list(made.failed) == ["compare"]
    assert "10 s, its time limit" in (tmp_path / "out" / "compare.html").read_text()
    assert not tiny_report.processes_under(tmp_path / "out")


def test_a_kernel_that_dies_is_a_failed_page(notebooks, tmp_path):
    tiny_report.write(notebooks, "compare", "import os; os.kill(os.getpid(), 9)")
    made = reports.make_report(tmp_path / "out", {}, ["compare"])
    assert list(made.failed) == ["compare"]


def test_another_data_sets_pages_are_marked(notebooks, data_set, tmp_path):
    reports.make_report(tmp_path / "out", {}, ["compare", "lifetime"])
    reports.make_report(tmp_path / "out", {"data_set": str(data_set)}, ["validate"])
    assert "another data set" in (tmp_path / "out" / "compare.html").read_text()
    for name in ("validate", "lifetime"):
        assert "Not of this report" not in (tmp_path / "out" / f"{name}.html").read_text()


def test_a_folder_that_is_not_a_report_is_refused_and_stays(notebooks, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "index.html").write_text("precious")
    with pytest.raises(InputError, match="not a report"):
        reports.make_report(tmp_path / "home", {}, ["compare"])
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["index.html"]
    assert (tmp_path / "home" / "index.html").read_text() == "precious"


def test_a_planted_folder_or_page_is_not_followed(notebooks, tmp_path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with claimed(out):
        (out / "charts").rmdir()
        (out / "charts").symlink_to(elsewhere)
    with pytest.raises(InputError, match="symlink"):
        reports.make_report(out, {}, ["compare"])
    (out / "charts").unlink()
    (tmp_path / "victim").write_text("precious")
    (out / "index.html").symlink_to(tmp_path / "victim")
    with pytest.raises(InputError, match="symlink"):
        reports.make_report(out, {}, ["compare"])
    assert (tmp_path / "victim").read_text() == "precious"


def test_two_reports_at_once_are_refused(notebooks, tmp_path):
    with claimed(tmp_path / "out"), pytest.raises(RefusedError, match="another report"):
        reports.make_report(tmp_path / "out", {}, ["compare"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGINT], ids=lambda n: n.name)
def test_nothing_outlives_a_report_that_is_stopped(notebooks, tmp_path, number):
    chosen = [word for name in SOME for word in ("--notebook", name)]
    for name in SOME:
        tiny_report.write(notebooks, name, f"open({str(tmp_path / name)!r}, 'w').close()\nimport time\ntime.sleep(600)")
    process = tiny_report.command(notebooks, "--out", tmp_path / "out", "--workers", "2", *chosen)
    deadline = time.monotonic() + 120
    while sum((tmp_path / name).exists() for name in SOME) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(tiny_report.processes_under(tmp_path / "out")) >= 4
    process.send_signal(number)
    _, words = process.communicate(timeout=60)
    assert "Traceback" not in words
    assert process.returncode == (130 if number is signal.SIGINT else -9 if number is signal.SIGKILL else 128 + number)
    deadline = time.monotonic() + 20
    while tiny_report.processes_under(tmp_path / "out") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not tiny_report.processes_under(tmp_path / "out")
    for name in SOME:
        tiny_report.write(notebooks, name, tiny_report.WORDS)
    again = tiny_report.command(notebooks, "--out", tmp_path / "out", *chosen[:2])
    assert again.communicate(timeout=240)[1].startswith("compare: done")
    assert not list((tmp_path / "out").glob(".run-*"))


def test_under_nohup_a_hang_up_does_not_end_a_report(notebooks, tmp_path):
    begun = tmp_path / "begun"
    tiny_report.write(notebooks, "compare", f"open({str(begun)!r}, 'w').close()\nimport time\ntime.sleep(2)")
    ignored = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    process = tiny_report.command(notebooks, "--out", tmp_path / "out", "--notebook", "compare", preexec_fn=ignored)
    deadline = time.monotonic() + 120
    while not begun.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGHUP)
    assert process.communicate(timeout=120)[1].startswith("compare: done")
    assert process.returncode == 0


def test_a_users_own_kernels_and_start_up_files_do_no_harm(notebooks, tmp_path):
    kernel = tmp_path / "share" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(json.dumps({"argv": ["/bin/false"], "display_name": "x", "language": "python"}))
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("raise SystemExit(3)")
    environment = {**os.environ, "JUPYTER_PATH": str(tmp_path / "share"), "IPYTHONDIR": str(tmp_path / "ipython")}
    run = tiny_report.command(
        notebooks, "--out", tmp_path / "out", "--notebook", "compare", env=environment, cwd=tmp_path
    )
    assert run.communicate(timeout=120)[1].startswith("compare: done")
    assert run.returncode == 0


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_full_disk_is_one_line_and_what_was_finished_stays(notebooks, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", out], check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        reports.make_report(out, {}, ["lifetime"])
        finished = (out / "lifetime.html").read_bytes()
        tiny_report.write(notebooks, "compare", "print('x' * 3_000_000)")
        run = tiny_report.command(notebooks, "--out", out, "--notebook", "compare")
        _, words = run.communicate(timeout=120)
        assert run.returncode in (1, 2)
        assert "No space left" in words
        assert "Traceback" not in words
        assert (out / "lifetime.html").stat().st_size >= 0.9 * len(finished)
        assert not list(out.rglob(".*.html.*")) + list(out.glob("*/.*"))
    finally:
        subprocess.run(["umount", out], check=True)


def test_pages_and_notebooks_are_in_step():
    import papermill

    for page in pages.load().page:
        assert set(papermill.inspect_notebook(str(page.notebook))) == set(page.parameters)
        source = "".join(cell.source for cell in nbformat.read(str(page.notebook), as_version=4).cells)
        assert f'parameters.check("{page.name}", globals())' in source
    found = {path.stem for path in shipped.notebooks().glob("*.ipynb")} - {"index"}
    assert found == {page.name for page in pages.load().page}
    assert {name for page in pages.load().page for name in page.parameters} == set(pages.load().parameters)
