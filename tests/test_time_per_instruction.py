"""Time of an instruction: by CPU, by loop, and what a real kernel adds."""

import pandas as pd
import pytest

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.kernel_cpu.instructions import LOOPS, WORK, WorkCosts, fit_work, read_table, table_work
from zpmodel.kernel_cpu.time_per_instruction import (
    TURN_INSTRUCTIONS,
    any_cpu,
    fit_time_per_instruction,
    known_times,
    measure_time_per_instruction,
    time_by_kind,
)

CLOCK = ("zeroout-native.csv", "zeroout-instructions.csv", "AMD EPYC, Zen 3, by the clock")
CPU_TIME = ("zeroout-native-7.3.csv", "zeroout-instructions-7.3-tiny.csv", "AMD EPYC, Zen 3")
NO_LOCKS = ("zeroout-native-7.3-up.csv", CPU_TIME[1], "AMD EPYC, Zen 3, no locks")


def timed_and_counted(files: tuple[str, str, str]) -> tuple[pd.DataFrame, WorkCosts]:
    timed, counted = (read_table(shipped.data("kernel", name)) for name in files[:2])
    return timed, fit_work(counted, rounded_to=1000) if files == CLOCK else fit_work(counted)


@pytest.mark.parametrize("files", [CLOCK, CPU_TIME, NO_LOCKS])
def test_the_table_s_zen_3_is_what_the_timed_calls_give(files: tuple[str, str, str]) -> None:
    timed, counted = timed_and_counted(files)
    found, kept = fit_time_per_instruction(timed, counted), known_times()[files[2]]
    assert found.value == pytest.approx(kept.value, rel=0.05)
    assert found.low == pytest.approx(kept.low, rel=0.05)
    assert found.high == pytest.approx(kept.high, rel=0.1)
    with pytest.raises(InputError, match="1 GiB"):
        fit_time_per_instruction(timed[timed["length_bytes"] < 1 << 30], counted)


def test_what_one_time_for_all_kinds_is_off_by_lies_in_its_interval() -> None:
    # Loops over vectors run twice as fast as the rest: a machine's one number has to say so.
    timed, counted = timed_and_counted(CPU_TIME)
    kinds, kept = time_by_kind(timed, counted), known_times()[CPU_TIME[2]]
    assert kinds["loops"] < 0.5 * kinds["calls"]
    assert kept.low <= kinds["loops"] * 1.01
    assert kinds["calls"] * 0.99 <= kept.high
    # SYNTHETIC: times made of two known ones are found again, whatever a call costs.
    work = table_work(timed) * counted.costs
    loops = work[:, [WORK.index(name) for name in LOOPS]].sum(axis=1)
    made = timed.assign(cpu_ns=0.1 * loops + 0.3 * (work.sum(axis=1) - loops))
    assert time_by_kind(made, counted) == pytest.approx({"loops": 0.1, "calls": 0.3}, rel=1e-6)


def test_the_loop_and_the_user_mode_build_agree() -> None:
    """3.2 ns a turn, measured on the machine and the day of the user-mode build's table."""
    turn_ns, kept = 3.2, known_times()[CPU_TIME[2]]
    assert turn_ns / TURN_INSTRUCTIONS == pytest.approx(kept.value, rel=0.05)


def test_a_cpu_that_nobody_measured_may_be_any_of_those_measured() -> None:
    for one in known_times().values():
        assert any_cpu().low <= one.value <= any_cpu().high


def test_the_loop_gives_a_time_that_a_processor_can_have() -> None:
    found = measure_time_per_instruction(turns=20_000, repeats=5)
    assert found.low < found.value < found.high
    assert 0.01 < found.value < 10
    with pytest.raises(InputError, match="repeats"):
        measure_time_per_instruction(repeats=2)
