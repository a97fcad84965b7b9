"""What a calibration says, and what it can't say."""

from typing import Any

import numpy as np

from zpmodel.devices.closed_loop import PARAMETERS
from zpmodel.timing.events import EVENTS
from zpmodel.timing.machine import Floats, Model

_TIED = 0.9
_UNITS = {"rounds": (1.0, "share"), "cache": (1.0, "MiB")}

_REMEDY = {
    frozenset(("operation", "request")): "larger blocks of 4 KiB pages, which take several requests each",
    frozenset(("vector", "MiB")): "both memories at each block size",
    frozenset(("request", "vector")): "small and large blocks of 4 KiB pages, down to 4 KiB",
    frozenset(("stall", "vector")): "a device whose ring takes more segments, or depth 1 only",
    frozenset(("operation", "wait")): "more queue depths, 1 among them",
}


def cost_table(model: Model) -> list[dict[str, Any]]:
    """Costs with their 90 % intervals, rows of ``part``, ``cost``, ``value``, ``low``, ``high`` and ``unit``."""
    rows = []
    parts = (("cpu", EVENTS, model.cpu, model.cpu_draws), ("submitting thread", EVENTS, model.path, model.path_draws))
    for part, names, values, draws in (*parts, ("device", PARAMETERS, model.device, model.device_draws)):
        low, high = np.quantile(draws, [0.05, 0.95], axis=0)
        for i, name in enumerate(names):
            scale, unit = _UNITS.get(name, (1e9, "ns"))
            estimate = {
                "value": values[i] * scale,
                "low": min(low[i], values[i]) * scale,
                "high": max(high[i], values[i]) * scale,
            }
            rows.append({"part": part, "cost of": name, **{k: _short(v) for k, v in estimate.items()}, "unit": unit})
    return rows


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def doubts(model: Model) -> list[str]:
    """Say which costs the data can't tell apart, or from zero, and what to measure for it."""
    notes = []
    for names, draws, part in (
        (EVENTS, model.cpu_draws, "CPU"),
        (PARAMETERS[:6], model.device_draws[:, :6], "device"),
    ):
        notes += _tied(names, draws, part)
        for i, name in enumerate(names):
            if float(np.quantile(draws[:, i], 0.05)) <= 1e-12:
                notes.append(f"{part}: the cost of {_a(name)} can't be told from zero here.")
    if len(model.reach.memories) < 2:
        notes.append(
            f"Only buffers of {model.reach.memories[0]} were measured: the cost of a vector is not identifiable. "
            "Reserve huge pages and measure both."
        )
    return notes


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


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"
