"""Any part of a measured set gets its answer: what it can tell, and in words what it can't. All data are real, cut."""

import json
from dataclasses import replace

import cut_sets
import numpy as np
import pytest
from scipy.optimize import linprog

from zpmodel.base.estimate import TAILS
from zpmodel.base.units import GIB, KIB, MIB
from zpmodel.calibration.calibrate import calibrate
from zpmodel.calibration.groups import group
from zpmodel.calibration.held_out import held_out_points, run_noise
from zpmodel.calibration.identify import cost_table, doubts
from zpmodel.calibration.left_out import left_out
from zpmodel.calibration.observed import at_floor
from zpmodel.calibration.summary import contrast, medians
from zpmodel.datasets import read_data_set
from zpmodel.queue.presets import find_limits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.report import tables, words
from zpmodel.structure import count
from zpmodel.study.compare import compare
from zpmodel.study.scenario import Scenario, predict
from zpmodel.timing.events import as_row, events_of
from zpmodel.validation import fio as fio_scores


def base(point):
    blocks, depths = (4 * KIB, 64 * KIB, MIB, 4 * MIB), (1, 4, 16)
    return (
        point.operation == "write"
        and not point.reference
        and point.block_bytes in blocks
        and point.depth in depths
        and point.replicate <= 3
    )


def without_cpu(name, answer, usage):
    """One replicate read by a clock that was too coarse for it."""
    if not name.endswith("r01"):
        return answer, usage
    job, noted = json.loads(answer[answer.index("{") :]), json.loads(usage)
    job["jobs"][0] |= {"usr_cpu": 0.0, "sys_cpu": 0.0}
    return json.dumps(job), json.dumps(noted | {"kernel_thread_seconds": {}, "io_worker_seconds": 0.0})


SETS = {
    "zero CPU readings": (base, without_cpu),
    "malloc": (lambda p: base(p) and p.memory == "malloc", None),
    "mmaphuge": (lambda p: base(p) and p.memory == "mmaphuge", None),
    "one depth": (lambda p: base(p) and p.depth == 4, None),
    "12 points": (lambda p: base(p) and p.replicate == 1 and p.depth < 16 and p.block_bytes > 4096, None),
    "one block size": (lambda p: base(p) and p.block_bytes == MIB, None),
    "one replicate": (lambda p: base(p) and p.replicate == 1, None),
    "one run": (
        lambda p: base(p) and (p.block_bytes, p.depth, p.memory, p.replicate) == (MIB, 4, "malloc", 1),
        None,
    ),
}


