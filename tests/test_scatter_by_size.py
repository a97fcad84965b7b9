"""What a write of fio's is predicted to scatter by is what those of its size did; a zero-out scatters by the widest."""

from dataclasses import replace

import numpy as np
import pytest
import synthetic

from zpmodel.base.units import KIB, MIB
from zpmodel.calibration.calibrate import calibrate
from zpmodel.calibration.held_out import held_out_points
from zpmodel.calibration.store import read, save
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.study.compare import compare
from zpmodel.study.scenario import FIO_WRITE, Scenario
from zpmodel.timing.fio_write import predict_fio_write
from zpmodel.timing.machine import LARGE_BYTES, Scatter
from zpmodel.timing.predict import predict_zeroout

OFF = {False: 0.2, True: 0.03}  # log standard deviation of points around the model, below LARGE_BYTES and from there on


def uneven(seed):
    """A SYNTHETIC machine that the model describes well where blocks are large, and badly where they are small."""
    data = synthetic.data_set(seed, noise=0.03, outliers=0, replicates=3)
    rng, points = np.random.default_rng(seed), ["block_bytes", "depth", "memory"]
    writes = data.writes.copy()
    for key, rows in writes.groupby(points).groups.items():
        spent, took = np.exp(rng.normal(0, OFF[key[0] >= LARGE_BYTES], 2))
        writes.loc[rows, ["cpu_s", "path_s"]] *= spent
        writes.loc[rows, "rate"] /= took
    return replace(data, writes=writes)


@pytest.fixture(scope="module")
def machine():
    return calibrate(uneven(0), resamples=50)


@pytest.mark.slow
def test_intervals_hold_nine_of_ten_of_either_size():
    points = held_out_points(uneven(0))
    points = points[(points["way"] != "replicates") & points["quantity"].isin(["cpu_s", "rate"])]
    inside = points.groupby(["quantity", points["block_bytes"] >= LARGE_BYTES])["inside"].mean()
    # They may hold more: costs are drawn with errors as wide as points of all sizes are off, and say it a second time.
    assert inside.min() >= 0.85, inside


def test_a_write_scatters_as_those_of_its_size(machine):
    small, large = (machine.for_writes(size, 4) for size in (64 * KIB, LARGE_BYTES))
    assert large.cpu.scatter < small.cpu.scatter / 2
    assert large.device.scatter < small.device.scatter / 2
    assert machine.for_writes(8 * MIB, 16) == large
    widths = [
        np.log(each.high / each.low)
        for size in (64 * KIB, MIB)
        for found in [predict_fio_write(machine, ZeroPage.named("page"), size, depth=4)]
        for each in (found.cpu_s, found.elapsed_s)
    ]
    assert max(widths[2:]) < min(widths[:2]) / 2


def test_anything_else_scatters_by_the_widest(machine):
    unsaid, page = replace(machine, write_scatter=None), ZeroPage.named("page")
    assert predict_zeroout(machine, page, MIB).cpu_s == predict_zeroout(unsaid, page, MIB).cpu_s
    assert machine.cpu.scatter == unsaid.cpu.scatter >= machine.for_writes(LARGE_BYTES, 1).cpu.scatter
    # Under other limits, too: nothing was held out there.
    other = machine.with_limits(replace(machine.limits, max_sectors=256, source="another"))
    assert other.composed
    assert other.for_writes(MIB, 1) is other


def test_a_comparison_of_writes_has_the_ratios_scatter_of_their_size(machine):
    wide = replace(machine, write_scatter=machine.write_scatter._replace(ratio=Scatter(*[0.5] * 6)))

    def width(each, caller):
        found = compare(Scenario(each, MIB, caller=caller), ("static",))[0].speedup
        return np.log(found.high / found.low)

    assert width(wide, FIO_WRITE) > 2 * width(machine, FIO_WRITE)
    assert width(wide, Scenario(machine).caller) == width(machine, Scenario(machine).caller)


def test_a_saved_calibration_keeps_it(machine, tmp_path):
    for each in (machine, replace(machine, write_scatter=None)):
        save(each, tmp_path / "machine.json")
        assert read(tmp_path / "machine.json").write_scatter == each.write_scatter


def test_where_points_are_few_all_of_them_say_what_they_scatter_by():
    # Two large points alone are no scatter; without held-out points it is not told at all.
    data = synthetic.data_set(1, replicates=2)
    few = data.writes["block_bytes"].isin([4 * KIB, 16 * KIB, 64 * KIB, 512 * KIB])
    few &= (data.writes["block_bytes"] < LARGE_BYTES) | (data.writes["depth"] == 4)
    small, large, *_ = calibrate(replace(data, writes=data.writes[few]), resamples=20).write_scatter.cpu
    assert 0.2 < large / small < 5
