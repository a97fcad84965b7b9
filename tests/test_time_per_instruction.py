"""Time of an instruction: by CPU, by loop, and what a real kernel adds."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.kernel_cpu import time_per_instruction
from zpmodel.kernel_cpu.instructions import LOOPS, WORK, WorkCosts, fit_work, read_table, table_work
from zpmodel.kernel_cpu.time_per_instruction import (
    LIKE,
    TURN_INSTRUCTIONS,
    any_cpu,
    known_times,
    measure_time_per_instruction,
    time_by_kind,
)

TINY = "zeroout-instructions-7.3-tiny.csv"
ZEN_3 = "AMD EPYC, Zen 3"
TIMED = {
    ZEN_3: ("zeroout-native-7.3.csv", TINY),
    f"{ZEN_3}, by the clock": ("zeroout-native.csv", "zeroout-instructions.csv"),
    f"{ZEN_3}, no locks": ("zeroout-native-7.3-up.csv", TINY),
}


def timed_and_counted(name: str) -> tuple[pd.DataFrame, WorkCosts]:
    timed, counted = (read_table(shipped.data("kernel", file)) for file in TIMED[name])
    return timed, fit_work(counted) if TIMED[name][1] == TINY else fit_work(counted, rounded_to=1000)


def thunks(built_with: int) -> pd.DataFrame:
    table = read_table(shipped.data("kernel", "zeroout-native-7.3-thunks.csv"))
    return table[table["thunks"] == built_with]


@pytest.mark.parametrize("name", TIMED)
def test_the_table_s_zen_3_is_what_the_timed_calls_give(name: str) -> None:
    timed, counted = timed_and_counted(name)
    kept = known_times()[name]
    for kind, value in time_by_kind(timed, counted).items():
        found = getattr(kept, kind)
        assert found.low <= value <= found.high
        assert found.value == pytest.approx(value, rel=0.01)
    with pytest.raises(InputError, match="1 GiB"):
        time_by_kind(timed[timed["length_bytes"] < 1 << 30], counted)


def test_every_boot_lies_in_the_zen_3_s_intervals_and_thunks_add_the_same_everywhere() -> None:
    _, counted = timed_and_counted(ZEN_3)
    kept = known_times()[ZEN_3]
    for _, boot in thunks(0).groupby("boot"):
        for kind, value in time_by_kind(boot, counted).items():
            assert getattr(kept, kind).low <= value <= getattr(kept, kind).high
    form = ["zero_page_bytes", "max_sectors_kb", "length_bytes"]
    bare, thunked = (thunks(built_with).groupby(form)["cpu_ns"].median() for built_with in (0, 1))
    times = (thunked / bare)[bare.index.get_level_values("length_bytes") >= 1 << 30]
    assert len(times) == 24
    assert 2.45 < times.min() < times.median() < times.max() < 2.75
    assert kept.added.low < times.min() < kept.added.value < 1.15 * times.max() < kept.added.high


def test_two_known_times_are_found_again() -> None:
    """SYNTHETIC: whatever a call costs; and loops over vectors are the quicker ones where both were measured."""
    timed, counted = timed_and_counted(ZEN_3)
    work = table_work(timed) * counted.costs
    loops = work[:, [WORK.index(name) for name in LOOPS]].sum(axis=1)
    made = timed.assign(cpu_ns=0.1 * loops + 0.3 * (work.sum(axis=1) - loops))
    assert time_by_kind(made, counted) == pytest.approx({"loops": 0.1, "calls": 0.3}, rel=1e-6)
    for one in known_times().values():
        assert one.loops.value < one.calls.value


def test_kinds_are_alike_from_cpu_to_cpu_as_the_table_says() -> None:
    logs = np.log([[one.loops.value, one.calls.value] for name, one in known_times().items() if name.startswith("AMD")])
    assert np.corrcoef(logs.T)[0, 1] == pytest.approx(LIKE, abs=0.1)


def test_the_loop_and_the_user_mode_build_agree() -> None:
    """3.2 ns a turn, measured on the machine and the day of the user-mode build's table."""
    timed, counted = timed_and_counted(ZEN_3)
    for kind, value in time_by_kind(timed, counted).items():
        assert 3.2 / TURN_INSTRUCTIONS[kind] == pytest.approx(value, rel=0.02)


def test_a_cpu_that_nobody_measured_may_be_any_of_those_measured() -> None:
    for name, one in known_times().items():
        for kind in ("loops", "calls") if "clock" not in name else ():
            assert getattr(any_cpu(), kind).low <= getattr(one, kind).value <= getattr(any_cpu(), kind).high


def test_the_loop_gives_a_time_that_a_processor_can_have(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = measure_time_per_instruction(turns=20_000, repeats=5)
    for each in (found.loops, found.calls):
        assert each.low < each.value < each.high
        assert 0.005 < each.value < 10
    with pytest.raises(InputError, match="repeats"):
        measure_time_per_instruction(repeats=2)
    # Whether returns go through thunks is what the kernel says of itself; one that says nothing may be any.
    (tmp_path / "thunks").write_text("Mitigation: Safe RET\n")
    for file, added in (("thunks", known_times()[ZEN_3].added), ("none", any_cpu().added)):
        monkeypatch.setattr(time_per_instruction, "_THUNKS", tmp_path / file)
        assert measure_time_per_instruction(turns=1000, repeats=3).added == added


@pytest.mark.parametrize("line", [["/nonexistent.csv"], [], ["a", "b"], ["{folder}/empty.csv"]], ids=str)
def test_bad_input_is_one_line(line: list[str], tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("a,b\n")
    asked = [argument.format(folder=tmp_path) for argument in line]
    command = [sys.executable, "-m", "zpmodel.kernel_cpu.time_per_instruction", *asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "is not accepted; expected" in done.stderr
