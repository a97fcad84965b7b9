"""The kernel's own zero-out: instructions and times of configurations that were not fitted."""

import os

import naive
import numpy as np
import pytest
from scipy.optimize import nnls

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.base.units import GIB, KIB, MIB
from zpmodel.kernel_cpu import instructions as kernel_work
from zpmodel.kernel_cpu import nanoseconds
from zpmodel.kernel_cpu.instructions import LOOPS, WORK, count_work, fit_work, limits_of, read_table, table_work
from zpmodel.kernel_cpu.nanoseconds import fit_time
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.validation.instructions import own_kernel_points, whole_instruction_costs

NULL_BLK = QueueLimits(1024, 128, UINT_MAX, virt_boundary_mask=4095)
PAGE, STATIC = ZeroPage.named("page"), ZeroPage.named("static")


@pytest.fixture(scope="module")
def counted():
    return read_table(shipped.data("kernel", "zeroout-instructions.csv"))


@pytest.fixture(scope="module")
def timed():
    return read_table(shipped.data("kernel", "zeroout-native.csv"))


def kinds(work):
    return dict(zip(WORK, work.tolist(), strict=True))


def test_work_of_a_gibibyte_by_hand():
    # 1024 bios of 256 vectors, each cut into two requests of 128 segments: one split a bio.
    page = kinds(count_work(PAGE, NULL_BLK, GIB))
    assert (page["bio"], page["vector"], page["request"], page["visit"]) == (1024, 262144, 2048, 1024)
    assert (page["table"], page["table_vector"], page["piece"]) == (1024, 262144, 0)
    assert (page["passed"], page["gap"], page["gap_walk"]) == (131072, 261120, 0)
    assert (page["flush"], page["worker"]) == (2048, 0)
    # 2 bios of 256 vectors of 2 MiB, four requests each.
    static = kinds(count_work(STATIC, NULL_BLK, GIB))
    assert (static["bio"], static["vector"], static["request"], static["piece"]) == (2, 512, 2048, 2048)
    assert static["visit"] == 512 + 2046


def test_small_requests_leave_the_plug_by_32():
    work = kinds(count_work(STATIC, QueueLimits(128, 128, UINT_MAX), 4 * MIB))
    assert (work["request"], work["flush"], work["worker"], work["gap"]) == (64, 2, 31, 0)
    work = kinds(count_work(STATIC, QueueLimits(128, 128, UINT_MAX), 4 * MIB + 64 * KIB))
    assert (work["request"], work["flush"], work["worker"]) == (65, 3, 0)


def test_data_less_zeroes_have_no_such_work():
    with pytest.raises(InputError, match="write"):
        count_work(PAGE, QueueLimits(1024, 128, UINT_MAX, write_zeroes_max_bytes=MIB), GIB)


@pytest.mark.parametrize(("fitted", "asked"), [(128, 512), (512, 128)])
def test_one_request_size_predicts_the_other_within_3_percent(counted, fitted, asked):
    costs = fit_work(counted[counted["max_sectors_kb"] == fitted], rounded_to=1000)
    rest = counted[counted["max_sectors_kb"] == asked]
    error = table_work(rest) @ costs.costs / rest["instructions"] - 1
    assert np.abs(error).max() < 0.03, error.tolist()
    assert np.abs(error[rest["length_bytes"] >= 8 * MIB]).max() < 0.01


@pytest.mark.parametrize(("kernel", "worst", "most"), [("7.2-tiny", 0.03, 0.02), ("6.12", 0.035, 0.03)])
def test_other_sizes_of_everything_on_kernels_of_our_own(kernel, worst, most):
    error = own_kernel_points(kernel)["error"].abs()
    assert len(error) > 700
    assert error.max() < worst
    assert np.quantile(error, 0.93) < most


def test_the_costs_are_those_of_the_counted_kernel():
    table = read_table(shipped.data("kernel", "zeroout-instructions-7.2-mitigated.csv"))
    table = table[(table["scheduler"] == "none") & (table["nomerges"] == 0)]
    assert len(table) == 890
    work, truth = table_work(table), table["instructions"].to_numpy(float)
    # Without priors: least squares of relative errors, no cost negative, the bio's held.
    held = np.array(WORK) == "bio"
    found, _ = nnls(work[:, ~held] / truth[:, None], 1 - work[:, held] @ kernel_work._BUILD[held] / truth)
    assert found == pytest.approx(kernel_work._BUILD[~held], rel=0.005)
    error = work @ kernel_work._BUILD / truth - 1
    assert np.sqrt(np.mean(error**2)) < 0.0055


