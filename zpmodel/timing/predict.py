"""Zeroing a range on a calibrated machine: CPU time, elapsed time, and what bounds it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zpmodel.limits import QueueLimits
from zpmodel.structure import Structure, count
from zpmodel.timing.device import latency_of, link_time
from zpmodel.timing.estimate import Estimate
from zpmodel.timing.events import EVENTS, as_row, cold_share, events_of, in_flight_limit
from zpmodel.timing.model import Model
from zpmodel.timing.overlap import bound_by, steady_rate
from zpmodel.units import MIB
from zpmodel.zeropage import ZeroPage

Floats = npt.NDArray[np.float64]

_BIO_SHARE = 0.1
"""CPU of a further bio, as a share of a request's. fio's I/O has one bio each, so it can't tell; instructions
counted in Linux 7.2 say 2 % to 15 %. The interval takes it from nothing to a quarter."""

_MOST_IN_FLIGHT = 256  # beyond, a closed loop's rate changes no more


@dataclass(frozen=True)
class Prediction:
    """What zeroing a range takes.

    :ivar zero_page: the page it is written from.
    :ivar structure: its exact structure.
    :ivar cpu_s: CPU time of all threads [s].
    :ivar elapsed_s: from call to return [s].
    :ivar bound_by: ``submission`` (the CPU), ``device`` (its data path) or ``latency`` (too few requests in flight).
    :ivar beyond: why this is outside the calibrated range; empty where it is inside.
    :ivar events: counts of EVENTS that the CPU time is made of, shape (events,).
    :ivar cpu_draws: draws of ``cpu_s`` from the costs' uncertainty alone, shape (draws,); ``elapsed_draws``
        likewise. Draw i is the same costs for every prediction, so that differences and ratios keep only what does
        not cancel.
    """

    zero_page: ZeroPage
    structure: Structure
    cpu_s: Estimate
    elapsed_s: Estimate
    bound_by: str
    beyond: str
    events: Floats
    cpu_draws: Floats
    elapsed_draws: Floats


def predict_zeroout(
    model: Model, zero_page: ZeroPage, length: int, *, offset: int = 0, limits: QueueLimits | None = None
) -> Prediction:
    """Predict ``blkdev_issue_zeroout`` on the calibrated machine.

    :param model: the machine's costs.
    :param zero_page: the page in use, after any fallback.
    :param length: bytes to zero [byte].
    :param offset: where [byte].
    :param limits: limits of the queue, where they are not those of the calibrated device.
    :raises InputError: on ranges that :func:`zpmodel.structure.count` refuses.
    """
    queue = limits or model.limits
    # Another device is not known to have this one's ring.
    ring = model.ring if queue == model.limits else None
    structure = count(zero_page, queue, offset, length)
    room = in_flight_limit(structure, queue, ring)
    in_flight = max(1, min(int(room), structure.requests, _MOST_IN_FLIGHT))
    cold = cold_share(zero_page.size_bytes / MIB, model.cache_mib)
    # One call, one wait at the end; what is in flight are its own requests.
    events = np.array(as_row({**events_of(structure, queue, ring, 1, cold), "wait": 1.0}))
    further_bios = structure.bios - 1
    request = EVENTS.index("request")
    shares = np.random.default_rng(1).uniform(0, 0.25, model.draws)
    cpu = float(events @ model.cpu + _BIO_SHARE * further_bios * model.cpu[request])
    cpu_draws = model.cpu_draws @ events + shares * further_bios * model.cpu_draws[:, request]
    path = float(events @ model.path + _BIO_SHARE * further_bios * model.path[request])
    path_draws = model.path_draws @ events + shares * further_bios * model.path_draws[:, request]
    elapsed = _elapsed(model.device, path, zero_page, structure, in_flight)
    elapsed_draws = np.array(
        [
            _elapsed(device, total, zero_page, structure, in_flight)
            for device, total in zip(model.device_draws, path_draws, strict=True)
        ]
    )
    return Prediction(
        zero_page=zero_page,
        structure=structure,
        cpu_s=model.estimate(cpu, cpu_draws, model.spread.cpu),
        elapsed_s=model.estimate(elapsed, elapsed_draws, model.spread.rate),
        bound_by=bound_by(
            path / structure.requests,
            _link(model.device, zero_page, structure),
            _latency(model.device, structure),
            in_flight,
        ),
        beyond=_beyond(model, zero_page, structure, limits),
        events=events,
        cpu_draws=cpu_draws,
        elapsed_draws=elapsed_draws,
    )


def _link(device: Floats, page: ZeroPage, structure: Structure) -> float:
    """Time of the mean request on the device's data path [s]; all data come from the one zero page."""
    segments, size = structure.segments / structure.requests, structure.length / structure.requests / MIB
    return float(link_time(device, 1.0, segments, size, page.size_bytes / MIB))


def _latency(device: Floats, structure: Structure) -> float:
    """Time that the mean request spends beside others [s]."""
    return float(latency_of(device, structure.length / structure.requests / MIB))


def _elapsed(device: Floats, path: float, page: ZeroPage, structure: Structure, in_flight: int) -> float:
    cpu, link, latency = path / structure.requests, _link(device, page, structure), _latency(device, structure)
    rate = steady_rate(cpu, link, latency, in_flight, float(device[-1]))
    return float(structure.requests / rate)


def _beyond(model: Model, zero_page: ZeroPage, structure: Structure, limits: QueueLimits | None) -> str:
    reasons = []
    sizes, segments = structure.request_table[:, 0], structure.request_table[:, 1]
    if limits is not None and limits != model.limits:
        reasons.append("other queue limits than the calibrated device's")
    if structure.operation != "write":
        reasons.append("data-less Write Zeroes were not measured")
    if int(sizes.max()) > model.reach.request_bytes:
        reasons.append("larger requests than measured")
    if int(segments.max()) > model.reach.request_segments:
        reasons.append("more segments a request than measured")
    if len(model.reach.memories) < 2:
        reasons.append(f"only buffers of {model.reach.memories[0]} were measured, so vectors have no cost of their own")
    if zero_page.size_bytes > 2 << 20:
        reasons.append("a larger zero page than 2 MiB")
    return "; ".join(reasons)
