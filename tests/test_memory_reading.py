import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zpmodel.base import shipped
from zpmodel.base.errors import InputError, RefusedError
from zpmodel.memory.machines import Caches, Machine, Tlb, read_machine
from zpmodel.memory.reading.mapped import mapped
from zpmodel.memory.reading.model import ReadingModel, fit_reading


@pytest.fixture(scope="module")
def measured() -> pd.DataFrame:
    return pd.read_csv(shipped.data("memory", "epyc-turin", "microbench.csv"))


@given(
    costs=st.lists(st.floats(0, 10), min_size=11, max_size=11),
    target=st.integers(4096, 1 << 30),
    l1=st.sampled_from([16 << 10, 32 << 10, 64 << 10, 3 << 20]),
    operation=st.sampled_from(["copy", "sum"]),
)
@settings(deadline=None, max_examples=200)
def test_a_reader_never_gains_from_2_mib_unless_the_tlb_says_why(
    costs: list[float], target: int, l1: int, operation: str
) -> None:
    costs[0] = costs[1] = 0.5
    machine = Machine("any", "any", Caches(l1, 8 << 20, 64 << 20), Tlb(64, 1024), {})
    model = ReadingModel(machine, np.array(costs), np.array([costs, costs]), 0.1)
    small = model.predict(operation, "page", target).iloc[0]
    for source in ("static", "on-demand", "virtual"):
        large = model.predict(operation, source, target).iloc[0]
        gains = large["bandwidth_bytes_per_s"] > small["bandwidth_bytes_per_s"] * (1 + 1e-9)
        assert not gains or small["tlb_ns"] > large["tlb_ns"]


def test_measured_reader_loses_from_2_mib_and_takes_cache(measured: pd.DataFrame) -> None:
    model = fit_reading(measured, read_machine("epyc-turin"))
    small, large = (model.predict("copy", source, 4096).iloc[0] for source in ("page", "static"))
    assert large["high_bytes_per_s"] < small["bandwidth_bytes_per_s"]
    assert (large["llc_bytes"], large["llc_share"]) == (2 << 20, 1 / 16)
    assert small["llc_bytes"] == 0


def test_half_of_the_measured_points_predict_the_rest(measured: pd.DataFrame) -> None:
    keys = ["operation", "mapping", "source_bytes", "target_bytes"]
    points = measured[measured["operation"] != "clear"].groupby(keys)["bandwidth_bytes_per_s"].median().reset_index()
    points = points.sample(frac=1, random_state=7)
    model = fit_reading(points.iloc[::2], read_machine("epyc-turin"))
    errors = []
    for row in points.iloc[1::2].itertuples():
        source = "virtual" if row.mapping == "virtual" else "static"
        guess = model.predict(row.operation, source, max(row.target_bytes, 4096), source_bytes=row.source_bytes)
        errors.append(abs(guess["bandwidth_bytes_per_s"][0] / row.bandwidth_bytes_per_s - 1))
    assert np.median(errors) < 0.12


def test_virtual_huge_page_costs_tlb_entries_not_cache(measured: pd.DataFrame) -> None:
    model = fit_reading(measured, read_machine("epyc-turin"))
    got = model.predict("copy", "virtual", 4096).iloc[0]
    assert (got["source_ns"], got["llc_bytes"]) == (0, 0)
    assert got["tlb_ns"] + got["alias_ns"] > 0


def test_what_is_wrong_is_named(measured: pd.DataFrame) -> None:
    model = fit_reading(measured, read_machine("epyc-turin"))
    with pytest.raises(InputError, match="operation"):
        model.predict("xor", "page")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="target_bytes"):
        model.predict("copy", "page", 0)
    with pytest.raises(InputError, match="tlb"):
        fit_reading(measured, read_machine("icelake-x-8358"))


def test_one_page_mapped_many_times_reads_zeroes_everywhere() -> None:
    with mapped(64 << 10, "virtual") as words:
        assert words.size == 8192
        assert not words.any()


def test_micro_benchmark_measures_every_operation() -> None:
    from zpmodel.memory.reading.microbench import measure

    try:
        table = measure(seconds=0.0005, repeats=1, largest_bytes=4 << 20)
    except RefusedError as reason:
        pytest.skip(str(reason))
    assert set(table["operation"]) == {"clear", "sum", "copy"}
    assert table["bandwidth_bytes_per_s"].between(1e7, 1e12).all()
