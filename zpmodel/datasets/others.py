"""Which runs other programs disturbed: with its CPUs shared, a machine is another one."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from zpmodel.datasets.points import Measured

BUSY = 0.1
"""The share of all CPU time that others may take in a run [1]; ticks of 10 ms tell it to about a hundredth."""


def disturbed(item: Measured) -> bool:
    """Whether other programs, or other guests of the host, took more than :data:`BUSY`; False where nobody noted it."""
    return item.others_cpu_share > BUSY


def without_disturbed(items: Iterable[Measured]) -> tuple[list[Measured], str]:
    """Of all runs take those of writes to calibrate from, and leave out disturbed ones of points that have others.

    A point that was never left in peace stays as it is: something that serves the target (a daemon of a file system, a
    network device's server) would disturb each of its runs alike, and belongs to them.

    :return: the runs to go by, in their order, and what is to be said of it; empty where nothing was disturbed.
    """
    runs = [item for item in items if item.point.operation == "write" and not item.point.reference]
    points = defaultdict(list)
    for item in runs:
        points[(item.point.pair, item.point.memory)].append(disturbed(item))
    kept = [item for item in runs if not disturbed(item) or all(points[(item.point.pair, item.point.memory)])]
    return kept, _say(runs, kept, sum(all(each) for each in points.values()), len(points))


def _say(runs: Sequence[Measured], kept: Sequence[Measured], never_quiet: int, points: int) -> str:
    many = sum(map(disturbed, runs))
    if not many:
        return ""
    left = len(runs) - len(kept)
    parts = [
        f"other programs took more than {BUSY:.0%} of all CPU time in {many} of {len(runs)} runs of writes",
        f"{left} left out, of points that have others" if left else "none left out",
    ]
    if never_quiet:
        parts.append(
            f"{never_quiet} of {points} points have no run without that, and are taken as they are: trust them less, or"
            " measure again while nothing else runs"
        )
    return "; ".join(parts)
