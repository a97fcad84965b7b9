"""A data set's own points, predicted as anybody else's would be: calibrated without their block size, depth or
replicates, with the interval that a prediction prints.

Nothing of a point that is left out has a say in its interval: the machine that predicts it was calibrated from the rest
alone, its scatter from what the rest scatter by among themselves.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pandas as pd

from zpmodel.calibration.calibrate import fit_machine
from zpmodel.calibration.groups import group
from zpmodel.calibration.kept import kept_of
from zpmodel.calibration.observed import observe
from zpmodel.datasets.schema import KEYS, DataSet
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.timing.fio_write import predict_fio_write
from zpmodel.timing.machine import Machine
from zpmodel.timing.predict import Prediction

QUANTITIES = {"cpu_s": "CPU per I/O", "rate": "I/O rate", "ratio": "2 MiB / 4 KiB throughput ratio"}
"""What is predicted, and what it is called."""

COLUMNS = (
    *("way", "left_out", "block_bytes", "depth", "memory", "quantity", "measured", "predicted", "low", "high"),
    *("error", "inside", "floor"),
)
PAGES = {"malloc": "page", "mmaphuge": "static"}
"""The zero page that each kind of buffer stands for."""

_FOLDS = 5
_RESAMPLES = 100
_POINT = ["block_bytes", "depth", "memory", "quantity"]


@lru_cache(maxsize=4)
def held_out_points(data: DataSet) -> pd.DataFrame:
    """Every point predicted blind, with the interval that a prediction of it prints.

    :return: a row a prediction: ``way`` (block_bytes, depth or replicates left out), ``left_out``, ``block_bytes``,
        ``depth``, ``memory`` (``both`` for ratios), ``quantity`` (of :data:`QUANTITIES`), ``measured``,
        ``predicted``, ``low``, ``high``, ``error`` [1], ``inside`` (the interval) and, for replicates left out,
        ``floor``: the error that the point's other replicates make [1]. No rows where the set is too small.
    """
    return kept_of(data, "held out", lambda: predict_blind(data))


def predict_blind(data: DataSet) -> pd.DataFrame:
    """Do what :func:`held_out_points` says, whether or not it was done before."""
    frames = []
    every = _measured(data)
    for way, label, out in _folds(data):
        rest = replace(data, writes=data.writes[~out])
        if way == "replicates":
            measured = _measured(replace(data, writes=data.writes[out]))
        else:
            measured = every[every[way] == label]
        if measured.empty:
            continue
        found = _predicted(fit_machine(rest, _RESAMPLES), measured)
        frame = measured.merge(found, on=_POINT).assign(way=way, left_out=f"{way} {label}", floor=np.nan)
        if way == "replicates":
            # No model does better than the same point, measured another time.
            again = _measured(rest).set_index(_POINT)["measured"]
            others = again.reindex(pd.MultiIndex.from_frame(frame[_POINT])).to_numpy(float)
            frame["floor"] = np.abs(others / frame["measured"] - 1)
        frames.append(frame)
    if not frames:
        return pd.DataFrame({name: pd.Series(dtype=object if name in _TEXT else float) for name in COLUMNS})
    points = pd.concat(frames, ignore_index=True)
    points["error"] = points["predicted"] / points["measured"] - 1
    points["inside"] = (points["measured"] >= points["low"]) & (points["measured"] <= points["high"])
    return points[list(COLUMNS)]


_TEXT = ("way", "left_out", "memory", "quantity", "inside")


def _folds(data: DataSet) -> Iterator[tuple[str, object, pd.Series]]:
    """What to leave out: ``way``, what it is called and the rows; never so much that nothing can be fitted."""
    writes = data.writes
    most = int((group(data).events != 0).any(axis=0).sum()) + data.device.COPIED_HERE  # costs to be fitted
    keys = writes[list(KEYS)]
    for way in ("block_bytes", "depth"):
        for label in np.unique(writes[way]):
            out = writes[way] == label
            if len(keys[~out].drop_duplicates()) > most:
                yield way, label, out
    numbers = np.sort(writes["replicate"].unique())
    for number, fold in enumerate(np.array_split(numbers, min(_FOLDS, len(numbers))), 1):
        out = writes["replicate"].isin(fold)
        if not out.all() and len(keys[~out].drop_duplicates()) > most:
            yield "replicates", number, out


def _measured(data: DataSet) -> pd.DataFrame:
    """Medians of the points under the queue's own limits: rows of block size, depth, memory, quantity, measured."""
    plain = replace(data, writes=data.plain)
    if plain.writes.empty:
        return pd.DataFrame(columns=[*_POINT, "measured"])
    groups = group(plain)
    keys = groups.keys[["block_bytes", "depth", "memory"]]
    pieces = [keys.assign(quantity=name, measured=observe(plain, groups, name).median) for name in ("cpu_s", "rate")]
    wide = pieces[1].pivot_table(index=["block_bytes", "depth"], columns="memory", values="measured")
    if set(PAGES) <= set(wide.columns):
        ratio = (wide["mmaphuge"] / wide["malloc"]).dropna().rename("measured").reset_index()
        pieces.append(ratio.assign(memory="both", quantity="ratio"))
    found = pd.concat(pieces, ignore_index=True)
    return found[found["measured"] > 0].reset_index(drop=True)


