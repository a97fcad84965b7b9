"""Batches: a report for each data set, an overview of all, what fails kept, what is finished not run again."""

import json
import os
import shutil
import signal
import subprocess
import time

import children
import cut_sets
import here
import pytest
import tiny_report
from browsing import opened

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.datasets.any_fio import read_any
from zpmodel.datasets.imported import Said, write_set
from zpmodel.report import site as reports
from zpmodel.report.batch import overview
from zpmodel.report.batch.make import make_batch, page_names
from zpmodel.report.batch.sets import find_sets

GIVEN = 'data_set: str = ""  # folder\nlength: str = "1GiB"  # range\nresamples: int = 20  # number'
SHOWN = "from IPython.display import Markdown\nMarkdown('**' + data_set[-5:] + ', ' + length + '**')"
FEW = {"resamples": 30}


def keep(*depths):
    blocks = (4096, 16384, 262144, 1048576, 4194304)
    return lambda p: p.replicate <= 2 and p.depth in depths and p.block_bytes in blocks and p.max_sectors_kb is None


def written(folder):
    for name in ("compare", "answers", "zeroing", "validate"):
        tiny_report.write(folder, name, SHOWN, parameters=GIVEN)
    return folder


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    folder = written(tmp_path / "notebooks")
    monkeypatch.setattr(shipped, "notebooks", lambda: folder)
    return folder


@pytest.fixture(scope="module")
def batch(fleet, tmp_path_factory):
    """A finished batch; nobody changes it."""
    folder = tmp_path_factory.mktemp("batch")
    with pytest.MonkeyPatch.context() as patch:
        written(folder / "notebooks")
        patch.setattr(shipped, "notebooks", lambda: folder / "notebooks")
        return made(fleet, folder / "out")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """Two sets that can be calibrated, one whose file is damaged, and a folder that is no set."""
    folder = tmp_path_factory.mktemp("fleet")
    cut_sets.cut(folder / "one", keep(1, 4, 16))
    cut_sets.cut(folder / "two", keep(1, 8, 16))
    (folder / "broken").mkdir()
    (folder / "broken" / "machine.toml").write_text("[cpu]\nmodel = 1 = 2\n")
    (folder / "other").mkdir()
    return folder


def made(fleet, out):
    return make_batch(fleet if isinstance(fleet, list) else [fleet], out, FEW, ["compare"], workers=2)


def test_a_report_each_and_an_overview(batch):
    out = batch.index.parent
    assert set(batch.failed) == {"other", "broken/summary"}
    assert {name for name in batch.ran if name.endswith("compare")} == {"broken/compare", "one/compare", "two/compare"}
    page = batch.index.read_text()
    for name in ("one", "two"):
        assert f'<a href="sets/{name}/index.html">{name}</a>' in page
        assert f"{name}, 1GiB"[-11:] in (out / "sets" / name / "compare.html").read_text()
    assert "<strong>Failed, 2:</strong>" in page
    assert "zpmodel measure (machine.toml)" in page
    assert "not to be told apart from" in page
    table = (out / "data" / "batch-table-1.csv").read_text().splitlines()
    assert table[0].startswith("rank,data set,times as fast")
    assert [line.partition(",")[0] for line in table[1:]] == ["1", "2", "-", "-"]
    assert sum(line.endswith("FAILED") for line in table) == 2
    drawn = (out / "charts" / "batch-2.svg").read_text()  # both sets in one chart
    assert ">one<" in drawn
    assert ">two<" in drawn


def test_what_is_finished_is_not_run_again(batch, fleet, tmp_path, monkeypatch):
    out = shutil.copytree(batch.index.parent, tmp_path / "out")
    monkeypatch.setattr(shipped, "notebooks", lambda: batch.index.parents[1] / "notebooks")
    good = [fleet / "one", fleet / "two"]
    before = {path: path.read_bytes() for path in out.rglob("*.json.gz")}
    assert made(fleet, out).ran == ["broken/summary"]  # what failed is tried again
    (out / "sets" / "two" / "parts" / "compare.json.gz").unlink()
    (out / "sets" / "one" / "summary.json").write_text('{"fingerprint": ')
    assert sorted(made(good, out).ran) == ["one/summary", "two/compare"]
    after = {path: path.read_bytes() for path in out.rglob("*.json.gz")}
    assert after.keys() == before.keys()
    assert {path.parts[-3] for path in after if after[path] != before[path]} == {"two"}
    # Other data behind the same name, here behind a symlink.
    point = next((fleet / "one" / "points").iterdir())
    target = point.readlink()
    text = target.read_text()
    try:
        point.unlink()
        point.write_text(text + "\n")
        assert sorted(made(good, out).ran) == ["one/compare", "one/summary"]
    finally:
        point.unlink()
        point.symlink_to(target)


