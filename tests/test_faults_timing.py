"""Predictions, and what is said of them, against numbers worked out on paper from a machine of known costs."""

from dataclasses import replace
from types import SimpleNamespace

import known_model
import numpy as np
import pandas as pd
import pytest
import synthetic

from zpmodel.base.estimate import Estimate
from zpmodel.base.units import GIB, KIB, MIB
from zpmodel.calibration.calibrate import calibrate
from zpmodel.calibration.identify import doubts
from zpmodel.calibration.summary import contrast, medians
from zpmodel.datasets.schema import DataSet
from zpmodel.devices import Flat
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.report import tables
from zpmodel.report.words import beside_measured
from zpmodel.timing.events import EVENTS
from zpmodel.timing.predict import predict_zeroout

STATIC = ZeroPage.named("static")


def test_no_more_is_in_flight_than_was_measured():
    # 1 GiB is 1024 requests; each waits 1 ms beside at most three others: 256 times 1 ms. The queue would hold 256.
    model = known_model.known(device={"latency": 1e-3}, in_flight=4)
    assert predict_zeroout(model, STATIC, GIB).elapsed_s.value == pytest.approx(0.256, rel=1e-3)


def test_no_more_is_in_flight_than_there_is():
    # 8 requests, of which 64 could be in flight: all of them wait the same 1 ms.
    model = known_model.known(device={"latency": 1e-3}, in_flight=64)
    assert predict_zeroout(model, STATIC, 8 * MIB).elapsed_s.value == pytest.approx(1e-3, rel=1e-3)


def test_no_more_is_in_flight_than_the_queue_has_tags():
    model = known_model.known(device={"latency": 1e-3}, in_flight=64)
    few = QueueLimits(2048, 256, UINT_MAX, nr_requests=8)
    assert predict_zeroout(model.with_limits(few), STATIC, GIB).elapsed_s.value == pytest.approx(0.128, rel=1e-3)


def test_zeroes_from_one_page_are_warmer_than_data_of_their_own():
    # tools/hot_source.py, one device: 9.9 GiB/s from the cache, 7.0 from pages of their own, 8.2 from one 2 MiB page.
    cached, cold, zeroes = 9.9, 7.0, 8.2
    mib = 1 / (cached * 1024)
    model = known_model.known(device={"mebibyte": mib, "cold": 1 / (cold * 1024) - mib}, sigma=0.02)
    elapsed = predict_zeroout(model, STATIC, GIB).elapsed_s
    assert 1 / elapsed.high < zeroes < 1 / elapsed.low
    assert abs(1 / elapsed.value - zeroes) < 0.75 * min(zeroes - cold, cached - zeroes)
    # What no cache of the device can hold is as cold as any data.
    large = predict_zeroout(model, ZeroPage("folio", 512 * MIB), GIB).elapsed_s
    assert 1 / large.value == pytest.approx(cold, rel=1e-2)


