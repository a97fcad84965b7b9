"""One rule says what an interval tells, wherever it is asked: gain, loss, no gain, or unknown with what to measure."""

import json

import cut_sets
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from test_subsets import base

from zpmodel.base import shipped
from zpmodel.base.estimate import Estimate
from zpmodel.base.units import GIB, MIB
from zpmodel.calibration.calibrate import calibrate
from zpmodel.calibration.held_out import run_noise
from zpmodel.calibration.machine_file import load_machine
from zpmodel.calibration.observed import FLOOR
from zpmodel.calibration.store import save
from zpmodel.calibration.summary import contrast
from zpmodel.commands.main import app
from zpmodel.datasets import read_data_set
from zpmodel.report import answer_words
from zpmodel.study import what_if
from zpmodel.study.answers.all import answer, answer_all, asked_of
from zpmodel.study.answers.base import Asked
from zpmodel.study.answers.limits import SPEEDS
from zpmodel.study.compare import compare
from zpmodel.study.conversions import WORTH_SHARE, Gain, gains
from zpmodel.study.scenario import Scenario
from zpmodel.study.verdict import NO_GAIN_WITHIN, verdict_of

UNIFORM = "taken as uniform in [0, 1]"


@pytest.fixture(scope="module")
def loop():
    return calibrate(read_data_set(shipped.data("fio", "kvm-zen5-loop")))


@given(low=st.floats(0.01, 3), middle=st.floats(0.01, 3), high=st.floats(0.01, 3))
def test_no_gain_excludes_a_gain_that_anybody_would_care_about(low, middle, high):
    ratio = Estimate(*(sorted((low, middle, high))[i] for i in (1, 0, 2)))
    said = verdict_of(ratio)
    assert said.startswith("no gain") <= (ratio.high <= NO_GAIN_WITHIN)
    assert (said == "no gain") <= (ratio.low >= 1 / NO_GAIN_WITHIN)
    assert (said == "gain") <= (ratio.low > 1)
    assert (said == "unknown") <= (ratio.high > NO_GAIN_WITHIN and (round(ratio.low, 3) <= 1 or ratio.value < 1.005))
    # The same question from the other side.
    assert (verdict_of(ratio.inverse()) == "gain") == (said == "loss")


def test_five_per_cent_is_what_the_package_calls_worth_a_change_and_believes_of_a_median():
    assert pytest.approx(WORTH_SHARE) == NO_GAIN_WITHIN - 1
    assert pytest.approx(FLOOR) == NO_GAIN_WITHIN - 1
    for name, noise in (("kvm-zen5-loop", 0.06), ("kvm-zen5-virtio", 0.03), ("kvm-zen3-virtio", 0.02)):
        assert run_noise(read_data_set(shipped.data("fio", name)))["ratio"] == pytest.approx(noise, abs=0.005)


def test_the_loop_device_is_not_said_to_gain_nothing_where_its_own_pairs_gain(loop):
    pairs = contrast(read_data_set(shipped.data("fio", "kvm-zen5-loop")))
    assert pairs.loc[pairs["block_bytes"] >= 512 << 10, "throughput"].mean() > 1.3
    for length in (64 << 10, MIB, GIB):
        _, on_demand, static = compare(Scenario(loop, length))
        for found in (on_demand, static):
            assert "no gain" not in found.hedged
            assert found.verdict == "unknown"
            assert "repeat fio's pairs" in found.to_measure or found.hangs_on_life


def test_a_command_says_of_what_is_unknown_what_to_measure(loop, tmp_path):
    save(loop, tmp_path / "loop.json")
    asked = ["compare", "--calibration", str(tmp_path / "loop.json")]
    shown = CliRunner().invoke(app, asked, catch_exceptions=False).stdout
    assert "static: can't be told from these data, [0.9" in shown
    assert "repeat fio's pairs of both memories" in shown
    rows = json.loads(CliRunner().invoke(app, [*asked, "--json"], catch_exceptions=False).stdout)["policies"]
    assert [row["verdict"] for row in rows] == ["-", "unknown", "unknown"]
    assert all("repeat fio's pairs" in row["to_measure"] for row in rows[1:])


def test_a_fleet_counts_apart_of_whom_it_cannot_be_told(loop, tmp_path):
    save(loop, tmp_path / "loop.json")
    (tmp_path / "fleet.csv").write_text(
        "gib_per_day,machines,calibration,machine\n10,3,loop.json,\n10,2,,nvme-mailing-list\n"
    )
    shown = CliRunner().invoke(app, ["fleet", str(tmp_path / "fleet.csv")], catch_exceptions=False).stdout
    assert "2 of 5 machines gain in elapsed time, of 3 it can't be told;" in shown


def test_where_the_call_finds_its_folio_there_is_a_verdict_and_its_life_is_what_is_missing():
    machine = calibrate(read_data_set(shipped.data("fio", "kvm-zen5-virtio")))
    _, on_demand, static = compare(Scenario(machine, MIB))
    assert (on_demand.verdict, static.verdict) == ("unknown", "gain")
    assert "count how often calls find the folio" in on_demand.to_measure


@pytest.mark.parametrize("speed", SPEEDS)
def test_answers_and_compare_say_the_same_of_a_slow_drive(speed):
    static = compare(Scenario(load_machine("nvme-mailing-list", device=speed)))[2]
    said = answer(asked_of(), 7)
    assert static.verdict == "gain"
    assert next(each for each in said.figures if each.what.endswith(speed)).estimate == static.speedup
    for word in ("no gain", "next to nothing"):
        assert word not in said.sentence


def test_what_hangs_on_how_much_is_hidden_says_what_was_taken_for_it():
    asked = asked_of()
    for text in (
        answer(asked, 1).sentence,
        answer(asked, 7).sentence,
        answer_words.first_screen(asked, answer_all(asked)).replace("\\", ""),
        CliRunner().invoke(app, ["compare", "--machine", "nvme-mailing-list"], catch_exceptions=False).stdout,
    ):
        assert UNIFORM in text
    assert "times as fast (gain)" in what_if.sentence(what_if.table("ebs"), {"speed": 1})


def test_a_patch_that_may_save_much_or_little_is_neither_worth_it_nor_hardly():
    def worth(low, high):
        return Gain("user", "all of it", Estimate(2, 1, 3), Estimate(low, low, high), None, (1, 1)).worth.split(":")[0]

    assert [worth(0.06, 0.4), worth(0.03, 0.4), worth(0.01, 0.04)] == ["yes", "perhaps", "hardly"]
    users = answer(asked_of(), 9).sentence
    assert "rxperf_process_call" in users.split("Not known:")[1]  # it may save or cost: that is no "not"


@pytest.mark.parametrize("memory", ["malloc", "mmaphuge"])
def test_with_one_kind_of_buffer_no_answer_says_that_nothing_is_saved(memory, tmp_path):
    cut_sets.cut(tmp_path / "set", lambda point: base(point) and point.memory == memory)
    machine = calibrate(read_data_set(tmp_path / "set"), resamples=30)
    by_number = {each.number: each.sentence for each in answer_all(Asked(machine, "--calibration one.json"))}
    for number in (2, 3):
        assert by_number[number].startswith("It can't be known from the data of")
    assert "nobody measured" not in by_number[1]
    assert "Worth a patch (surely 5% of the user's CPU time or more): none." in by_number[9]
    for item in gains(machine):
        assert not item.worth.startswith(("yes", "perhaps", "hardly")), item
    assert pytest.approx(0.05) == WORTH_SHARE
