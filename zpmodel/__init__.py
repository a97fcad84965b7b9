"""What a PMD-sized zero page is worth: exact block-layer structure, costs calibrated from fio, and reports.

Nothing heavy is imported until a name is used; ``import zpmodel`` is quick.
"""

import importlib
from typing import Any

_HOMES = {
    "ZeroPage": ("zpmodel.queue.zeropage", "ZeroPage"),
    "QueueLimits": ("zpmodel.queue.limits", "QueueLimits"),
    "find_limits": ("zpmodel.queue.presets", "find_limits"),
    "count": ("zpmodel.structure", "count"),
    "read_fio": ("zpmodel.fio.read", "read"),
    "read_data_set": ("zpmodel.datasets", "read_data_set"),
    "calibrate": ("zpmodel.calibration.calibrate", "calibrate"),
    "Machine": ("zpmodel.timing.machine", "Machine"),
    "load_machine": ("zpmodel.calibration.machine_file", "load_machine"),
    "Scenario": ("zpmodel.study.scenario", "Scenario"),
    "predict": ("zpmodel.study.scenario", "predict"),
    "compare": ("zpmodel.study.compare", "compare"),
    "sweep": ("zpmodel.study.sweep", "sweep"),
    "InputError": ("zpmodel.base.errors", "InputError"),
    "RefusedError": ("zpmodel.base.errors", "RefusedError"),
    "ZpmodelError": ("zpmodel.base.errors", "ZpmodelError"),
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("zpmodel")
    if name not in _HOMES:
        raise AttributeError(f"module 'zpmodel' has no attribute {name!r}")
    home, there = _HOMES[name]
    return getattr(importlib.import_module(home), there)


def __dir__() -> list[str]:
    return __all__
