"""A device from rates alone: what a table of block size, depth and rate says of it, whoever measured it."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from zpmodel.base.errors import InputError
from zpmodel.base.estimate import DEVIATIONS, LEVEL
from zpmodel.calibration.device_fit import DeviceFit, draw_device, fit_device
from zpmodel.calibration.groups import describe
from zpmodel.calibration.observed import FLOOR
from zpmodel.datasets.curve import CURVE, read_curve
from zpmodel.datasets.schema import KEYS, conform
from zpmodel.devices import DeviceKind, Drive
from zpmodel.devices.closed_loop import Load, closed_loop
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.presets import find_limits
from zpmodel.timing.cpu import Reach
from zpmodel.timing.machine import Device

Floats = npt.NDArray[np.float64]

ASSUMED_LIMITS = "nvme-mdts5"
"""Of a curve whose queue nobody knows: requests of at most 128 KiB, the least that drives commonly take."""

_PATH_S = 1e-9  # nobody knows what the submitter took of each turn: it is part of the latency
_DRAWS = 400
_FEWEST = 3  # points left to fit to, when others are left out


def named_device(name: str) -> Device:
    """A device by the name of a shipped curve, or by a CSV file's.

    :raises InputError: where there is none, or it can't be read.
    """
    table, source = read_curve(name)
    return device_from_curve(table, source)


def device_from_curve(
    table: pd.DataFrame, source: str, *, limits: QueueLimits | None = None, kind: DeviceKind | None = None
) -> Device:
    """Fit a device to the rates of closed loops whose CPU nobody measured; what that took is in the latency.

    :param table: columns ``block_bytes`` [byte], ``depth`` and ``rate`` [1/s], one row a point; ``memory`` may be
        among them, 4 KiB pages if not.
    :param source: what it rests on.
    :param limits: of its queue; :data:`ASSUMED_LIMITS` where nobody knows them.
    :param kind: what to fit, a :class:`zpmodel.devices.Drive` if left out.
    :raises InputError: on a table that is none.
    """
    points, load, kind = _points(table, source, limits, kind)
    sigma = np.full(len(points), FLOOR)
    rate = points["rate"].to_numpy()
    fit = fit_device(kind, load, rate, sigma)
    draws = draw_device(fit, load, np.full((_DRAWS, len(points)), _PATH_S), sigma, _widened(fit, sigma))
    held_out = left_out_points(table, source, limits=limits, kind=kind)
    logs = np.abs(np.log(held_out["predicted"] / held_out["rate"]))
    scatter = float(np.quantile(logs, LEVEL)) / DEVIATIONS if len(logs) else 0.5
    return Device(source, fit.best, draws, max(scatter, 1e-3), _reach(points, load, limits or _assumed()))


def left_out_points(
    table: pd.DataFrame, source: str, *, limits: QueueLimits | None = None, kind: DeviceKind | None = None
) -> pd.DataFrame:
    """Predict every block size, and every depth, from a fit that saw none of it.

    :return: ``block_bytes``, ``depth``, ``memory``, ``rate`` and ``predicted`` [1/s], and ``left_out``: what was.
    """
    points, load, kind = _points(table, source, limits, kind)
    rate, frames = points["rate"].to_numpy(), []
    for name in ("block_bytes", "depth"):
        for label in np.unique(points[name]):
            out = (points[name] == label).to_numpy()
            if out.all() or (~out).sum() < _FEWEST:
                continue
            seen, unseen = (Load(*(field[mask] for field in load)) for mask in (~out, out))
            best = fit_device(kind, seen, rate[~out], np.full(int((~out).sum()), FLOOR)).best
            predicted = closed_loop(best.path(), unseen)
            frames.append(points[out].assign(predicted=predicted, left_out=f"{name} {label}"))
    columns = ["block_bytes", "depth", "memory", "rate", "predicted", "left_out"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns, dtype=float)


def _assumed() -> QueueLimits:
    return find_limits(ASSUMED_LIMITS)


def _points(
    table: pd.DataFrame, source: str, limits: QueueLimits | None, kind: DeviceKind | None
) -> tuple[pd.DataFrame, Load, DeviceKind]:
    frame = conform(table.assign(memory=table.get("memory", "malloc"), max_sectors_kb=0), CURVE, source)
    points = frame.groupby(list(KEYS))["rate"].median().reset_index()
    if points.empty or not (points["rate"] > 0).all():
        raise InputError(source, "rate", "no points, or rates of 0", "a row a point, each with its rate [1/s]")
    kind = kind or Drive()
    _, load = describe(limits or _assumed(), kind, points)
    return points, load._replace(path=np.full(len(points), _PATH_S)), kind


def _widened(fit: DeviceFit, sigma: Floats) -> float:
    scaled = np.abs(fit.residuals) / sigma
    free = max(1, len(scaled) - len(fit.free))
    return max(1.0, 1.4826 * float(np.median(scaled)) * float(np.sqrt(len(scaled) / free)))


def _reach(points: pd.DataFrame, load: Load, limits: QueueLimits) -> Reach:
    each = points["block_bytes"].to_numpy() / load.requests
    largest = min(int(points["block_bytes"].max()), limits.max_bytes)
    return Reach(
        request_bytes=(int(each.min()), largest),
        request_segments=int(np.ceil(np.max(load.segments / load.requests))),
        in_flight=int(np.max(np.minimum(load.depth * load.requests, load.room))),
        depths=tuple(sorted(int(depth) for depth in points["depth"].unique())),
        memories=tuple(sorted(points["memory"].unique())),
        block_bytes=(int(points["block_bytes"].min()), int(points["block_bytes"].max())),
    )
