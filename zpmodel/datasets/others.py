"""Which runs other programs disturbed: with its CPUs shared, a machine is another one."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np

from zpmodel.datasets.points import Measured

BUSY = 0.1
"""The share of all CPU time that others may take in a run [1]; ticks of 10 ms tell it to about a hundredth."""

_Pair = tuple[str, int, int, int]
_Sides = Mapping[str, Sequence[Measured]]


def disturbed(item: Measured) -> bool:
    """Whether other programs, or other guests of the host, took more than :data:`BUSY`; False where nobody noted it."""
    return item.others_cpu_share > BUSY


def without_disturbed(items: Iterable[Measured]) -> tuple[list[Measured], str]:
    """Of all runs take those of writes to calibrate from, and leave out disturbed ones of points that have others.

    The two memories of a block size and depth are compared with each other, so both keep runs of one kind: quiet ones
    where both have some; else disturbed ones where both have those; else the memory that was never left in peace goes.
    A point with nothing to be compared with that was never left in peace, or a pair of such, stays as it is:
    something that serves the target (a daemon of a file system, a network device's server) would disturb each of its
    runs alike, and belongs to them.

    :return: the runs to go by, in their order, and what is to be said of it; empty where nothing was disturbed.
    """
    runs = [item for item in items if item.point.operation == "write" and not item.point.reference]
    pairs = defaultdict[_Pair, dict[str, list[Measured]]](lambda: defaultdict(list))
    for item in runs:
        pairs[item.point.pair][item.point.memory].append(item)
    taken = {id(item) for sides in pairs.values() for item in _of_one_kind(sides)}
    kept = [item for item in runs if id(item) in taken]
    return kept, _say(runs, kept, list(pairs.values())) if any(map(disturbed, runs)) else ""


def _of_one_kind(sides: _Sides) -> list[Measured]:
    """The runs of a pair's memories that can be set beside each other."""
    quiet = {memory: [item for item in runs if not disturbed(item)] for memory, runs in sides.items()}
    busy = {memory: [item for item in runs if disturbed(item)] for memory, runs in sides.items()}
    kind = quiet
    if not all(quiet.values()) and (all(busy.values()) or not any(quiet.values())):
        kind = busy
    return list(chain(*kind.values()))


def _say(runs: Sequence[Measured], kept: Sequence[Measured], pairs: Sequence[_Sides]) -> str:
    left = len(runs) - len(kept)
    parts = [
        f"other programs took more than {BUSY:.0%} of all CPU time in {sum(map(disturbed, runs))} of {len(runs)} runs"
        " of writes",
        f"{left} left out, of points that have others{_moved(runs, kept)}" if left else "none left out",
    ]
    before, points = _by_point(runs), _by_point(kept)
    alone = sum(len(each) == 1 < len(before[point]) for point, each in points.items())
    if left and alone:
        parts.append(
            f"{alone} of {len(points)} points {'rests' if alone == 1 else 'rest'} on a single run now, whose spread is"
            " taken from points that were repeated"
        )
    mixed = [sides for sides in pairs if len({all(map(disturbed, each)) for each in sides.values()}) > 1]
    if mixed:
        parts.append(
            f"in {len(mixed)} of {len(pairs)} pairs one memory has no run without that: both keep their disturbed runs,"
            " or that memory is left out, as only runs of one kind can be compared"
        )
    never_quiet = sum(all(map(disturbed, each)) for each in points.values())
    if never_quiet:
        parts.append(
            f"{never_quiet} of {len(points)} points are taken from disturbed runs: trust them less, or measure again"
            " while nothing else runs"
        )
    return "; ".join(parts)


def _by_point(runs: Iterable[Measured]) -> dict[tuple[_Pair, str], list[Measured]]:
    found = defaultdict[tuple[_Pair, str], list[Measured]](list)
    for item in runs:
        found[(item.point.pair, item.point.memory)].append(item)
    return found


def _moved(runs: Sequence[Measured], kept: Sequence[Measured]) -> str:
    """By how much leaving runs out moves the medians of the points that lose some."""
    before, after = _by_point(runs), _by_point(kept)
    moved = [point for point, each in after.items() if len(each) < len(before[point])]
    said = []
    for name, what in (("CPU time", "cpu_ns_per_byte"), ("rate", "bytes_per_second")):
        old, new = (
            np.array([np.median([getattr(item, what) for item in each[point]]) for point in moved])
            for each in (before, after)
        )
        told = (old > 0) & (new > 0)
        if told.any():
            said.append(f"{np.median(new[told] / old[told]) - 1:+.1%} in {name}")
    if not said:
        return ""
    one = len(moved) == 1
    points, middle = ("median of 1 point", "") if one else (f"medians of {len(moved)} points", " (the middle of them)")
    return f", which moves the {points} by {' and '.join(said)}{middle}"
