"""The compiled pass over many questions, against the general path, one question at a time."""

import threading
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import qmc

from zpmodel.base import shipped
from zpmodel.calibration.calibrate import calibrate
from zpmodel.datasets import read_data_set
from zpmodel.devices.overlap import steady_rate
from zpmodel.devices.product_form import DEEPEST, INVERSE, LANES, steady_rates
from zpmodel.queue.kernel import UINT_MAX
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import count
from zpmodel.structure.alike import MOST_KINDS, count_alike
from zpmodel.study.bulk import answer_table, can_pass
from zpmodel.study.inputs import apply, best_only
from zpmodel.study.on_demand import OnDemand
from zpmodel.study.scenario import Scenario
from zpmodel.study.sequence import points_at
from zpmodel.study.sweep import answer, answer_all
from zpmodel.timing.bulk.records import BOUNDS, COUNTS, DONE, LOOP, TIMES


@pytest.fixture(scope="module", params=["kvm-zen5-virtio", "kvm-zen5-loop"])
def machine(request):
    return calibrate(read_data_set(shipped.data("fio", request.param)), resamples=20)


def random_queue(rng):
    block, physical = int(rng.choice([512, 512, 4096])), int(rng.choice([512, 4096, 4096, 65536]))
    sizes = [255, 256, 1280, 2560, 65535, 1 << 22, UINT_MAX, rng.integers(8, 5000), 8 * rng.integers(1, 5000)]
    segments = [1, 33, 127, 128, 168, 256, 65535, rng.integers(1, 300), 1 << int(rng.integers(0, 14))]
    largest = [65536, 4096, 65024, UINT_MAX, UINT_MAX, 1 << int(rng.integers(12, 31)), rng.integers(4096, 1 << 22)]
    return QueueLimits(
        int(rng.choice(sizes)),
        int(rng.choice(segments)),
        int(rng.choice(largest)),
        seg_boundary_mask=int(rng.choice([UINT_MAX, UINT_MAX, 65535])),
        virt_boundary_mask=int(rng.choice([0, 0, 4095, 4095, 511, 65535])),
        logical_block_size=block,
        physical_block_size=physical,
        nomerges=int(rng.choice([0, 0, 0, 1, 2])),
        write_zeroes_max_bytes=int(rng.choice([0] * 9 + [2 << 20, 512 * rng.integers(1, 100)])),
        chunk_sectors=int(rng.choice([0] * 9 + [128])),
    )


