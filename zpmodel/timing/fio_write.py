"""fio's own direct writes on a machine: a closed loop of so many in flight."""

import numpy as np

from zpmodel.base.errors import InputError
from zpmodel.base.units import MIB
from zpmodel.callers.fio_write import PAGE_BYTES, count_buffer
from zpmodel.devices.base import PathCosts
from zpmodel.devices.closed_loop import Load, closed_loop, latency_of, link_time
from zpmodel.devices.overlap import bound_by
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import Structure
from zpmodel.timing.cpu import total_of
from zpmodel.timing.events import as_row, cold_share, events_of, in_flight_limit, on_path, sleeps
from zpmodel.timing.fitted import FittedCpu
from zpmodel.timing.machine import Floats, Machine
from zpmodel.timing.predict import Prediction, stretch_of, why_beyond

_STEPS = 30


def predict_fio_write(
    machine: Machine, page: ZeroPage, block_bytes: int, *, depth: int = 1, offset: int = 0
) -> Prediction:
    """Predict one of fio's direct writes, ``depth`` of which are kept in flight; elapsed is from one to the next.

    :param page: of its registered buffers; of 4 KiB (malloc) or 2 MiB (mmaphuge).
    :param block_bytes: bytes of the write [byte].
    :raises InputError: on buffers that fio does not have, unaligned writes, and CPU costs that were not fitted to fio.
    """
    memory = {size: name for name, size in PAGE_BYTES.items()}.get(page.size_bytes)
    if memory is None:
        raise InputError("fio write", "zero_page", str(page), "buffers of 4 KiB pages or of 2 MiB pages")
    machine = machine.for_writes(block_bytes, depth)
    cpu, device = machine.cpu, machine.device
    if not isinstance(cpu, FittedCpu):
        raise InputError("fio write", "cpu", cpu.source, "CPU costs that were fitted to fio")
    structure = count_buffer(memory, machine.limits, block_bytes, offset=offset)
    size = block_bytes / MIB
    events = events_of(structure, machine.limits, device.best, depth, cold_share(size * depth, cpu.cache_mib))
    room = in_flight_limit(structure, machine.limits, device.best)
    if device.best.COMPLETES_SINGLY:
        events["wait"] = _sleeps(machine, events, structure, room, depth)
    row = on_path(np.array(as_row(events)), depth, device.best)
    terms = tuple(cpu.terms(events))
    cpu_s, cpu_draws = total_of(terms)
    path, best, drawn = float(row @ cpu.path), device.best.path(), device.paths(machine.draws)

    def seconds(costs: PathCosts, spent: Floats) -> Floats:
        return 1 / closed_loop(costs, _load(spent, structure, room, depth))[:, 0]

    elapsed = float(seconds(best, np.array([path]))[0])
    elapsed_draws = seconds(drawn, cpu.path_draws @ row)
    cold = cold_share(size * depth, best.cache)
    link = float(link_time(best, structure.requests, structure.segments, size, cold, cold))
    latency = float(latency_of(best, size / structure.requests))
    stretch = stretch_of(machine, structure, depth)
    return Prediction(
        zero_page=page,
        structure=structure,
        cpu_s=machine.estimate_of_write(cpu_s, cpu_draws, cpu.scatter, stretch),
        elapsed_s=machine.estimate_of_write(elapsed, elapsed_draws, device.scatter, stretch),
        bound_by=bound_by(path, link, latency, depth),
        beyond=why_beyond(machine, page, structure, depth),
        stretch=stretch,
        terms=terms,
        cpu_draws=cpu_draws,
        elapsed_draws=elapsed_draws,
    )


def _load(spent: Floats, structure: Structure, room: float, depth: int) -> Load:
    """What such writes ask for, with draws of the submitting thread's time [s], shape (draws,)."""
    size = structure.length / MIB
    asked = (structure.requests, structure.segments, size, room, depth, size * depth)
    return Load(np.maximum(spent, 1e-9)[:, None], *(np.array([float(value)]) for value in asked))


def _sleeps(machine: Machine, events: dict[str, float], structure: Structure, room: float, depth: int) -> float:
    """How often the submitting thread sleeps for a write, where completions come singly: the more it works, the less it
    sleeps, and sleeping is work; halving the way each time settles at once."""
    cpu, waits = machine.cpu, 1.0
    if not isinstance(cpu, FittedCpu):
        return waits
    for _ in range(_STEPS):
        spent = np.array([np.array(as_row(events | {"wait": waits})) @ cpu.path])
        rate = float(closed_loop(machine.device.best.path(), _load(spent, structure, room, depth))[0, 0])
        waits = 0.5 * (waits + float(sleeps(spent[0], rate, depth)))
    return waits
