import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.memory.clearing.fit import fit_clearing, halves, leave_out, series
from zpmodel.memory.clearing.model import NAMES, Calls, line_shares
from zpmodel.memory.clearing.series import median_of_runs, micro_clearing, published, published_machines, zero_sweep
from zpmodel.memory.machines import Caches, machine_names, measured_machine, read_machine
from zpmodel.memory.residency import miss_share, miss_shares

SWEEP = ("memory", "epyc-turin", "zero-sweep")


@pytest.mark.parametrize("machine", ["epyc-milan", "icelake-x-8358"])
@pytest.mark.parametrize("half", [0, 1])
def test_half_of_the_published_sizes_predict_the_rest(machine: str, half: int) -> None:
    points = published(machine)
    # A method with one published size can't be halved.
    points = points[points.groupby("method")["method"].transform("size") > 1]
    scores = leave_out(points, read_machine(machine).caches, halves(points)[half])
    assert scores["error"].median() <= 0.07


def test_a_prediction_across_the_step_says_that_it_extrapolates() -> None:
    points = published("broadwell-e5-2630v4")
    scores = leave_out(points, read_machine("broadwell-e5-2630v4").caches, halves(points)[0])
    strings = scores[scores["method"] == "rep-stos"].iloc[0]
    assert "DRAM" in strings["extrapolates"]
    assert strings["low_bytes_per_s"] < strings["bandwidth_bytes_per_s"] < strings["high_bytes_per_s"]
    assert strings["error"] < 0.2 < strings["linear_error"]


def test_a_linear_model_fails_at_the_llc_step() -> None:
    points = published("epyc-milan").query("method == 'rep-stos'").reset_index(drop=True)
    scores = leave_out(points, read_machine("epyc-milan").caches, halves(points)[0])
    assert scores["linear_error"].median() > 0.2 > 3 * scores["error"].median()


@pytest.mark.parametrize("half", [0, 1])
def test_left_out_block_sizes_of_the_kernels_own_clearing(half: int) -> None:
    points = median_of_runs(zero_sweep(shipped.data(*SWEEP)), "malloc")
    caches = read_machine("epyc-turin").caches
    kept = halves(points)[half]
    assert leave_out(points, caches, kept)["error"].median() <= 0.10
    model = fit_clearing(points[kept], caches)
    seen = points["bandwidth_bytes_per_s"].to_numpy()
    predicted = model.predict("rep-stos", points["call_bytes"])["bandwidth_bytes_per_s"].to_numpy()
    sizes = points["call_bytes"].to_numpy()
    step = [_step(sizes, rate) for rate in (seen, predicted)]
    assert abs(np.log2(step[0] / step[1])) <= 0.7, step
    assert caches.llc_bytes / 2 < step[1] < caches.llc_bytes


def _step(sizes: np.ndarray, rate: np.ndarray) -> float:
    """Where bandwidth falls through the middle between its plateau in the last-level cache and DRAM."""
    middle = np.sqrt(rate[sizes == 4 << 20][0] * rate[-1])
    return float(np.exp(np.interp(-np.log(middle), -np.log(rate[sizes >= 4 << 20]), np.log(sizes[sizes >= 4 << 20]))))


def test_every_split_of_a_series_gives_finite_intervals() -> None:
    points = published("epyc-milan").query("method == 'rep-stos'").reset_index(drop=True)
    caches = read_machine("epyc-milan").caches
    inside = []
    for kept in itertools.combinations(range(len(points)), 3):
        scores = leave_out(points, caches, np.isin(np.arange(len(points)), kept))
        assert np.all(np.isfinite(scores["predicted_bytes_per_s"]))
        fine = scores[scores["extrapolates"] == ""]
        inside += list(fine["bandwidth_bytes_per_s"].between(fine["low_bytes_per_s"], fine["high_bytes_per_s"]))
    assert np.mean(inside) > 0.85


def test_synthetic_series_gives_its_parameters_back() -> None:
    caches = Caches(32 << 10, 1 << 20, 32 << 20)
    sizes = 2.0 ** np.arange(12, 28)
    truth = fit_clearing(series("rep-stos", [4096], [50e9]), caches)
    rate = truth.predict("rep-stos", sizes)["bandwidth_bytes_per_s"]
    found = fit_clearing(series("rep-stos", sizes, rate), caches).parameters.set_index("name")
    for row in truth.parameters.query("name in ('l2_ns', 'llc_ns', 'dram_ns')").itertuples():
        assert found.loc[row.name, "low"] <= row.value <= found.loc[row.name, "high"]
        assert found.loc[row.name, "value"] == pytest.approx(row.value, rel=0.05)


def test_a_cycled_region_misses_as_the_formula_says() -> None:
    assert miss_share(100.0, 100.0) == 0
    miss = miss_share(200.0, 100.0)
    assert 1 - miss == pytest.approx(np.exp(-miss * 2), abs=1e-9)
    assert miss > 0.5
    assert np.all(np.diff(miss_shares(np.linspace(1, 1000, 200), 100.0)) >= 0)


