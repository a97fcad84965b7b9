"""A data set's own points, predicted from fits that saw none of their block size or depth."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from zpmodel.calibration.fit import QUANTITIES, fit_once, with_cold
from zpmodel.calibration.groups import Groups, group
from zpmodel.calibration.observed import Observed, observe
from zpmodel.datasets.schema import KEYS, DataSet
from zpmodel.devices import DeviceKind
from zpmodel.devices.closed_loop import Load, closed_loop
from zpmodel.timing.events import EVENTS

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
    seen = {name: observe(data, groups, name) for name in QUANTITIES}
    frames = []
    for name in by:
        labels = groups.keys[name].to_numpy()
        for label in np.unique(labels):
            out = labels == label
            if out.all() or (~out).sum() <= len(EVENTS):
                continue
            frames.append(_predict(data.device, groups, seen, out).assign(left_out=f"{name} {label}"))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))


def _predict(device: DeviceKind, groups: Groups, seen: dict[str, Observed], out: npt.NDArray[np.bool_]) -> pd.DataFrame:
    kept = {name: Observed(item.median[~out], item.sigma[~out], item.runs) for name, item in seen.items()}
    load_in, load_out = (Load(*(field[mask] for field in groups.load)) for mask in (~out, out))
    once = fit_once(device, groups.events[~out], load_in, kept)
    events = with_cold(device, groups.events[out], load_out, once.cache_mib)
    load_out = load_out._replace(path=np.maximum(events @ once.path.costs, 1e-9))
    rows = [rows for rows, is_out in zip(groups.rows, out, strict=True) if is_out]

    def noise(name: str) -> list[float]:
        runs = [seen[name].runs[r] for r in rows]
        logs = [np.log(values[np.isfinite(values)]) for values in runs]
        return [float(np.std(values, ddof=1)) if len(values) > 1 else np.nan for values in logs]

    predicted = events @ once.total.costs
    return groups.keys[out].assign(
        replicates=[len(r) for r in rows],
        cpu_s=seen["cpu_s"].median[out],
        cpu_s_predicted=np.where(predicted > 0, predicted, np.nan),
        cpu_s_noise=noise("cpu_s"),
        rate=seen["rate"].median[out],
        rate_predicted=closed_loop(once.device.best.path(), load_out),
        rate_noise=noise("rate"),
    )


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
