"""A device from somebody's published rates: left-out points of a real drive, and known costs found again."""

import numpy as np
import pandas as pd
import pytest

from zpmodel.base.errors import InputError
from zpmodel.base.units import KIB
from zpmodel.calibration.curve import device_from_curve, left_out_points, named_device
from zpmodel.calibration.groups import describe
from zpmodel.datasets.curve import curve_names, read_curve
from zpmodel.devices import Drive, Flat
from zpmodel.devices.closed_loop import closed_loop
from zpmodel.queue.presets import find_limits

BAR = 0.10


@pytest.fixture(scope="module")
def nvme_b():
    return read_curve("nvme-b")


def medians(found):
    return (found["predicted"] / found["rate"] - 1).abs().groupby(found["left_out"], sort=False).median()


def test_left_out_depths_and_blocks_of_a_real_drive_are_predicted(nvme_b):
    errors = medians(left_out_points(*nvme_b))
    assert len(errors) == 9 + 10
    assert errors.max() < BAR


def test_without_mapping_units_the_small_blocks_are_not(nvme_b):
    # 2 KiB writes go 162,000 a second on this drive, 4 KiB ones 747,000: no cost of a request or a byte says that.
    errors = medians(left_out_points(*nvme_b, kind=Flat()))
    assert errors[["block_bytes 512", "block_bytes 1024", "block_bytes 2048"]].max() > BAR


def test_known_costs_are_found_in_their_draws():
    # SYNTHETIC drive
    truth = Drive().with_fitted(np.array([12e-6, 40e-6, 1e-7, 2e-7, 3e-4, 0.2, 2e-3, 4e-6]))
    keys = pd.DataFrame(
        [(KIB << i, 1 << j, "malloc", 0) for i in range(8) for j in range(0, 9, 2)],
        columns=["block_bytes", "depth", "memory", "max_sectors_kb"],
    )
    _, load = describe(find_limits("nvme-mdts5"), truth, keys)
    rng = np.random.default_rng(0)
    rate = closed_loop(truth.path(), load._replace(path=load.path + 1e-9)) * np.exp(rng.normal(0, 0.02, len(keys)))
    device = device_from_curve(keys.assign(rate=rate), "synthetic")
    for name in ("latency", "mend", "mebibyte", "partial"):
        low, high = np.quantile(getattr(device.draws.parameters, name), [0.02, 0.98])
        assert low <= getattr(truth.parameters, name) <= high, name
    # 4 KiB pages alone don't say what is a segment's and what a byte's.
    low, high = np.quantile(device.draws.parameters.segment, [0.05, 0.95])
    assert high > 5 * low


def test_a_shipped_curve_has_its_source_and_its_reach():
    assert "nvme-b" in curve_names()
    device = named_device("nvme-b")
    assert "stonet-research" in device.source
    assert device.reach.request_bytes == (512, 128 * KIB)
    assert device.reach.memories == ("malloc",)
    assert device.best.known() == {"unit_bytes": 4096}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "block_bytes,depth\n4096,1\n",
        "block_bytes,depth,rate\n4096,1,0\n",
        "block_bytes,depth,rate\n4096,1,inf\n",
        "block_bytes,depth,rate\n4096,1,nan\n",
        "block_bytes,depth,rate\n-1,1,5\n",
        "block_bytes,depth,rate\n4096,1e300,5\n",
        "block_bytes,depth,rate\n9999999999999,1,5\n",
        "block_bytes,depth,rate,memory\n4096,1,5,rope\n",
        "block_bytes,depth,rate\n4096,1,5,6\n",
        "block_bytes,depth,rate\n",
        '"',
    ],
)
def test_tables_that_are_none_are_refused(tmp_path, text):
    (tmp_path / "curve.csv").write_text(text)
    with pytest.raises(InputError, match="curve"):
        named_device(str(tmp_path / "curve.csv"))


def test_names_that_are_none_are_refused():
    with pytest.raises(InputError, match="nvme-b"):
        named_device("nvme-zz")
