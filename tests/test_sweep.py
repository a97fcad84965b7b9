"""Sweeps: the same numbers as one question at a time, whatever the pieces, the processes and what was killed."""

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import children
import here
import numpy as np
import pandas as pd
import pytest

from zpmodel.base import shipped
from zpmodel.base.errors import InputError, RefusedError
from zpmodel.calibration.calibrate import calibrate
from zpmodel.calibration.store import save
from zpmodel.commands.sweep import span_of
from zpmodel.datasets import read_data_set
from zpmodel.study import pieces
from zpmodel.study.bulk import answer_table
from zpmodel.study.inputs import apply, parse
from zpmodel.study.scenario import Scenario, predict
from zpmodel.study.sensitivity import sensitivity
from zpmodel.study.sweep import Plan, Span, sweep, work_out
from zpmodel.timing.bulk.records import DONE, LEFT

SAMPLES = 6 * pieces.QUICK_ROWS + 1


@pytest.fixture(scope="module")
def machine():
    return calibrate(read_data_set(shipped.data("fio", shipped.DEFAULT_DATA_SET)), resamples=20)


@pytest.fixture(scope="module")
def calibration(machine, tmp_path_factory):
    path = tmp_path_factory.mktemp("machine") / "machine.json"
    save(machine, path)
    return path


def plan_of(machine, samples=40):
    spans = {"max_sectors": Span(64, 8192, True), "device.bandwidth": Span(1e8, 1e10, True), "cpu.vector": Span(0, 2)}
    return Plan(Scenario(machine), {"zero_page": ["page", "static"], "length": [1 << 20, 1 << 30]}, spans, samples, 7)


def test_a_row_is_what_one_question_answers(machine):
    plan = plan_of(machine)
    table = work_out(plan, 0, plan.rows)
    assert len(table) == 2 * 2 * 40
    for _, row in table.iloc[::37].iterrows():
        scenario = apply(
            plan.base, row[["zero_page", "length", "max_sectors", "device.bandwidth", "cpu.vector"]].to_dict()
        )
        found, page = predict(scenario), predict(scenario.but(zero_page="page"))
        assert row["elapsed_s"] == pytest.approx(found.elapsed_s.value, rel=1e-12)
        assert row["speedup"] == pytest.approx(page.elapsed_s.value / found.elapsed_s.value, rel=1e-12)
        assert row["requests"] == found.structure.requests


def test_inputs_do_what_they_say(machine):
    base = Scenario(machine, 1 << 30)
    fast, slow = (predict(apply(base, {"device.bandwidth": rate})).elapsed_s.value for rate in (1e10, 1e8))
    assert slow > 5 * fast
    assert slow == pytest.approx((1 << 30) / 1e8, rel=0.5)
    once, twice = (predict(apply(base, {"cpu.factor": factor})).cpu_s.value for factor in (1.0, 2.0))
    assert twice == pytest.approx(2 * once)
    assert predict(apply(base, {"max_sectors": 64})).structure.requests == (1 << 30) // 32768


def test_samples_lie_in_their_range_and_are_the_same_in_any_piece(machine):
    plan = plan_of(machine)
    whole = plan.inputs(0, plan.rows)
    assert whole["max_sectors"].between(64, 8192).all()
    assert whole["cpu.vector"].between(0, 2).all()
    assert whole.iloc[:40]["cpu.vector"].nunique() == 40
    parts = [plan.inputs(start, min(start + 7, plan.rows)) for start in range(0, plan.rows, 7)]
    pd.testing.assert_frame_equal(pd.concat(parts), whole)


def test_the_same_result_whatever_the_pieces_and_processes(machine):
    plan = plan_of(machine, samples=10)
    whole = work_out(plan, 0, plan.rows)
    for jobs, rows in ((1, 7), (2, 16)):
        found = dict(pieces.run(plan, range(plan.rows), jobs=jobs, piece_rows=rows))
        pd.testing.assert_frame_equal(pd.concat([found[start] for start in sorted(found)]), whole, check_exact=True)


def test_an_impossible_scenario_says_why_and_the_rest_is_done(machine):
    table = sweep(Scenario(machine), {"length": [1 << 20, 1000], "fallback_share": [0.0, 2.0]}, jobs=1)
    assert (table["why_not"] == "").tolist() == [True, False, False, False]
    assert np.isfinite(table["elapsed_s"]).tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("grid", "spans"),
    [
        ({"nonsense": [1]}, {}),
        ({"length": []}, {}),
        ({}, {"zero_page": Span(0, 1)}),
        ({}, {"length": Span(2, 1)}),
        ({}, {"device.latency": Span(0, 1, True)}),
        ({"length": [512]}, {"length": Span(512, 1024)}),
    ],
)
def test_what_is_no_plan_is_refused(machine, grid, spans):
    with pytest.raises(InputError):
        Plan(Scenario(machine), grid, spans)