def _predicted(machine: Machine, points: pd.DataFrame) -> pd.DataFrame:
    """What the machine says of these points, in the words of ``predict``: rows as :func:`_measured`'s, with
    ``predicted``, ``low`` and ``high``; none of a quantity that it does not know."""
    rows: list[tuple[object, ...]] = []

    @cache
    def write(memory: str, size: int, in_flight: int) -> Prediction:
        return predict_fio_write(machine, ZeroPage.named(PAGES[memory]), size, depth=in_flight)

    for size, in_flight, memory, quantity in points[_POINT].itertuples(index=False):
        if quantity == "ratio":
            huge, small = (write(each, size, in_flight) for each in ("mmaphuge", "malloc"))
            value = small.elapsed_s.value / huge.elapsed_s.value
            own = machine.for_writes(size, in_flight)
            scatter = own.ratio_scatter * max(small.stretch, huge.stretch)
            said = own.estimate(value, small.elapsed_draws / huge.elapsed_draws, scatter)
        else:
            found = write(memory, size, in_flight)
            said = found.cpu_s if quantity == "cpu_s" else found.elapsed_s.inverse()
        if said.value > 0:
            rows.append((size, in_flight, memory, quantity, *said.as_dict().values()))
    return pd.DataFrame(rows, columns=[*_POINT, "predicted", "low", "high"])


def run_noise(data: DataSet) -> dict[str, float]:
    """The noise floor: the median error that a point's median makes of its single runs, for each quantity [1].

    Of points that were repeated, and of CPU without readings of 0: neither of these says anything of scatter. NaN where
    nothing was repeated or measured.
    """
    writes = data.writes.assign(cpu_s=data.writes["cpu_s"].where(data.writes["cpu_s"] > 0))
    keys = [writes[name] for name in KEYS]
    floor = {name: _off_median(writes[name], keys) for name in ("cpu_s", "rate")}
    index = ["block_bytes", "depth", "max_sectors_kb", "replicate"]
    wide = writes.pivot_table(index=index, columns="memory", values="rate")
    if {"malloc", "mmaphuge"} <= set(wide.columns):
        ratio = (wide["mmaphuge"] / wide["malloc"]).dropna()
        floor["ratio"] = _off_median(ratio, [ratio.index.get_level_values(level) for level in index[:3]])
    return floor


def _off_median(values: pd.Series, keys: list[Any]) -> float:
    """How far values of groups of two and more are off their group's median, in the median [1]."""
    groups = values.groupby(keys)
    off = (values / groups.transform("median") - 1).abs()
    return float(off[groups.transform("count") > 1].median())
