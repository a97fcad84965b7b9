"""From a measured data set to a machine: best costs, draws of what the data allow, scatter of what was left out."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from zpmodel.base.errors import InputError
from zpmodel.base.estimate import RESAMPLES
from zpmodel.calibration.device_fit import draw_device
from zpmodel.calibration.fit import LEAST_PATH_S, QUANTITIES, Once, fit_once, with_cold
from zpmodel.calibration.groups import Groups, group
from zpmodel.calibration.kept import kept_of
from zpmodel.calibration.left_out import left_out_of, ratio_table
from zpmodel.calibration.linear import Fit, draw_costs, fit_costs
from zpmodel.calibration.observed import Observed, at_floor, observe, round_medians, with_floor_at
from zpmodel.calibration.scatter import ENOUGH, of_writes, widest
from zpmodel.datasets.schema import DataSet
from zpmodel.devices import DeviceKind
from zpmodel.timing.cpu import Reach
from zpmodel.timing.events import on_path
from zpmodel.timing.fitted import FittedCpu
from zpmodel.timing.machine import Device, Driver, Machine, WriteScatter

Floats = npt.NDArray[np.float64]

_ROUND_RESAMPLES = 60
_TAIL = 10  # one point of so many, on either side, has no say in how whole rounds drift
_ENOUGH_ROUNDS = 3  # to say by how much they drift
_FLOORS = 40  # places of a reading of nothing


def calibrate(data: DataSet, *, resamples: int = RESAMPLES, seed: int = 0) -> Machine:
    """Fit costs to a data set, with all that its data allow, and with what points scatter by when all of their block
    size or depth is left out. Whoever asks again gets what was kept (:mod:`zpmodel.calibration.kept`).

    :param resamples: draws of the costs.
    :raises InputError: where the set has no writes.
    """
    if data.writes.empty:
        raise InputError(data.name, "points", "none", "a data set with writes")
    found = kept_of(data, f"calibrate {resamples} {seed}", lambda: fit_machine(data, resamples, seed))
    assert isinstance(found.cpu, FittedCpu)
    return replace(
        found,
        name=data.name,
        cpu=replace(found.cpu, source=data.name),
        driver=replace(found.driver, source=data.name, limits=data.limits),
        device=replace(found.device, source=data.name),
    )


def fit_machine(data: DataSet, resamples: int, seed: int = 0) -> Machine:
    """Do what :func:`calibrate` says, whether or not it was done before."""
    groups = group(data)
    seen = {name: observe(data, groups, name) for name in QUANTITIES}
    once = fit_once(data.device, groups.events, groups.load, seen)
    held_out, reach = left_out_of(data.device, groups, seen), _reach(data, groups)
    groups = replace(groups, events=with_cold(data.device, groups.events, groups.load, once.cache_mib))
    total_draws, path_draws, device_draws = _draws(data, groups, seen, once, resamples, seed)
    ratios = ratio_table(held_out)
    cpu = FittedCpu(
        source=data.name,
        total=once.total.costs,
        path=once.path.costs,
        total_draws=total_draws,
        path_draws=path_draws,
        cache_mib=once.cache_mib,
        scatter=widest(held_out, "cpu_s"),
        reach=reach,
    )
    device = Device(data.name, once.device.best, device_draws, widest(held_out, "rate"), reach)
    driver = Driver(data.name, data.limits, data.limits_known, data.limits_assumed)
    own = WriteScatter(of_writes(held_out, "cpu_s"), of_writes(held_out, "rate"), of_writes(ratios, "ratio"))
    return Machine(data.name, cpu, driver, device, widest(ratios, "ratio"), own, data.assumed)


def _draws(
    data: DataSet, groups: Groups, seen: dict[str, Observed], once: Once, draws: int, seed: int
) -> tuple[Floats, Floats, DeviceKind]:
    """Draws of the costs of all threads, of the submitting thread, and of the device."""
    rounds = len(np.unique(data.writes["replicate"]))
    rng = np.random.default_rng(seed)
    picks = rng.multinomial(rounds, np.full(rounds, 1 / rounds), _ROUND_RESAMPLES)
    costs = {}
    submitted = on_path(groups.events, groups.load.depth, data.device)
    for name, fit, events in (("cpu_s", once.total, groups.events), ("path_s", once.path, submitted)):
        told = seen[name].told
        medians = round_medians(data, groups, seen[name], picks)[:, told] if told.any() else np.zeros((0, 0))
        least = seen[name].seen_of_error if rounds >= _ENOUGH_ROUNDS else 1.0
        widened = _widened(fit, medians, seen[name].median[told], least)
        if at_floor(data).any() and told.any():
            costs[name] = _draws_over_floor(data, groups, seen[name], name, events, draws, widened, seed)
        else:
            costs[name] = draw_costs(fit, draws, widened, seed)
    load = groups.load._replace(path=np.maximum(submitted @ once.path.costs, LEAST_PATH_S))
    paths = np.maximum(costs["path_s"] @ submitted.T, LEAST_PATH_S)
    sigma = seen["rate"].sigma
    scaled = np.abs(once.device.residuals) / sigma
    free = max(1, len(scaled) - len(once.device.free))
    widened = max(1.0, 1.4826 * float(np.median(scaled)) * np.sqrt(len(scaled) / free))
    return costs["cpu_s"], costs["path_s"], draw_device(once.device, load, paths, sigma, widened, seed)


def _draws_over_floor(
    data: DataSet,
    groups: Groups,
    seen: Observed,
    name: str,
    events: Floats,
    draws: int,
    widened: float,
    seed: int,
) -> Floats:
    """Draws of costs where thread time reads as nothing: each with all such readings at one place between nothing and
    what the clock would show.

    Had each reading an error of its own, a sum of costs would be known the better the more readings there were.

    :param seen: as observed with each of them in the middle; ``widened``: as :func:`_widened` says.
    """
    found, told = np.empty((draws, events.shape[1])), seen.told
    # The arcsine law, as of a share of which nothing is known (Jeffreys): nine tenths reach from nothing to all.
    shares = np.sin(np.pi / 2 * (np.arange(_FLOORS) + 0.5) / _FLOORS) ** 2
    for i, share in enumerate(shares[:draws]):
        there = with_floor_at(data, groups, seen, name, float(share))
        fit = fit_costs(events[told], there.median[told], seen.sigma[told])
        found[i::_FLOORS] = draw_costs(fit, len(found[i::_FLOORS]), widened, seed + i)
    return found


def _widened(fit: Fit, medians: Floats, median: Floats, least: float) -> float:
    """How many times larger errors are than the fit's sigmas say.

    Points lie off the model by more than they scatter; and whole rounds drift together: the wider of both counts.
    What sigmas assume of drift is no part of it where both are seen.

    :param medians: of each point by resampled rounds, shape (resamples, points).
    :param least: what replicates alone say, where rounds are enough to show their drift.
    """
    if not len(fit.residuals):
        return 1.0
    points, events = len(fit.rows), int((fit.rows != 0).any(axis=0).sum())  # of those that some point has
    scaled = (fit.rows @ fit.costs - fit.target)[fit.target > 0]
    misfit = 1.4826 * float(np.median(np.abs(scaled))) * (points / max(1, points - events)) ** 0.5
    # The mean of all points but those that move most, which single runs far off hardly change and a round's drift does.
    tail = points // _TAIL
    moved = np.sort(np.log(medians / median), axis=1)[:, tail : points - tail]
    drift = float(np.std(moved.mean(axis=1))) * points**0.5
    alone = float(np.median(1 / np.maximum(fit.target, 1e-300)))
    return float(max(least if points - events >= ENOUGH else 1.0, misfit, drift / alone))


def _reach(data: DataSet, groups: Groups) -> Reach:
    memories = tuple(sorted(groups.keys["memory"].unique()))
    kinds = groups.keys[["block_bytes", "memory", "max_sectors_kb"]].drop_duplicates()
    requests = [
        row
        for block, memory, limit in kinds.itertuples(index=False)
        for row in data.structure(int(block), memory, int(limit)).request_histogram()
    ]
    return Reach(
        request_bytes=(min(row["bytes"] for row in requests), max(row["bytes"] for row in requests)),
        request_segments=max(row["segments"] for row in requests),
        in_flight=int(np.max(np.minimum(groups.load.depth * groups.load.requests, groups.load.room))),
        depths=tuple(sorted(int(depth) for depth in groups.keys["depth"].unique())),
        memories=memories,
        block_bytes=(int(kinds["block_bytes"].min()), int(kinds["block_bytes"].max())),
    )
