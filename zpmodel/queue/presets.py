"""Finding queue limits by what a person writes: a file, a directory, a device of this machine, or a preset's name."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.read import from_directory, from_file, from_mapping

_NVME = re.compile(r"nvme-mdts(\d+)(?:@(\d+)\.(\d+))?(\+iommu)?")
_NAMED = re.compile(r"([a-z][a-z-]*)(?:@(\d+)\.(\d+))?")
_LATEST = (7, 2)
_EARLIEST, _UNKNOWN = (5, 0), (8, 0)  # before, the driver's limits were others; after, nobody knows

Version = tuple[int, ...]


def preset_names() -> list[str]:
    """The presets: one for each file, and the pattern of those for NVMe."""
    plain = sorted(path.stem for path in shipped.data("devices").glob("*.toml") if path.stem != "nvme")
    return [*plain, *(f"{name}[@KERNEL]" for name in _read("nvme")["named"]), "nvme-mdtsN[@KERNEL][+iommu]"]


def nvme(mdts: int, kernel: Version = _LATEST, *, translating_iommu: bool = False) -> QueueLimits:
    """Limits of an NVMe namespace as the driver of a kernel version sets them.

    :param mdts: the controller's Maximum Data Transfer Size, as the power of two of 4 KiB; 0: no limit.
    :param kernel: (major, minor).
    :param translating_iommu: whether an IOMMU translates (and so caps requests at 128 KiB).
    :raises InputError: for an MDTS that NVMe doesn't have.
    """
    if not _EARLIEST <= kernel < _UNKNOWN:
        shown = ".".join(map(str, kernel))
        raise InputError(
            "nvme", "kernel", shown, f"a version from {_EARLIEST[0]}.{_EARLIEST[1]} to {_UNKNOWN[0] - 1}.x"
        )
    if not 0 <= mdts <= 20:
        raise InputError("nvme", "mdts", mdts, "0 (no limit) to 20: transfers of 4 KiB << mdts")
    table = _read("nvme")
    hardware_kb = _at(table["max_hw_kb"], kernel)
    if mdts:
        hardware_kb = min(hardware_kb, 4 << mdts)
    if translating_iommu:
        hardware_kb = min(hardware_kb, table["max_hw_kb"]["translating_iommu"])
    segments = _at(table["max_segments"], kernel)
    if kernel >= _version(table["max_segments"]["capped_by_transfer_from"]):
        segments = min(segments, hardware_kb // 4 + 1)
    values = {
        **table["limits"],
        "max_segments": segments,
        "max_sectors_kb": min(hardware_kb, _at(table["default_max_sectors_kb"], kernel)),
        "max_hw_sectors_kb": hardware_kb,
    }
    suffix = "+iommu" if translating_iommu else ""
    return from_mapping(values, source=f"nvme-mdts{mdts}@{'.'.join(map(str, kernel))}{suffix}")


def find_limits(text: str, beside: Path = Path()) -> QueueLimits:
    """Limits by file (.json, .toml), directory (/sys/block/DEV or a copy), or preset (``nvme-mdts5@6.12``, ``loop``).

    :param beside: the folder in which files and directories are looked up.
    :raises InputError: where it is none of these, naming the presets.

    >>> find_limits("nvme-mdts5@6.12").max_segments, find_limits("nvme-mdts5+iommu").source
    (128, 'nvme-mdts5@7.2+iommu')
    """
    path = beside / text
    try:
        folder, file = path.is_dir(), path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        folder = file = False
    if folder:
        return from_directory(path)
    if file:
        return from_file(path)
    match = _NVME.fullmatch(text)
    if match:
        return nvme(int(match[1]), _kernel(match), translating_iommu=bool(match[4]))
    match, named = _NAMED.fullmatch(text), _read("nvme")["named"]
    if match and match[1] in named:
        known = named[match[1]]
        found = nvme(known["mdts"], _kernel(match), translating_iommu=known["translating_iommu"])
        return replace(found, source=text)
    if (
        text != "nvme"
        and re.fullmatch(r"[\w-]{1,64}", text)
        and shipped.data("devices").joinpath(f"{text}.toml").is_file()
    ):
        return from_mapping(_read(text)["limits"], source=text)
    accepted = f"a file, /sys/block/DEV, a copied queue directory, or one of {', '.join(preset_names())}"
    raise InputError("--limits", "name", text, accepted)


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(shipped.data("devices", f"{name}.toml").read_text(encoding="utf-8"))


def _kernel(match: re.Match[str]) -> Version:
    return (int(match[2]), int(match[3])) if match[2] else _LATEST


def _version(text: str) -> Version:
    return tuple(int(part) for part in text.split("."))


def _at(table: dict[str, Any], kernel: Version) -> int:
    """The value of the last row that starts at or before the kernel's version."""
    return int(
        max((row for row in table["values"] if _version(row["from"]) <= kernel), key=lambda row: _version(row["from"]))[
            "value"
        ]
    )
