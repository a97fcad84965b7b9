"""Every truth the project ships, predicted and scored: what the model gets right, and what it does not."""

import csv
import json
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zpmodel.base import shipped
from zpmodel.base.estimate import LEVEL, Estimate
from zpmodel.base.units import GIB, KIB, MIB, format_size
from zpmodel.calibration.calibrate import calibrate
from zpmodel.calibration.held_out import QUANTITIES, held_out_points, run_noise
from zpmodel.callers.fio_write import Pages, count_buffer
from zpmodel.datasets.measured import read_set
from zpmodel.datasets.schema import DataSet
from zpmodel.kernel_cpu.instructions import WorkCosts, fit_work, limits_of, read_table, table_work
from zpmodel.kernel_cpu.nanoseconds import CONFIGURATION, fit_time
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure.count import count_cases
from zpmodel.timing.predict import predict_zeroout
from zpmodel.validation.published import predict_published

FAMILIES = {
    "structure": "Structure: bios, splits, requests, as kernels traced them",
    "fio": "fio points left out of the fit",
    "instructions": "Instructions of the kernel's own zero-out",
    "native": "Nanoseconds of the kernel's own zero-out",
    "published": "Published series, fitted on their ends",
    "zero-out": "BLKZEROOUT, predicted from fio on the same device",
}
"""Kinds of truth, and what they are called."""

_TRACES = {"zeroout-7.2.jsonl": "Linux 7.2", "loop-6.18-page.jsonl": "Linux 6.18, loop"}
_OWN_KERNELS = ("6.12", "7.2-tiny", "7.2-mitigated")
_ROUNDED_TO = 1000  # the shipped instruction counts are in thousands
_INSTRUCTIONS_BAR, _NATIVE_BAR, _FIO_BAR = 0.03, 0.15, 0.07
_COVERAGE_BAR = (0.85, 0.97)
_ZERO_OUT_RESAMPLES = 300
_TRACED_FIO = QueueLimits(8192, 254, UINT_MAX)  # the device of fio-io-structure.csv: see data/kernel/README.md
_WIDEST = 10.0  # times from low to high


@dataclass(frozen=True)
class Score:
    """One truth beside its prediction.

    :ivar family: of :data:`FAMILIES`.
    :ivar truth: what was measured.
    :ivar measured, predicted: in ``unit``; ``low`` and ``high`` the prediction's 90 % interval, None where it has none.
    :ivar error: predicted / measured - 1 [1], or, of a set of points, the median size of that.
    :ivar bar: what is asked, in words.
    :ivar inside: whether it is met.
    :ivar source: where the truth comes from.
    """

    family: str
    truth: str
    measured: float | None
    predicted: float | None
    low: float | None
    high: float | None
    unit: str
    error: float | None
    bar: str
    inside: bool
    source: str

    @classmethod
    def of(
        cls,
        family: str,
        truth: str,
        measured: float,
        found: Estimate,
        unit: str,
        bar: tuple[str, float | None],
        source: str,
    ) -> "Score":
        """Score an estimate by its interval (``interval``), by its error (a bar's number), or both.

        An interval that spans more than a factor of :data:`_WIDEST` says nothing, so holding the truth is no merit.
        """
        error = found.value / measured - 1
        says_something = found.high <= _WIDEST * found.low
        holds = "interval" not in bar[0] or (says_something and found.low <= measured <= found.high)
        inside = holds and (bar[1] is None or abs(error) <= bar[1])
        return cls(family, truth, measured, found.value, found.low, found.high, unit, error, bar[0], inside, source)


def validate(data: DataSet) -> pd.DataFrame:
    """Score every shipped truth, and the points of ``data`` left out of the fit to it.

    :return: a row a truth, with the fields of :class:`Score`.
    """
    scores = [
        *structure_scores(),
        *fio_scores(data),
        *instruction_scores(),
        *native_scores(),
        *published_scores(),
        *zero_out_scores(),
    ]
    return pd.DataFrame([asdict(score) for score in scores])


def structure_scores() -> Iterator[Score]:
    """Traced ranges whose every count is right, file by file and zero page by zero page; fio's own writes."""
    for name, kernel in _TRACES.items():
        right: Counter[str] = Counter()
        total: Counter[str] = Counter()
        with shipped.data("kernel", name).open(encoding="utf-8") as file:
            lines = file.readlines()
        for line, found in zip(lines, count_cases(lines, name), strict=True):
            truth, model = json.loads(line), found.as_case()
            kind = "2 MiB" if truth.get("persistent_huge_zero_folio") else "4 KiB"
            kind = f"{kernel}, {kind} zero page, {truth['operation']}"
            total[kind] += 1
            right[kind] += _same(truth, model)
        for kind, number in sorted(total.items()):
            yield _all_of(
                "structure", f"ranges counted exactly: {kind}", number, right[kind], "every one", f"data/kernel/{name}"
            )
    text = shipped.data("kernel", "fio-io-structure.csv").read_text(encoding="utf-8")
    found_rows = [_fio_row(row) for row in csv.DictReader(text.splitlines())]
    source = "data/kernel/fio-io-structure.csv"
    yield _all_of("structure", "fio's own writes cut exactly", len(found_rows), sum(found_rows), "every one", source)


