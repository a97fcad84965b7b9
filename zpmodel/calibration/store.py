"""Calibrations as files: JSON that a person can read and another machine can use."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from zpmodel.base.errors import InputError
from zpmodel.base.files import write_atomically
from zpmodel.devices.closed_loop import PARAMETERS
from zpmodel.queue.limits import QueueLimits
from zpmodel.timing.events import EVENTS
from zpmodel.timing.machine import Model, Reach, Spread

FORMAT = 2
_ARRAYS = ("cpu", "path", "device", "cpu_draws", "path_draws", "device_draws")
_KEPT_DRAWS = 400  # enough for a 90 % interval; the file stays small


def save(model: Model, path: Path | str) -> None:
    """Write a calibration; the file appears whole or not at all.

    :raises InputError: where it can't be written.
    """
    path = Path(path)
    document: dict[str, Any] = {
        "format": FORMAT,
        "name": model.name,
        "limits": model.limits.to_sysfs(),
        "ring": model.ring,
        "cache_mib": model.cache_mib,
        "events": list(EVENTS),
        "device_parameters": list(PARAMETERS),
        "spread": asdict(model.spread),
        "reach": asdict(model.reach),
    }
    for name in _ARRAYS:
        values = getattr(model, name)
        values = values[:_KEPT_DRAWS] if values.ndim == 2 else values
        document[name] = [[float(f"{v:.6g}") for v in row] for row in np.atleast_2d(values)]
    try:
        write_atomically(path, json.dumps(document, separators=(",", ":")) + "\n")
    except OSError as error:
        raise InputError(str(path), "file", error.strerror or str(error), "a file that can be written") from None


def check_writable(path: Path) -> None:
    """Refuse a place that :func:`save` could not write to, before the work is done.

    :raises InputError: where it is a folder, or its folder is missing or can't be written.
    """
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError("--out", "file", str(path), "a file in a folder that exists and can be written")


def read(path: Path | str) -> Model:
    """Read a calibration.

    :raises InputError: on files that are none, or that another version wrote.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(str(path), "file", str(error), "a file written by zpmodel calibrate") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        found = document.get("format") if isinstance(document, dict) else document
        raise InputError(str(path), "format", found, f"{FORMAT}, as zpmodel calibrate writes it")
    if document.get("events") != list(EVENTS) or document.get("device_parameters") != list(PARAMETERS):
        raise InputError(
            str(path), "events", document.get("events"), f"{list(EVENTS)}: calibrate again with this version"
        )
    try:
        arrays = {name: np.array(document[name], dtype=float) for name in _ARRAYS}
        for name in ("cpu", "path", "device"):
            arrays[name] = arrays[name][0]
        model = Model(
            name=str(document["name"]),
            limits=QueueLimits.from_mapping(document["limits"], source=str(path)),
            ring=None if document["ring"] is None else int(document["ring"]),
            cache_mib=float(document["cache_mib"]),
            spread=Spread(**{name: float(value) for name, value in document["spread"].items()}),
            reach=_reach(document["reach"]),
            **arrays,
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InputError(str(path), "content", f"{type(error).__name__}: {error}", "a whole calibration") from None
    _check(model, str(path))
    return model


def _reach(values: dict[str, Any]) -> Reach:
    least, most = (int(size) for size in values["request_bytes"])
    return Reach(
        request_bytes=(least, most),
        request_segments=int(values["request_segments"]),
        in_flight=int(values["in_flight"]),
        depths=tuple(int(depth) for depth in values["depths"]),
        memories=tuple(str(name) for name in values["memories"]),
    )


def _check(model: Model, where: str) -> None:
    """Refuse numbers that no calibration has."""
    for name in _ARRAYS:
        values, width = getattr(model, name), len(PARAMETERS) if name.startswith("device") else len(EVENTS)
        shape = (model.draws, width) if name.endswith("draws") else (width,)
        if values.shape != shape or values.size == 0 or not np.all(np.isfinite(values)) or np.any(values < 0):
            raise InputError(where, name, f"shape {values.shape}", f"shape {shape}, every number finite and at least 0")
    if np.any(model.device[:-1] <= 0) or np.any(model.device_draws[:, :-1] <= 0):
        raise InputError(where, "device", "0", "parameters above 0")
    reach = model.reach
    numbers = {**vars(model.spread), "cache_mib": model.cache_mib, "ring": 1 if model.ring is None else model.ring}
    numbers |= {
        "request_segments": reach.request_segments,
        "in_flight": reach.in_flight,
        "depths": min(reach.depths, default=0),
    }
    for name, value in {**numbers, "request_bytes": min(reach.request_bytes)}.items():
        if not np.isfinite(value) or value <= 0:
            raise InputError(where, name, value, "a number above 0")
    if not reach.memories:
        raise InputError(where, "memories", "none", "the buffer memories that were measured")
