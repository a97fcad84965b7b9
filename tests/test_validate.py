"""Scoring: every family is there, truths are right or wrong by rules that can fail, the command prints them all."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import synthetic
from click.testing import CliRunner

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.base.estimate import Estimate
from zpmodel.base.units import MIB
from zpmodel.calibration import held_out
from zpmodel.calibration.held_out import held_out_points, run_noise
from zpmodel.commands.validate import command
from zpmodel.datasets.measured import read_set
from zpmodel.validation import structure, zero_out
from zpmodel.validation import validate as scoring
from zpmodel.validation.score import Bar, Score


@pytest.fixture(scope="module")
def scores():
    return scoring.validate(read_set(shipped.data("fio", shipped.DEFAULT_DATA_SET)))


def test_every_family_is_scored(scores):
    assert set(scores["family"]) == set(scoring.FAMILIES)
    assert (scores["source"].str.len() > 5).all()
    assert not scores.duplicated(["family", "truth"]).any()


def test_structure_is_exact(scores):
    rows = scores[scores["family"] == "structure"]
    assert rows["inside"].all()
    assert rows["measured"].sum() == 2906 + 400 + 25 + 273


def test_bars_on_the_shipped_truths(scores):
    rows = scores[scores["family"] == "instructions"]
    assert rows[rows["unit"] == "instructions"]["inside"].all()
    covered = coverage(scores)
    covered = covered[covered["truth"].str.startswith(shipped.DEFAULT_DATA_SET)]
    assert covered[covered["truth"].str.contains("512 KiB and more")]["measured"].between(0.85, 0.97).all()
    # Small blocks' intervals are wider than they need be: 97.5 % of all points' lie inside, which validate says.
    assert covered["measured"].between(0.85, 0.98).all()


def coverage(scores):
    """How many intervals hold the left-out points of the shipped set, by quantity."""
    return scores[(scores["family"] == "fio") & scores["unit"].eq("share")]


@pytest.mark.slow  # other versions of scipy end a fit elsewhere in the last digits, and a truth at its bar with it
def test_the_readme_says_what_the_command_prints(scores):
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    composed = scores[scores["family"] == "composed"]
    assert scoring.summary(scores) in text
    assert f"of composed machines, such as NVMe here, {composed['inside'].sum()} of {len(composed)}" in text


def test_a_wrong_structure_is_seen():
    truth = {"operation": "write", "splits": 1, "back_merges": 0, "bios": [], "requests": [{"bytes": 512, "count": 2}]}
    model = {**truth, "requests": [{"bytes": 512, "segments": 1, "count": 2}]}
    assert structure._same(truth, model)
    assert not structure._same(truth, {**model, "splits": 2})
    assert not structure._same(truth, {**model, "requests": [{"bytes": 1024, "segments": 1, "count": 2}]})
    assert not structure._same(truth, {**model, "bios": [{"bytes": 512, "bvecs": 1, "count": 1}]})


def test_a_score_is_inside_by_its_interval_and_its_bar():
    def inside(measured, bar):
        return Score.of("native", "x", measured, Estimate(10, 8, 13), "ms", bar, "here").inside

    assert inside(9.5, Bar(0.15, interval=True))
    assert not inside(8.2, Bar(0.15, interval=True))
    assert inside(8.2, Bar(interval=True))
    assert not inside(7.9, Bar(interval=True))
    assert inside(9.9, Bar(0.03))
    assert not inside(9.5, Bar(0.03))


def test_zero_outs_are_taken_where_both_folders_have_the_name(tmp_path, monkeypatch):
    for name in ("fio/a", "fio/b", "zeroout/b", "zeroout/c", "kernel"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("fio/a/machine.toml", "fio/b/machine.toml", "zeroout/b/zeroout.csv", "zeroout/c/zeroout.csv"):
        (tmp_path / name).touch()
    monkeypatch.setattr(shipped, "data", lambda *parts: tmp_path.joinpath(*parts))
    assert zero_out.zero_out_sets() == [(tmp_path / "fio/b", tmp_path / "zeroout/b")]


# Points left out of a SYNTHETIC set of known noise


@pytest.fixture(scope="module")
def known():
    return synthetic.data_set(11, noise=0.05, outliers=0)


def test_noise_of_a_known_set_is_found(known):
    floor = run_noise(known)
    # The median size of a normal error is 0.67 standard deviations, less what the median of five takes with it.
    assert floor["cpu_s"] == pytest.approx(0.67 * 0.05, rel=0.35)
    assert floor["ratio"] == pytest.approx(0.67 * 0.05 * 2**0.5, rel=0.35)


@pytest.fixture(scope="module")
def blind(known):
    return held_out_points(known)


def test_replicates_left_out_are_predicted_and_not_seen(known, blind):
    found = blind[(blind["way"] == "replicates") & (blind["quantity"] == "cpu_s")].reset_index(drop=True)
    assert len(found) == len(known.writes)
    assert found["error"].abs().median() < 0.06
    assert (found["floor"] >= 0).all()
    changed = known.writes.copy()
    changed.loc[changed["replicate"] == 1, "cpu_s"] *= 3
    again = held_out_points(replace(known, writes=changed))
    again = again[(again["way"] == "replicates") & (again["quantity"] == "cpu_s")].reset_index(drop=True)
    one = found["left_out"] == "replicates 1"
    for name in ("predicted", "low", "high"):
        assert again.loc[one, name].to_numpy() == pytest.approx(found.loc[one, name].to_numpy())
    assert again.loc[one, "measured"].to_numpy() == pytest.approx(3 * found.loc[one, "measured"].to_numpy())


def test_intervals_hold_nine_points_of_ten(blind):
    # By the same code as `predict` prints them. They are of medians: one run, as in folds of replicates, scatters more.
    medians = blind[blind["way"] != "replicates"]
    assert 0.85 <= medians["inside"].mean() <= 0.99
    assert (blind["low"] <= blind["predicted"]).all()
    assert (blind["high"] >= blind["predicted"]).all()


def test_a_prediction_that_is_always_the_same_is_not_covered(known, monkeypatch):
    # Intervals as wide as ever, round one number: what widths taken from its own errors would have passed.
    real = held_out.predict_fio_write
    one = {}

    def constant(machine, page, block_bytes, *, depth):
        found = real(machine, page, MIB, depth=4)
        return one.setdefault(id(machine), found)

    monkeypatch.setattr(held_out, "predict_fio_write", constant)
    found = held_out.predict_blind(known)
    assert found.groupby("quantity")["inside"].mean()[["cpu_s", "rate"]].max() < 0.5


# What people see


def test_the_command_prints_all_and_fails_for_none(scores, monkeypatch):
    asked = []

    def scored(data):
        asked.append(data.name)
        return scores  # as computed above

    monkeypatch.setattr(scoring, "validate", scored)
    document = json.loads(CliRunner().invoke(command, ["--json"]).stdout)
    shown = CliRunner().invoke(command, [])
    assert asked == 2 * [shipped.DEFAULT_DATA_SET]
    assert shown.exit_code == 0, shown.output
    assert scoring.summary(scores) in shown.output
    assert shown.output.count("OUTSIDE") == (~scores["inside"]).sum()
    assert document["of"] == len(document["truths"]) == len(scores)
    assert document["within"] == sum(row["inside"] for row in document["truths"])


def test_a_folder_that_is_no_data_set_is_refused(tmp_path):
    assert isinstance(CliRunner().invoke(command, [str(tmp_path)]).exception, InputError)


def test_words_and_table_name_the_failures_first(scores):
    failed = scores[~scores["inside"]]
    table = scoring.score_table(scores)
    assert list(table["verdict"][: len(failed)]) == ["OUTSIDE"] * len(failed)
    text = scoring.trust(scores, read_set(shipped.data("fio", shipped.DEFAULT_DATA_SET)))
    for family, group in failed.groupby("family"):
        worst = group.loc[pd.to_numeric(group["error"]).abs().idxmax(), "truth"]
        assert scoring.titles()[family] in text
        assert worst in text
