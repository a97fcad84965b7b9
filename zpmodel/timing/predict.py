"""Zeroing a range on a calibrated machine: CPU time, elapsed time, and what bounds it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zpmodel.base.estimate import Estimate
from zpmodel.base.units import MIB
from zpmodel.devices.closed_loop import PARAMETERS, latency_of, link_time
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import Structure, count
from zpmodel.timing.events import EVENTS, as_row, cold_share, events_of, in_flight_limit
from zpmodel.timing.machine import Model
from zpmodel.timing.overlap import bound_by, steady_rate

Floats = npt.NDArray[np.float64]

_BIO_SHARE = 0.1
"""CPU of a further bio, as a share of a request's. fio's I/O has one bio each, so it can't tell; instructions
counted in Linux 7.2 say 2 % to 15 %. The interval takes it from nothing to a quarter."""

_STILL_COLD = 0.25
"""Of what data outside the cache cost a device more than data inside, the share that zeroes from one page still cost.

tools/hot_source.py: the same 2 MiB page goes 8.2 GiB/s, pages of their own 7.0, where the cache's speed would be 9.9.
The interval takes it from nothing to half.
"""


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
    # No more than was measured: deeper, a rate would be an extrapolation, and hardly higher.
    in_flight = max(1, min(int(room), structure.requests, model.reach.in_flight))
    cold = cold_share(zero_page.size_bytes / MIB, model.cache_mib)
    # One call, one wait at the end; what is in flight are its own requests.
    events = np.array(as_row({**events_of(structure, queue, ring, 1, cold), "wait": 1.0}))
    further_bios = structure.bios - 1
    request = EVENTS.index("request")
    rng = np.random.default_rng(1)
    shares, still_cold = rng.uniform(0, 0.25, model.draws), rng.uniform(0, 2 * _STILL_COLD, model.draws)
    cpu = float(events @ model.cpu + _BIO_SHARE * further_bios * model.cpu[request])
    cpu_draws = model.cpu_draws @ events + shares * further_bios * model.cpu_draws[:, request]
    path = float(events @ model.path + _BIO_SHARE * further_bios * model.path[request])
    path_draws = model.path_draws @ events + shares * further_bios * model.path_draws[:, request]
    cold_device = _cold(_STILL_COLD, zero_page, model.device)
    elapsed = _elapsed(model.device, path, cold_device, structure, in_flight)
    elapsed_draws = np.array(
        [
            _elapsed(device, total, _cold(float(share), zero_page, device), structure, in_flight)
            for device, total, share in zip(model.device_draws, path_draws, still_cold, strict=True)
        ]
    )
    link = _link(model.device, cold_device, structure)
    return Prediction(
        zero_page=zero_page,
        structure=structure,
        cpu_s=model.estimate(cpu, cpu_draws, model.spread.cpu),
        elapsed_s=model.estimate(elapsed, elapsed_draws, model.spread.rate),
        bound_by=bound_by(path / structure.requests, link, _latency(model.device, structure), in_flight),
        beyond=_beyond(model, zero_page, structure, limits),
        events=events,
        cpu_draws=cpu_draws,
        elapsed_draws=elapsed_draws,
    )


def _cold(still: float, page: ZeroPage, device: Floats) -> float:
    """Share of the data that costs as if outside the cache: all come from the one zero page."""
    return max(still, cold_share(page.size_bytes / MIB, float(device[PARAMETERS.index("cache")])))


def _link(device: Floats, cold: float, structure: Structure) -> float:
    """Time of the mean request on the device's data path [s]."""
    segments, size = structure.segments / structure.requests, structure.length / structure.requests / MIB
    return float(link_time(device, 1.0, segments, size, cold))


def _latency(device: Floats, structure: Structure) -> float:
    """Time that the mean request spends beside others [s]."""
    return float(latency_of(device, structure.length / structure.requests / MIB))


def _elapsed(device: Floats, path: float, cold: float, structure: Structure, in_flight: int) -> float:
    cpu, link, latency = path / structure.requests, _link(device, cold, structure), _latency(device, structure)
    rate = steady_rate(cpu, link, latency, in_flight, float(device[-1]))
    return float(structure.requests / rate)


def _beyond(model: Model, zero_page: ZeroPage, structure: Structure, limits: QueueLimits | None) -> str:
    reasons = []
    sizes, segments = structure.request_table[:, 0], structure.request_table[:, 1]
    if limits is not None and limits != model.limits:
        reasons.append("other queue limits than the calibrated device's")
    if structure.operation != "write":
        reasons.append("data-less Write Zeroes were not measured")
    if int(sizes.max()) > model.reach.request_bytes[1]:
        reasons.append("larger requests than measured")
    if structure.length // structure.requests < model.reach.request_bytes[0]:
        reasons.append("smaller requests than measured")
    if len(model.reach.depths) < 2:
        reasons.append("only one queue depth was measured, so overlap is not known")
    if int(segments.max()) > model.reach.request_segments:
        reasons.append("more segments a request than measured")
    if len(model.reach.memories) < 2:
        reasons.append(f"only buffers of {model.reach.memories[0]} were measured, so vectors have no cost of their own")
    if zero_page.size_bytes > 2 << 20:
        reasons.append("a larger zero page than 2 MiB")
    return "; ".join(reasons)