@pytest.mark.slow
def test_what_points_lie_off_by_widens_the_costs():
    # SYNTHETIC machines whose replicates agree to the last digit, and whose points lie off the model by 15 %.
    inside, widths = [], []
    for seed in range(6):
        exact = synthetic.data_set(seed, noise=0, outliers=0, replicates=3)
        rng, columns = np.random.default_rng(seed), ["cpu_s", "path_s", "rate"]
        off = np.exp(rng.normal(0, 0.15, (len(exact.writes) // 3, len(columns)))).repeat(3, axis=0)
        writes = exact.writes.assign(**{name: exact.writes[name] * off[:, i] for i, name in enumerate(columns)})
        draws = calibrate(replace(exact, writes=writes), resamples=100).cpu.total_draws
        low, high = np.quantile(draws, [0.05, 0.95], axis=0)
        inside.append((low <= synthetic.CPU) & (high >= synthetic.CPU))
        widths.append(high - low)
    assert np.mean(inside) >= 0.7
    # No interval of a wait or a vector is narrower than what one point in ten of them would allow.
    for name in ("wait", "vector"):
        at = EVENTS.index(name)
        assert np.min([width[at] for width in widths]) > 0.05 * synthetic.CPU[at]


def _writes(rows):
    names = ["block_bytes", "depth", "memory", "replicate", "cpu_s", "path_s", "rate"]
    writes = pd.DataFrame(rows, columns=names).assign(rounding_s=0.0)
    return DataSet("by hand", {}, known_model.LIMITS, Flat(), writes)


def test_medians_in_their_units():
    # 1000 writes of 1 MiB a second are 1000/1024 GiB/s; 50 us of CPU for each are 51.2 ms for a GiB.
    rows = [(MIB, 4, "malloc", n, cpu, cpu, rate) for n, (cpu, rate) in enumerate(_RUNS, 1)]
    row = medians(_writes(rows)).iloc[0]
    assert row["bytes_per_s"] == 1_048_576_000
    assert row["gib_per_s"] == pytest.approx(1000 / 1024)
    assert row["cpu_s_per_gib"] == pytest.approx(0.0512)
    assert row["cpu_us_per_io"] == pytest.approx(50)
    assert row["replicates"] == 3
    assert (row["gib_per_s_low"], row["gib_per_s_high"]) == pytest.approx((900 / 1024, 1100 / 1024))


_RUNS = ((50e-6, 1000.0), (45e-6, 1100.0), (60e-6, 900.0))


def test_the_contrast_is_2_mib_over_4_kib():
    # 2 MiB vectors go twice as fast with a quarter of the CPU time; 256 vectors become one and 30 us are saved.
    rows = [(MIB, 4, "malloc", n, 40e-6, 40e-6, 1000.0) for n in (1, 2)]
    rows += [(MIB, 4, "mmaphuge", n, 10e-6, 10e-6, 2000.0) for n in (1, 2)]
    row = contrast(_writes(rows)).iloc[0]
    assert row["throughput"] == pytest.approx(2)
    assert row["cpu"] == pytest.approx(0.25)
    assert row["cpu_saved_ns_per_vector"] == pytest.approx(30_000 / 255)


@pytest.mark.parametrize(("fastest", "said"), [(1.5, True), (1.99, True), (2.01, False), (3.0, False)])
def test_only_what_is_faster_than_measured_is_said_to_be(fastest, said):
    # Half a second for 1 GiB.
    prediction = SimpleNamespace(structure=SimpleNamespace(length=GIB), elapsed_s=Estimate(0.5, 0.4, 0.6))
    text = beside_measured(
        SimpleNamespace(prediction=prediction, offloaded=False), pd.DataFrame({"gib_per_s": [0.1, fastest, 1.0]})
    )
    if not said:
        assert text == ""
    else:
        assert "2 GiB/s are predicted" in text
        assert f"fastest point went {fastest:.2g} GiB/s" in text


def test_the_table_of_errors_by_hand():
    names = ["block_bytes", "memory", "cpu_s", "cpu_s_predicted", "cpu_s_noise"]
    rows = [
        (4 * KIB, "malloc", 10.0, 11.0, 0.01),  # 10 %
        (4 * KIB, "mmaphuge", 10.0, 9.0, 0.02),  # 10 %
        (MIB, "malloc", 10.0, 13.0, 0.05),  # 30 %
        (MIB, "mmaphuge", 10.0, 4.0, 0.08),  # 60 %
    ]
    rates = [(100.0, 104.0, 0.03), (100.0, 104.0, 0.03), (100.0, 112.0, 0.05), (200.0, 168.0, 0.05)]  # 4, 4, 12, 16 %
    held_out = pd.DataFrame(rows, columns=names).assign(depth=4, left_out="depth 4")
    held_out[["rate", "rate_predicted", "rate_noise"]] = rates
    table = tables.errors(held_out).set_index("of")
    assert list(table["median error"]) == ["20.0%", "8.0%", "12.5%"]  # ratios: 1 as 1, 2 as 1.5
    assert list(table["scatter of single runs"]) == ["3.5%", "4.0%", "-"]


def _doubts(tie):
    rng = np.random.default_rng(0)
    cpu, device = (
        1e-6 * np.exp(0.1 * rng.standard_normal((known_model.ROWS, len(names))))
        for names in (EVENTS, known_model.PARAMETERS)
    )
    operation, request = EVENTS.index("operation"), EVENTS.index("request")
    own = cpu[:, request] - 1e-6
    cpu[:, request] = 1e-6 - tie * (cpu[:, operation] - 1e-6) + np.sqrt(1 - tie**2) * own
    return doubts(known_model.known(cpu_draws=cpu, device_draws=device))


def test_costs_that_are_tied_are_told_with_what_to_measure():
    assert _doubts(0.0) == []
    assert _doubts(0.7) == []
    (note,) = _doubts(0.99)
    assert note.startswith("CPU: an operation and a request are hard to tell apart here (correlation -0.99)")
    assert "measure blocks of several requests each" in note