def random_range(rng, zero_bytes, block):
    bio = zero_bytes * min(256, UINT_MAX // zero_bytes)
    lengths = [
        rng.integers(1, 1 << 15) * block,
        1 << int(rng.integers(12, 50)),
        (1 << int(rng.integers(12, 45))) + block * int(rng.integers(0, 5)),
        (int(rng.integers(1, 1 << 40)) // block + 1) * block,
        zero_bytes * int(rng.integers(1, 1000)),
        bio * int(rng.integers(1, 20)) + block * int(rng.integers(0, 100)),
    ]
    return int(rng.choice([0, 0, 0, block * int(rng.integers(0, 100)), 1 << 20])), int(rng.choice(lengths))


@pytest.mark.parametrize("wanted", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_arithmetic_counts_what_the_walk_counts(wanted):
    rng, known, asked = np.random.default_rng(wanted), 0, 0
    kinds = np.zeros((MOST_KINDS, 3), np.int64)
    while known < wanted:
        asked += 1
        queue, zero_bytes = random_queue(rng), 1 << int(rng.integers(12, 30))
        offset, length = random_range(rng, zero_bytes, queue.logical_block_size)
        found = count_alike(queue.for_kernel(), zero_bytes, offset, length, kinds)
        if not found.known:
            continue
        known += 1
        walked = count(ZeroPage("folio", zero_bytes), queue, offset, length)
        counted = (walked.bios, walked.vectors, walked.requests, walked.segments)
        assert found[1:5] == counted, (queue, zero_bytes, offset, length)
        rows = sorted(tuple(row) for row in kinds[: found.kinds].tolist())
        assert rows == sorted((r["bytes"], r["segments"], r["count"]) for r in walked.request_histogram())
    assert known > 0.3 * asked


def test_normalising_constants_are_mean_values():
    rng, number = np.random.default_rng(2), 4 * LANES + 5
    loops = np.zeros(number, LOOP)
    for name in ("cpu", "link", "latency"):
        loops[name] = 10 ** rng.uniform(-8, -2, number)
    loops["depth"] = rng.integers(1, 2 * DEEPEST, number)
    loops["rounds"] = rng.uniform(0, 1, number)
    loops["rounds"][:4] = 0
    loops["link"][10:20] = loops["cpu"][10:20]
    steady_rates(loops, number, INVERSE, np.empty((8, LANES)))
    for loop in loops:
        expected = steady_rate(loop.cpu, loop.link, loop.latency, int(loop.depth), loop.rounds)
        assert loop.rate == pytest.approx(expected, rel=1e-13)


def random_inputs(machine, rows, seed):
    rng, own = np.random.default_rng(seed), machine.limits
    limits = {
        "max_sectors": [255, 256, 1024, 1280, 8, 7, 2560, 65535, 1 << 22, 2048],
        "max_segments": [1, 33, 128, 256, 65535, 127],
        "max_segment_size": [65536, 4096, UINT_MAX, 1 << 20, 65024],
        "virt_boundary_mask": [0, 4095, 511, 65535],
        "chunk_sectors": [0] * 19 + [256],
        "physical_block_size": [512, 512, 4096, 4096, 1000],
        "nomerges": [0, 0, 1, 2],
        "nr_requests": [1, 32, 1024],
        "write_zeroes_max_bytes": [0] * 9 + [2 << 20],
    }
    mine, short = rng.random(rows) < 0.3, rng.random(rows) < 0.5
    found = {name: np.where(mine, getattr(own, name), rng.choice(values, rows)) for name, values in limits.items()}
    pages = ["page", "static", "on-demand", "64KiB", "4KiB", "512MiB", "3MiB"]
    return pd.DataFrame(
        found
        | {
            "length": np.where(short, rng.integers(1, 1 << 16, rows) * 512, 1 << rng.integers(12, 45, rows)),
            "offset": rng.choice([0, 0, 0, 512, 4096, 1 << 20], rows),
            "zero_page": rng.choice(np.array(pages, object), rows),
            "device.latency": 10 ** rng.uniform(-6, -2, rows),
            "device.bandwidth": 10 ** rng.uniform(8, 10, rows),
            "device.segment": 10 ** rng.uniform(-9, -6, rows),
            "device.rounds": rng.uniform(0, 1, rows),
            "device.overlap": rng.choice([0, 0.5, 1.0], rows),
            "cpu.vector": rng.uniform(0.5, 2, rows),
            "cpu.factor": rng.uniform(0.5, 2, rows),
            "cpu.MiB": rng.uniform(0, 2, rows),
        }
    )


def check_rows(base, inputs):
    """Hold each row that the pass answers to the general path; return how many those were."""
    found = answer_table(base, {name: inputs[name] for name in inputs}, len(inputs))
    alone = replace(base, machine=best_only(base.machine))
    answered = np.flatnonzero(found["status"] == DONE)
    one_by_one = [answer(apply(alone, row)) for row in inputs.iloc[answered].to_dict("records")]
    expected = {name: np.array([row[name] for row in one_by_one]) for name in one_by_one[0]}
    found = {name: values[answered] for name, values in found.items()}
    assert (expected["why_not"] == "").all()
    assert (np.array(BOUNDS)[found["bound"]] == expected["bound_by"]).all()
    for name in COUNTS[:4]:
        assert (found[name] == expected[name]).all(), name
    for name in TIMES:
        # What is saved is a difference: to the last digits of what it is one of.
        near = 1e-13 * np.maximum(expected["cpu_s"], np.abs(expected[name]))
        off = ~np.isclose(found[name], expected[name], rtol=0, atol=near, equal_nan=True)
        assert not off.any(), (name, inputs.iloc[answered[off]])
    return len(answered)


@pytest.mark.parametrize("share", [None, 0.3])
def test_a_row_is_what_the_general_path_answers(machine, share):
    inputs = random_inputs(machine, 300, 3)
    answered = check_rows(Scenario(machine, fallback_share=share), inputs)
    assert 0.5 * len(inputs) < answered < len(inputs)


@pytest.mark.slow
def test_ten_thousand_rows(machine):
    inputs = random_inputs(machine, 5000, 4)
    inputs["fallback_share"] = np.random.default_rng(5).uniform(-0.05, 1, len(inputs))
    assert check_rows(Scenario(machine), inputs) > 2500


@pytest.mark.parametrize("getter", ["mm", "io", "cpu", "static-key"])
def test_the_folios_life_is_the_same(machine, getter):
    life = OnDemand(users_per_s=5.0, calls_per_user=3.0, failure=0.2, getter=getter)
    inputs = pd.DataFrame({"zero_page": ["on-demand"] * 4, "length": [4096, 1 << 20, 1 << 30, 1 << 40]})
    assert check_rows(Scenario(machine, on_demand=life), inputs) == 4


def test_what_the_pass_leaves_is_asked_one_by_one(machine):
    inputs = pd.DataFrame(
        {
            "length": [1 << 20, 1000, 1 << 20, 1 << 20],
            "max_segments": [64, 64, 0, 64],
            "zero_page": ["static"] * 3 + ["x"],
        }
    )
    table = answer_all(Scenario(machine), inputs, quick=True)
    assert (table["why_not"] == "").tolist() == [True, False, False, False]
    assert table["bound_by"].tolist()[1:] == [""] * 3
    assert not can_pass(Scenario(machine), ("caller",))
    assert not can_pass(Scenario(machine, on_demand=OnDemand(cpus=2)), ())
    by_caller = answer_all(Scenario(machine), pd.DataFrame({"caller": ["fscrypt_zeroout_range"]}), quick=True)
    assert by_caller["why_not"].tolist() == [""]


@pytest.mark.parametrize("dimensions", [1, 3])
def test_points_of_the_sequence_are_scipys(dimensions):
    sequence = qmc.Sobol(dimensions, seed=np.random.default_rng(5))
    sequence.fast_forward(300_000)
    whole = points_at(dimensions, 5, np.arange(300_000, 303_000))
    assert (whole == sequence.random(3000)).all()
    rng = np.random.default_rng(1)
    chosen = rng.integers(300_000, 303_000, 500)
    assert (points_at(dimensions, 5, chosen) == whole[chosen - 300_000]).all()


def test_rows_that_take_long_are_not_waited_for():
    """Odd chunks take a millisecond a row; whoever wants no more answers is not made to wait for a piece of them."""
    rows, ended = 1 << 15, threading.Event()
    chunks = np.full(rows, 65_537)
    inputs = {"chunk_sectors": chunks, "length": np.full(rows, 1 << 40), "max_sectors": np.full(rows, 255)}
    base = Scenario(calibrate(read_data_set(shipped.data("fio", "kvm-zen5-loop")), resamples=20))
    answer_table(base, {name: values[:1] for name, values in inputs.items()}, 1)  # compiles
    threading.Timer(0.5, ended.set).start()
    started = time.monotonic()
    with pytest.raises(InterruptedError):
        answer_table(base, inputs, rows, ended)
    assert time.monotonic() - started < 5