def test_a_batch_that_was_killed_goes_on_where_it_was(notebooks, fleet, tmp_path):
    slow = f"import pathlib, time\nif not pathlib.Path({str(tmp_path / 'go')!r}).exists() and 'two' in data_set:"
    tiny_report.write(notebooks, "compare", f"{slow}\n    time.sleep(600)", SHOWN, parameters=GIVEN)
    arguments = [str(fleet / "one"), str(fleet / "two"), "--out", str(tmp_path / "out"), "--notebook", "compare"]
    code = tiny_report.COMMAND.format(folder=str(notebooks))
    run = children.python(code, "batch", *arguments, "--workers", "2", stderr=subprocess.PIPE)
    deadline, sets = time.monotonic() + 120, tmp_path / "out" / "sets"
    done = [sets / "one" / "summary.json", sets / "two" / "summary.json", sets / "one" / "parts" / "compare.json.gz"]
    while not all(path.exists() for path in done) and time.monotonic() < deadline:
        time.sleep(0.1)
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=60)
    while tiny_report.processes_under(tmp_path / "out") and time.monotonic() < deadline:
        time.sleep(0.1)
    finished = done[-1].read_bytes()
    (tmp_path / "go").touch()
    again = here.run("batch", *arguments, "--json")
    assert json.loads(again.stdout)["ran"] == ["two/compare"]
    assert again.returncode == 0
    assert done[-1].read_bytes() == finished
    assert not list((tmp_path / "out").rglob(".run-*"))


def test_pages_of_several_sets_run_at_the_same_time(notebooks, fleet, tmp_path):
    stamps = "import pathlib, time\nstart = time.time(); time.sleep(3)\n"
    stamps += f"pathlib.Path({str(tmp_path)!r}, data_set[-3:] + '.time').write_text(f'{{start}} {{time.time()}}')"
    tiny_report.write(notebooks, "compare", stamps, parameters=GIVEN)
    make_batch([fleet / "one", fleet / "two"], tmp_path / "out", FEW, ["compare"], workers=4)
    (a, b), (c, d) = (map(float, (tmp_path / f"{name}.time").read_text().split()) for name in ("one", "two"))
    assert max(a, c) < min(b, d)


def test_the_command_says_what_failed(notebooks, fleet, tmp_path):
    (tmp_path / "some").mkdir()
    for name in ("one", "broken", "other"):
        (tmp_path / "some" / name).symlink_to(fleet / name)
    done = here.run("batch", tmp_path / "some", "--out", tmp_path / "out", "--notebook", "compare")
    assert done.returncode == 1
    assert done.stdout == f"Overview: {(tmp_path / 'out' / 'index.html').as_uri()}\n"
    assert done.stderr.strip().splitlines()[-1] == "zpmodel: failed: other, broken/summary; the overview says why"
    assert "Traceback" not in done.stderr


def test_a_table_names_sets_and_their_parameters(notebooks, fleet, tmp_path):
    table = tmp_path / "fleet.csv"
    table.write_text(
        f"data_set,name,length\n{os.path.relpath(fleet / 'one', tmp_path)},db 1/<b>,2GiB\n{fleet / 'two'},,\n"
    )
    batch = make_batch([table], tmp_path / "out", FEW, ["compare"])
    assert batch.failed == {}
    assert sorted(path.name for path in (tmp_path / "out" / "sets").iterdir()) == ["db-1-b", "two"]
    assert "2GiB" in (tmp_path / "out" / "sets" / "db-1-b" / "compare.html").read_text()
    assert "1GiB" in (tmp_path / "out" / "sets" / "two" / "compare.html").read_text()


def test_a_summary_that_is_not_whole_is_none(batch):
    folder = batch.index.parent / "sets" / "one"
    good = overview.read(folder)
    path = folder / "summary.json"
    static = next(gain for gain in good["gains"] if gain["policy"] == "static")
    wrong = [{"gains": []}, {"gains": [static, static]}, {"gains": [static | {"speedup": None}]}, {"machine": 1}]
    wrong += [{"gains": [static | {"speedup": {"value": "1"}}]}, {"measured": [{}]}, {"measured": None}]
    before = path.read_text()
    try:
        for change in wrong:
            path.write_text(json.dumps(good | change))
            assert overview.read(folder) is None, change
        path.write_text("[" * 100_000)
        assert overview.read(folder) is None
    finally:
        path.write_text(before)
    assert overview.read(folder) == good


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("data_set,name\nx,a,b\n", "at most 2 cells"),
        ("data_set,data_set\nx,x\n", "different names"),
        ("folder\nx\n", "column"),
        ("data_set,length\n.,many\n", "length"),
        ("data_set\n\n,\n", "at most 1 cells"),
        ("data_set,name\n,a\n", "data_set"),
        ("data_set\nnowhere\n", "data sets"),
        ("data_set\n", "none in it"),
        ("\0", "NUL"),
        ("data_set\na\0b\n", "NUL"),
    ],
)
def test_a_table_that_names_none_is_refused(tmp_path, text, wrong):
    (tmp_path / "fleet.csv").write_text(text)
    with pytest.raises(InputError, match=wrong):
        find_sets([tmp_path / "fleet.csv"], ["length"])


