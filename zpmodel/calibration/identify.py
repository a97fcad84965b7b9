"""What a calibration says, and what it can't say."""

import math
from typing import Any, NamedTuple

import numpy as np

from zpmodel.base.errors import InputError
from zpmodel.base.estimate import TAILS, Estimate
from zpmodel.base.units import format_size
from zpmodel.calibration.bounds import NEVER, UNKNOWN, VALUE, in_words, remedy, told_of
from zpmodel.devices.base import Parameter
from zpmodel.timing.events import EVENTS
from zpmodel.timing.fitted import FittedCpu
from zpmodel.timing.machine import LARGE_BYTES, Floats, Machine

_TIED = 0.9

_REMEDY = {
    frozenset(("operation", "request")): "blocks of several requests each: larger ones, or with max_sectors_kb lowered "
    "(zpmodel measure does it as root on a block device)",
    frozenset(("vector", "MiB")): "both memories at each block size",
    frozenset(("request", "vector")): "small and large blocks of 4 KiB pages, down to 4 KiB",
    frozenset(("stall", "vector")): "a device whose ring takes more segments, or depth 1 only",
    frozenset(("operation", "wait")): "more queue depths, 1 among them",
    frozenset(("operation", "table")): "blocks of 4 KiB and less beside larger ones",
}


def cost_table(machine: Machine) -> list[dict[str, Any]]:
    """Costs with their intervals, rows of ``part``, ``cost of``, ``value``, ``low``, ``high``, ``unit`` and ``says``.

    What no point has, or whose CPU time nobody measured, has no number: NaN. What of a device the data don't move, or
    bound on one side alone, has no ``value`` (a fit would stay where it began), and what it may be for ``low`` and
    ``high``. ``says`` has that in words: a limit, or what to measure; of a CPU cost at a bound, too.
    """
    cpu, device = machine.cpu, machine.device
    if not isinstance(cpu, FittedCpu):
        raise InputError(machine.name, "cpu", cpu.source, "costs that were fitted to a data set")
    rows = []
    for part, best, draws in (("cpu", cpu.total, cpu.total_draws), ("submitting thread", cpu.path, cpu.path_draws)):
        rows += [_row(part, name, best[i], draws[:, i], "s") for i, name in enumerate(EVENTS)]
    for i, parameter in enumerate(device.best.FITTED):
        best, drawn = device.best.parameters[i], np.asarray(device.draws.parameters[i], dtype=float)
        rows.append(_row("device", parameter.name, best, drawn, parameter.unit, parameter))
    return rows


def _row(
    part: str, name: str, best: float, draws: Floats, unit: str, parameter: Parameter | None = None
) -> dict[str, Any]:
    if not np.any(draws):
        none = dict.fromkeys(("value", "low", "high"), math.nan)
        return {"part": part, "cost of": name, **none, "unit": "ns", "says": "not known: no run has any"}
    scale, shown = (1e9, unit.replace("s", "ns", 1)) if unit.startswith("s") else (1.0, unit)
    found = Estimate.of(best, draws).scaled(scale)
    numbers = {key: float(f"{getattr(found, key):.3g}") for key in ("value", "low", "high")}
    told = told_of(best, draws, parameter)
    if parameter is not None and told != VALUE:
        numbers["value"] = math.nan  # what a fit of a device has then is where it began
    unit = "share" if shown == "1" else shown
    return {"part": part, "cost of": name, **numbers, "unit": unit, "says": in_words(told, found, name)}


def doubts(machine: Machine) -> list[str]:
    """Say which costs the data can't tell apart, or from zero, or at all, and what to measure for it."""
    notes: list[str] = []
    if not isinstance(machine.cpu, FittedCpu):
        return notes
    fitted, parameters = machine.device.best.FITTED, machine.device.draws.parameters
    drawn = {each: np.asarray(parameters[i], dtype=np.float64) for i, each in enumerate(fitted)}
    unknown = [each for i, each in enumerate(fitted) if _told(machine, i) == UNKNOWN]
    notes += [f"device: {_said_of(each.name)} {UNKNOWN}: measure {remedy(each.name)}." for each in unknown]
    times = [each for each in fitted if each.unit.startswith("s") and each not in unknown]
    device = np.stack([drawn[each] for each in times], axis=1) if times else np.zeros((machine.draws, 0))
    for part, said, draws in (
        ("CPU", EVENTS, machine.cpu.total_draws),
        ("device", tuple(each.name for each in times), device),
    ):
        notes += _tied(said, draws, part)
        for i, name in enumerate(said):
            low, high = np.quantile(draws[:, i], TAILS)
            if high > 0 and low <= NEVER * high:
                notes.append(f"{part}: {_said_of(name)} can't be told from zero here.")
    return notes + [str(item) for item in missing(machine)]


