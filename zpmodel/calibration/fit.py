"""From a measured data set to a model: fit, bootstrap over replicates, and score on what was left out."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import least_squares

from zpmodel.base.errors import InputError
from zpmodel.base.units import KIB
from zpmodel.calibration.linear import fit_costs
from zpmodel.datasets.measured import KEYS, DataSet, Groups, group
from zpmodel.devices.closed_loop import Load, closed_loop
from zpmodel.timing.events import EVENTS, cold_share
from zpmodel.timing.machine import Model, Reach, Spread

Floats = npt.NDArray[np.float64]

RESAMPLES = 1000
_FLOOR = 0.05  # no replicate spread is believed to be below this [log]: drift between pairs is not in it
_PRIOR_WIDTH = 4.0  # of the device's log parameters: keeps apart from infinity what a data set can't tell
_CACHES = (2.0, 4.0, 8.0, 16.0, 32.0)
_CACHE_RESAMPLES = 40  # so many resamples choose a cache anew; the others take theirs in turn
_LARGE_BLOCK = 512 * KIB
_ENOUGH = 10  # points, to say by how much they scatter
_NO_RATIO = 0.5  # log standard deviation of a ratio that was never measured: anything from half to double
_START = np.array([30e-6, 3e-5, 5e-6, 1e-7, 2e-4, 2e-5, 4.0, 0.5])


@dataclass(frozen=True)
class Costs:
    """Fitted costs and their bootstrap draws; arrays as in :class:`zpmodel.timing.machine.Model`."""

    cache_mib: float
    cpu: Floats
    path: Floats
    device: Floats
    cpu_draws: Floats
    path_draws: Floats
    device_draws: Floats


def calibrate(data: DataSet, *, resamples: int = RESAMPLES, seed: int = 0) -> Model:
    """Fit costs to a data set, with intervals, and with what points scatter by when all of their block size or depth is
    left out.

    :raises InputError: where the set has too few points.
    """
    costs = resampled_costs(data, resamples=resamples, seed=seed)
    return Model(
        name=data.name,
        limits=data.limits,
        ring=data.ring,
        **vars(costs),
        spread=_spread(left_out(data)),
        reach=_reach(data, group(data)),
    )


def resampled_costs(data: DataSet, *, resamples: int, seed: int) -> Costs:
    """Fit costs to the medians over replicates, and to those of bootstrap resamples of the replicates.

    Both memories of a pair are resampled together, as they ran.

    :raises InputError: where the set has too few points.
    """
    groups = group(data)
    if len(groups.keys) <= len(EVENTS):
        accepted = f"more than {len(EVENTS)} different points to fit costs to"
        raise InputError(data.name, "points", len(groups.keys), accepted)
    rng = np.random.default_rng(seed)
    picks = _picks(groups, rng, resamples)
    columns, median, sigma = _observed(data, groups)
    cache = _cache_of(groups.events, groups.load, median["cpu_s"], sigma["cpu_s"])
    groups = replace(groups, events=with_cold(groups.events, groups.load, cache))
    cpu, path, device = _fit(groups.events, groups.load, median, sigma)
    through = groups.load._replace(path=np.maximum(groups.events @ path, 1e-9))
    fitted = {"cpu_s": groups.events @ cpu, "path_s": groups.events @ path, "rate": closed_loop(device, through)}
    resampled = {}
    for name, values in columns.items():
        drawn = [np.median(values[rows[pick]], axis=1) for rows, pick in zip(groups.rows, picks, strict=True)]
        resampled[name] = _widened(np.stack(drawn, axis=1), median[name], fitted[name], groups, rng)
    cpu_draws, path_draws, device_draws = (np.empty((resamples, len(best))) for best in (cpu, path, device))
    events = {size: with_cold(groups.events, groups.load, size) for size in _CACHES}
    caches = [
        _cache_of(groups.events, groups.load, sample, sigma["cpu_s"])
        for sample in resampled["cpu_s"][:_CACHE_RESAMPLES]
    ]
    for i in range(resamples):
        sample = {name: values[i] for name, values in resampled.items()}
        mine = events[caches[i % len(caches)]]
        cpu_draws[i], path_draws[i], device_draws[i] = _fit(mine, groups.load, sample, sigma, start=device)
    return Costs(cache, cpu, path, device, cpu_draws, path_draws, device_draws)


def _observed(data: DataSet, groups: Groups) -> tuple[dict[str, Floats], dict[str, Floats], dict[str, Floats]]:
    """What was measured: every run, each point's median, and that median's log standard error, by quantity."""
    columns = {name: data.writes[name].to_numpy() for name in ("cpu_s", "path_s", "rate")}
    median = {name: np.array([np.median(values[rows]) for rows in groups.rows]) for name, values in columns.items()}
    return columns, median, {name: _sigma(values, groups) for name, values in columns.items()}


def _picks(groups: Groups, rng: np.random.Generator, resamples: int) -> list[npt.NDArray[np.int64]]:
    """Which replicates each resample takes of each point; those of a pair are drawn together."""
    drawn: dict[tuple[int, int, int], npt.NDArray[np.int64]] = {}
    picks = []
    for (block, depth, _), rows in zip(groups.keys[list(KEYS)].itertuples(index=False), groups.rows, strict=True):
        key = int(block), int(depth), len(rows)
        if key not in drawn:
            drawn[key] = rng.integers(0, len(rows), (resamples, len(rows)))
        picks.append(drawn[key])
    return picks


def _widened(draws: Floats, median: Floats, fitted: Floats, groups: Groups, rng: np.random.Generator) -> Floats:
    """Resampled medians, as far apart as they should be.

    A resample of n replicates scatters too little by sqrt((n - 1) / n). And what points lie off the model by,
    beyond what their replicates explain, is one more random part of each.
    """
    number = np.array([len(rows) for rows in groups.rows], dtype=float)
    logs = np.log(draws / median) * np.sqrt(number / np.maximum(number - 1, 1))
    free = max(1, len(median) - groups.events.shape[1])
    misfit = 1.4826 * np.median(np.abs(np.log(median / np.maximum(fitted, 1e-12 * median))))
    beyond = max(0.0, misfit**2 * len(median) / free - float(np.median(np.var(logs, axis=0))))
    widened: Floats = median * np.exp(logs + rng.standard_normal(draws.shape) * np.sqrt(beyond))
    return widened


def _sigma(values: Floats, groups: Groups) -> Floats:
    """Log standard error of each point's median, from its replicates and, as those are few, from all points'."""
    spreads = np.array([np.std(np.log(values[rows]), ddof=1) if len(rows) > 1 else np.nan for rows in groups.rows])
    typical = float(np.nanmedian(spreads)) if np.isfinite(spreads).any() else 0.1
    number = np.array([len(rows) for rows in groups.rows])
    shrunk = np.sqrt((np.nan_to_num(spreads) ** 2 * (number - 1) + 2 * typical**2) / (number + 1))
    error: Floats = np.sqrt(np.pi / 2 * shrunk**2 / number + _FLOOR**2)
    return error


def with_cold(events: Floats, load: Load, cache_mib: float) -> Floats:
    """The events with the share of the data that a cache of this size [MiB] doesn't hold, shape (points, events)."""
    share = np.array([cold_share(float(size), cache_mib) for size in load.working_set])
    filled = events.copy()
    filled[:, EVENTS.index("cold MiB")] = load.mebibytes * share
    return filled