def test_names_are_safe_and_each_its_own(fleet, tmp_path):
    table = tmp_path / "fleet.csv"
    rows = [f"{fleet / 'one'},{name}" for name in ("../..", "a b", "a-b", "a-b-2", ".hidden")]
    table.write_text("data_set,name\n" + "\n".join(rows) + "\n")
    assert [each.name for each in find_sets([table], [])] == ["set", "a-b", "a-b-2", "a-b-2-2", "hidden"]


def test_only_pages_that_are_made_of_a_set(fleet, tmp_path):
    assert page_names() == ["compare", "answers", "zeroing", "validate"]
    with pytest.raises(InputError, match="made of a data set"):
        make_batch([fleet], tmp_path / "out", {}, ["lifetime"])
    with pytest.raises(InputError, match="no such folder"):
        make_batch([tmp_path / "nowhere"], tmp_path / "out", {})
    assert not (tmp_path / "out").exists()


def test_another_folder_is_refused(notebooks, fleet, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "index.html").write_text("precious")
    with pytest.raises(InputError, match="not a report"):
        made(fleet, tmp_path / "home")
    assert (tmp_path / "home" / "index.html").read_text() == "precious"


def gains(value, low, high, verdict="gain"):
    ends = {"value": value, "low": low, "high": high}
    return {"machine": "m", "measured": [], "gains": [{"policy": "static", "speedup": ends, "saved": ends,
                                                       "verdict": verdict}]}  # fmt: skip


def test_the_headline_tells_apart_what_can_be():
    found = {"a": gains(1.0, 0.95, 1.05), "b": gains(2.0, 1.9, 2.1), "c": gains(1.1, 0.3, 5, "unknown")}
    ranks = overview.ranking(found)
    assert ranks == [("b", []), ("a", [])]
    assert overview.headline(found, ranks) == (
        "The most is gained on b: 2 [1.9, 2.1] times as fast from the static page as from ZERO_PAGE, 2 [1.86, 2.15] "
        "times what is gained on the next, a. Of c it can't be told."
    )
    found = {name: gains(2.0 + n / 100, 1.5, 2.6) for n, name in enumerate("abcde")}
    assert "any of the 4 others." in overview.headline(found, overview.ranking(found))
    assert "is not to be told apart from a." in overview.headline(
        {name: found[name] for name in "ab"}, overview.ranking({name: found[name] for name in "ab"})
    )
    assert overview.headline({}, []) == "No data set says what a larger zero page is worth."


@pytest.mark.chromium
@pytest.mark.parametrize("width", [1280, 400])
def test_the_overview_is_drawn_without_a_network(batch, browser, width):
    page, wrong = opened(browser, batch.index, viewport={"width": width, "height": 900})
    page.wait_for_function("document.documentElement.dataset.drawn === 'yes'")
    assert wrong == []
    assert len(page.query_selector_all("figure.drawn svg")) == 2
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.click("text=one >> nth=0")
    page.wait_for_load_state()
    assert reports.TITLE in page.title()


def test_a_set_without_cpu_time_has_its_place(tmp_path, notebooks):
    (tmp_path / "fio").mkdir()
    for name in cut_sets.names(keep(1, 4, 16)):  # the poller's CPU time is nowhere
        text = (cut_sets.SHIPPED / "points" / f"{name}.json").read_text()
        polled = text.replace('"ioengine"', '"sqthread_poll" : "1", "ioengine"')
        (tmp_path / "fio" / f"{name}.json").write_text(polled)
    write_set(tmp_path / "rates", read_any([tmp_path / "fio"]), Said(), ["fio"])
    made = make_batch([tmp_path / "rates"], tmp_path / "out", FEW, ["compare"])
    assert made.failed == {}
    gains = overview.read(tmp_path / "out" / "sets" / "rates")["gains"]
    assert [gain["saved"] for gain in gains] == [None, None]
    assert "unknown" in made.index.read_text()