def _same(truth: dict[str, Any], model: dict[str, Any]) -> bool:
    if any(truth[name] != model[name] for name in ("operation", "splits", "back_merges")):
        return False
    for name in ("bios", "requests"):
        # Loop devices were traced without vectors and segments.
        told = sorted({*truth[name][0]} - {"count"}) if truth[name] else []
        if _bag(truth[name], told) != _bag(model[name], told):
            return False
    return True


def _bag(rows: list[dict[str, int]], names: list[str]) -> Counter[tuple[int, ...]]:
    bag: Counter[tuple[int, ...]] = Counter()
    for row in rows:
        bag[tuple(row[name] for name in names)] += row["count"]
    return bag


def _fio_row(row: dict[str, str]) -> bool:
    pages: Pages = "malloc" if row["buffer_pages"] == "malloc" else "mmaphuge"
    found = count_buffer(pages, _TRACED_FIO, int(row["block_bytes"]), fixed=row["fixed_buffers"] == "1")
    sizes: Counter[tuple[str, int]] = Counter({("split", int(row["sectors"] or 0)): found.splits})
    for event, table in (("bio", found.bio_histogram()), ("request", found.request_histogram())):
        for line in table:
            sizes[event, line["bytes"] // 512] += line["count"]
    return sizes[row["event"], int(row["sectors"] or 0)] * int(row["ios"]) == int(row["count"])


def _all_of(family: str, truth: str, total: int, right: int, bar: str, source: str) -> Score:
    return Score(family, truth, total, right, None, None, "cases", right / total - 1, bar, right == total, source)


def fio_scores(data: DataSet) -> Iterator[Score]:
    """Points whose block size, depth or replicates were left out: median errors, and coverage of intervals."""
    points, floors = held_out_points(data), run_noise(data)
    source = f"{data.name}: fio, {data.describe()}"
    for (quantity, way), group in points.groupby(["quantity", "way"], sort=False):
        floor = float(group["floor"].median()) if way == "replicates" else floors.get(str(quantity), 0.0)
        bar, error = max(_FIO_BAR, floor), float(group["error"].abs().median())
        asked = f"at most {bar:.1%} (7 %, or noise floor {floor:.1%})"
        left = str(way).replace("_bytes", " sizes").replace("depth", "depths")
        what = f"median error of {len(group)}: {QUANTITIES[str(quantity)]}, whole {left} left out"
        yield Score("fio", what, None, None, None, None, "", error, asked, error <= bar, source)
    for quantity, group in points.groupby("quantity", sort=False):
        share, (least, most) = float(group["inside"].mean()), _COVERAGE_BAR
        asked, holds = f"{least:.0%} to {most:.0%}", least <= share <= most
        what = f"90 % intervals that hold the point: {QUANTITIES[str(quantity)]}"
        yield Score("fio", what, share, LEVEL, None, None, "share", LEVEL / share - 1, asked, holds, source)


def instruction_scores() -> Iterator[Score]:
    """Fit on one request size, predict the other; then, on our own kernels, every size of request and page."""
    table = read_table(shipped.data("kernel", "zeroout-instructions.csv"))
    for fitted, asked in ((128, 512), (512, 128)):
        costs = fit_work(table[table["max_sectors_kb"] == fitted], rounded_to=_ROUNDED_TO)
        rest = table[table["max_sectors_kb"] == asked]
        for row, work in zip(rest.to_dict("records"), table_work(rest), strict=True):
            truth, measured = f"{_range(row)}, {asked} KiB requests, from {fitted} KiB", float(row["instructions"])
            bar, source = (f"{_INSTRUCTIONS_BAR:.0%}", _INSTRUCTIONS_BAR), "data/kernel/zeroout-instructions.csv"
            yield Score.of("instructions", truth, measured, costs.of(work), "instructions", bar, source)
    for kernel in _OWN_KERNELS:
        yield _own_kernel(kernel)


def own_kernel_points(kernel: str) -> pd.DataFrame:
    """Predict a kernel of our own from the 128 KiB and 512 KiB requests that the other tables have.

    :param kernel: ``6.12``, ``7.2-tiny`` or ``7.2-mitigated``.
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
    return _all_of("instructions", truth, len(points), good, "every one", source)


def whole_instruction_costs() -> WorkCosts:
    """Costs fitted to all shipped instruction counts of the kernel that the native times are of."""
    return fit_work(read_table(shipped.data("kernel", "zeroout-instructions.csv")), rounded_to=_ROUNDED_TO)


def native_scores() -> Iterator[Score]:
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
            bar = (f"interval, {_NATIVE_BAR:.0%}", _NATIVE_BAR) if length >= GIB else ("interval", None)
            truth = f"{_range(row)}, {asked} KiB requests, from {fitted} KiB"
            source = "data/kernel/zeroout-native.csv, medians over two boots"
            yield Score.of("native", truth, float(group["elapsed_ns"].median()) / 1e6, found, "ms", bar, source)


def _range(row: Mapping[Hashable, Any]) -> str:
    length, page = (format_size(int(row[name])) for name in ("length_bytes", "zero_page_bytes"))
    return f"{length} from {page} pages"


def published_scores() -> Iterator[Score]:
    """Middles of published series."""
    for row in predict_published().astype(object).to_dict("records"):
        values = {name: None if row[name] is None or row[name] != row[name] else row[name] for name in row}
        bar, truth = values["bar"], f"{values['series']}: {values['truth']}"
        asked = "interval" if bar is None else f"{bar:.0%}" if bar >= 0.01 else "all but the last"
        measured, predicted, low, high = (values[name] for name in ("measured", "predicted", "low", "high"))
        unit, error, source, inside = str(row["unit"]), values["error"], str(row["source"]), bool(row["inside"])
        yield Score("published", truth, measured, predicted, low, high, unit, error, asked, inside, source)


def zero_out_sets() -> list[tuple[Path, Path]]:
    """Folders of fio's results and of zero-outs on the same device, which have one name: (fio, zero-out)."""
    folder = shipped.data("kernel").parent / "zeroout"
    names = sorted(path.parent.name for path in folder.glob("*/zeroout.csv"))
    fio = folder.parent / "fio"
    return [(fio / name, folder / name) for name in names if (fio / name / "machine.toml").is_file()]


def zero_out_scores() -> Iterator[Score]:
    """Elapsed and CPU time of BLKZEROOUT by length, predicted from fio's results alone."""
    for fio, truth in zero_out_sets():
        model = calibrate(read_set(fio), resamples=_ZERO_OUT_RESAMPLES)
        table = pd.read_csv(truth / "zeroout.csv")
        table["cpu_ns"] = table["caller_cpu_ns"] + table["kernel_threads_ns"]
        for length, group in table.groupby("length_bytes"):
            found = predict_zeroout(model, ZeroPage.named("page"), int(str(length)))
            for name, column, estimate in (
                ("elapsed", "elapsed_ns", found.elapsed_s),
                ("CPU, all threads", "cpu_ns", found.cpu_s),
            ):
                noise = float(np.std(np.log(group[column]), ddof=1))
                source = f"data/zeroout/{truth.name}: median of {len(group)}, one run scatters by {noise:.0%}"
                what = f"{truth.name}: {name} of {format_size(int(str(length)))}"
                measured = float(group[column].median()) / 1e6
                yield Score.of("zero-out", what, measured, estimate.scaled(1e3), "ms", ("interval", None), source)


def summary(scores: pd.DataFrame) -> str:
    """``N of M truths within their bar``."""
    return f"{int(scores['inside'].sum())} of {len(scores)} truths within their bar"


def trust(scores: pd.DataFrame) -> str:
    """How far the model can be trusted, in words (Markdown): a line a family, the failures named."""
    lines = [f"**{summary(scores)}.**", ""]
    for family, title in FAMILIES.items():
        group = scores[scores["family"] == family]
        if group.empty:
            continue
        errors = group["error"].dropna().abs()
        line = f"- **{title}**: {int(group['inside'].sum())} of {len(group)} within"
        if family != "structure":
            line += f"; typically off by {errors.median():.1%}, at worst {errors.max():.0%}"
        outside = group[~group["inside"]].sort_values("error", key=abs, ascending=False)
        if len(outside):
            worst = outside.iloc[0]
            more = f", and {len(outside) - 1} more" if len(outside) > 1 else ""
            line += f". *Outside:* {worst['truth']} ({worst['error']:+.0%}){more}"
        lines.append(line + ".")
    return "\n".join(lines)


def score_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores as people read them, a row a truth, those outside their bar first."""
    ordered = scores.sort_values("inside", kind="stable")
    table = pd.DataFrame(
        {
            "verdict": ["within" if inside else "OUTSIDE" for inside in ordered["inside"]],
            "measured": [_number(value) for value in ordered["measured"]],
            "predicted [90 % interval]": [
                _number(value) + ("" if low != low or low is None else f" [{low:.3g}, {high:.3g}]")
                for value, low, high in ordered[["predicted", "low", "high"]].itertuples(index=False)
            ],
            "unit": list(ordered["unit"]),
            "error": ["-" if value != value else f"{value:+.1%}" for value in ordered["error"].astype(float)],
            "bar": list(ordered["bar"]),
            "source": list(ordered["source"]),
        },
        index=list(ordered["truth"]),
    )
    empty = [name for name in table if table[name].isin(["-", ""]).all()]
    return table.drop(columns=empty)


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.4g}"
