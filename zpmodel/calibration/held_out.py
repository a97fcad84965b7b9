"""A data set's own points, predicted from fits that saw none of their block size, depth or replicates."""

from dataclasses import replace

import numpy as np
import pandas as pd

from zpmodel.calibration.fit import LEAST_PATH_S, fit_once, with_cold
from zpmodel.calibration.fit import QUANTITIES as FITTED
from zpmodel.calibration.groups import group
from zpmodel.calibration.left_out import left_out, ratio_table
from zpmodel.calibration.observed import observe
from zpmodel.datasets.schema import KEYS, DataSet
from zpmodel.devices.closed_loop import closed_loop

QUANTITIES = {"cpu_s": "CPU per I/O", "rate": "I/O rate", "ratio": "2 MiB / 4 KiB throughput ratio"}
"""What is predicted, and what it is called."""

_FOLDS = 5
_POINT = ["left_out", "quantity", "block_bytes", "depth", "memory"]


def replicates_left_out(data: DataSet) -> pd.DataFrame:
    """Predict runs from a fit to the other replicates: whole replicates are left out, a fifth of them at a time.

    :return: as :func:`zpmodel.calibration.fit.left_out`, measured medians being over the replicates left out; and
        ``cpu_s_others``, ``rate_others``: the same points' medians over the other replicates.
    """
    numbers = np.sort(data.writes["replicate"].unique())
    frames = []
    for number, fold in enumerate(np.array_split(numbers, min(_FOLDS, len(numbers))), 1):
        inside = data.writes["replicate"].isin(fold)
        if not inside.any() or inside.all():
            continue
        rest, out = (data.writes[mask].reset_index(drop=True) for mask in (~inside, inside))
        others_data = replace(data, writes=rest)
        seen_groups = group(others_data)
        fit = fit_once(
            data.device,
            seen_groups.events,
            seen_groups.load,
            {name: observe(others_data, seen_groups, name) for name in FITTED},
        )
        found = group(data, out)
        events = with_cold(found.events, found.load, fit.cache_mib)
        load = found.load._replace(path=np.maximum(events @ fit.path.costs, LEAST_PATH_S))
        medians = out.groupby(list(KEYS), sort=True)[["cpu_s", "rate"]].median().reset_index()
        frame = medians.assign(
            cpu_s_predicted=events @ fit.total.costs, rate_predicted=closed_loop(fit.device.best.path(), load)
        )
        others = rest.groupby(list(KEYS))[["cpu_s", "rate"]].median()
        frame = frame.join(others.add_suffix("_others"), on=list(KEYS))
        frames.append(frame.assign(left_out=f"replicates {number}"))
    if frames:
        return pd.concat(frames, ignore_index=True)
    columns = [f"{name}{kind}" for name in ("cpu_s", "rate") for kind in ("", "_predicted", "_others")]
    return pd.DataFrame(columns=[*KEYS, *columns, "left_out"])  # one run of each point: none can be left out


def held_out_points(data: DataSet) -> pd.DataFrame:
    """Every point predicted blind, with an interval from how far points of the other labels were off.

    :return: a row a prediction: ``way`` (block_bytes, depth or replicates left out), ``left_out``, ``block_bytes``,
        ``depth``, ``memory`` (``both`` for ratios), ``quantity`` (of :data:`QUANTITIES`), ``measured``,
        ``predicted``, ``low``, ``high``, ``error`` [1], ``inside`` (the interval) and, for replicates left out,
        ``floor``: the error that the point's other replicates make [1].
    """
    blind, replicates = left_out(data), replicates_left_out(data)
    points = _points(pd.concat([blind, replicates], ignore_index=True))
    # No model does better than the same point, measured another time.
    again = replicates.assign(cpu_s_predicted=replicates["cpu_s_others"], rate_predicted=replicates["rate_others"])
    repeated = _points(again)
    repeated["floor"] = repeated["error"].abs()
    return _with_intervals(points.merge(repeated[[*_POINT, "floor"]], on=_POINT, how="left"))


def _points(table: pd.DataFrame) -> pd.DataFrame:
    ratios = ratio_table(table)
    pieces = []
    for name in QUANTITIES:
        source = ratios if name == "ratio" else table
        if source.empty:
            continue
        piece = source[["left_out", "block_bytes", "depth"]].assign(
            memory="both" if name == "ratio" else source["memory"],
            quantity=name,
            measured=source[name],
            predicted=source[f"{name}_predicted"],
        )
        pieces.append(piece)
    if not pieces:
        pieces.append(pd.DataFrame(columns=[*_POINT, "measured", "predicted"]))
    points = pd.concat(pieces, ignore_index=True).astype({"measured": float, "predicted": float})
    points = points.dropna(subset=["measured", "predicted"], ignore_index=True)  # no CPU time was told
    points["way"] = points["left_out"].str.split().str[0]
    points["error"] = points["predicted"] / points["measured"] - 1
    return points


def _with_intervals(points: pd.DataFrame) -> pd.DataFrame:
    """Intervals as predictions have them, a label's own points having no say in their width."""
    logs = (np.log(points["predicted"]) - np.log(points["measured"])).abs()
    wide = pd.Series(np.nan, index=points.index)
    for _, members in points.groupby(["way", "quantity"]):
        for label in members["left_out"].unique():
            own = members.index[members["left_out"] == label]
            others = logs[members.index.difference(own)]
            wide[own] = np.quantile(others, 0.9) if len(others) else np.nan
    low, high = points["predicted"] * np.exp(-wide), points["predicted"] * np.exp(wide)
    return points.assign(low=low, high=high, inside=(points["measured"] >= low) & (points["measured"] <= high))


def run_noise(data: DataSet) -> dict[str, float]:
    """The noise floor: the median error that a point's median makes of its single runs, for each quantity [1]."""
    writes = data.writes
    keys = [writes[name] for name in KEYS]
    floor = {
        name: float((writes[name] / writes[name].groupby(keys).transform("median") - 1).abs().median())
        for name in ("cpu_s", "rate")
    }
    wide = writes.pivot_table(index=["block_bytes", "depth", "replicate"], columns="memory", values="rate")
    if {"malloc", "mmaphuge"} <= set(wide.columns):
        ratio = (wide["mmaphuge"] / wide["malloc"]).dropna()
        centre = ratio.groupby(level=["block_bytes", "depth"]).transform("median")
        floor["ratio"] = float((ratio / centre - 1).abs().median())
    return floor
