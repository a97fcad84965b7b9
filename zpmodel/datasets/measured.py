"""A folder that ``zpmodel measure`` made, as a data set."""

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from zpmodel.base.errors import InputError
from zpmodel.base.files import read_text
from zpmodel.datasets.others import without_disturbed
from zpmodel.datasets.points import WITHOUT_USAGE, LeftOut, Measured, load_points
from zpmodel.datasets.schema import WRITES, DataSet, facts, limits_of
from zpmodel.devices import device_for
from zpmodel.queue.kernel import LARGEST_BLOCK_BYTES
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.presets import find_limits

_ASSUMED = "loop"  # whose data a CPU moves, as it does those of memory
_SHOWN = 20  # left-out points listed one by one
_BOUND = ("", "ext4", "xfs")  # raw, or file systems whose direct overwrites queue nothing to unbound workers


def recognises(path: Path) -> bool:
    """Whether a path is such a folder."""
    return (path / "machine.toml").is_file()


def read_set(folder: Path | str) -> DataSet:
    """Read a data set; points that are damaged or another set's are left out and listed, and so are runs that other
    programs disturbed where their point has better ones.

    :raises InputError: where there is none, or it has no writes to calibrate from.
    """
    folder = Path(folder)
    path = folder / "machine.toml"
    machine = _machine(path)
    # What `measure` writes where the target is on no block device: of memory, a network, a stacked file system.
    unknown = machine.get("limits") == {}
    limits = find_limits(_ASSUMED) if unknown else QueueLimits.from_file(path)
    points, left_out = load_points(folder)
    target = facts(machine, "target")
    device = device_for(target, limits)
    bound = not device.COPIED_HERE and target.get("file_system", "") in _BOUND
    quiet, others = without_disturbed(points)
    rows = []
    for item in quiet:
        reason = _why_not(item, limits)
        if reason:
            left_out.append(LeftOut(item.point.id, reason))
        else:
            rows.append(_row(item, bound))
    if not rows:
        found = f"no writes that can be used; {left_out[0].name}: {left_out[0].reason}" if left_out else "no writes"
        raise InputError(str(folder), "points", found, "a data set with points of both memories")
    writes = pd.DataFrame(rows, columns=[column.name for column in WRITES])
    assumed = [f"a queue as of the preset {_ASSUMED}: the target was on no block device"] if unknown else []
    if not all(item.noted for item in quiet):
        assumed.append(WITHOUT_USAGE)
    return DataSet(
        folder.resolve().name,
        machine,
        limits,
        device,
        writes,
        _listed(left_out),
        tuple(assumed),
        limits_known=not unknown,
        disturbed=others,
    )


def _machine(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        said = str(error) or type(error).__name__
        raise InputError(str(path), "file", said, "the machine.toml of a folder made by zpmodel measure") from None


def _why_not(item: Measured, limits: QueueLimits) -> str:
    """Why the structure of a point can't be counted; empty where it can."""
    point = item.point
    if point.block_bytes % limits.logical_block_size or not 0 < point.block_bytes <= LARGEST_BLOCK_BYTES:
        return f"blocks of {point.block_bytes} bytes are none of this device's"
    try:
        limits_of(limits, point.max_sectors_kb or 0)
    except InputError as error:
        return f"its max_sectors_kb is none of this device's ({error.field} {error.value})"
    return ""


def _row(item: Measured, bound: bool) -> dict[str, Any]:
    """A run as calibration takes it; ``bound``: no unbound worker does any of its I/O."""
    point = item.point
    cpu_seconds = item.cpu_seconds - (item.teardown_cpu_seconds if bound and item.noted else 0.0)
    return {
        "block_bytes": point.block_bytes,
        "depth": point.depth,
        "memory": point.memory,
        "max_sectors_kb": point.max_sectors_kb or 0,
        "replicate": point.replicate,
        "cpu_s": cpu_seconds / item.ios,
        "path_s": item.thread_cpu_seconds / item.ios,
        "rounding_s": item.thread_cpu_resolution_s / item.ios,
        "rate": item.ios / item.seconds,
    }


def _listed(left_out: list[LeftOut]) -> tuple[str, ...]:
    """A line each; where they are many, the rest by reason."""
    lines = [f"{item.name}: {item.reason}" for item in left_out[:_SHOWN]]
    rest = Counter(item.reason for item in left_out[_SHOWN:])
    return (*lines, *(f"{number} more: {reason}" for reason, number in rest.most_common(_SHOWN)))