def test_work_is_counted_not_estimated():
    """Rows that round numbers of vectors a split, or a split at the plug's size, would miscount."""
    limits = QueueLimits(255, 128, UINT_MAX, virt_boundary_mask=4095)
    for page, length, offset in ((PAGE, MIB, 0), (STATIC, 8 * MIB, 512), (ZeroPage.named("64KiB"), 3 * MIB + 512, 0)):
        seen = naive.zeroout(
            {"max_sectors": 255, "max_segments": 128, "max_segment_size": UINT_MAX, "virt_boundary_mask": 4095},
            page.size_bytes,
            offset,
            length,
        ).work
        work = kinds(count_work(page, limits, length, offset))
        names = {"visit": "slow_visits", "piece": "pieces", "passed": "advanced", "gap": "gap_checks"}
        names |= {"gap_walk": "gap_walks", "flush": "flushes", "worker": "last_plug", "table": "tables"}
        assert {name: work[name] for name in names} == {name: seen[other] for name, other in names.items()}


def test_without_the_loops_other_segments_are_mispredicted(monkeypatch):
    monkeypatch.setattr(kernel_work, "_BUILD", np.where(np.arange(len(WORK)) < 6, kernel_work._BUILD, 1e-3))
    assert own_kernel_points("7.2-tiny")["error"].abs().max() > 0.05


def test_an_interval_holds_its_value_and_grows_with_the_unknown(counted):
    costs = fit_work(counted, rounded_to=1000)
    small = QueueLimits(128, 128, 64 * KIB)
    for page in (PAGE, ZeroPage.named("64KiB"), STATIC, ZeroPage.named("32MiB")):
        found = costs.predict(page, small, GIB)
        assert 0 < found.low < found.value < found.high
    few = fit_work(counted[counted["max_sectors_kb"] == 128].head(2), rounded_to=1000)
    width = [(e.high - e.low) / e.value for e in (costs.predict(STATIC, small, GIB), few.predict(STATIC, small, GIB))]
    assert width[1] > 2 * width[0]


def test_tables_without_counts_are_refused(counted, tmp_path):
    with pytest.raises(InputError):
        fit_work(counted.drop(columns="instructions"))
    with pytest.raises(InputError):
        fit_work(counted.head(0))
    (tmp_path / "t.csv").write_text("zero_page_bytes,max_sectors_kb,length_bytes\n4096,128,1\n")
    with pytest.raises(InputError, match="max_segments"):
        read_table(tmp_path / "t.csv")
    with pytest.raises(InputError, match=r"none\.csv"):
        read_table(tmp_path / "none.csv")


@pytest.mark.parametrize("cell", ["4096.5", "nan", "x", "", "-1", "1e999", "9" * 400, "[1]", "true", "\0"])
@pytest.mark.parametrize("column", ["zero_page_bytes", "length_bytes", "max_sectors_kb", "max_segments"])
def test_tables_of_anything_but_whole_numbers_are_refused(tmp_path, column, cell):
    row = {"zero_page_bytes": "4096", "max_sectors_kb": "128", "max_segments": "128", "max_segment_size": "65536"}
    row |= {"length_bytes": "1048576", column: cell}
    good = row | {column: "8192"}
    rows = [",".join(each) for each in (row, good.values(), row.values())]
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(InputError, match=r"t\.csv"):
        read_table(tmp_path / "t.csv")


def test_a_table_that_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(InputError, match="no regular file"):
        read_table(tmp_path / "t.csv")


# Times


def test_medians_of_long_ranges_are_explained(timed):
    times = fit_time(timed, whole_instruction_costs())
    for (size, kib, length), group in timed.groupby(["zero_page_bytes", "max_sectors_kb", "length_bytes"]):
        limits = QueueLimits(int(kib) * 2, 128, UINT_MAX, virt_boundary_mask=4095)
        found, truth = times.predict(ZeroPage("folio", int(size)), limits, int(length)), group["elapsed_ns"].median()
        assert found.low < truth < found.high, (size, kib, length)
        if length >= GIB:
            assert found.value == pytest.approx(truth, rel=0.15), (size, kib, length)