@pytest.mark.parametrize("text", ["9" * 400, "-" + "9" * 5000, "1e999", "nan", "-inf", "1e309", "x", "0x10", ""])
@pytest.mark.parametrize("name", ["max_sectors", "device.latency", "length", "cpu.factor"])
def test_a_value_that_no_float_holds_is_refused(name, text):
    for ask in (partial(parse, name, text), partial(span_of, name, f"1:{text}")):
        with pytest.raises(InputError):
            ask()


@pytest.mark.parametrize("seed", [-1, -(10**30)])
def test_a_seed_is_not_negative(machine, seed):
    spans = {"max_sectors": Span(64, 128), "cpu.factor": Span(1, 2)}
    with pytest.raises(InputError, match="seed"):
        Plan(Scenario(machine), {}, spans, 4, seed)
    with pytest.raises(InputError, match="seed"):
        sensitivity(Scenario(machine), spans, samples=4, seed=seed)


@pytest.mark.parametrize(
    "values",
    [{"cpu.factor": 1e308}, {"cpu.factor": 1e10, "cpu.vector": 1e10}, {"device.latency": 1e300}, {"cpu.MiB": -1.0},
     {"device.bandwidth": 1e-300}, {"device.bandwidth": 0.0}, {"device.mebibyte": -1.0}],
    ids=str,
)  # fmt: skip
def test_beyond_what_there_can_be_no_way_answers(machine, values):
    """One by one, and by the compiled pass, which leaves such rows."""
    with pytest.raises(InputError):
        apply(Scenario(machine), values)
    columns = {name: np.array([1.0, value]) for name, value in values.items()}
    assert answer_table(Scenario(machine), columns, 2)["status"].tolist() == [DONE, LEFT]


def test_killed_and_resumed_gives_the_same_bytes(machine, calibration, tmp_path):
    command = ["sweep", "--calibration", str(calibration), "--range", "max_sectors=64:8192", "--samples", str(SAMPLES)]
    command += ["--jobs", "1", "--out"]
    straight, killed = tmp_path / "straight.parquet", tmp_path / "killed.parquet"
    assert here.run(*command, straight).returncode == 0
    process = children.command(*command, str(killed))
    parts = tmp_path / ".killed.parquet.parts"
    while not list(parts.glob("from-*")):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not killed.exists()
    assert here.run(*command, killed).returncode == 0
    assert killed.read_bytes() == straight.read_bytes()
    assert not parts.exists()
    assert len(pd.read_parquet(killed)) == SAMPLES
    # a result is never overwritten, nor mixed with another sweep's
    assert here.run(*command, killed).returncode == 2


