"""What was measured of each point: a median over its runs, and how well it is known."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zpmodel.calibration.groups import Groups
from zpmodel.datasets.schema import DataSet

Floats = npt.NDArray[np.float64]

FLOOR = 0.05
"""No median is believed to be known better than this [log]: drift between pairs is not in the replicates' scatter."""

_FEW = 2  # a spread from few replicates counts as much as this many of the typical one
_UNTOLD = 0.1  # log standard deviation of a run where nothing was repeated


class Observed(NamedTuple):
    """One quantity of each point, arrays of shape (points,).

    ``median`` of the runs; NaN where no run told it. ``sigma`` its log standard error. ``runs`` each run's value,
    rounded readings of 0 taken as half of their rounding, shape (runs,). ``spread`` the log standard deviation of its
    runs; NaN of fewer than two.
    """

    median: Floats
    sigma: Floats
    runs: Floats
    spread: Floats

    @property
    def told(self) -> npt.NDArray[np.bool_]:
        """Points of which it is known, shape (points,)."""
        return np.isfinite(self.median)

    @property
    def seen_of_error(self) -> float:
        """The part of a typical point's ``sigma`` that replicates and clocks show, :data:`FLOOR` left out [1]."""
        told = self.sigma[self.told]
        return float(np.median(np.sqrt(1 - (FLOOR / told) ** 2))) if len(told) else 1.0


def observe(data: DataSet, groups: Groups, name: str) -> Observed:
    """Gather one of ``cpu_s``, ``path_s`` and ``rate``.

    A reading is as coarse as its clock: it stands for anything within ``rounding_s`` of it, and one of 0 for anything
    up to that.
    """
    runs = data.writes[name].to_numpy(float).copy()
    half = np.zeros(len(runs)) if name == "rate" else data.writes["rounding_s"].to_numpy(float)
    low = (runs <= 0) & (half > 0)
    runs[low] = half[low] / 2
    runs[runs <= 0] = np.nan  # nothing is free: a reading of 0 without a rounding says nothing
    logs = np.log(runs)
    members = [rows[np.isfinite(logs[rows])] for rows in groups.rows]
    number = np.array([len(rows) for rows in members])
    median, rounding, spread = np.full((3, len(members)), np.nan)
    for many in np.unique(number[number > 0]):  # points with as many runs at once
        which = np.flatnonzero(number == many)
        rows = np.stack([members[point] for point in which])
        median[which], rounding[which] = np.median(runs[rows], axis=1), np.median(half[rows], axis=1)
        if many > 1:
            spread[which] = np.std(logs[rows], axis=1, ddof=1)
    number = np.maximum(number, 1)
    typical = float(np.nanmedian(spread)) if np.isfinite(spread).any() else _UNTOLD
    shrunk = np.sqrt((np.nan_to_num(spread) ** 2 * (number - 1) + _FEW * typical**2) / (number - 1 + _FEW))
    coarse = np.nan_to_num(rounding / median) ** 2 / 3 / number  # a uniform error's variance
    return Observed(median, np.sqrt(np.pi / 2 * shrunk**2 / number + coarse + FLOOR**2), runs, spread)


def at_floor(data: DataSet) -> npt.NDArray[np.bool_]:
    """Runs whose thread took less than its clock shows, shape (runs,): all that is known is that it was less.

    Where thread time reads as nothing, what is left of it is not rounded up here and down there, as it is of longer
    readings: that it is a small or a large part of a tick is as true of one run as of the next.
    """
    least = np.fmin(data.writes["path_s"].to_numpy(float), data.writes["cpu_s"].to_numpy(float))
    half = data.writes["rounding_s"].to_numpy(float)
    return np.asarray((half > 0) & (least <= half * (1 + 1e-9)))


def with_floor_at(data: DataSet, groups: Groups, seen: Observed, name: str, share: float) -> Observed:
    """The same, had every run of :func:`at_floor` taken this share of what its reading leaves open [1]."""
    read, half = data.writes[name].to_numpy(float), data.writes["rounding_s"].to_numpy(float)
    least = np.maximum(0.0, read - half)
    runs = np.where(at_floor(data) & np.isfinite(seen.runs), least + share * (read + half - least), seen.runs)
    members = [rows[np.isfinite(runs[rows])] for rows in groups.rows]
    median = np.array([np.median(runs[rows]) if len(rows) else np.nan for rows in members])
    return seen._replace(median=median, runs=runs)


def round_medians(data: DataSet, groups: Groups, seen: Observed, picks: npt.NDArray[np.int64]) -> Floats:
    """Medians of each point over whole rounds that were drawn with replacement, shape (resamples, points).

    What drifts from one round to the next shows here, and not where runs are drawn one by one.

    :param picks: how often each round is taken, shape (resamples, rounds), rounds in the order of their numbers.
    """
    rounds = np.searchsorted(np.unique(data.writes["replicate"]), data.writes["replicate"].to_numpy())
    found = np.tile(seen.median, (len(picks), 1))
    for point, rows in enumerate(groups.rows):
        good = rows[np.isfinite(seen.runs[rows])]
        good = good[np.argsort(seen.runs[good])]
        up_to = np.cumsum(picks[:, rounds[good]], axis=1)  # runs taken up to each, the smallest first
        if not len(good):
            continue
        taken = up_to[:, -1:]
        middle = [seen.runs[good][np.argmax(up_to > half, axis=1)] for half in ((taken - 1) // 2, taken // 2)]
        some = taken[:, 0] > 0
        found[some, point] = (0.5 * (middle[0] + middle[1]))[some]
    return found
