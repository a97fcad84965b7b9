"""Structure: every traced range and fio's own writes, counted."""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from zpmodel.base import shipped
from zpmodel.callers.cases import count_cases
from zpmodel.callers.fio_write import Pages, count_buffer
from zpmodel.datasets.schema import DataSet
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.validation.score import Score

TITLE = "Structure: bios, splits, requests, as kernels traced them"

_TRACES = {"zeroout-7.2.jsonl": "Linux 7.2", "loop-6.18-page.jsonl": "Linux 6.18, loop"}
_TRACED_FIO = QueueLimits(8192, 254, UINT_MAX)  # the device of fio-io-structure.csv: see data/kernel/README.md


def scores(data: DataSet) -> Iterator[Score]:
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
            yield Score.counted(
                "structure", f"ranges counted exactly: {kind}", number, right[kind], f"data/kernel/{name}"
            )
    text = shipped.data("kernel", "fio-io-structure.csv").read_text(encoding="utf-8")
    found_rows = [_fio_row(row) for row in csv.DictReader(text.splitlines())]
    source = "data/kernel/fio-io-structure.csv"
    yield Score.counted("structure", "fio's own writes cut exactly", len(found_rows), sum(found_rows), source)


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
