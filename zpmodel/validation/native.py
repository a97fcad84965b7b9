"""Nanoseconds of the kernel's own zero-out: fitted on one size of request, predicted on others, and on other folios."""

from collections.abc import Iterator

import pandas as pd

from zpmodel.base import shipped
from zpmodel.base.units import GIB, KIB, MIB, format_size
from zpmodel.datasets.schema import DataSet
from zpmodel.kernel_cpu.instructions import fit_work, limits_of, read_table
from zpmodel.kernel_cpu.nanoseconds import CONFIGURATION, WorkTime, fit_time
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.validation.instructions import range_of, whole_instruction_costs
from zpmodel.validation.score import Bar, Score

TITLE = "Nanoseconds of the kernel's own zero-out"

_NATIVE_BAR = 0.15
_PAGES = (4 * KIB, 2 * MIB)


def scores(data: DataSet) -> Iterator[Score]:
    """Fit times on one request size, predict medians of the others: by the clock, and CPU time of another build."""
    table = read_table(shipped.data("kernel", "zeroout-native.csv"))
    instructions = whole_instruction_costs()
    for fitted, asked in ((128, 512), (512, 128)):
        times = fit_time(table[table["max_sectors_kb"] == fitted], instructions)
        rest = table[table["max_sectors_kb"] == asked]
        source = "data/kernel/zeroout-native.csv, medians over two boots"
        yield from _medians(times, rest, f"from {fitted} KiB", source)
    name = "zeroout-native-7.3.csv"
    table = read_table(shipped.data("kernel", name))
    table["elapsed_ns"] = table["cpu_ns"]
    counted = fit_work(read_table(shipped.data("kernel", "zeroout-instructions-7.3-tiny.csv")))
    known = (table["max_sectors_kb"] == 128) & table["zero_page_bytes"].isin(_PAGES)
    times = fit_time(table[known], counted)
    source = f"data/kernel/{name}, CPU time, medians over four boots"
    yield from _medians(times, table[~known], "CPU time, from 128 KiB and pages of 4 KiB and 2 MiB", source)


def _medians(times: WorkTime, rest: pd.DataFrame, known: str, source: str) -> Iterator[Score]:
    for _, group in rest.groupby([*CONFIGURATION, "length_bytes"]):
        row = group.iloc[:1].to_dict("records")[0]
        length, page = int(row["length_bytes"]), ZeroPage("folio", int(row["zero_page_bytes"]))
        found = times.predict(page, limits_of(row), length).scaled(1e-6)
        bar = Bar(_NATIVE_BAR if length >= GIB else None, interval=True)
        truth = f"{range_of(row)}, {format_size(int(row['max_sectors']) * 512)} requests, {known}"
        yield Score.of("native", truth, float(group["elapsed_ns"].median()) / 1e6, found, "ms", bar, source)
