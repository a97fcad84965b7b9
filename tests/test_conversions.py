"""Gains by conversion: exact zeros where nothing changes, losses where more is done, and the order that follows."""

import pytest
import synthetic

from zpmodel.calibration.calibrate import calibrate
from zpmodel.calibration.machine_file import load_machine
from zpmodel.callers.find import all_callers, find_caller
from zpmodel.callers.table import change
from zpmodel.study.compare import compare
from zpmodel.study.conversions import STEPS, gain, gains
from zpmodel.study.scenario import Scenario


@pytest.fixture(scope="module")
def machine():
    return load_machine("nvme-mailing-list")


def of(machine, name, step):
    return gain(machine, find_caller(name), step)


def test_a_zero_out_is_done_and_gains_what_compare_says(machine):
    done = of(machine, "blkdev_issue_zero_pages", "done by 7.3")
    static = compare(Scenario(machine, 2 << 20), ("page", "static"))[1]
    assert done.verdict == "gains"
    assert done.cpu_saved_s.value == pytest.approx(static.cpu_saved_s.value * 512)
    assert done.speedup.value == pytest.approx(static.speedup.value)


def test_who_cannot_gain_gains_nothing(machine):
    for name in ("iomap_dio_zero", "zero_iter"):
        found = of(machine, name, "all of it")
        assert found.verdict == "nothing"
        assert (found.cpu_saved_s.low, found.cpu_saved_s.high) == (0, 0)
        assert found.worth == "no: nothing changes"


def test_who_loses_is_said_to_lose(machine):
    lost = of(machine, "iomap_dio_zero", "option off since 6.12")
    assert lost.verdict == "loses"
    assert lost.cpu_saved_s.high < 0
    assert lost.speedup.value < 1
    assert "costs" in lost.worth


def test_who_is_gone_has_no_gain(machine):
    assert of(machine, "bch2_checksum_update", "left to do") is None


def test_what_no_cost_is_known_of_is_not_priced(machine):
    sends = of(machine, "nvme_tcp_try_send_data", "done by 7.3")
    assert sends.verdict == "not known"
    assert sends.cpu_saved_s is None
    assert sends.calls[0] > 100 * sends.calls[1]


@pytest.mark.parametrize("which", ["nvme-mailing-list", "fitted"])
def test_what_the_counts_and_the_prices_say_of_a_step_agree(machine, which):
    asked = machine if which != "fitted" else calibrate(synthetic.data_set(1), resamples=20)
    for caller in all_callers():
        for step, (before, after) in STEPS.items():
            counted, priced = change(caller, before, after).verdict, gain(asked, caller, step)
            if priced is not None:
                assert (counted == "nothing to gain") == (priced.verdict == "nothing"), (caller.facts.name, step)
    tables = of(asked, "blkdev_issue_zero_pages", "left to do")
    if which == "fitted":  # fio's write asks for no table of vectors that it does not need
        assert tables.worth == "not known: no cost here is of vectors allocated from 131,072 to 512 for each GiB"
    assert tables.row()["verdict"] == ("not known" if which == "fitted" else "gains")


def test_finishing_saves_tables_and_little_else(machine):
    left = of(machine, "blkdev_issue_zero_pages", "left to do")
    assert left.cpu_saved_s.low > 0
    assert left.cpu_share.high < 0.05
    assert left.worth.startswith("hardly")


def test_steps_add_up(machine):
    for name in ("blkdev_issue_zero_pages", "fscrypt_zeroout_range", "dm_kcopyd_zero", "sb_issue_zeroout"):
        done, left, whole = (of(machine, name, step).cpu_saved_s.value for step in list(STEPS)[1:])
        assert done + left == pytest.approx(whole)


def test_copies_by_a_cpu_do_not_surely_gain(machine):
    assert of(machine, "rxperf_process_call", "left to do").verdict in ("not to be told apart", "loses")


def test_the_order_is_by_cpu_time_saved(machine):
    for step in STEPS:
        saved = [item.cpu_saved_s.value for item in gains(machine, step) if item.cpu_saved_s is not None]
        assert saved == sorted(saved, reverse=True)
    left = [item.user for item in gains(machine) if item.worth.startswith("yes")]
    assert left == ["dm_kcopyd_zero", "fscrypt_zeroout_range"]
    assert {item.user for item in gains(machine)} <= {caller.facts.name for caller in all_callers()}
    # Translation for each segment makes each vector dearer, so each conversion worth more.
    lazy = of(load_machine("nvme-mailing-list", iommu="lazy"), "dm_kcopyd_zero", "left to do")
    assert lazy.cpu_saved_s.value > of(machine, "dm_kcopyd_zero", "left to do").cpu_saved_s.value
