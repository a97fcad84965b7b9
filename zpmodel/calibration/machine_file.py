"""A machine by file or name: a calibration, or CPU, driver and device written down part by part, each with its source.

A machine file is TOML with the tables ``[cpu]``, ``[driver]`` and ``[device]``; numbers are one value or ``[low,
high]``, with their units written out. The shipped ones stand in ``data/composed``.
"""

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.base.estimate import Estimate
from zpmodel.base.files import read_text
from zpmodel.base.text import printable, printable_within
from zpmodel.calibration import store
from zpmodel.calibration.curve import named_device
from zpmodel.datasets.curve import curve_names
from zpmodel.devices.data_sheet import COMMAND_S, DataSheet
from zpmodel.kernel_cpu.nvme import IOMMUS, Host, kernel_version, nvme_limits
from zpmodel.kernel_cpu.stacks import Stack
from zpmodel.kernel_cpu.time_per_instruction import InstructionTimes, any_cpu, known_times, measure_time_per_instruction
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.presets import find_limits
from zpmodel.timing.counted import DRAWS, CountedCpu, spread_of
from zpmodel.timing.machine import Device, Driver, Machine

EARLIEST, UNKNOWN = (5, 0), (8, 0)
"""Kernels whose driver's limits are known: from the first to before the second."""

_LARGEST_BYTES = 1 << 20
_UNITS = {
    "byte/s": {"kB/s": 1e3, "MB/s": 1e6, "GB/s": 1e9, "KiB/s": 2**10, "MiB/s": 2**20, "GiB/s": 2**30},
    "s": {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0},
    "ns": {"ns": 1.0, "": 1.0},
}
_NUMBER = re.compile(r"\s*(\d{1,12}(?:\.\d{1,12})?)\s*([A-Za-z]{0,3}(?:/s)?)\s*")