def test_a_damaged_piece_is_worked_out_anew(machine, tmp_path, monkeypatch):
    plan = plan_of(machine)
    pieces.to_parquet(plan, tmp_path / "whole.parquet", jobs=1)
    parts = tmp_path / ".again.parquet.parts"
    for change in (lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]), lambda raw: raw[: len(raw) // 2], lambda raw: b""):
        with monkeypatch.context() as patch:  # as if killed before the last step
            patch.setattr(pieces, "publish", interrupted)
            with pytest.raises(InterruptedError):
                pieces.to_parquet(plan, tmp_path / "again.parquet", jobs=1)
        (piece,) = parts.glob("from-*")
        piece.write_bytes(change(piece.read_bytes()))
        pieces.to_parquet(plan, tmp_path / "again.parquet", jobs=1)
        assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
        assert not parts.exists()
        (tmp_path / "again.parquet").unlink()


def interrupted(*_):
    raise InterruptedError


def test_an_unfinished_sweep_whose_plan_is_damaged_is_nobodys(machine, tmp_path):
    parts = tmp_path / ".out.parquet.parts"
    parts.mkdir()
    (parts / "plan").write_bytes(b"\xff")
    with pytest.raises(InputError, match="another sweep"):
        pieces.to_parquet(plan_of(machine), tmp_path / "out.parquet", jobs=1)


def test_workers_end_with_a_sweep_that_is_killed(calibration, tmp_path):
    process, workers = started(calibration, tmp_path / "killed.parquet")
    process.kill()
    process.communicate()
    end = time.monotonic() + 5
    while any(map(is_a_worker, workers)):
        assert time.monotonic() < end
        time.sleep(0.01)


def started(calibration, out):
    """A sweep of slow pieces in a group of its own, as a terminal starts it, once its workers are there."""
    command = ["sweep", "--calibration", str(calibration), "--range", "max_sectors=64:8192", "--samples", "1048576"]
    command += ["--grid", "caller=fscrypt_zeroout_range"]  # nothing for the compiled pass, which has threads
    process = children.command(*command, "--jobs", "2", "--out", str(out), stderr=subprocess.PIPE, process_group=0)
    below = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while len(workers := [pid for pid in below.read_text().split() if is_a_worker(pid)]) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    return process, workers


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("later_s", [0.0, 2.0])  # workers start, and work
def test_what_a_terminal_sends_to_all_is_one_line(calibration, tmp_path, ending, later_s):
    process, workers = started(calibration, tmp_path / "out.parquet")
    time.sleep(later_s)
    os.killpg(process.pid, ending)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 128 + ending
    assert [line for line in said.splitlines() if "of 1,048,576" not in line] == [
        "zpmodel: stopped; the same command goes on from here"
    ]
    assert not any(map(is_a_worker, workers))


def stopped(calibration, out, more, later_s, **how):
    """Ctrl-C to a sweep by threads, so long after it has begun; how long it took to obey [s]."""
    command = ["sweep", "--calibration", str(calibration), "--jobs", "2", "--out", str(out), *more.split()]
    process = children.command(*command, stderr=subprocess.PIPE, process_group=0, **how)
    while not (out.parent / f".{out.name}.parts/plan").exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(later_s)
    os.killpg(process.pid, signal.SIGINT)
    begun = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "zpmodel: stopped; the same command goes on from here"
    return time.monotonic() - begun


def test_stopped_while_threads_ask_what_the_pass_leaves(calibration, tmp_path):
    # A chunk of another size for each row, none of whole blocks: all are refused, one by one, which takes minutes.
    more = "--range chunk_sectors=1:8192 --grid logical_block_size=4096 --samples"
    # What has to be compiled for it is, here or by another test at the same time: threads wait for that.
    few = ["sweep", "--calibration", calibration, "--out", tmp_path / "few.parquet", *more.split(), "2048"]
    assert here.run(*few).returncode == 0
    more = f"{more} 1048576"
    assert stopped(calibration, tmp_path / "out.parquet", more, 4) < 5


def test_stopped_while_it_compiles(calibration, tmp_path):
    more, uncached = "--range max_sectors=64:8192 --samples 262144", {**os.environ, "ZPMODEL_CACHE": "0"}
    assert stopped(calibration, tmp_path / "out.parquet", more, 1, env=uncached) < 5


def test_a_worker_that_is_killed_is_one_line(calibration, tmp_path):
    process, workers = started(calibration, tmp_path / "out.parquet")
    os.kill(int(workers[0]), signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said.splitlines()[-1].startswith("zpmodel: sweep: a process was killed")
    assert "Traceback" not in said


def test_two_sweeps_into_one_file(machine, tmp_path):
    plan, out = plan_of(machine), tmp_path / "out.parquet"
    with pieces._parts(out), pytest.raises(RefusedError, match="another sweep"):
        pieces.to_parquet(plan, out, jobs=1)
    pieces.to_parquet(plan, out, jobs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


def is_a_worker(pid):
    with suppress(OSError):
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def test_scenarios_that_cant_be_are_counted(calibration, tmp_path):
    command = ["sweep", "--calibration", calibration, "--grid", "nomerges=0,3,4"]
    done = here.run(*command, "--out", tmp_path / "out.parquet")
    assert done.returncode == 0
    assert done.stdout.startswith("3 scenarios in ")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("2 of them")]
    assert "the first: " in line
    assert "nomerges" in line
    command += ["--out", tmp_path / "again.parquet", "--json"]
    assert json.loads(here.run(*command).stdout)["refused"] == 2


def test_the_command_shows_a_table_and_json(calibration):
    command = ["sweep", "--calibration", calibration, "--grid", "length=1MiB,1GiB", "--json"]
    rows = json.loads(here.run(*command).stdout)["scenarios"]
    assert [row["length"] for row in rows] == [1 << 20, 1 << 30]
    for bad in (["--grid", "length"], ["--grid", "length=x"], ["--range", "length=1"], ["--grid", "x=1"]):
        done = here.run(*command, *bad)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_dask_with_a_worker_that_is_killed_gives_the_same(machine):
    distributed = pytest.importorskip("distributed")
    plan = plan_of(machine, samples=60)
    whole = work_out(plan, 0, plan.rows)
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        victim = next(iter(client.run(os.getpid).values()))
        found = {}
        for start, rows in pieces.run(plan, range(plan.rows), client=client, piece_rows=8):
            found[start] = rows
            if len(found) == 1:
                os.kill(victim, signal.SIGKILL)
    pd.testing.assert_frame_equal(pd.concat([found[start] for start in sorted(found)]), whole, check_exact=True)