@pytest.mark.parametrize(("fitted", "asked"), [(128, 512), (512, 128)])
def test_medians_of_the_other_request_size_lie_in_their_intervals(timed, fitted, asked):
    times = fit_time(timed[timed["max_sectors_kb"] == fitted], whole_instruction_costs())
    rest = timed[timed["max_sectors_kb"] == asked]
    limits = QueueLimits(asked * 2, 128, UINT_MAX, virt_boundary_mask=4095)
    for (size, length), group in rest.groupby(["zero_page_bytes", "length_bytes"]):
        found, truth = times.predict(ZeroPage("folio", int(size)), limits, int(length)), group["elapsed_ns"].median()
        assert found.low < truth < found.high, (size, length)
        if length == 4 * GIB:
            assert found.value == pytest.approx(truth, rel=0.15), (size, length)


def cpu_time(name):
    """A table of our own user-mode kernels by CPU time, and what was counted of the same kernel."""
    table = read_table(shipped.data("kernel", name))
    counted = fit_work(read_table(shipped.data("kernel", "zeroout-instructions-7.3-tiny.csv")))
    return table.assign(elapsed_ns=table["cpu_ns"]), counted


def test_how_far_families_of_work_are_apart_is_what_the_kernel_without_locks_gives(monkeypatch):
    table, counted = cpu_time("zeroout-native-7.3-up.csv")
    kept = nanoseconds._APART
    monkeypatch.setattr(nanoseconds, "_APART", np.zeros(2))
    monkeypatch.setattr(nanoseconds, "_APART_DOUBT", np.full(2, 3.0))
    each = kinds(fit_time(table, counted).costs / counted.costs)
    assert np.log(each["vector"] / each["request"]) == pytest.approx(kept[0], abs=0.05)
    assert np.log(each["piece"] / each["vector"]) == pytest.approx(kept[1], abs=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_four_configurations_of_twelve_predict_the_others(seed):
    table, counted = cpu_time("zeroout-native-7.3.csv")
    configuration = ["zero_page_bytes", "max_sectors_kb"]
    groups = table.groupby(configuration).ngroup()
    known = groups.isin(np.random.default_rng(seed).permutation(12)[:4])
    times, inside = fit_time(table[known], counted), []
    for (size, _, length), group in table[~known].groupby([*configuration, "length_bytes"]):
        limits = limits_of(group.iloc[0].to_dict())
        found, truth = times.predict(ZeroPage("folio", int(size)), limits, int(length)), group["elapsed_ns"].median()
        inside.append(found.low < truth < found.high and found.says_something)
        if length >= GIB:
            assert found.value == pytest.approx(truth, rel=0.15)
    assert np.mean(inside) >= 0.9


def test_known_times_are_found_again(timed):
    """SYNTHETIC: times made from known costs and waits, in the layout of the measured table."""
    instructions = whole_instruction_costs()
    truth = 0.25 * instructions.costs
    truth[WORK.index("call")] = 0
    truth[[WORK.index(name) for name in LOOPS]] *= 0.2
    truth[WORK.index("vector")] *= 4
    rng = np.random.default_rng(3)
    table = timed.assign(elapsed_ns=(table_work(timed) @ truth + 4e5) * np.exp(rng.normal(0, 0.05, len(timed))))
    found = fit_time(table, instructions)
    assert found.costs[WORK.index("call")] == 0  # it can't be told from the wait
    for name in ("vector", "request"):
        at = WORK.index(name)
        low, high = np.quantile(found.cost_draws[:, at], [0.05, 0.95])
        assert low < truth[at] < high, name
    with pytest.raises(InputError, match="boot"):
        fit_time(timed.drop(columns="boot"), instructions)
    one = (timed["boot"] == 1) & (timed["max_sectors_kb"] == 128) & (timed["zero_page_bytes"] == 4096)
    with pytest.raises(InputError, match="two"):
        fit_time(timed[one], instructions)
