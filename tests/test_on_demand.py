"""The on-demand column: between PAGE_SIZE and static, dearer than static, and true to the folio's simulated life."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import synthetic
from click.testing import CliRunner

from zpmodel.base.errors import InputError
from zpmodel.base.estimate import Estimate
from zpmodel.base.units import GIB, KIB, MIB
from zpmodel.calibration.calibrate import calibrate
from zpmodel.commands.compare import command
from zpmodel.memory.life.closed_form import closed_form
from zpmodel.memory.life.getter import getter_times
from zpmodel.memory.life.simulate import simulate
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.study.compare import compare
from zpmodel.study.on_demand import OnDemand, on_machine
from zpmodel.study.scenario import Scenario

ALWAYS = OnDemand(scans_per_s=0.0, failure=0.0)
NEVER = OnDemand(scans_per_s=1.0, failure=1.0, fail_s=0.0)
COMES_AND_GOES = OnDemand(0.5, 0.4, scans_per_s=0.3, failure=0.3, clear_s=150e-6)


@pytest.fixture(scope="module")
def machine():
    return calibrate(synthetic.data_set(1), resamples=60)


def columns(machine, asked, length=GIB):
    return compare(Scenario(machine, length, on_demand=asked))


@pytest.mark.parametrize("length", [4 * KIB, 64 * KIB, 2 * MIB, GIB])
def test_it_is_a_column_of_its_own_that_costs_more_than_static(machine, length):
    for asked in (None, ALWAYS, COMES_AND_GOES):
        _, on_demand, static = columns(machine, asked, length)
        assert on_demand.prediction.cpu_s.value - static.prediction.cpu_s.value > 0.9e-9 * getter_times().flag.value
        assert on_demand.prediction.elapsed_s.value > static.prediction.elapsed_s.value


def test_always_there_is_static_and_a_flags_test(machine):
    many = replace(ALWAYS, calls_per_user=1e9)
    page, on_demand, static = columns(machine, many)
    flag = getter_times().flag.value * 1e-9
    assert on_demand.prediction.cpu_s.value - static.prediction.cpu_s.value == pytest.approx(flag, rel=1e-3)
    assert on_demand.prediction.elapsed_s.value - static.prediction.elapsed_s.value == pytest.approx(flag, rel=1e-3)
    assert on_demand.served.share("served").value == 1
    assert on_demand.served.held_bytes.value == 2 * MIB
    assert page.prediction.cpu_s.value > on_demand.prediction.cpu_s.value


def test_never_there_is_page_size(machine):
    page, on_demand, _ = columns(machine, NEVER)
    assert on_demand.prediction.cpu_s.value == pytest.approx(page.prediction.cpu_s.value, rel=1e-6)
    assert on_demand.prediction.elapsed_s.value == pytest.approx(page.prediction.elapsed_s.value, rel=1e-6)
    assert on_demand.speedup.low == pytest.approx(1, rel=1e-6)
    assert on_demand.speedup.high == pytest.approx(1, rel=1e-6)
    assert on_demand.served.held_bytes.value == 0
    assert on_demand.row()["vectors"] == page.row()["vectors"]
    tried = columns(machine, replace(NEVER, fail_s=Estimate(1e-3, 1e-3, 1e-3)))[1]
    assert tried.prediction.cpu_s.value - on_demand.prediction.cpu_s.value == pytest.approx(1e-3)


def test_between_both_in_time_counts_and_memory(machine):
    page, on_demand, static = columns(machine, COMES_AND_GOES)
    for name in ("elapsed_s", "cpu_s", "vectors", "requests"):
        assert static.row()[name] < on_demand.row()[name] < page.row()[name]
    assert 0 < on_demand.served.held_bytes.value < 2 * MIB
    served, first, fell = on_demand.served.states
    assert served.share.value + first.share.value + fell.share.value == pytest.approx(1)
    # Who comes first waits for the clearing; who finds nothing writes from 4 KiB.
    assert first.elapsed_s.value - served.elapsed_s.value == pytest.approx(155e-6, rel=1e-6)
    assert fell.elapsed_s.value > served.elapsed_s.value
    assert on_demand.served.quantile_s(0.99) == fell.elapsed_s.value
    assert on_demand.served.quantile_s(0.1) == served.elapsed_s.value


def test_shares_are_the_closed_forms(machine):
    for asked in (COMES_AND_GOES, replace(COMES_AND_GOES, failure=Estimate(0.6, 0.5, 0.7))):
        served = columns(machine, asked)[1].served
        exact = closed_form(asked.life())
        assert served.share("fell back").value == pytest.approx(exact.fallback_share)
        assert served.held_bytes.value == pytest.approx(exact.held_bytes)
        per_call = exact.allocations_per_hour / 3600 / asked.users_per_s
        assert served.share("first use").value == pytest.approx(per_call)


def test_its_interval_holds_the_simulations(machine):
    rng = np.random.default_rng(4)
    held = []
    for seed in range(12):
        users = 10 ** rng.uniform(-1.5, 0.5)
        failure = rng.uniform(0.1, 0.7)
        asked = OnDemand(
            users, rng.uniform(0.1, 1.0) / users, users * 10 ** rng.uniform(-1.5, 0.5), failure, clear_s=150e-6
        )
        page, on_demand, static = columns(machine, asked)
        found = simulate(asked.life(), seconds=20 * asked.lasts_s, seed=seed).intervals.set_index("name")
        fell = found.loc["fallback_share"]
        share = on_demand.served.share("fell back")
        held.append(share.low <= fell["low"] and fell["high"] <= share.high)
        times = [page.prediction.elapsed_s.value, static.prediction.elapsed_s.value]
        simulated = [fell[end] * times[0] + (1 - fell[end]) * times[1] for end in ("low", "high")]
        elapsed = on_demand.prediction.elapsed_s
        assert elapsed.low < simulated[0] < simulated[1] < elapsed.high
    # 90 % intervals, and those of 20 simulated days beside them.
    assert sum(held) >= 10


def test_users_that_hold_on_keep_it(machine):
    for getter in ("cpu", "static-key"):
        on_demand = columns(machine, replace(COMES_AND_GOES, getter=getter))[1]
        assert on_demand.served.share("served").value == 1


def test_a_reference_for_each_bio_costs_more_the_more_cpus_take_one(machine):
    def getter(**changes):
        return columns(machine, replace(COMES_AND_GOES, **changes))[1].served.getter_s.value

    few, many = getter(getter="io"), getter(getter="io", cpus=64)
    assert getter(getter="static-key") == 0 < getter(getter="mm", calls_per_user=1000) < few < many
    assert getter(getter="cpu") < many


def test_older_kernels_take_longer_to_clear():
    assert OnDemand(kernel=(6, 12)).clearing.value > OnDemand(kernel=(7, 3)).clearing.value
    assert "512 clears" in OnDemand(kernel=(6, 12)).clearing.source


def test_no_zero_page_is_asked_for_where_the_device_writes_zeroes_itself(machine):
    limits = QueueLimits(8192, 254, UINT_MAX, nr_requests=256, write_zeroes_max_bytes=8 * MIB)
    _, on_demand, _ = compare(Scenario(machine, GIB, limits=limits))
    assert (on_demand.speedup.value, on_demand.cpu_saved_s.value) == (1, 0)
    assert on_demand.served is None


def test_a_machine_is_read_from_its_counters(tmp_path):
    (tmp_path / "uptime").write_text("7200.5 100.0\n")
    (tmp_path / "vmstat").write_text(
        "thp_zero_page_alloc 10\nthp_zero_page_alloc_failed 90\npageoutrun 60\nallocstall_normal 12\n"
    )
    (tmp_path / "buddyinfo").write_text("Node 0, zone   Normal" + "      9" * 11 + "\n")
    asked = on_machine(tmp_path, users_per_s=2.0)
    assert asked.failure.low < 0.9 < asked.failure.high
    assert asked.scans_per_s.value == pytest.approx(0.01, rel=1e-3)
    assert asked.scans_per_s.low < 0.0099 < 0.0101 < asked.scans_per_s.high
    assert (asked.users_per_s, asked.hold_s) == (2.0, 1.0)
    assert "72 passes" in asked.rests_on()["scans"]
    assert on_machine().failure.source
    (tmp_path / "uptime").write_text("x\n")
    with pytest.raises(InputError, match="uptime"):
        on_machine(tmp_path)


def test_everything_says_what_it_rests_on(machine):
    row = columns(machine, None)[1].row()
    assert all(row["rests_on"].values())
    assert "Contiguitas" in row["rests_on"]["failure"]
    assert "epyc-milan" in row["rests_on"]["getter"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("failure", 1.5),
        ("scans_per_s", -1.0),
        ("getter", "x"),
        ("calls_per_user", 0.5),
        ("cpus", 0),
        ("users_per_s", math.nan),
        ("hold_s", 0.0),
        ("clear_s", math.inf),
        ("lasts_s", 0.0),
    ],
)
def test_impossible_inputs_are_named(field, value):
    with pytest.raises(InputError, match="per_s" if field == "users_per_s" else field):
        replace(COMES_AND_GOES, **{field: value})


def test_a_given_share_of_fallbacks_is_taken_at_its_word_down_to_none(machine):
    shares = (0.0, 0.001, 0.5, 1.0)
    found = [compare(Scenario(machine, 1 << 30, fallback_share=share))[1] for share in shares]
    assert [item.served.share("fell back").value for item in found] == pytest.approx(shares)
    elapsed = [item.prediction.elapsed_s.value for item in found]
    assert elapsed == sorted(elapsed)


def test_the_table_and_json_count_the_same_vectors():
    line = ["--machine", "nvme-mailing-list"]
    shown, written = (CliRunner().invoke(command, [*line, *more]).stdout for more in ([], ["--json"]))
    rows = {row.split()[0]: row.split()[-2:] for row in shown.splitlines()[2:5]}
    for policy in json.loads(written)["policies"]:
        counted = [str(round(policy[name])) for name in ("vectors", "requests")]
        assert rows[policy["policy"]] == counted, policy["policy"]
    assert int(rows["on-demand"][0]) > int(rows["static"][0])
