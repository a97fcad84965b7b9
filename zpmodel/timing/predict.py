"""Zeroing a range on a calibrated machine: CPU time, elapsed time, and what bounds it."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zpmodel.base.estimate import Estimate
from zpmodel.base.units import MIB
from zpmodel.devices.base import PathCosts
from zpmodel.devices.closed_loop import latency_of, link_time
from zpmodel.devices.overlap import bound_by
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import Structure, count
from zpmodel.timing.cpu import Asked, Reach, Term, total_of
from zpmodel.timing.events import cold_share, in_flight_limit
from zpmodel.timing.machine import Machine
from zpmodel.timing.pipeline import Kinds, Submission, call_seconds, many_call_seconds

Floats = npt.NDArray[np.float64]

_STILL_COLD = 0.5
"""Of what data outside the cache cost a device more than data inside, the share that zeroes from one page still cost.

tools/hot_source.py: the same 2 MiB page goes 8.2 GiB/s, pages of their own 7.0, where the cache's speed would be 9.9:
half of what cold data cost more. One device, two runs: the interval takes it from nothing to all.
"""


@dataclass(frozen=True)
class Prediction:
    """What zeroing a range takes.

    :ivar zero_page: the page it is written from.
    :ivar structure: its exact structure.
    :ivar cpu_s: CPU time of all threads [s]; unknown, as are its draws and terms, where none was measured.
    :ivar elapsed_s: from call to return [s].
    :ivar bound_by: ``submission`` (the CPU), ``device`` (its data path) or ``latency`` (too few requests in flight).
    :ivar beyond: why this is outside the calibrated range; empty where it is inside.
    :ivar stretch: how many times what held-out points scatter by this may be off: 1 inside the calibrated range [1].
    :ivar terms: what the CPU time is made of.
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
    stretch: float
    terms: tuple[Term, ...]
    cpu_draws: Floats
    elapsed_draws: Floats

    @property
    def busy_s(self) -> float:
        """How long a CPU that does nothing else takes for each call [s]: where its CPU time is not known, all of it."""
        return self.cpu_s.value if self.cpu_s.known else self.elapsed_s.value


def predict_zeroout(machine: Machine, zero_page: ZeroPage, length: int, *, offset: int = 0) -> Prediction:
    """Predict ``blkdev_issue_zeroout`` on a machine.

    :param machine: CPU, driver and device.
    :param zero_page: the page in use, after any fallback.
    :param length: bytes to zero [byte].
    :param offset: where [byte].
    :raises InputError: on ranges that :func:`zpmodel.structure.count` refuses.
    """
    return predict_structure(machine, zero_page, count(zero_page, machine.limits, offset, length))


