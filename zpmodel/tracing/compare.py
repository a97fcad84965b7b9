"""The kernel's counts beside the model's, line by line."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from zpmodel.base.units import KIB, MIB, SECTOR
from zpmodel.tracing.observed import Observed


@dataclass(frozen=True)
class Line:
    """One thing that was counted. ``kernel`` is None where the source of the events does not tell it."""

    what: str
    kernel: int | str | None
    model: int | str
    agrees: bool | None


def compare(observed: Observed, model: Mapping[str, Any]) -> list[Line]:
    """Put everything that both sides tell into lines; the sizes of bios and requests one by one.

    :param model: the fields of a case, as :meth:`zpmodel.structure.Structure.as_case` gives them.
    """
    return [
        _line("operation", observed.operation, model["operation"]),
        *_size_lines("bios", observed.bios, model["bios"], observed.lumped_above_bytes),
        _line("splits", observed.splits, model["splits"]),
        _line("back merges", observed.back_merges, model["back_merges"]),
        # A range is zeroed from its start to its end: the model has nothing that could go in front.
        _line("front merges", observed.front_merges, 0),
        *_size_lines("requests", observed.requests, model["requests"], observed.lumped_above_bytes),
    ]


def agree(lines: Iterable[Line]) -> bool:
    """Say whether no line disagrees."""
    return all(line.agrees is not False for line in lines)


def _line(what: str, kernel: int | str | None, model: int | str) -> Line:
    return Line(what, kernel, model, None if kernel is None else kernel == model)


def _by_size(rows: Iterable[Mapping[str, int]], lumped_above: int | None) -> Counter[int]:
    """Add up counts by size [byte], whatever else tells the rows apart (vectors, segments)."""
    total: Counter[int] = Counter()
    for row in rows:
        size = int(row["bytes"])
        if lumped_above is not None and size > lumped_above:
            size = lumped_above + SECTOR
        total[size] += int(row["count"])
    return total


def _size_lines(
    what: str, kernel: Iterable[Mapping[str, int]] | None, model: Iterable[Mapping[str, int]], lumped_above: int | None
) -> list[Line]:
    ours = _by_size(model, lumped_above)
    if kernel is None:
        return [_line(what, None, ours.total())]
    theirs = _by_size(kernel, lumped_above)
    lines = [_line(what, theirs.total(), ours.total())]
    for size in sorted(ours.keys() | theirs.keys(), reverse=True):
        more = lumped_above is not None and size > lumped_above
        shown = f"more than {format_exactly(size - SECTOR)}" if more else format_exactly(size)
        lines.append(_line(f"{what} of {shown}", theirs[size], ours[size]))
    return lines


def format_exactly(size_bytes: int) -> str:
    """Write a size [byte] so that two different sizes never look the same."""
    for unit, factor in (("MiB", MIB), ("KiB", KIB)):
        if size_bytes and size_bytes % factor == 0:
            return f"{size_bytes // factor} {unit}"
    return f"{size_bytes / KIB:g} KiB" if size_bytes % SECTOR == 0 and size_bytes < MIB else f"{size_bytes} B"
