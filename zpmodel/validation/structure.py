"""Structure: every traced range and fio's own writes, counted."""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from zpmodel.base import shipped
from zpmodel.callers.cases import count_cases, count_lines
from zpmodel.callers.fio_write import Pages, count_buffer
from zpmodel.datasets.schema import DataSet
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.validation.score import Score

TITLE = "Structure: bios, splits, requests, as kernels traced them"

_TRACES = {"zeroout-7.2.jsonl": "Linux 7.2", "loop-6.18-page.jsonl": "Linux 6.18, loop"}
_USERS = "users-6.18.jsonl"
_TRACED_FIO = QueueLimits(8192, 254, UINT_MAX)  # the device of fio-io-structure.csv: see data/kernel/README.md


def scores(data: DataSet) -> Iterator[Score]:
    """Traced ranges whose every count is right, file by file and zero page by zero page; users; fio's own writes."""
    for name, kernel in _TRACES.items():
        yield from _by_kind("ranges", name, _traced(name, kernel))
    yield from _by_kind("requests", _USERS, _users())
    text = shipped.data("kernel", "fio-io-structure.csv").read_text(encoding="utf-8")
    found_rows = [_fio_row(row) for row in csv.DictReader(text.splitlines())]
    source = "data/kernel/fio-io-structure.csv"
    yield Score.counted("structure", "fio's own writes cut exactly", len(found_rows), sum(found_rows), source)


def _by_kind(what: str, name: str, told: Iterator[tuple[str, bool]]) -> Iterator[Score]:
    """How many of each kind are counted exactly; ``told`` says of each its kind, and whether it is."""
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for kind, exact in told:
        total[kind] += 1
        right[kind] += exact
    for kind, number in sorted(total.items()):
        yield Score.counted("structure", f"{what} counted exactly: {kind}", number, right[kind], f"data/kernel/{name}")


def _traced(name: str, kernel: str) -> Iterator[tuple[str, bool]]:
    """Ranges that a kernel was traced with."""
    lines = shipped.data("kernel", name).read_text(encoding="utf-8").splitlines()
    for line, found in zip(lines, count_cases(lines, name), strict=True):
        truth = json.loads(line)
        page = "2 MiB" if truth.get("persistent_huge_zero_folio") else "4 KiB"
        yield f"{kernel}, {page} zero page, {truth['operation']}", _same(truth, found.as_case())


def _users() -> Iterator[tuple[str, bool]]:
    """Requests of users of zero pages on the kernel that ran here, their bios with vectors and tables."""
    lines = shipped.data("kernel", _USERS).read_text(encoding="utf-8").splitlines()
    for line, found in zip(lines, count_lines(lines, _USERS), strict=True):
        truth = json.loads(line)
        kind = f"Linux 6.18, {truth['user']}, {truth['filesystem']}"
        yield kind, same_bios(truth, found.as_case()["bios"])


def same_bios(truth: dict[str, Any], model: list[dict[str, int]]) -> bool:
    """Whether a user's bios are those that were traced, ``bvecs`` and ``max_vecs`` too.

    A file system that encrypts writes pages of its own, and those that lie side by side by chance share a vector: there
    the model's vectors are a bound.
    """
    traced = [{**row, "count": row.get("count", 1)} for row in truth["bios"]]
    told = ["bytes", "bvecs", "max_vecs"]
    if truth.get("crypto") == "software":
        told.remove("bvecs")
        if sum(row["bvecs"] * row["count"] for row in traced) > sum(row["bvecs"] * row["count"] for row in model):
            return False
    return _bag(traced, told) == _bag(model, told)


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
