"""Calibrations as files: JSON that a person can read and another machine can use."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from zpmodel.errors import InputError
from zpmodel.limits import QueueLimits
from zpmodel.timing.device import PARAMETERS
from zpmodel.timing.events import EVENTS
from zpmodel.timing.model import Model, Reach, Spread

FORMAT = 1
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
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            json.dump(document, file, separators=(",", ":"))
            file.write("\n")
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
    except OSError as error:
        raise InputError(str(path), "file", str(error), "a file that can be written") from None


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
        return Model(
            name=str(document["name"]),
            limits=QueueLimits.from_mapping(document["limits"], source=str(path)),
            ring=document["ring"],
            cache_mib=float(document["cache_mib"]),
            spread=Spread(**document["spread"]),
            reach=Reach(**document["reach"]),
            **arrays,
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(str(path), "content", f"{type(error).__name__}: {error}", "a whole calibration") from None