def _cache_of(events: Floats, load: Load, cpu_s: Floats, sigma: Floats) -> float:
    """The cache [MiB] with which CPU times fit best; only its rough size can be told, so a few are tried."""

    def misfit(cache_mib: float) -> float:
        residuals = fit_costs(with_cold(events, load, cache_mib), cpu_s, sigma).residuals / sigma
        return float(np.sum(np.minimum(np.abs(residuals), 3.0)))

    return min(_CACHES, key=misfit)


def _fit(
    events: Floats, load: Load, observed: dict[str, Floats], sigma: dict[str, Floats], start: Floats | None = None
) -> tuple[Floats, Floats, Floats]:
    """Costs of CPU, submitting thread and device; ``events`` have their cold share already."""
    cpu = fit_costs(events, observed["cpu_s"], sigma["cpu_s"]).costs
    path = fit_costs(events, observed["path_s"], sigma["path_s"]).costs
    full = load._replace(path=np.maximum(events @ path, 1e-9))
    return cpu, path, fit_device(full, observed["rate"], sigma["rate"], start)


def fit_device(load: Load, rate: Floats, sigma: Floats, start: Floats | None = None) -> Floats:
    """Fit the device's parameters to the rates of closed loops.

    :param load: shape (points,) in each field, ``path`` included [s].
    :param rate: operations per second [1/s], shape (points,).
    :param sigma: log standard error of each rate.
    :param start: where to start from, as returned before.
    :return: in the order of ``device.PARAMETERS``, shape (parameters,).
    """
    centre = _START.copy()
    # The fastest stream of bytes says what a MiB takes at the least.
    centre[4] = float(np.min(1 / (rate * load.mebibytes)))
    prior = _to_free(centre)
    begin = _to_free(start) if start is not None else prior
    weight = 1 / sigma

    def residuals(free: Floats) -> Floats:
        scaled = weight * np.log(closed_loop(_from_free(free), load) / rate)
        # Huber's loss as a residual, so that MINPACK's quick method can be used.
        size = np.abs(scaled)
        robust = np.where(size > 2, np.sign(scaled) * np.sqrt(np.maximum(4 * size - 4, 0)), scaled)
        return np.concatenate([robust, (free - prior) / _PRIOR_WIDTH])

    found = least_squares(residuals, begin, method="lm", xtol=1e-4, ftol=1e-5, max_nfev=200)
    return _from_free(found.x)


def _to_free(device: Floats) -> Floats:
    rounds = min(max(float(device[-1]), 1e-3), 1 - 1e-3)
    return np.append(np.log(device[:-1]), np.log(rounds / (1 - rounds)))


