"""Zeroing a range on a calibrated machine: CPU time, elapsed time, and what bounds it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zpmodel.base.errors import InputError
from zpmodel.base.estimate import Estimate
from zpmodel.base.units import MIB
from zpmodel.callers.fio_write import PAGE_BYTES, count_buffer
from zpmodel.devices.base import PathCosts
from zpmodel.devices.closed_loop import Load, closed_loop, latency_of, link_time
from zpmodel.devices.overlap import bound_by, steady_rate
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import Structure, count
from zpmodel.timing.events import EVENTS, as_row, cold_share, events_of, in_flight_limit
from zpmodel.timing.machine import Machine

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


def predict_zeroout(machine: Machine, zero_page: ZeroPage, length: int, *, offset: int = 0) -> Prediction:
    """Predict ``blkdev_issue_zeroout`` on a machine.

    :param machine: CPU, driver and device.
    :param zero_page: the page in use, after any fallback.
    :param length: bytes to zero [byte].
    :param offset: where [byte].
    :raises InputError: on ranges that :func:`zpmodel.structure.count` refuses.
    """
    structure = count(zero_page, machine.limits, offset, length)
    room = in_flight_limit(structure, machine.limits, machine.device.best)
    # No more than was measured: deeper, a rate would be an extrapolation, and hardly higher.
    in_flight = max(1, min(int(room), structure.requests, machine.device.reach.in_flight))
    cold = cold_share(zero_page.size_bytes / MIB, machine.cpu.cache_mib)
    # One call, one wait at the end; what is in flight are its own requests.
    events = np.array(as_row({**events_of(structure, machine.limits, machine.device.best, 1, cold), "wait": 1.0}))
    rng = np.random.default_rng(1)
    shares, still_cold = rng.uniform(0, 0.25, machine.draws), rng.uniform(0, 2 * _STILL_COLD, machine.draws)
    cpu, cpu_draws = _cpu(machine.cpu.total, machine.cpu.total_draws, events, structure.bios - 1, shares)
    path, path_draws = _cpu(machine.cpu.path, machine.cpu.path_draws, events, structure.bios - 1, shares)
    best = machine.device.best.path()
    cold_device = _cold(_STILL_COLD, zero_page, best)
    elapsed = _elapsed(best, path, cold_device, structure, in_flight)
    elapsed_draws = np.empty(machine.draws)
    for i, (total, share) in enumerate(zip(path_draws, still_cold, strict=True)):
        drawn = machine.device.draw(i).path()
        elapsed_draws[i] = _elapsed(drawn, total, _cold(float(share), zero_page, drawn), structure, in_flight)
    link = _link(best, cold_device, structure)
    return Prediction(
        zero_page=zero_page,
        structure=structure,
        cpu_s=machine.estimate(cpu, cpu_draws, machine.cpu.scatter),
        elapsed_s=machine.estimate(elapsed, elapsed_draws, machine.device.scatter),
        bound_by=bound_by(path / structure.requests, link, _latency(best, structure), in_flight),
        beyond=_beyond(machine, zero_page, structure),
        events=events,
        cpu_draws=cpu_draws,
        elapsed_draws=elapsed_draws,
    )


def predict_fio_write(
    machine: Machine, page: ZeroPage, block_bytes: int, *, depth: int = 1, offset: int = 0
) -> Prediction:
    """Predict one of fio's direct writes, ``depth`` of which are kept in flight; elapsed is the time from one to the
    next.

    :param page: of its registered buffers; of 4 KiB (malloc) or 2 MiB (mmaphuge).
    :param block_bytes: bytes of the write [byte].
    :raises InputError: on buffers that fio does not have, and unaligned writes.
    """
    memory = {size: name for name, size in PAGE_BYTES.items()}.get(page.size_bytes)
    if memory is None:
        raise InputError("fio write", "zero_page", str(page), "buffers of 4 KiB pages or of 2 MiB pages")
    structure = count_buffer(memory, machine.limits, block_bytes, offset=offset)
    size = block_bytes / MIB
    cold = cold_share(size * depth, machine.cpu.cache_mib)
    events = np.array(as_row(events_of(structure, machine.limits, machine.device.best, depth, cold)))
    room = in_flight_limit(structure, machine.limits, machine.device.best)
    load = (structure.requests, structure.segments, size, room, depth, size * depth)
    cpu, cpu_draws = float(events @ machine.cpu.total), machine.cpu.total_draws @ events
    path, path_draws = float(events @ machine.cpu.path), machine.cpu.path_draws @ events

    def seconds(device: PathCosts, spent: float) -> float:
        point = Load(*(np.array([float(value)]) for value in (max(spent, 1e-9), *load)))
        return 1 / float(closed_loop(device, point)[0])

    best = machine.device.best.path()
    drawn = np.array([seconds(machine.device.draw(i).path(), spent) for i, spent in enumerate(path_draws)])
    elapsed = seconds(best, path)
    link = float(link_time(best, structure.requests, structure.segments, size, cold_share(size * depth, best.cache)))
    return Prediction(
        zero_page=page,
        structure=structure,
        cpu_s=machine.estimate(cpu, cpu_draws, machine.cpu.scatter),
        elapsed_s=machine.estimate(elapsed, drawn, machine.device.scatter),
        bound_by=bound_by(path, link, _latency(best, structure), depth),
        beyond=_beyond(machine, page, structure),
        events=events,
        cpu_draws=cpu_draws,
        elapsed_draws=drawn,
    )


def _cpu(costs: Floats, draws: Floats, events: Floats, further_bios: int, shares: Floats) -> tuple[float, Floats]:
    """CPU time of the events and of bios beyond the first [s], and its draws."""
    request = EVENTS.index("request")
    best = float(events @ costs + _BIO_SHARE * further_bios * costs[request])
    return best, draws @ events + shares * further_bios * draws[:, request]


def _cold(still: float, page: ZeroPage, device: PathCosts) -> float:
    """Share of the data that costs as if outside the cache: all come from the one zero page."""
    return max(still, cold_share(page.size_bytes / MIB, device.cache))


def _link(device: PathCosts, cold: float, structure: Structure) -> float:
    """Time of the mean request on the device's data path [s]."""
    segments, size = structure.segments / structure.requests, structure.length / structure.requests / MIB
    return float(link_time(device, 1.0, segments, size, cold))


