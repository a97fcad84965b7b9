"""Time of an instruction: by CPU, by loop, and what a real kernel adds."""

import pytest

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.kernel_cpu.instructions import fit_work, read_table
from zpmodel.kernel_cpu.time_per_instruction import (
    any_cpu,
    fit_time_per_instruction,
    known_times,
    measure_time_per_instruction,
)


def test_the_table_s_zen_3_is_what_the_timed_calls_give() -> None:
    counted = fit_work(read_table(shipped.data("kernel", "zeroout-instructions.csv")), rounded_to=1000)
    timed = read_table(shipped.data("kernel", "zeroout-native.csv"))
    found, kept = fit_time_per_instruction(timed, counted), known_times()["AMD EPYC, Zen 3"]
    assert found.value == pytest.approx(kept.value, rel=0.05)
    assert found.low == pytest.approx(kept.low, rel=0.05)
    assert found.high == pytest.approx(kept.high, rel=0.1)
    with pytest.raises(InputError, match="1 GiB"):
        fit_time_per_instruction(timed[timed["length_bytes"] < 1 << 30], counted)


def test_a_cpu_that_nobody_measured_may_be_any_of_those_measured() -> None:
    for one in known_times().values():
        assert any_cpu().low <= one.value <= any_cpu().high


def test_the_loop_gives_a_time_that_a_processor_can_have() -> None:
    found = measure_time_per_instruction(turns=20_000, repeats=5)
    assert found.low < found.value < found.high
    assert 0.01 < found.value < 10
    with pytest.raises(InputError, match="repeats"):
        measure_time_per_instruction(repeats=2)