def _from_free(free: Floats) -> Floats:
    return np.append(np.exp(np.clip(free[:-1], -40, 8)), 1 / (1 + np.exp(-np.clip(free[-1], -30, 30))))


def left_out(data: DataSet, *, by: tuple[str, ...] = ("block_bytes", "depth")) -> pd.DataFrame:
    """Predict every block size (and every depth) from a fit that saw none of it.

    :return: a row for each point and way of leaving it out: the keys, ``left_out``, ``replicates``, measured medians
        and predictions of ``cpu_s`` [s], ``rate`` [1/s], and their replicates' log standard deviation (``*_noise``).
    """
    groups = group(data)
    columns, median, sigma = _observed(data, groups)
    frames = []
    for name in by:
        labels = groups.keys[name].to_numpy()
        for label in np.unique(labels):
            out = labels == label
            if out.all() or (~out).sum() <= len(EVENTS):
                continue
            frames.append(_predict_left_out(groups, columns, median, sigma, out).assign(left_out=f"{name} {label}"))
    if not frames:
        raise InputError(data.name, "points", len(groups.keys), "several block sizes or depths, to leave one out")
    return pd.concat(frames, ignore_index=True)


def _predict_left_out(
    groups: Groups,
    columns: dict[str, Floats],
    median: dict[str, Floats],
    sigma: dict[str, Floats],
    out: npt.NDArray[np.bool_],
) -> pd.DataFrame:
    def of(values: dict[str, Floats], mask: npt.NDArray[np.bool_]) -> dict[str, Floats]:
        return {name: value[mask] for name, value in values.items()}

    load_in, load_out = (Load(*(field[mask] for field in groups.load)) for mask in (~out, out))
    cache = _cache_of(groups.events[~out], load_in, median["cpu_s"][~out], sigma["cpu_s"][~out])
    events_in, events_out = (
        with_cold(groups.events[~out], load_in, cache),
        with_cold(groups.events[out], load_out, cache),
    )
    cpu, path, device = _fit(events_in, load_in, of(median, ~out), of(sigma, ~out))
    load_out = load_out._replace(path=np.maximum(events_out @ path, 1e-9))
    rows = [rows for rows, is_out in zip(groups.rows, out, strict=True) if is_out]

    def noise(name: str) -> list[float]:
        return [float(np.std(np.log(columns[name][r]), ddof=1)) if len(r) > 1 else np.nan for r in rows]

    return groups.keys[out].assign(
        replicates=[len(r) for r in rows],
        cpu_s=median["cpu_s"][out],
        cpu_s_predicted=events_out @ cpu,
        cpu_s_noise=noise("cpu_s"),
        rate=median["rate"][out],
        rate_predicted=closed_loop(device, load_out),
        rate_noise=noise("rate"),
    )


def _spread(held_out: pd.DataFrame) -> Spread:
    def sigma(logs: Floats) -> float:
        # So that nine of ten fall inside the 90 % interval, whatever the shape of the tails.
        return float(np.quantile(np.abs(logs), 0.9) / 1.645)

    def errors(table: pd.DataFrame, name: str) -> Floats:
        logs: Floats = np.log(table[name].to_numpy(float) / table[f"{name}_predicted"].to_numpy(float))
        return logs

    def widest(name: str) -> float:
        """Zeroing is done in large pieces, whose points may scatter more than most: the larger of both counts."""
        table = ratios if name == "ratio" else held_out
        large = table[table["block_bytes"] >= _LARGE_BLOCK]
        return max(sigma(errors(part, name)) for part in (table, large if len(large) >= _ENOUGH else table))

    ratios = ratio_table(held_out)
    return Spread(widest("cpu_s"), widest("rate"), widest("ratio") if len(ratios) else _NO_RATIO)


def ratio_table(held_out: pd.DataFrame) -> pd.DataFrame:
    """The 2 MiB / 4 KiB throughput ratios, measured and predicted, of :func:`left_out`'s rows."""
    index = ["left_out", "block_bytes", "depth"]
    wide = held_out.pivot_table(index=index, columns="memory", values=["rate", "rate_predicted"])
    if not {"malloc", "mmaphuge"} <= set(held_out["memory"]):
        return pd.DataFrame({"ratio": [], "ratio_predicted": []}, dtype=float)
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


def _reach(data: DataSet, groups: Groups) -> Reach:
    memories = tuple(sorted(groups.keys["memory"].unique()))
    blocks = [int(size) for size in groups.keys["block_bytes"].unique()]
    requests = [
        row for block in blocks for memory in memories for row in data.structure(block, memory).request_histogram()
    ]
    return Reach(
        request_bytes=(min(row["bytes"] for row in requests), max(row["bytes"] for row in requests)),
        request_segments=max(row["segments"] for row in requests),
        in_flight=int(np.max(np.minimum(groups.load.depth * groups.load.requests, groups.load.room))),
        depths=tuple(sorted(int(depth) for depth in groups.keys["depth"].unique())),
        memories=memories,
    )
