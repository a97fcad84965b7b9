"""The inputs of a question by name: the question's own, the queue's limits, the device's costs and the CPU's."""

import math
import sys
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

import numpy as np

from zpmodel.base.errors import InputError
from zpmodel.base.units import MIB, parse_size
from zpmodel.devices.base import PathCosts
from zpmodel.queue.limits import QueueLimits
from zpmodel.study.scenario import Scenario
from zpmodel.timing.counted import CountedCpu
from zpmodel.timing.events import EVENTS
from zpmodel.timing.fitted import FittedCpu
from zpmodel.timing.machine import Machine

SIZES = ("length", "offset")
WORDS = ("zero_page", "caller")
NUMBERS = ("depth", "fallback_share")
LIMITS = tuple(item.name for item in fields(QueueLimits) if item.name not in ("scheduler", "source"))
DEVICE = ("device.bandwidth", *(f"device.{name}" for name in PathCosts._fields))
"""``device.bandwidth`` [B/s] is ``device.mebibyte`` [s/MiB] the other way round; the others have their own unit."""
CPU = ("cpu.factor", *(f"cpu.{name.replace(' ', '_')}" for name in EVENTS))
"""Factors on what the machine's CPU takes [1]: for everything, or for one event."""
WHOLE = ("depth", *SIZES, *LIMITS)
"""Inputs that are whole numbers."""
LARGEST = 1e18
"""Of what a device takes and of factors: beyond any that there can be, and the products of them stay numbers."""
KNOWN = (*SIZES, *WORDS, *NUMBERS, *LIMITS, *DEVICE, *CPU)


def least_of(name: str) -> int:
    """The least value of an input of a device or a CPU; :data:`LARGEST` is the largest."""
    return 1 if name == "device.bandwidth" else 0


def check_name(name: str) -> None:
    """Refuse a name that is no input.

    :raises InputError: listing the inputs.
    """
    if name not in KNOWN:
        raise InputError("sweep", "input", name, ", ".join(KNOWN))


def parse(name: str, text: str) -> Any:
    """A value as typed on the command line: a size, a word or a number.

    :raises InputError: on what is none.
    """
    check_name(name)
    if name in WORDS:
        return text
    if name in SIZES:
        return parse_size(text, field=name)
    value: float = math.nan
    with suppress(ValueError):
        value = int(text) if name in WHOLE else float(text)
    if not abs(value) <= sys.float_info.max:  # NaN is not, and a whole number may have any number of digits
        raise InputError("sweep", name, text, "a whole number" if name in WHOLE else "a number")
    return value


def apply(scenario: Scenario, values: dict[str, Any]) -> Scenario:
    """The same question with other inputs.

    :raises InputError: on names that are no input, and values that an input can't have.
    """
    own, limits, device, cpu = dict[str, Any](), dict[str, Any](), dict[str, float](), dict[str, float]()
    for name, value in values.items():
        check_name(name)
        if name in LIMITS:
            limits[name] = int(value)
        elif name.startswith("device."):
            device[name.removeprefix("device.")] = float(value)
        elif name.startswith("cpu."):
            cpu[name.removeprefix("cpu.")] = float(value)
        else:
            own[name] = int(value) if name in WHOLE else value
    machine = scenario.machine
    if device:
        machine = _with_device(machine, device)
    if cpu:
        machine = replace(machine, cpu=_with_cpu(machine, cpu))
    if limits:
        own["limits"] = replace(scenario.limits or machine.limits, **limits)
    return scenario.but(machine=machine, **own)


def _with_device(machine: Machine, values: dict[str, float]) -> Machine:
    for name, value in values.items():
        least = least_of(f"device.{name}")
        if not least <= value <= LARGEST:  # NaN is neither
            raise InputError("sweep", f"device.{name}", value, f"a number from {least} to {LARGEST:g}")
    if "bandwidth" in values:
        values = {**values, "mebibyte": MIB / values["bandwidth"]}
        del values["bandwidth"]
    device = machine.device
    best, draws = (replace(kind, parameters=kind.path()._replace(**values)) for kind in (device.best, device.draws))  # type: ignore[type-var]
    return machine.with_device(replace(device, best=best, draws=draws))


def _with_cpu(machine: Machine, values: dict[str, float]) -> FittedCpu | CountedCpu:
    cpu, overall = machine.cpu, values.get("factor", 1.0)
    factors = np.full(len(EVENTS), overall)
    for i, event in enumerate(EVENTS):
        factors[i] *= values.get(event.replace(" ", "_"), 1.0)
    if not ((factors >= 0) & (factors <= LARGEST)).all():
        raise InputError("sweep", "cpu", str(values), f"factors from 0 to {LARGEST:g}")
    if isinstance(cpu, CountedCpu) and values.keys() == {"factor"} and overall > 0:
        return cpu.scaled(overall)
    if not isinstance(cpu, FittedCpu):
        accepted = "CPU costs that were fitted to fio; of counted ones cpu.factor alone, above 0"
        raise InputError("sweep", "cpu", cpu.source, accepted)
    return replace(
        cpu,
        total=cpu.total * factors,
        path=cpu.path * factors,
        total_draws=cpu.total_draws * factors,
        path_draws=cpu.path_draws * factors,
    )


def best_only(machine: Machine) -> Machine:
    """The same machine with its best values for its only draw: quicker where no interval is asked for."""
    cpu, device = machine.cpu, machine.device
    if isinstance(cpu, FittedCpu):
        cpu = replace(cpu, total_draws=cpu.total[None, :], path_draws=cpu.path[None, :])
    elif isinstance(cpu, CountedCpu):
        cpu = replace(cpu, undrawn=True)
    one = type(device.best).with_fitted(device.best, np.asarray(device.best.parameters, dtype=float)[:, None])
    return replace(machine, cpu=cpu, device=replace(device, draws=one))
