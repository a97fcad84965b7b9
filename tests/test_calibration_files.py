"""A calibration and its file."""

import json
from dataclasses import replace

import pytest
import synthetic
from click.testing import CliRunner

from zpmodel.base.errors import InputError
from zpmodel.base.units import GIB
from zpmodel.calibration import store
from zpmodel.calibration.calibrate import calibrate
from zpmodel.commands.main import app
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.timing.predict import predict_zeroout


@pytest.fixture(scope="module")
def model():
    return calibrate(synthetic.data_set(6), resamples=100)


def test_a_calibration_survives_its_file(model, tmp_path):
    store.save(model, tmp_path / "machine.json")
    again = store.read(tmp_path / "machine.json")
    assert again.limits.max_segments == model.limits.max_segments
    assert again.cpu.total == pytest.approx(model.cpu.total, rel=1e-5)
    assert again.device.best == model.device.best.with_fitted(again.device.best.parameters)
    before, after = (predict_zeroout(m, ZeroPage.named("static"), GIB) for m in (model, again))
    assert after.elapsed_s.value == pytest.approx(before.elapsed_s.value, rel=1e-4)
    assert after.elapsed_s.high == pytest.approx(before.elapsed_s.high, rel=0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["machine.json"]


def test_what_was_assumed_goes_with_a_calibration(model, tmp_path):
    store.save(replace(model, assumed=("CPU time is of one thread",)), tmp_path / "machine.json")
    assert store.read(tmp_path / "machine.json").assumed == ("CPU time is of one thread",)
    asked = ["--calibration", str(tmp_path / "machine.json")]
    for command in (["compare", *asked, "--length", "1MiB"], ["answers", "1", *asked]):
        found = CliRunner().invoke(app, command)
        assert found.exit_code == 0
        assert "takes for granted: CPU time is of one thread" in found.stderr


def test_a_calibration_tells_no_path_of_whoever_made_it(model, tmp_path):
    driver = replace(model.driver, source=f"{tmp_path}/my-set/machine.toml")
    store.save(replace(model, driver=driver), tmp_path / "machine.json")
    text = (tmp_path / "machine.json").read_text()
    assert "my-set/machine.toml" in text
    assert '"/' not in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    "change",
    [
        {"format": 99},
        {"name": ["x"]},
        {"cpu": None},
        {"driver": {}},
        {"ratio_scatter": -1},
        {"ratio_scatter": 1e9},
        {"device": "x"},
        {"more": 1},
    ],
)
def test_calibrations_that_are_none_are_refused(model, tmp_path, change):
    store.save(model, tmp_path / "machine.json")
    broken = json.loads((tmp_path / "machine.json").read_text()) | change
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    with pytest.raises(InputError, match=r"broken\.json"):
        store.read(tmp_path / "broken.json")
