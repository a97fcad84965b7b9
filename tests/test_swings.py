"""Swings: each input alone, at both ends of its range, is what the model says there; and the chart that shows them."""

import here
import pytest

from zpmodel.base.errors import InputError
from zpmodel.calibration.machine_file import load_machine
from zpmodel.report.charts.sensitivity import tornado
from zpmodel.report.charts.theme import themed
from zpmodel.study.compare import compare
from zpmodel.study.inputs import apply, best_only
from zpmodel.study.scenario import Scenario
from zpmodel.study.sensitivity import sensitivity, spans_of
from zpmodel.study.sweep import Span, answer
from zpmodel.study.swings import swings


@pytest.fixture(scope="module")
def base():
    return Scenario(load_machine("nvme-mailing-list"))


def test_an_end_is_what_compare_says_there(base):
    spans = {"device.bandwidth": Span(1e9, 7e9), "cpu.factor": Span(0.5, 2.0), "device.latency": Span(1e-5, 1e-4)}
    found = swings(base, spans)
    assert found.table["input"].tolist() == ["device.bandwidth", "cpu.factor", "device.latency"]
    fast = compare(apply(base, {"device.bandwidth": 7e9}), ("static",))[0].speedup.value
    assert found.table["at_high"][0] == pytest.approx(fast)
    assert found.best == pytest.approx(compare(base, ("static",))[0].speedup.value)
    assert found.words.startswith("device.bandwidth (1 GB/s to 7 GB/s: 1.009 to 1.058)")
    assert found.words.endswith("the other less. Know device.bandwidth better first.")


def test_a_counted_cpu_takes_a_factor_and_no_other(base):
    found = swings(base, {"cpu.factor": Span(0.5, 2.0), "device.latency": Span(1e-5, 1e-4)}, output="cpu_saved_s")
    saved = compare(base, ("static",))[0].cpu_saved_s.value
    assert found.table[["at_low", "at_high"]].to_numpy().tolist() == [
        pytest.approx([saved / 2, saved * 2]),
        pytest.approx([saved, saved]),
    ]
    assert "ms) moves the CPU saved most" in found.words
    for bad in ({"cpu.vector": 2.0}, {"cpu.factor": 0.0}, {"cpu.factor": 2.0, "cpu.wait": 2.0}):
        with pytest.raises(InputError, match=r"cpu\.factor alone"):
            apply(base, bad)


def test_best_values_need_no_draws(base):
    alone = Scenario(best_only(base.machine))
    assert alone.machine.cpu.draws == 1
    assert answer(alone) == pytest.approx(answer(base))


def test_a_composed_machines_own_uncertainty_is_its_time_per_instruction_and_its_drive(base):
    assert {"cpu.factor", "device.mebibyte", "device.overlap"} <= set(spans_of(base.machine))
    names = swings(base).table["input"].tolist()
    assert names[0] == "device.bandwidth"
    assert "device.mebibyte" not in names


def test_ranges_of_bytes_are_whole_blocks(base):
    spans = {"length": Span(3000, 1 << 20, True), "device.bandwidth": Span(1e9, 7e9)}
    assert swings(base, spans).table.set_index("input").loc["length", "low"] == 3072
    assert sensitivity(base, spans, samples=4).varies > 0


@pytest.mark.parametrize(
    ("spans", "output", "wrong"),
    [
        ({"cpu.nonsense": Span(1, 2)}, "speedup", "input"),
        ({"cpu.factor": Span(1, 2)}, "nonsense", "output"),
        ({"max_sectors": Span(0, 8)}, "speedup", "max_sectors: 0"),
    ],
)
def test_what_makes_no_sense_is_refused(base, spans, output, wrong):
    with pytest.raises(InputError, match=wrong):
        swings(base, spans, output=output)


def test_a_tornado_has_its_widest_bar_on_top_and_says_each_end(base):
    found = swings(base)
    with themed():
        spec = tornado(found).to_dict()
    (rows,) = [rows for rows in spec["datasets"].values() if len(rows) == 2 * len(found.table)]
    assert [row["input"] for row in rows[::2]] == found.labels()
    assert found.labels()[0].startswith("device.bandwidth: 1.0")
    assert [rows[0]["at"], rows[1]["at"]] == found.table.loc[0, ["at_low", "at_high"]].tolist()
    assert spec["title"]["text"] == "What moves the speed-up"


def test_the_command_draws_it_and_overwrites_nothing(tmp_path):
    pytest.importorskip("SALib")
    command = ["sensitivity", "--samples", "4", "--machine", "nvme-mailing-list", "--chart"]
    for name, begins in (("a.svg", b"<svg"), ("a.png", b"\x89PNG")):
        done = here.run(*command, tmp_path / name)
        assert (done.returncode, done.stderr) == (0, "")
        assert (tmp_path / name).read_bytes().startswith(begins)
    assert "cpu.factor: 0.586 to 1.77" in (tmp_path / "a.svg").read_text()
    for name, wrong in (("a.svg", "never overwritten"), ("a.pdf", "ends in .svg"), ("no/a.svg", "no folder")):
        done = here.run(*command, tmp_path / name)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert wrong in done.stderr
