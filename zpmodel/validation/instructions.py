"""Instructions of the kernel's own zero-out: fitted on one size of request, predicted on others."""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from zpmodel.base import shipped
from zpmodel.base.units import KIB, MIB, format_size
from zpmodel.datasets.schema import DataSet
from zpmodel.kernel_cpu.instructions import WorkCosts, fit_work, read_table, table_work
from zpmodel.queue.limits import UINT_MAX
from zpmodel.validation.score import Bar, Score

TITLE = "Instructions of the kernel's own zero-out"

_OWN_KERNELS = ("6.12", "7.2-tiny", "7.2-mitigated", "7.3-tiny")
_ROUNDED_TO = 1000  # the shipped instruction counts are in thousands
_INSTRUCTIONS_BAR = 0.03


def scores(data: DataSet) -> Iterator[Score]:
    """Fit on one request size, predict the other; then, on our own kernels, every size of request and page."""
    table = read_table(shipped.data("kernel", "zeroout-instructions.csv"))
    for fitted, asked in ((128, 512), (512, 128)):
        costs = fit_work(table[table["max_sectors_kb"] == fitted], rounded_to=_ROUNDED_TO)
        rest = table[table["max_sectors_kb"] == asked]
        for row, work in zip(rest.to_dict("records"), table_work(rest), strict=True):
            truth, measured = f"{range_of(row)}, {asked} KiB requests, from {fitted} KiB", float(row["instructions"])
            bar, source = Bar(_INSTRUCTIONS_BAR), "data/kernel/zeroout-instructions.csv"
            yield Score.of("instructions", truth, measured, costs.of(work), "instructions", bar, source)
    for kernel in _OWN_KERNELS:
        yield _own_kernel(kernel)


def own_kernel_points(kernel: str) -> pd.DataFrame:
    """Predict a kernel of our own from the 128 KiB and 512 KiB requests that the other tables have.

    :param kernel: ``6.12``, ``7.2-tiny``, ``7.2-mitigated`` or ``7.3-tiny``.
    :return: rows not fitted, of :func:`zpmodel.kernel_cpu.instructions.read_table`, with ``predicted`` and ``error``
        [1].
    """
    table = read_table(shipped.data("kernel", f"zeroout-instructions-{kernel}.csv"))
    table = table[(table["scheduler"] == "none") & (table["offset_bytes"] == 0) & (table["length_bytes"] >= 128 * KIB)]
    few = table["max_sectors"].isin([256, 1024]) & table["zero_page_bytes"].isin([4 * KIB, 2 * MIB])
    few &= (table["max_segments"] == 128) & (table["max_segment_size"] == UINT_MAX) & (table["nomerges"] == 0)
    costs = fit_work(table[few], rounded_to=_ROUNDED_TO)
    rest = table[~few]
    predicted = table_work(rest) @ costs.costs
    return rest.assign(predicted=predicted, error=predicted / rest["instructions"] - 1)


def _own_kernel(kernel: str) -> Score:
    points = own_kernel_points(kernel)
    good = int((points["error"].abs() <= _INSTRUCTIONS_BAR).sum())
    worst = float(points["error"].abs().max())
    truth = f"Linux {kernel}: other request, segment and page sizes within 3 % (worst: {worst:.1%})"
    source = f"data/kernel/zeroout-instructions-{kernel}.csv; loop costs come from 7.2-mitigated"
    return Score.counted("instructions", truth, len(points), good, source)


def whole_instruction_costs() -> WorkCosts:
    """Costs fitted to all shipped instruction counts of the kernel that the native times are of."""
    return fit_work(read_table(shipped.data("kernel", "zeroout-instructions.csv")), rounded_to=_ROUNDED_TO)


def range_of(row: Mapping[Hashable, Any]) -> str:
    """The range and the zero page of a row, in words."""
    length, page = (format_size(int(row[name])) for name in ("length_bytes", "zero_page_bytes"))
    return f"{length} from {page} pages"