def _latency(device: PathCosts, structure: Structure) -> float:
    """Time that the mean request spends beside others [s]."""
    return float(latency_of(device, structure.length / structure.requests / MIB))


def _elapsed(device: PathCosts, path: float, cold: float, structure: Structure, in_flight: int) -> float:
    cpu, link, latency = path / structure.requests, _link(device, cold, structure), _latency(device, structure)
    return float(structure.requests / steady_rate(cpu, link, latency, in_flight, device.rounds))


def _beyond(machine: Machine, zero_page: ZeroPage, structure: Structure) -> str:
    reasons, reach = [], machine.cpu.reach
    sizes, segments = structure.request_table[:, 0], structure.request_table[:, 1]
    if machine.composed:
        reasons.append(f"not calibrated as a whole: {machine.composed}")
    if structure.operation != "write":
        reasons.append("data-less Write Zeroes were not measured")
    if int(sizes.max()) > reach.request_bytes[1]:
        reasons.append("larger requests than measured")
    if structure.length // structure.requests < reach.request_bytes[0]:
        reasons.append("smaller requests than measured")
    if len(reach.depths) < 2:
        reasons.append("only one queue depth was measured, so overlap is not known")
    if int(segments.max()) > reach.request_segments:
        reasons.append("more segments a request than measured")
    if len(reach.memories) < 2:
        reasons.append(f"only buffers of {reach.memories[0]} were measured, so vectors have no cost of their own")
    if zero_page.size_bytes > 2 << 20:
        reasons.append("a larger zero page than 2 MiB")
    return "; ".join(reasons)