_PLACE = re.compile(r"(.*) - at `(?:key in )?\$\.?(.*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
ACCEPTED = "[cpu], [driver] and [device] as in docs/machines.md"

Quantity = str | float | list[str | float]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Source = Annotated[str, msgspec.Meta(min_length=1, max_length=400)]


class CpuPart(msgspec.Struct, forbid_unknown_fields=True):
    """``[cpu]``: a name (``any``, ``here``, or one that was measured), or its time per instruction [ns]: of all work,
    or of all but the loops over vectors, which have their own."""

    source: Source
    kernel: str = "7.3"
    name: str = "any"
    ns_per_instruction: Quantity | None = None
    loop_ns_per_instruction: Quantity | None = None


class DriverPart(msgspec.Struct, forbid_unknown_fields=True):
    """``[driver]``: NVMe by its MDTS, or any queue by its limits (a preset or a file); and what else was counted."""

    source: Source
    mdts: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    limits: str | None = None
    sgl: bool = False
    write_zeroes: bool = False
    iommu: Literal["none", "passthrough", "lazy", "strict"] = "none"
    stack: Stack | None = None


class DevicePart(msgspec.Struct, forbid_unknown_fields=True):
    """``[device]``: a data sheet's numbers."""

    source: Source
    write_bandwidth: Quantity
    latency: Quantity = msgspec.field(default_factory=lambda: list[str | float](["10 us", "100 us"]))
    command: Quantity | None = None
    overlap: list[Share] | Share = msgspec.field(default_factory=lambda: [0.0, 1.0])


class MachineFile(msgspec.Struct, forbid_unknown_fields=True):
    """A machine part by part."""

    cpu: CpuPart
    driver: DriverPart
    device: DevicePart
    name: Annotated[str, msgspec.Meta(max_length=200)] = ""


def load_machine(path: Path | str, **overrides: str | None) -> Machine:
    """A machine: a calibration that ``zpmodel calibrate`` wrote (JSON), a machine file (TOML), or a shipped one's name.

    :param overrides: ``cpu``, ``iommu``, ``kernel`` and ``device`` (a bandwidth, such as ``2 GB/s``; a machine file or
        name, whose device it is; a curve's name or CSV file), where they are not the file's. Of a calibration, only the
        device.
    :raises InputError: where it is none of these, or a part can't be taken; naming file or argument (``machine`` for
        ``path``), field and value.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    found = Path(path)
    if not found.suffix and not _exists(found):
        found = _shipped(str(path))
    if found.suffix == ".toml":
        return compose(read_machine_file(found), str(path), given)
    device = given.pop("device", None)
    for name, value in given.items():
        accepted = f"nothing beside {path}: a calibration is one piece but for its device"
        raise InputError(name, "override", value, accepted)
    machine = store.read(found)
    return machine if device is None else machine.with_device(_asked_device(device))


def shipped_names() -> list[str]:
    """The machines that the project ships."""
    return sorted(path.stem for path in shipped.data("composed").glob("*.toml"))


def _shipped(name: str) -> Path:
    if name not in shipped_names():
        accepted = f"a calibration (.json), a machine file (.toml), or one of {', '.join(shipped_names())}"
        raise InputError("machine", "name", name, accepted)
    return shipped.data("composed", f"{name}.toml")


def read_machine_file(path: Path) -> MachineFile:
    """Read and check a machine file; its limits are looked up beside it first, then in the current folder.

    :raises InputError: naming file, field and value.
    """
    try:
        document = printable_within(tomllib.loads(read_text(path, _LARGEST_BYTES)))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(str(path), "content", str(error), f"TOML with {ACCEPTED}") from None
    try:
        found = msgspec.convert(document, MachineFile)
    except msgspec.ValidationError as error:
        raise _refused(str(path), document, str(error)) from None
    if found.driver.limits and _exists(beside := path.parent / found.driver.limits):
        found.driver.limits = str(beside)
    return found


def _refused(where: str, document: dict[str, Any], text: str) -> InputError:
    """What msgspec says, as file, field and value."""
    match = _PLACE.fullmatch(text)
    said, place = (match[1], match[2]) if match else (text, "")
    if unknown := _UNKNOWN.fullmatch(said):
        place, said = f"{place}.{unknown[1]}".lstrip("."), f"no such field; {ACCEPTED}"
    value: Any = document
    for key in re.split(r"[.\[]", place):
        value = value.get(key, "missing") if isinstance(value, dict) else value
    shown = "a table" if isinstance(value, dict) else str(value)
    return InputError(
        where, place or "content", shown[:200], said.removeprefix("Expected ").replace("Object missing", "it to have")
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def compose(file: MachineFile, name: str, overrides: dict[str, str] | None = None) -> Machine:
    """Put a machine together from its parts.

    :raises InputError: where a part can't be taken.
    """
    changed = overrides or {}
    file = _overridden(file, changed, name)
    _check_kernel(file.cpu.kernel, "kernel" if "kernel" in changed else name)
    host = Host(file.driver.iommu, file.driver.sgl)
    limits = _limits(file, name)
    seconds, who = _instruction_time(file.cpu, "cpu" if "cpu" in changed else name)
    nvme, stack = file.driver.mdts is not None, file.driver.stack
    if nvme and stack not in (None, "dm-linear"):
        raise InputError(name, "driver.stack", stack, "dm-linear over NVMe (mdts); the others have limits of their own")
    cpu = CountedCpu(f"time per instruction {who}", file.cpu.kernel, host, nvme, seconds, stack=stack)
    asked = changed.get("device", "")
    device = _curve(asked) if _is_curve(asked) else _device(file.device, "device" if asked else name)
    return Machine(printable(file.name or name), cpu, Driver(file.driver.source, limits), device, 0.0)


def _device(part: DevicePart, name: str) -> Device:
    """A data sheet's device, with its draws."""
    overlap = part.overlap if isinstance(part.overlap, list) else [part.overlap] * 2
    if len(overlap) != 2 or not 0 <= overlap[0] <= overlap[1] <= 1:  # NaN is neither
        raise InputError(name, "device.overlap", overlap, "a share from 0 to 1, or [low, high]")
    sheet = DataSheet(
        quantity(part.write_bandwidth, "byte/s", name, "device.write_bandwidth"),
        quantity(part.latency, "s", name, "device.latency"),
        COMMAND_S if part.command is None else quantity(part.command, "s", name, "device.command"),
        (overlap[0], overlap[1]),
    )
    uniform = np.random.default_rng([DRAWS, 3]).random((2, DRAWS))
    drawn = sheet.draws(
        spread_of(sheet.bandwidth, 4), spread_of(sheet.latency_s, 5), spread_of(sheet.command_s, 6), uniform
    )
    return Device(part.source, sheet.device(), drawn, 0.0)


def _is_curve(asked: str) -> bool:
    return asked in curve_names() or asked.endswith(".csv")


def _curve(asked: str) -> Device:
    # What its segments took may be the CPU's that drove it, which nobody timed: from nothing to all of it.
    return named_device(asked).elsewhere()


def _asked_device(asked: str) -> Device:
    return _curve(asked) if _is_curve(asked) else _device(_other_device(asked), "device")


def _other_device(asked: str) -> DevicePart:
    """The device of another machine file, or a bandwidth with nothing else known."""
    if asked in shipped_names():
        return read_machine_file(_shipped(asked)).device
    if asked.endswith(".toml"):
        if not Path(asked).is_file():
            raise InputError("device", "device", asked, "a machine file that is there")
        return read_machine_file(Path(asked)).device
    try:
        quantity(asked, "byte/s", "device", "bandwidth")
    except InputError:
        named = ", ".join([*shipped_names(), *curve_names()])
        accepted = f"a write bandwidth such as 2 GB/s, a machine file (TOML), a curve (CSV), or one of {named}"
        raise InputError("device", "device", asked, accepted) from None
    return DevicePart(source=f"{asked} as asked, nothing else known", write_bandwidth=asked)


def _check_kernel(kernel: str, name: str) -> None:
    try:
        known = EARLIEST <= kernel_version(kernel, name) < UNKNOWN
    except InputError:
        known = False
    if not known:
        raise InputError(name, "cpu.kernel", kernel, "a version from 5.0 to 7.x, such as 6.12 or 7.3")


def _overridden(file: MachineFile, changed: dict[str, str], name: str) -> MachineFile:
    parts = {"cpu": file.cpu, "driver": file.driver, "device": file.device}
    for option, value in changed.items():
        if option == "cpu":
            parts["cpu"] = msgspec.structs.replace(
                file.cpu, name=value, ns_per_instruction=None, loop_ns_per_instruction=None, source="as asked"
            )
        elif option == "kernel":
            parts["cpu"] = msgspec.structs.replace(parts["cpu"], kernel=value)
        elif option == "iommu":
            if value not in IOMMUS:
                raise InputError("iommu", "mode", value, "none, passthrough, lazy or strict")
            if file.driver.mdts is None:
                raise InputError("iommu", "mode", value, f"an NVMe driver (mdts), which {name} has not")
            parts["driver"] = msgspec.structs.replace(
                file.driver, iommu=value, source=f"{file.driver.source}, as asked"
            )
        elif option == "device" and not _is_curve(value):
            other = _other_device(value)
            if other.source.endswith("nothing else known"):  # a bandwidth: the rest stays the file's
                source = f"{value} as asked; else: {file.device.source}"
                other = msgspec.structs.replace(file.device, write_bandwidth=value, source=source)
            parts["device"] = other
    return msgspec.structs.replace(file, **parts)


def _limits(file: MachineFile, name: str) -> QueueLimits:
    driver = file.driver
    if (driver.mdts is None) == (driver.limits is None):
        raise InputError(name, "driver", "mdts and limits", "one of mdts (NVMe) and limits (a preset or a file)")
    if driver.limits is not None:
        try:
            limits = find_limits(driver.limits)
        except InputError as error:
            raise InputError(name, "driver.limits", driver.limits, str(error)) from None
    else:
        limits = nvme_limits(file.cpu.kernel, driver.mdts or 0, driver.iommu, source=name)
    most = limits.max_bytes - limits.max_bytes % limits.logical_block_size
    return replace(limits, write_zeroes_max_bytes=most if driver.write_zeroes else 0)


def _instruction_time(cpu: CpuPart, name: str) -> tuple[InstructionTimes, str]:
    if cpu.ns_per_instruction is not None:
        calls = quantity(cpu.ns_per_instruction, "ns", name, "cpu.ns_per_instruction")
        found = InstructionTimes.alike(calls)
        if cpu.loop_ns_per_instruction is not None:
            loops = quantity(cpu.loop_ns_per_instruction, "ns", name, "cpu.loop_ns_per_instruction")
            found = replace(found, loops=loops)
        return found, "as given"
    if cpu.loop_ns_per_instruction is not None:
        raise InputError(name, "cpu.loop_ns_per_instruction", cpu.loop_ns_per_instruction, "cpu.ns_per_instruction too")
    if cpu.name == "any":
        return any_cpu(), "between the CPUs that were measured"
    if cpu.name == "here":
        return measure_time_per_instruction(), "of a loop on this machine"
    known = known_times()
    for title, estimate in known.items():
        if cpu.name.lower() in title.lower():
            return estimate, f"of {title}"
    raise InputError(name, "cpu.name", cpu.name, f"any, here, or a part of one of: {'; '.join(known)}")


def quantity(value: Any, unit: str, where: str, field: str) -> Estimate:
    """A number with its unit (``2 GB/s``), or ``[low, high]`` of them; the value is then their geometric mean.

    :raises InputError: on other units, and on numbers that are not positive.
    """
    ends = value if isinstance(value, list) else [value]
    numbers = [_one(end, unit, where, field) for end in ends]
    if len(numbers) not in (1, 2) or numbers[0] > numbers[-1]:
        raise InputError(where, field, value, "one value, or [low, high]")
    return Estimate((numbers[0] * numbers[-1]) ** 0.5, numbers[0], numbers[-1])


def _one(value: Any, unit: str, where: str, field: str) -> float:
    known = _UNITS[unit]
    match = _NUMBER.fullmatch(str(value)) if isinstance(value, str | float | int) else None
    factor = known.get(match[2]) if match else None
    if match is None or factor is None or not 0 < float(match[1]) * factor < 1e18:
        raise InputError(where, field, value, f"a number above 0 with a unit: {', '.join(filter(None, known))}")
    return float(match[1]) * factor
