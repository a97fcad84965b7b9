"""Calibrations as files: JSON that a person can read and another machine can use, checked against one schema."""

import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from zpmodel.base.errors import InputError
from zpmodel.base.estimate import RESAMPLES
from zpmodel.base.files import check_output, read_text, write_atomically
from zpmodel.base.text import printable_within
from zpmodel.devices import kind_named
from zpmodel.devices.base import DeviceKind
from zpmodel.queue.limits import QueueLimits
from zpmodel.timing.cpu import Reach
from zpmodel.timing.events import EVENTS
from zpmodel.timing.fitted import FittedCpu
from zpmodel.timing.machine import Device, Driver, Machine, Scatter, WriteScatter

FORMAT = 5
_LARGEST_BYTES = 64 << 20

_Cost = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
_Scatter = Annotated[float, msgspec.Meta(gt=0, le=20)]  # a factor of 500 million; no more is a number after exp()
_AtEnd = Annotated[float, msgspec.Meta(ge=0, le=20)]
_Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Line = Annotated[str, msgspec.Meta(max_length=4096)]


class _Reach(msgspec.Struct, forbid_unknown_fields=True):
    request_bytes: tuple[_Count, _Count]
    request_segments: _Count
    in_flight: _Count
    depths: Annotated[list[_Count], msgspec.Meta(min_length=1, max_length=1000)]
    memories: Annotated[list[_Name], msgspec.Meta(min_length=1, max_length=10)]
    block_bytes: tuple[_Count, _Count]


class _Costs(msgspec.Struct, forbid_unknown_fields=True):
    best: dict[str, _Cost]
    draws: dict[str, list[_Cost]]


class _Cpu(msgspec.Struct, forbid_unknown_fields=True):
    source: _Name
    cache_mib: _Positive
    scatter: _Scatter
    reach: _Reach
    total: _Costs
    path: _Costs


class _Driver(msgspec.Struct, forbid_unknown_fields=True):
    source: _Name
    limits: dict[str, Any]
    known: bool = True
    assumed: Annotated[str, msgspec.Meta(max_length=4000)] = ""


class _Device(msgspec.Struct, forbid_unknown_fields=True):
    source: _Name
    kind: _Name
    known: dict[str, _Count]
    scatter: _Scatter
    reach: _Reach
    parameters: _Costs


class _WriteScatter(msgspec.Struct, forbid_unknown_fields=True):
    small: _Scatter
    large: _Scatter
    fewer: _AtEnd
    more: _AtEnd
    smaller: _AtEnd
    larger: _AtEnd


class _WriteScatters(msgspec.Struct, forbid_unknown_fields=True):
    cpu: _WriteScatter
    rate: _WriteScatter
    ratio: _WriteScatter


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    name: _Name
    ratio_scatter: _Scatter
    cpu: _Cpu
    driver: _Driver
    device: _Device
    write_scatter: _WriteScatters | None = None
    assumed: Annotated[list[_Line], msgspec.Meta(max_length=1000)] = []


def save(machine: Machine, path: Path | str) -> None:
    """Write a calibration; the file appears whole or not at all.

    :raises InputError: where it can't be written.
    """
    path, cpu, device, own = Path(path), machine.cpu, machine.device, machine.write_scatter
    if not isinstance(cpu, FittedCpu) or device.reach is None:
        raise InputError(str(path), "machine", machine.name, "a calibration; a composed machine is kept as TOML")
    fitted = tuple(parameter.name for parameter in device.best.FITTED)
    document = {
        "format": FORMAT,
        "name": machine.name,
        "ratio_scatter": machine.ratio_scatter,
        "assumed": list(machine.assumed),
        "write_scatter": own and {name: each._asdict() for name, each in own._asdict().items()},
        "cpu": {
            "source": cpu.source,
            "cache_mib": cpu.cache_mib,
            "scatter": cpu.scatter,
            "reach": cpu.reach._asdict(),
            "total": _named(EVENTS, cpu.total, cpu.total_draws.T),
            "path": _named(EVENTS, cpu.path, cpu.path_draws.T),
        },
        "driver": {
            "source": _without_home(machine.driver.source),
            "limits": machine.limits.to_sysfs(),
            "known": machine.driver.known,
            "assumed": machine.driver.assumed,
        },
        "device": {
            "source": device.source,
            "kind": device.best.KIND,
            "known": device.best.known(),
            "scatter": device.scatter,
            "reach": device.reach._asdict(),
            "parameters": _named(fitted, device.best.parameters, device.draws.parameters),
        },
    }
    try:
        write_atomically(path, json.dumps(document, separators=(",", ":")) + "\n")
    except OSError as error:
        raise InputError(str(path), "file", error.strerror or str(error), "a file that can be written") from None