def test_random_replacement_simulated_line_by_line() -> None:
    rng = np.random.default_rng(4)
    lines, slots = 300, 200
    cache = np.full(slots, -1)
    where = np.full(lines, -1)
    missed = 0
    for step in range(60 * lines):
        line = step % lines
        if where[line] < 0:
            missed += step >= 30 * lines
            slot = rng.integers(slots)
            if cache[slot] >= 0:
                where[cache[slot]] = -1
            cache[slot], where[line] = line, slot
    assert missed / (30 * lines) == pytest.approx(miss_share(float(lines), float(slots)), abs=0.02)


def test_shares_of_lines_add_up_and_traffic_is_told() -> None:
    caches = read_machine("epyc-milan").caches
    calls = Calls.of(["rep-stos", "non-temporal", "clzero"], 2 << 20, 4 << 30)
    assert line_shares(np.zeros(len(NAMES)), caches, calls, elides=True).sum(axis=1) == pytest.approx(1)
    model = fit_clearing(published("epyc-milan"), caches)
    assert model.predict(calls.method, 2 << 20, 4 << 30)["dram_bytes_per_byte"].tolist() == [2.0, 1.0, 1.0]


def test_clearing_a_folio_takes_time_in_proportion() -> None:
    model = fit_clearing(published("icelake-x-8358"), read_machine("icelake-x-8358").caches)
    times = model.clear_folio([2 << 20, 32 << 20, 512 << 20], call_bytes=4096)
    # 2 MiB at the 9.44 GB/s published for 4 KiB chunks.
    assert times["seconds"][0] == pytest.approx((2 << 20) / 9.44e9, rel=0.05)
    assert times["seconds"][2] == pytest.approx(256 * times["seconds"][0])
    assert np.all(times["low_seconds"] < times["seconds"])


@pytest.mark.parametrize("mapping", ["4 KiB pages", "2 MiB pages"])
def test_micro_benchmark_shows_the_step_up_and_half_of_it_predicts_the_rest(mapping: str) -> None:
    points = micro_clearing(pd.read_csv(shipped.data("memory", "epyc-turin", "microbench.csv")), mapping)
    caches = read_machine("epyc-turin").caches
    assert fit_clearing(points, caches).elides
    errors = pd.concat([leave_out(points, caches, kept)["error"] for kept in halves(points)])
    assert errors.median() < 0.15


def test_machine_files_have_sources_and_figures() -> None:
    assert set(published_machines()) <= set(machine_names())
    for name in machine_names():
        assert all(read_machine(name).sources.values())


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="epyc-milan"):
        published("z80")
    with pytest.raises(InputError, match="none"):
        zero_sweep(tmp_path)
    (tmp_path / "zero-bs4096-malloc-r01.json").write_text("not fio")
    with pytest.raises(InputError, match="fio's output"):
        zero_sweep(tmp_path)
    with pytest.raises(InputError, match="rep-stos"):
        Calls.of("memset", 4096)
    with pytest.raises(InputError, match="region_bytes"):
        Calls.of("clzero", 4096, 64)
    (tmp_path / "bare.toml").write_text("[caches]\nl1d = { bytes = 1 }\n")
    with pytest.raises(InputError, match="source"):
        read_machine(tmp_path / "bare.toml")


@pytest.mark.parametrize("name", ["kvm-zen5-virtio", "kvm-zen5-loop"])
def test_left_out_block_sizes_of_the_measured_sets_are_predicted(name):
    folder = shipped.data("fio", name)
    points = median_of_runs(zero_sweep(folder / "points"))
    for kept in halves(points):
        assert leave_out(points, measured_machine(folder).caches, kept)["error"].median() <= 0.10


def test_a_data_set_without_cache_sizes_is_refused(tmp_path):
    (tmp_path / "machine.toml").write_text('[cpu]\nmodel = "x"\n')
    with pytest.raises(InputError, match=r"machine\.toml"):
        measured_machine(tmp_path)


@pytest.mark.parametrize("spoilt", ["model = nan", "name = [1]", "model = true"])
def test_a_name_that_is_no_text_is_refused(tmp_path, spoilt):
    whole = shipped.data("machines", "epyc-milan.toml").read_text(encoding="utf-8")
    kept = [line for line in whole.splitlines() if not line.startswith(f"{spoilt.split(' ')[0]} ")]
    (tmp_path / "spoilt.toml").write_text("\n".join([spoilt, *kept]))
    with pytest.raises(InputError, match="expected text"):
        read_machine(tmp_path / "spoilt.toml")


def test_calls_may_be_the_first_that_a_kernel_sees() -> None:
    """Where all fits are kept; numba asks whether an array can be written, and numpy warns of broadcast ones."""
    calls = Calls.of("rep-stos", [4096, 8192], 1 << 30)
    assert all(values.flags.writeable for values in vars(calls).values())
