"""Nanoseconds of the kernel's own zero-out: fitted on one size of request, predicted on the other."""

from collections.abc import Iterator

from zpmodel.base import shipped
from zpmodel.base.units import GIB
from zpmodel.datasets.schema import DataSet
from zpmodel.kernel_cpu.instructions import limits_of, read_table
from zpmodel.kernel_cpu.nanoseconds import CONFIGURATION, fit_time
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.validation.instructions import range_of, whole_instruction_costs
from zpmodel.validation.score import Bar, Score

TITLE = "Nanoseconds of the kernel's own zero-out"

_NATIVE_BAR = 0.15


def scores(data: DataSet) -> Iterator[Score]:
    """Fit times on one request size, predict medians of the other."""
    table = read_table(shipped.data("kernel", "zeroout-native.csv"))
    instructions = whole_instruction_costs()
    for fitted, asked in ((128, 512), (512, 128)):
        times = fit_time(table[table["max_sectors_kb"] == fitted], instructions)
        rest = table[table["max_sectors_kb"] == asked]
        for _, group in rest.groupby([*CONFIGURATION, "length_bytes"]):
            row = group.iloc[:1].to_dict("records")[0]
            length, page = int(row["length_bytes"]), ZeroPage("folio", int(row["zero_page_bytes"]))
            found = times.predict(page, limits_of(row), length).scaled(1e-6)
            bar = Bar(_NATIVE_BAR if length >= GIB else None, interval=True)
            truth = f"{range_of(row)}, {asked} KiB requests, from {fitted} KiB"
            source = "data/kernel/zeroout-native.csv, medians over two boots"
            yield Score.of("native", truth, float(group["elapsed_ns"].median()) / 1e6, found, "ms", bar, source)