def _named(names: tuple[str, ...], best: Any, draws: Any) -> dict[str, Any]:
    return {
        "best": {name: _short(best[i]) for i, name in enumerate(names)},
        "draws": {name: [_short(value) for value in draws[i][:RESAMPLES]] for i, name in enumerate(names)},
    }


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def check_writable(path: Path) -> None:
    """Refuse a place that :func:`save` could not write to, before the work is done.

    :raises InputError: where it is not a regular file or a new name, or its folder is missing or can't be written.
    """
    check_output(path, where="--out")


def read(path: Path | str) -> Machine:
    """Read a calibration.

    :raises InputError: on files that are none, or that another version wrote.
    """
    path = Path(path)
    try:
        content = read_text(path, _LARGEST_BYTES)
        found = msgspec.json.decode(content, type=_Format).format
        if found != FORMAT:
            raise InputError(str(path), "format", found, f"{FORMAT}: calibrate again with this version")
        document = msgspec.convert(printable_within(msgspec.json.decode(content)), _Document)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(str(path), "file", str(error), "a file written by zpmodel calibrate") from None
    return _machine(document, str(path))


def _without_home(source: str) -> str:
    """A path as its folder and name: a calibration is given away, and where somebody keeps files is not."""
    return "/".join(Path(source).parts[-2:]) if source.startswith("/") else source


class _Format(msgspec.Struct):
    format: int


def _machine(document: _Document, where: str) -> Machine:
    cpu, device, own = document.cpu, document.device, document.write_scatter
    total, path = (_arrays(costs, EVENTS, where) for costs in (cpu.total, cpu.path))
    try:
        kind = kind_named(device.kind)
    except KeyError:
        raise InputError(where, "device.kind", device.kind, "a kind of device that this version has") from None
    best, draws = _arrays(device.parameters, tuple(p.name for p in kind.FITTED), where)
    if not len(total[1]) == len(path[1]) == len(draws):
        raise InputError(where, "draws", f"{len(total[1])}, {len(path[1])}, {len(draws)}", "as many of each part")
    limits = QueueLimits.from_mapping(document.driver.limits, source=where)
    unfitted = _unfitted(kind, device.known, where)
    return Machine(
        name=document.name,
        cpu=FittedCpu(cpu.source, total[0], path[0], total[1], path[1], cpu.cache_mib, cpu.scatter, _reach(cpu.reach)),
        driver=Driver(document.driver.source, limits, document.driver.known, document.driver.assumed),
        device=Device(
            device.source,
            unfitted.with_fitted(best),
            unfitted.with_fitted(draws.T),
            device.scatter,
            _reach(device.reach),
        ),
        ratio_scatter=document.ratio_scatter,
        assumed=tuple(document.assumed),
        write_scatter=WriteScatter(
            *(Scatter(**msgspec.structs.asdict(each)) for each in (own.cpu, own.rate, own.ratio))
        )
        if own
        else None,
    )


def _unfitted(kind: type[DeviceKind], known: dict[str, int], where: str) -> DeviceKind:
    try:
        return kind(**known)
    except TypeError:
        raise InputError(where, "device.known", sorted(known), f"what a {kind.KIND} device has") from None


def _arrays(costs: _Costs, names: tuple[str, ...], where: str) -> tuple[Any, Any]:
    """The best values, shape (names,), and draws, shape (draws, names)."""
    if set(costs.best) != set(names) or set(costs.draws) != set(names):
        raise InputError(where, "costs", sorted(costs.best), f"{', '.join(names)}: calibrate again with this version")
    lengths = {len(costs.draws[name]) for name in names}
    if len(lengths) != 1 or lengths == {0}:
        raise InputError(where, "draws", sorted(lengths), "as many of each cost, at least one")
    return np.array([costs.best[name] for name in names]), np.array([costs.draws[name] for name in names]).T


def _reach(reach: _Reach) -> Reach:
    for name in ("request_bytes", "block_bytes"):
        low, high = getattr(reach, name)
        if low > high:
            raise InputError("calibration", name, (low, high), "the smallest, then the largest")
    depths = tuple(sorted(reach.depths))
    return Reach(
        reach.request_bytes, reach.request_segments, reach.in_flight, depths, tuple(reach.memories), reach.block_bytes
    )
