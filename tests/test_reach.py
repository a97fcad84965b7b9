"""Outside the measured depths and block sizes a write's prediction says so, is wider, and holds. All data are real."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from zpmodel.base import shipped
from zpmodel.base.units import KIB, MIB
from zpmodel.calibration.calibrate import calibrate
from zpmodel.calibration.held_out import held_out_points
from zpmodel.datasets import read_data_set
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.study.compare import compare
from zpmodel.study.scenario import FIO_WRITE, Scenario, predict
from zpmodel.timing.fio_write import predict_fio_write
from zpmodel.timing.machine import Scatter

SETS = ("kvm-zen5-virtio", "kvm-zen5-loop", "kvm-zen3-virtio")


@pytest.fixture(scope="module")
def part():
    """A set of depths 2 to 8 and blocks of 16 KiB to 1 MiB, and what is calibrated from it."""
    data = read_data_set(shipped.data("fio", SETS[0]))
    kept = data.writes["depth"].between(2, 8) & data.writes["block_bytes"].between(16 * KIB, MIB)
    return calibrate(replace(data, writes=data.writes[kept].reset_index(drop=True)), resamples=50)


def width(found):
    return np.log(found.high / found.low)


@pytest.mark.parametrize(
    ("near", "far", "why"),
    [
        ((64 * KIB, 8), (64 * KIB, 32), "more in flight than measured"),
        ((64 * KIB, 2), (64 * KIB, 1), "fewer in flight than measured"),
        ((16 * KIB, 4), (4 * KIB, 4), "smaller blocks than measured"),
        ((MIB, 4), (4 * MIB, 4), "larger blocks than measured"),
    ],
)
def test_a_write_outside_says_so_and_is_wider(part, near, far, why):
    inside, outside = (
        predict_fio_write(part, ZeroPage.named("page"), size, depth=depth) for size, depth in (near, far)
    )
    assert (inside.beyond, inside.stretch) == ("", 1)
    assert why in outside.beyond
    # As one more error, independent of the others, for each doubling; a larger block of larger requests counts once.
    assert outside.stretch >= 2**0.5
    assert width(outside.elapsed_s) > width(inside.elapsed_s)
    assert width(outside.cpu_s) > width(inside.cpu_s)
    near_ratio, far_ratio = (
        compare(Scenario(part, size, caller=FIO_WRITE, depth=depth), ("static",))[0].speedup
        for size, depth in ((MIB, near[1]), (MIB, far[1]))
    )
    if near[1] != far[1]:
        assert width(far_ratio) > width(near_ratio)


def test_a_zero_out_of_fewer_requests_than_were_in_flight_says_so(part):
    alone, many = (predict(Scenario(part, size, "page")) for size in (64 * KIB, 16 * MIB))
    assert "fewer in flight than measured" in alone.beyond
    assert many.beyond == ""
    assert alone.stretch > many.stretch == 1


def test_what_lies_beyond_an_end_scatters_as_what_was_left_out_there():
    scatter = Scatter(0.1, 0.05, fewer=0.01, more=0.4, smaller=0.02, larger=0.03)
    assert scatter.of(False, (0, 0, 0, 0)) == 0.1
    assert scatter.of(True, (0, 0, 0, 0)) == 0.05
    assert scatter.of(True, (1, 0, 0, 0)) == 0.05  # stretched by the square root of 2 later
    for doublings in (1, 3):
        stretched = scatter.of(True, (0, doublings, 0, 0)) * (1 + doublings) ** 0.5
        assert stretched == pytest.approx(0.4 * doublings**0.5)


def test_intervals_hold_what_was_left_out_at_an_end():
    # Every depth and block size is left out in turn; the first and the last are predicted from beyond the range.
    frames = [held_out_points(read_data_set(shipped.data("fio", name))).assign(set=name) for name in SETS]
    points = pd.concat(frames, ignore_index=True)
    points = points[points["way"] != "replicates"]
    value = points["left_out"].str.split(" ").str[1].astype(float)
    ends = points[["set", "way"]].assign(value=value).groupby(["set", "way"])["value"]
    outer = (value == ends.transform("min")) | (value == ends.transform("max"))
    held = points[outer].groupby(["set", "quantity"])["inside"].mean()
    assert held.min() >= 0.85, held
    deepest = points[outer & (points["way"] == "depth") & (points["quantity"] == "rate")]
    assert deepest.groupby(["set", "depth"])["inside"].mean().min() >= 0.85
    assert points[~outer].groupby(["set", "quantity"])["inside"].mean().between(0.85, 0.97).all()
