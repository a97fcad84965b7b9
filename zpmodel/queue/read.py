"""Reading queue limits: a mapping with the names of sysfs, a JSON or TOML file, a queue directory."""

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zpmodel.base.errors import InputError
from zpmodel.base.files import read_bounded, read_text
from zpmodel.queue.limits import EXTRA_NAMES, SYSFS_NAMES, QueueLimits

_REQUIRED = ("max_segments", "max_segment_size")
_KIB_NAMES = ("max_sectors_kb", "max_hw_sectors_kb")
_NULL_BLK_DEFAULT_SECTORS = 255
_AS_SYSFS = "a value as under /sys/block/DEV/queue"


def from_mapping(values: Mapping[str, Any], *, source: str = "limits") -> QueueLimits:
    """Read limits under their sysfs names, from JSON or TOML.

    ``max_sectors`` [sector] goes before ``max_sectors_kb``, which can't show half a KiB.

    :raises InputError: on missing, misspelt or impossible values.
    """
    _check_names(values, source)
    given = {name: value for name, value in values.items() if name in (*SYSFS_NAMES, *EXTRA_NAMES)}
    for name in ("max_sectors", *_KIB_NAMES):
        if name in given and given[name] is None:
            del given[name]
    for name, value in given.items():
        if name not in ("scheduler", "source"):
            given[name] = _whole(value, source, name)
    kib, hardware_kib = given.pop("max_sectors_kb", None), given.pop("max_hw_sectors_kb", 0)
    if "max_sectors" not in given:
        if kib is None:
            raise InputError(source, "max_sectors_kb", "(missing)", _AS_SYSFS)
        given["max_sectors"] = 2 * kib
    hardware = 2 * hardware_kib
    if hardware and given["max_sectors"] == hardware + 1:
        hardware += 1  # the half KiB that sysfs does not show
    if "scheduler" in given:
        given["scheduler"] = _active_scheduler(str(given["scheduler"]))
    given.setdefault("physical_block_size", max(512, given.get("logical_block_size", 512)))
    given["source"] = str(given.get("source", source))
    return QueueLimits(**{**given, "max_hw_sectors": hardware})


def _check_names(values: Mapping[str, Any], source: str) -> None:
    """Refuse what is no object, is misspelt, misses what has no default, or is a zoned device."""
    if not isinstance(values, Mapping):
        raise InputError(source, "limits", values, "an object with the names of /sys/block/DEV/queue")
    known = {*SYSFS_NAMES, *EXTRA_NAMES}
    for name in values:
        if name in known:
            continue
        near = difflib.get_close_matches(str(name), known - set(values), n=1, cutoff=0.85)
        if near:
            raise InputError(source, "name", str(name), near[0])
    if values.get("zoned", "none") not in (None, "", "none"):
        raise InputError(source, "zoned", values["zoned"], "none: zoned devices are not modelled")
    for name in _REQUIRED:
        if name not in values:
            raise InputError(source, name, "(missing)", _AS_SYSFS)


def from_directory(path: Path | str) -> QueueLimits:
    """Read a device's ``queue`` directory: /sys/block/DEV, its ``queue``, or a copy of either from another machine.

    sysfs rounds ``max_sectors_kb`` down. The one default with half a KiB is 255 sectors (shown as 127), which is
    what 127 with a hardware limit of 127 is taken for.

    :raises InputError: where there is no such directory, or it holds something else.
    """
    path = Path(path)
    folder = path / "queue" if (path / "queue").is_dir() else path
    if not (folder / "max_segments").is_file():
        raise InputError(str(path), "directory", path.name, "/sys/block/DEV, its queue directory, or a copy of it")
    values: dict[str, str] = {}
    for name in (*SYSFS_NAMES, "zoned"):
        try:
            values[name] = read_bounded(folder / name).decode("utf-8-sig", errors="replace").strip()
        except FileNotFoundError:
            continue  # older kernels have fewer files
        except (OSError, ValueError) as error:
            raise InputError(str(folder / name), "file", str(error), "a file of sysfs, or a copy of one") from None
    if values.get("max_sectors_kb") == values.get("max_hw_sectors_kb") == "127":
        values["max_sectors"] = str(_NULL_BLK_DEFAULT_SECTORS)
    return from_mapping(values, source=str(path))


def from_file(path: Path | str) -> QueueLimits:
    """Read limits from a JSON or TOML file; in TOML, and in JSON, they may stand in a table named ``limits``.

    :raises InputError: on a file that can't be read, or with impossible values.
    """
    path = Path(path)
    try:
        text = read_text(path)
        values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(str(path), "file", str(error), "a readable JSON or TOML file with queue limits") from None
    inner = values.get("limits", values) if isinstance(values, dict) else values
    return from_mapping(inner, source=str(path))


def _whole(value: object, source: str, field: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{1,20}", value.strip()):
        return int(value)
    raise InputError(source, field, value, "a whole number, not negative")


def _active_scheduler(text: str) -> str:
    """sysfs shows all of them, the active one in brackets: ``[none] mq-deadline``."""
    match = re.search(r"\[([\w-]+)\]", text)
    return match[1] if match else text.strip()
