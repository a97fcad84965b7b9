"""Counts and costs of memory against numbers from elsewhere: the kernel's source, a slow simulation, known machines."""

import math
from dataclasses import replace

import naive_lifetime
import numpy as np
import pandas as pd
import pytest

from zpmodel.base.units import KIB, MIB
from zpmodel.callers.fio_write import count_buffer
from zpmodel.datasets.point import Point
from zpmodel.datasets.points import Measured, contrasts
from zpmodel.measure.plan import fio_arguments
from zpmodel.memory.life.closed_form import Life, Users, closed_form
from zpmodel.memory.life.simulate import simulate, simulate_day
from zpmodel.memory.machines import Caches, Machine, Tlb
from zpmodel.memory.reading.model import ReadingModel, fit_reading
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import count, descriptors

# NVMe


@pytest.mark.parametrize(
    ("folio", "sgl", "prp"), [(64 * KIB, 16, 0), (32 * KIB, 32, 0), (16 * KIB, 0, 256), (4 * KIB, 0, 256)]
)
def test_sgls_begin_where_the_driver_says(folio, sgl, prp):
    # drivers/nvme/host/pci.c: sgl_threshold = SZ_32K; SGLs where the average segment is not below it. One request of
    # 1 MiB: a descriptor a segment, or an entry for each 4 KiB.
    limits = QueueLimits(2048, 256, UINT_MAX)
    found = descriptors(count(ZeroPage("folio", folio), limits, 0, MIB))
    assert (found.commands, found.sgl_descriptors, found.prp_entries) == (1, sgl, prp)


# 2 MiB against 4 KiB


def _point(memory, replicate, seconds, cpu_seconds):
    point = Point("write", MIB, 4, memory, replicate)
    return Measured(point, "", seconds, 1000, 1000 * MIB, 0.0, cpu_seconds, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, seconds, None)


def test_the_contrast_of_a_measurement_is_2_mib_over_4_kib():
    # The same bytes in a half, and in a third, of the time; for a quarter of the CPU time.
    points = [_point("malloc", 1, 2.0, 0.4), _point("mmaphuge", 1, 1.0, 0.1)]
    points += [_point("mmaphuge", 2, 1.0, 0.1), _point("malloc", 2, 3.0, 0.4)]
    (found,) = contrasts(points)
    assert (found.pairs, found.block_bytes, found.depth) == (2, MIB, 4)
    assert found.throughput_ratio == pytest.approx(math.sqrt(6))
    assert found.throughput_low < math.sqrt(6) < found.throughput_high
    assert found.cpu_ratio == pytest.approx(0.25)


@pytest.mark.parametrize(("memory", "vectors"), [("malloc", 256), ("mmaphuge", 1)])
def test_each_memory_is_what_fio_calls_it(memory, vectors):
    arguments = fio_arguments(Point("write", MIB, 1, memory, 1), filename="x", size_bytes=MIB, seconds=1)
    assert f"--mem={memory}" in arguments
    assert count_buffer(memory, QueueLimits(2048, 256, UINT_MAX), MIB).vectors == vectors


# A CPU that reads zeroes

_CACHES, _TLB = Caches(32 * KIB, MIB, 32 * MIB), Tlb(64, 2048)
_MACHINE = Machine("known", "known", _CACHES, _TLB, {})
_COSTS = np.array([0.6, 0.5, 0.2, 0.3, 0.8, 0.3, 0.4, 1.0, 2.0, 20.0, 0.3])  # [ns per line; TLB: ns per page]
_SIZES = [4 * KIB << n for n in range(0, 15, 2)]


def _bandwidths(rng, noise):
    """What a known machine's micro-benchmark would bring: each mapping read at many sizes, scattering by ``noise``."""
    exact = ReadingModel(_MACHINE, _COSTS, np.array([_COSTS, _COSTS]), 0.0)
    rows = []
    for operation in ("copy", "sum"):
        for mapping, source in (("2 MiB pages", "static"), ("virtual", "virtual")):
            for size in _SIZES:
                for target in (4 * KIB, 256 * KIB, 8 * MIB, 128 * MIB) if operation == "copy" else (4 * KIB,):
                    found = exact.predict(operation, source, target, source_bytes=size, folio_bytes=64 * MIB)
                    rows.append((operation, mapping, source, size, target, found["bandwidth_bytes_per_s"][0]))
    names = ["operation", "mapping", "source", "source_bytes", "target_bytes", "bandwidth_bytes_per_s"]
    table = pd.DataFrame(rows, columns=names)
    return table.assign(
        bandwidth_bytes_per_s=lambda t: t["bandwidth_bytes_per_s"] * np.exp(rng.normal(0, noise, len(t)))
    )


def test_reading_is_predicted_with_intervals_that_hold_the_next_measurement():
    rng = np.random.default_rng(4)
    seen, later = (_bandwidths(rng, noise=0.1) for _ in range(2))
    model = fit_reading(seen, _MACHINE)
    inside = []
    for row in later.itertuples(index=False):
        found = model.predict(
            row.operation, row.source, row.target_bytes, source_bytes=row.source_bytes, folio_bytes=64 * MIB
        ).iloc[0]
        inside.append(found["low_bytes_per_s"] <= row.bandwidth_bytes_per_s <= found["high_bytes_per_s"])
    # 95 % of 80; without the scatter of a single measurement about half of them
    assert np.mean(inside) >= 0.88
    assert model.scatter == pytest.approx(0.1, rel=0.3)


def test_a_known_scatter_is_a_known_interval():
    model = ReadingModel(_MACHINE, _COSTS, np.array([_COSTS, _COSTS]), 0.1)
    row = model.predict("copy", "page").iloc[0]
    width = 0.1 * 1.644853627
    assert row["high_bytes_per_s"] / row["bandwidth_bytes_per_s"] == pytest.approx(math.exp(width), rel=1e-6)
    assert row["low_bytes_per_s"] / row["bandwidth_bytes_per_s"] == pytest.approx(math.exp(-width), rel=1e-6)


# Users that race with an allocation


def test_racing_by_hand():
    # As in test_absence_by_hand: absent 1/2.5 of the time. 1 user a second tries in 0.4 x 3600 s, half succeed: 720 an
    # hour. Each takes 100 + 50 ms, in which 0.15 further users arrive.
    life = Life(Users(1.0, math.log(2)), 1.0, 0.5, clear_ns=100e6, allocate_ns=50e6)
    assert closed_form(life).racing_per_hour == pytest.approx(108)
    many = simulate(life, seconds=400_000.0).outcome
    assert many.racing_per_hour == pytest.approx(108, rel=0.03)
    day = simulate_day([life, life], seconds_each=50_000.0, runs=3).outcome
    assert day.racing_per_hour == pytest.approx(108, rel=0.04)


def test_racing_as_the_slow_version_counts_it():
    life = Life(Users(20.0, 0.05), scans_per_s=2.0, failure=0.4, clear_ns=20e6, allocate_ns=10e6)
    runs = [naive_lifetime.simulate(replace(life), 1000.0, seed)["racing_per_hour"] for seed in range(12)]
    error = np.std(runs, ddof=1) / math.sqrt(len(runs))
    assert abs(np.mean(runs) - closed_form(life).racing_per_hour) < 4 * error
    assert error < 0.05 * np.mean(runs)
