"""A data set's own points, predicted from fits that saw none of their block size or depth."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from zpmodel.calibration.fit import LEAST_PATH_S, QUANTITIES, Once, fit_each_time, with_cold
from zpmodel.calibration.groups import Groups, group
from zpmodel.calibration.observed import Observed, observe
from zpmodel.datasets.schema import KEYS, DataSet
from zpmodel.devices import DeviceKind
from zpmodel.devices.closed_loop import Load, closed_loop
from zpmodel.timing.events import EVENTS, on_path

Floats = npt.NDArray[np.float64]

COLUMNS = (
    *KEYS,
    *("replicates", "cpu_s", "cpu_s_predicted", "cpu_s_noise", "rate", "rate_predicted", "rate_noise", "left_out"),
)
RATIO_COLUMNS = ("left_out", "block_bytes", "depth", "max_sectors_kb", "ratio", "ratio_predicted")


def left_out(data: DataSet, *, by: tuple[str, ...] = ("block_bytes", "depth")) -> pd.DataFrame:
    """Predict every block size (and every depth) from a fit that saw none of it.

    :return: a row for each point and way of leaving it out: the keys, ``left_out``, ``replicates``, measured medians
        and predictions of ``cpu_s`` [s], ``rate`` [1/s], and their replicates' log standard deviation (``*_noise``);
        no rows where the set has too few block sizes and depths for that.
    """
    groups = group(data)
    return left_out_of(data.device, groups, {name: observe(data, groups, name) for name in QUANTITIES}, by)


def left_out_of(
    device: DeviceKind, groups: Groups, seen: dict[str, Observed], by: tuple[str, ...] = ("block_bytes", "depth")
) -> pd.DataFrame:
    """The same of points that are gathered already, by :func:`zpmodel.calibration.groups.group` and ``observe``."""
    names, outs = [], []
    for name in by:
        labels = groups.keys[name].to_numpy()
        for label in np.unique(labels):
            out = labels == label
            if not out.all() and (~out).sum() > len(EVENTS):
                names.append(f"{name} {label}")
                outs.append(out)
    if not outs:
        return pd.DataFrame(columns=list(COLUMNS))
    fits = fit_each_time(device, groups.events, groups.load, seen, ~np.array(outs))
    cpu_s, rates = zip(
        *(_predict(device, groups, once, out) for once, out in zip(fits, outs, strict=True)), strict=True
    )
    rows = np.concatenate([np.flatnonzero(out) for out in outs])
    return (
        groups.keys.take(rows)
        .reset_index(drop=True)
        .assign(
            replicates=np.array([len(repeats) for repeats in groups.rows])[rows],
            cpu_s=seen["cpu_s"].median[rows],
            cpu_s_predicted=np.concatenate(cpu_s),
            cpu_s_noise=seen["cpu_s"].spread[rows],
            rate=seen["rate"].median[rows],
            rate_predicted=np.concatenate(rates),
            rate_noise=seen["rate"].spread[rows],
            left_out=np.repeat(names, [out.sum() for out in outs]),
        )
    )


def _predict(device: DeviceKind, groups: Groups, once: Once, out: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """CPU time [s], NaN where there is none, and rate [1/s] of the points that were out."""
    load = Load(*(field[out] for field in groups.load))
    events = with_cold(device, groups.events[out], load, once.cache_mib)
    load = load._replace(path=np.maximum(on_path(events, load.depth, device) @ once.path.costs, LEAST_PATH_S))
    cpu_s = events @ once.total.costs
    return np.where(cpu_s > 0, cpu_s, np.nan), closed_loop(once.device.best.path(), load)


def ratio_table(held_out: pd.DataFrame) -> pd.DataFrame:
    """The 2 MiB / 4 KiB throughput ratios, measured and predicted, of :func:`left_out`'s rows."""
    if not {"malloc", "mmaphuge"} <= set(held_out["memory"]):
        return pd.DataFrame({name: pd.Series(dtype=float) for name in RATIO_COLUMNS})
    index = ["left_out", "block_bytes", "depth", "max_sectors_kb"]
    table = held_out.assign(max_sectors_kb=held_out.get("max_sectors_kb", 0))
    wide = table.pivot_table(index=index, columns="memory", values=["rate", "rate_predicted"])
    return (
        pd.DataFrame(
            {
                "ratio": wide["rate", "mmaphuge"] / wide["rate", "malloc"],
                "ratio_predicted": wide["rate_predicted", "mmaphuge"] / wide["rate_predicted", "malloc"],
            }
        )
        .dropna()
        .reset_index()
    )
