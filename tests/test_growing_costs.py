"""SYNTHETIC machine that the model does not describe: its CPU costs grow with the queue depth. Intervals must hold."""

from dataclasses import replace

import numpy as np
import pytest
import synthetic

from zpmodel.base.units import KIB, MIB
from zpmodel.calibration.calibrate import calibrate
from zpmodel.calibration.fit import with_cold
from zpmodel.calibration.groups import describe
from zpmodel.calibration.held_out import held_out_points
from zpmodel.devices.base import PathCosts
from zpmodel.devices.closed_loop import closed_loop
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import count
from zpmodel.timing.events import as_row, events_of, on_path
from zpmodel.timing.predict import predict_zeroout

GROWTH = 0.15  # of all CPU costs with each doubling of the depth: 1.6 times as much at depth 16
SEEDS = (0, 1, 2)
NEW_BLOCKS = (8 * KIB, 128 * KIB, 768 * KIB, 3 * MIB, 6 * MIB)
NEW_DEPTHS = (2, 8)
_FURTHER_BIO = 0.05 * synthetic.CPU[3]  # instructions counted in Linux 7.2 say 2 % to 15 % of a request


@pytest.fixture(scope="module")
def machines():
    """Each seed's set, and the model that is calibrated from it."""
    sets = [synthetic.data_set(seed, growth=GROWTH) for seed in SEEDS]
    return [(data, calibrate(data, resamples=60)) for data in sets]


def truths(**conditions):
    return synthetic.data_set(0, growth=GROWTH, noise=0, outliers=0, replicates=1, **conditions).writes


def test_the_machine_is_none_of_the_models(machines):
    # Else the tests below would say nothing: the best costs miss its true CPU times, and hit those of a known machine.
    def misses(data, model, known):
        events, load = describe(data.limits, data.device, known)
        fitted = with_cold(data.device, events, load, model.cpu.cache_mib) @ model.cpu.total
        return float(np.sqrt(np.mean(np.log(fitted / known["cpu_s"].to_numpy()) ** 2)))

    assert min(misses(data, model, truths()) for data, model in machines) > 0.05
    described = synthetic.data_set(1)
    known = synthetic.data_set(0, noise=0, outliers=0, replicates=1).writes
    assert misses(described, calibrate(described, resamples=20), known) < 0.03


def test_intervals_hold_points_of_blocks_and_depths_that_were_not_measured(machines):
    known = truths(keys=synthetic.every(NEW_BLOCKS, NEW_DEPTHS))
    inside = {"cpu_s": [], "rate": []}
    for data, model in machines:
        events, load = describe(data.limits, data.device, known)
        events = with_cold(data.device, events, load, model.cpu.cache_mib)
        path = model.cpu.path_draws @ on_path(events, load.depth, data.device).T
        rates = [
            closed_loop(PathCosts(*device), load._replace(path=np.maximum(row, 1e-9)))
            for device, row in zip(np.array(model.device.draws.parameters[:8]).T, path, strict=True)
        ]
        for name, draws, sigma in (
            ("cpu_s", model.cpu.total_draws @ events.T, model.cpu.scatter),
            ("rate", np.array(rates), model.device.scatter),
        ):
            for column, truth in zip(draws.T, known[name], strict=True):
                found = model.estimate(float(np.median(column)), column, sigma)
                inside[name].append(found.low <= truth <= found.high)
    shares = {name: np.mean(values) for name, values in inside.items()}
    # 60 predictions each; intervals meant for 90 % may hold more, as points that are left out are farther off.
    assert min(shares.values()) >= 0.85, shares


def test_intervals_of_points_left_out_hold_nine_of_ten(machines):
    for data, _ in machines:
        points = held_out_points(data)
        points = points[points["way"] != "replicates"]  # of those the truth is a single run, not a median
        assert 0.85 <= points["inside"].mean() <= 0.98
        by_quantity = points.groupby("quantity")["inside"].mean()
        assert by_quantity.min() >= 0.82, by_quantity


@pytest.mark.slow
def test_intervals_of_a_zero_out_hold_what_the_machine_takes(machines):
    # What it is made of is counted, not fitted; one call is one operation in flight, where costs have not grown.
    inside = []
    for data, _ in machines:
        for block in (64 * KIB, 512 * KIB, 2 * MIB, 4 * MIB):
            writes = data.writes[data.writes["block_bytes"] != block].reset_index(drop=True)
            model = calibrate(replace(data, writes=writes), resamples=100)
            for policy in ("page", "static"):
                page = ZeroPage.named(policy)
                structure = count(page, data.limits, 0, block)
                truth = np.array(as_row(events_of(structure, data.limits, data.device, 1))) @ synthetic.CPU
                truth += _FURTHER_BIO * (structure.bios - 1)
                cpu = predict_zeroout(model, page, block).cpu_s
                inside.append(cpu.low <= truth <= cpu.high)
    assert np.mean(inside) >= 0.85, inside