def predict_structure(machine: Machine, zero_page: ZeroPage, structure: Structure, *, waits: int = 1) -> Prediction:
    """Predict one call that makes this structure.

    :param waits: how often the caller sleeps until all that it handed down is done; 0: somebody else is called back.
    """
    device = machine.device
    spent = machine.cpu.times(Asked(structure, zero_page, machine.limits, device.best, waits))
    cpu_s, cpu_draws = total_of(spent.terms)
    kinds = _kinds(device.best.path(), structure)
    in_flight = min(_in_flight(machine, structure), -(-structure.requests // max(1, waits)))
    best, drawn = device.best.path(), device.paths(machine.draws)
    touched = min(zero_page.size_bytes, structure.length) / MIB
    far = cold_share(touched, best.cache)
    cold = max(_STILL_COLD, far)
    still = np.random.default_rng(2).uniform(0, 2 * _STILL_COLD, machine.draws)
    fars = np.maximum(0.0, 1.0 - drawn.cache / touched)
    colds = np.maximum(still, fars)
    path = Submission(*(float(value) for value in spent.path))
    path_draws = Submission(*(np.broadcast_to(value, machine.draws).astype(float) for value in spent.path_draws))
    elapsed = float(call_seconds(_scalars(best), path, kinds, cold, far, float(in_flight)))
    elapsed_draws = np.asarray(many_call_seconds(drawn, path_draws, kinds, colds, fars, float(in_flight)))
    requests, segments, size = structure.requests, structure.segments, structure.length / MIB
    on_path = float(path.call + requests * path.request + segments * path.segment + size * path.mebibyte) / requests
    link = float(link_time(best, 1.0, segments / requests, _moved(structure) / requests, cold, far))
    latency = float(latency_of(best, _moved(structure) / requests))
    stretch = stretch_of(machine, structure)
    return Prediction(
        zero_page=zero_page,
        structure=structure,
        cpu_s=machine.estimate(cpu_s, cpu_draws, machine.cpu.scatter * stretch),
        elapsed_s=machine.estimate(elapsed, elapsed_draws, device.scatter * stretch),
        bound_by=bound_by(on_path, link, latency, in_flight),
        beyond=why_beyond(machine, zero_page, structure),
        stretch=stretch,
        terms=spent.terms,
        cpu_draws=cpu_draws,
        elapsed_draws=elapsed_draws,
    )


def _scalars(path: PathCosts) -> PathCosts:
    return PathCosts(*(float(value) for value in path))


def _in_flight(machine: Machine, structure: Structure) -> int:
    """Requests of one call in flight, no more than were measured: deeper, a rate would be extrapolated."""
    room = int(min(in_flight_limit(structure, machine.limits, machine.device.best), structure.requests))
    reach = machine.device.reach
    return max(1, room if reach is None else min(room, reach.in_flight))


def _moved(structure: Structure) -> float:
    """Data that the device takes in [MiB]: Write Zeroes moves none."""
    return structure.length / MIB if structure.operation == "write" else 0.0


def _kinds(device: PathCosts, structure: Structure) -> Kinds:
    """The requests by kind, the one that takes the device longest first."""
    size, segments, _, number = structure.request_table.astype(float).T
    moved = size / MIB if structure.operation == "write" else np.zeros(len(size))
    time = [
        link_time(device, 1.0, s, m, 0.0, 0.0) + latency_of(device, m) for s, m in zip(segments, moved, strict=True)
    ]
    order = np.argsort(-np.array(time, dtype=float), kind="stable")
    return Kinds(*(np.ascontiguousarray(column[order]) for column in (moved, segments, number)))


def stretch_of(machine: Machine, structure: Structure, depth: int | None = None) -> float:
    """By how much held-out scatter grows outside the calibrated range [1].

    As one more held-out error, independent of the others, for each doubling by which requests or blocks are larger or
    smaller, requests of more segments or queues deeper or shallower than any that was measured, and for a machine whose
    parts were not measured together.

    :param depth: of fio's writes, operations in flight; None: a call of the kernel's own.
    """
    reach = machine.cpu.reach or machine.device.reach
    if reach is None:
        return 1.0
    doublings = sum(math.log2(max(1.0, *axis.values())) for axis in _past(reach, structure, depth))
    return math.sqrt(1 + bool(machine.composed) + doublings)


def _past(reach: Reach, structure: Structure, depth: int | None) -> tuple[dict[str, float], ...]:
    """How many times more than was measured is asked for, by what is more; one dict for each thing that costs depend
    on, so that a block that is larger because its one request is counts once.

    :param depth: as :func:`stretch_of` takes it; a call of the kernel's own has its requests in flight, of which no
        more are reckoned with than were measured.
    """
    sizes, segments = structure.request_table[:, 0], structure.request_table[:, 1]
    size = {
        "larger requests than measured": int(sizes.max()) / reach.request_bytes[1],
        "smaller requests than measured": reach.request_bytes[0] / (structure.length / structure.requests),
    }
    in_flight = {"fewer in flight than measured": reach.depths[0] / (depth or structure.requests)}
    if depth is not None:
        size["larger blocks than measured"] = structure.length / reach.block_bytes[1]
        size["smaller blocks than measured"] = reach.block_bytes[0] / structure.length
        in_flight["more in flight than measured"] = depth / reach.depths[-1]
    filled = {"more segments a request than measured": int(segments.max()) / max(1, reach.request_segments)}
    return size, filled, in_flight


def why_beyond(machine: Machine, zero_page: ZeroPage, structure: Structure, depth: int | None = None) -> str:
    """Say why a prediction is an extrapolation; empty where it is none.

    :param depth: as :func:`stretch_of` takes it.
    """
    reasons, reach = [], machine.cpu.reach or machine.device.reach
    if machine.composed:
        reasons.append(f"composed, not measured as a whole ({machine.composed})")
    if structure.operation != "write":
        reasons.append("data-less Write Zeroes were not measured")
    if zero_page.size_bytes > 2 << 20:
        reasons.append("a larger zero page than 2 MiB")
    if reach is None:
        return "; ".join(reasons)
    reasons += [why for axis in _past(reach, structure, depth) for why, ratio in axis.items() if ratio > 1]
    if len(reach.depths) < 2:
        reasons.append("only one queue depth was measured, so overlap is not known")
    if len(reach.memories) < 2:
        reasons.append(f"only buffers of {reach.memories[0]} were measured, so vectors have no cost of their own")
    return "; ".join(reasons)