@pytest.fixture(scope="module", params=[*SETS, "no CPU", "no queue", "damaged and lonely"])
def subset(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("subset") / "set"
    keep, edit = SETS.get(request.param, (base, None))
    cut_sets.cut(folder, keep, edit=edit)
    if request.param == "damaged and lonely":
        first, second = cut_sets.names(base)[:2]
        (folder / "points" / f"{first}.json").unlink()
        (folder / "points" / f"{first}.json").write_text('{"jobs": [')
        (folder / "usage" / f"{second}.json").unlink()
    if request.param == "no queue":
        cut_sets.without_queue(folder)
    data = read_data_set(folder)
    if request.param == "no CPU":  # as an imported set has it
        data = replace(data, writes=data.writes.assign(cpu_s=np.nan, path_s=np.nan))
    return request.param, data, calibrate(data, resamples=30)


def test_every_table_and_every_sentence_is_made(subset):
    name, data, model = subset
    assert len(data.left_out) == (2 if name == "damaged and lonely" else 0)
    page, _, static = compare(Scenario(model))
    text = words.headline(model, static, page) + words.beside_measured(static, medians(data))
    pairs, blind = contrast(data), left_out(data)
    text += words.measured_line(pairs)
    assert "nan" not in text
    assert "inf" not in text.replace("information", "")
    assert not doubts(model) or all(isinstance(note, str) for note in doubts(model))
    assert all(row["low"] <= row["value"] <= row["high"] or np.isnan(row["value"]) for row in cost_table(model))
    assert list(tables.blind_ratios(pairs, blind).columns)
    assert "nan" not in tables.errors(blind).to_string()
    assert set(run_noise(data)) >= {"cpu_s", "rate"}


def test_left_out_points_are_scored_where_there_are_enough(subset):
    name, data, _ = subset
    points = held_out_points(data)
    assert {"inside", "quantity", "block_bytes"} <= set(points.columns)
    assert (points["low"] <= points["predicted"]).all()
    assert (points["predicted"] <= points["high"]).all()
    found = list(fio_scores.scores(data))
    assert bool(found) == (name not in ("one block size", "one run"))
    assert not any(np.isnan(score.error) for score in found)


def test_what_a_set_cannot_tell_is_said_with_what_to_measure(subset):
    name, data, model = subset
    page, _, static = compare(Scenario(model))
    text = words.headline(model, static, page)
    if name in ("malloc", "mmaphuge", "one run"):
        assert static.verdict == "unknown"
        assert "can't be known from these data" in text
        assert "What it saves in CPU time can't be known from this set." in text
        assert "measure buffers of" in text
    if name == "no queue":
        assert (static.verdict, data.limits_known, model.driver.known) == ("unknown", False, False)
        assert "can't be known from these data" in text
        assert "What it saves in CPU time can't be known from this set." in text
        assert "on no block device" in text
        assert "measure in a directory on a local disk" in text
        assert not model.with_limits(find_limits("sata")).driver.known
    if name == "no CPU":
        assert "What it saves in CPU time can't be known from this set." in text
        assert "No CPU time was measured" in text
    if name in ("one depth", "one run"):
        assert "Only one queue depth" in text
    if name == "zero CPU readings":
        assert static.verdict == "gain"


# A thread that takes less than its clock shows


def all_zero(name, answer, usage):
    """Every run read by a clock that is too coarse for it, and no other thread took anything."""
    return without_cpu("r01", answer, usage)


@pytest.fixture(scope="module")
def unread(tmp_path_factory):
    data = read_data_set(cut_sets.cut(tmp_path_factory.mktemp("unread") / "set", base, edit=all_zero))
    return data, calibrate(data, resamples=200)


def test_what_no_clock_saw_reaches_from_nothing_to_all_that_it_would_have_shown(unread):
    data, model = unread
    assert at_floor(data).all()
    groups = group(data)
    # fio's milliseconds: 0 of them are anything up to 2 (a runtime's two roundings), and each run says so by itself.
    most = [2 * data.writes["rounding_s"].to_numpy()[rows].min() for rows in groups.rows]
    low, high = np.quantile(model.cpu.total_draws @ groups.events.T, TAILS, axis=0) / most
    assert low.max() < 0.02
    assert high.min() > 0.9
    # So does a sum over thousands of costs: what the best costs say there, and what no reading forbids.
    for policy in ("page", "static"):
        found = predict(Scenario(model, GIB, policy))
        assert found.cpu_s.low < 0.05 * found.cpu_s.value
        structure = count(ZeroPage.named(policy), data.limits, 0, GIB)
        row = np.array(as_row(events_of(structure, data.limits, data.device, 1)))
        allowed = -linprog(-row, A_ub=groups.events, b_ub=np.array(most) * 1e9).fun / 1e9
        assert found.cpu_s.high > 0.9 * allowed
    # The two sides of a difference lie at the same place.
    saved = compare(Scenario(model))[2].cpu_saved_s
    assert saved.low < 0.05 * saved.value


def test_runs_that_no_clock_saw_are_compared_with_nothing(unread):
    data, _ = unread
    pairs, table = contrast(data), medians(data)
    assert pairs["cpu"].isna().all()
    assert pairs["cpu_saved_ns_per_vector"].isna().all()
    assert pairs["throughput"].notna().all()
    assert (table["cpu_us_per_io_low"] == 0).all()
    assert (table["cpu_us_per_io_high"] >= 1.9 * table["cpu_us_per_io"]).all()


def test_readings_that_the_clock_saw_are_their_own(tmp_path):
    # One run in three reads as nothing: the medians are of the others, and so are the costs.
    data = read_data_set(cut_sets.cut(tmp_path / "some", base, edit=without_cpu))
    whole = read_data_set(cut_sets.cut(tmp_path / "whole", lambda p: base(p) and p.replicate > 1))
    assert 0 < at_floor(data).sum() < len(data.writes) / 2
    assert not at_floor(whole).any()
    found, other = (predict(Scenario(calibrate(each, resamples=200), GIB, "page")).cpu_s for each in (data, whole))
    assert found.value == pytest.approx(other.value, rel=0.3)
    assert found.low > other.low / 2