def _told(machine: Machine, i: int) -> str:
    device = machine.device
    draws = np.asarray(device.draws.parameters[i], dtype=float)
    return told_of(device.best.parameters[i], draws, device.best.FITTED[i])


class Missing(NamedTuple):
    """What a verdict on zero pages needs and a calibration has not seen.

    ``what`` was not measured, ``remedy`` what to measure; ``hides`` which verdicts can't be known without it: of
    ``elapsed`` time, of ``cpu`` time; none where intervals say it all.
    """

    what: str
    remedy: str
    hides: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}."


def missing(machine: Machine) -> list[Missing]:
    """List what a verdict on zero pages needs and the calibration has not seen."""
    cpu, found = machine.cpu, list[Missing]()
    if not isinstance(cpu, FittedCpu):
        return found
    if not machine.driver.known:
        what = "The target was on no block device, so what a vector and a request cost is not identifiable"
        found.append(Missing(what, "measure in a directory on a local disk", ("elapsed", "cpu")))
    if machine.driver.assumed:
        what = f"The queue's limits were assumed ({machine.driver.assumed}), and all of this holds if they are"
        found.append(Missing(what, "calibrate with the device's own, by zpmodel import --limits or zpmodel measure"))
    if len(cpu.reach.memories) < 2:
        other = "huge pages (as root, or vm.nr_hugepages)" if "malloc" in cpu.reach.memories else "4 KiB pages (malloc)"
        copies = bool(cpu.total_draws[:, EVENTS.index("MiB")].any())
        cost = "the cost of a vector" if copies or not cpu.total.any() else "what a vector costs the device"
        what = f"Only buffers of {cpu.reach.memories[0]} were measured, so {cost} is not identifiable"
        found.append(Missing(what, f"measure buffers of {other} beside them", ("elapsed",)))
        if copies:
            what = "With one kind of buffer a vector's CPU time is not told from its bytes'"
            found.append(Missing(what, f"measure buffers of {other} beside them", ("cpu",)))
    if not cpu.total.any():
        remedy = "measure with zpmodel measure, which reads it for all threads"
        found.append(Missing("No CPU time was measured", remedy, ("cpu",)))
    if len(cpu.reach.depths) < 2:
        found.append(
            Missing(
                "Only one queue depth was measured, so overlap is not known",
                "measure depth 1 and a deeper queue",
            )
        )
    if cpu.reach.request_bytes[1] < min(LARGE_BYTES, machine.limits.max_bytes):
        found.append(
            Missing(
                f"No request was larger than {format_size(cpu.reach.request_bytes[1])}",
                f"measure blocks of {format_size(LARGE_BYTES)} and more",
            )
        )
    return found


def _tied(names: tuple[str, ...], draws: Floats, part: str) -> list[str]:
    varying = [i for i in range(len(names)) if np.std(draws[:, i]) > 0]
    notes = []
    for a, i in enumerate(varying):
        for j in varying[a + 1 :]:
            tie = float(np.corrcoef(draws[:, i], draws[:, j])[0, 1])
            if abs(tie) > _TIED:
                remedy = _REMEDY.get(frozenset((names[i], names[j])), "more block sizes and depths")
                pair = f"{_a(names[i])} and {_a(names[j])}"
                notes.append(f"{part}: {pair} are hard to tell apart here (correlation {tie:.2f}); measure {remedy}.")
    return notes


_SAID = {"latency": "request's latency", "stream": "MiB's latency", "mebibyte": "MiB", "cold": "cold MiB"}
"""Costs of a device by what they are the cost of."""


_KINDS = {"cache": "the size of the device's cache", "rounds": "how far completions come together"}


def _said_of(name: str) -> str:
    """A cost for people: the cost of a request, a request's latency."""
    if name in _KINDS:
        return _KINDS[name]
    return _a(name) if "latency" in _a(name) else f"the cost of {_a(name)}"


def _a(name: str) -> str:
    name = _SAID.get(name, name.replace("_", " "))
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"
