"""A measured set of which something was taken away: all pages from what is left, or one line that is true."""

import json
import shutil

import cut_sets
import pytest
from click.testing import CliRunner
from golden import inputs, pages
from test_subsets import base

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.calibration.calibrate import calibrate
from zpmodel.commands.main import app
from zpmodel.datasets import read_data_set
from zpmodel.datasets.points import WITHOUT_USAGE, load, load_points

PAGES = ("compare", "answers", "zeroing", "validate")
FIRST = "write-bs1048576-qd4-malloc-r01"


def keep(point):
    return base(point) or (point.operation == "zero" and point.replicate == 1) or point.reference


@pytest.fixture
def whole(tmp_path):
    return cut_sets.cut(tmp_path / "set", keep)


def test_without_what_was_noted_beside_fio_its_own_words_are_taken(whole):
    before = read_data_set(whole)
    shutil.rmtree(whole / "usage")
    data = read_data_set(whole)
    assert len(data.writes) >= len(before.writes)  # it is not known which of them others disturbed
    assert data.left_out == ()
    assert data.assumed == (WITHOUT_USAGE,)
    both = data.writes.merge(before.writes, on=["block_bytes", "depth", "memory", "max_sectors_kb", "replicate"])
    assert (both["rate_x"] == both["rate_y"]).all()
    assert (both["cpu_s_x"] == both["path_s_x"]).all()
    assert (both["cpu_s_x"] < both["cpu_s_y"]).mean() > 0.9  # no kernel thread is in it
    assert load(whole)["cpu_seconds"].gt(0).all()
    # A measurement that goes on has nothing of these points, and measures them anew.
    assert load_points(whole, complete=True)[0] == []
    shown = CliRunner().invoke(app, ["calibrate", str(whole), "--resamples", "20"], catch_exceptions=False)
    assert shown.exit_code == 0
    assert f"- Assumed: {WITHOUT_USAGE}." in shown.stdout


def test_where_some_have_it_a_point_without_is_left_out(whole):
    (whole / "usage" / f"{FIRST}.json").unlink()
    data = read_data_set(whole)
    assert data.left_out == (f"{FIRST}: its usage is missing",)
    assert data.assumed == ()
    assert f"1 left out, the first: {FIRST}: its usage is missing." in data.remarks


@pytest.mark.slow
@pytest.mark.parametrize("gone", ["usage", "plan.json", "points/zero", "points/reference", f"points/{FIRST}"])
def test_every_page_is_made_without(gone, whole, tmp_path):
    for path in list(whole.glob(f"{gone}*")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    out = tmp_path / "report"
    for folder in ("notebooks", "parts", "data", "charts", "assets"):
        (out / folder).mkdir(parents=True)
    for page in PAGES:
        pages._run(page, {"data_set": str(whole), "resamples": inputs.RESAMPLES}, out)
        part = pages.read_part(out, page)
        assert part["status"] == "ok", part["error"]
    said = pages.read_part(out, "compare")["body"]
    assert ("folder usage/ is missing or empty" in said) == (gone == "usage")


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("machine.toml", "a folder that zpmodel measure (machine.toml) or zpmodel import (set.toml) made"),
        ("points", "no writes"),
        ("points/write", "no writes"),
        ("[limits]", "machine.toml: max_segments: (missing)"),
    ],
)
def test_without_what_all_hangs_on_one_line_says_so(gone, said, whole):
    if gone.startswith("["):
        text = (whole / "machine.toml").read_text()
        start = text.index(gone)
        (whole / "machine.toml").write_text(text[:start] + text[text.index("\n[", start) + 1 :])
    for path in list(whole.glob(f"{gone}*")) if gone[0] != "[" else []:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(InputError) as refused:
        read_data_set(whole)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("table", ["cpu", "kernel", "memory", "target", "huge_pages", "session", "fio"])
def test_a_table_of_the_machines_facts_may_be_missing(table, whole):
    text = (whole / "machine.toml").read_text()
    kept, skip = [], False
    for line in text.splitlines():
        if line.startswith("["):
            skip = line.strip("[]").split(".")[0] == table
        if not skip:
            kept.append(line)
    (whole / "machine.toml").write_text("\n".join(kept))
    data = read_data_set(whole)
    assert calibrate(data, resamples=20).name == "set"
    assert data.describe()


def test_the_loop_devices_set_gets_a_report_without_its_usage(tmp_path):
    """As it was refused: "points: no writes that can be used", because of one reference point's usage."""
    folder = shutil.copytree(shipped.data("fio", "kvm-zen5-loop"), tmp_path / "loop", ignore=lambda *_: ["usage"])
    shown = CliRunner().invoke(app, ["calibrate", str(folder), "--resamples", "20", "--json"], catch_exceptions=False)
    assert json.loads(shown.stdout)["assumed"] == [WITHOUT_USAGE]
