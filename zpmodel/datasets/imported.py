"""Data sets that ``zpmodel import`` made of anybody's fio output: rows.csv, and set.toml that says what they are.

What fio's output does not say (the queue's limits, the driver, the pages of the buffers) is an option or assumed, and
what is assumed is said wherever the set is used.
"""

import tomllib
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import pandas as pd

from zpmodel.base.errors import InputError
from zpmodel.base.files import check_folder, read_text, write_atomically
from zpmodel.base.table import read_columns
from zpmodel.datasets.any_fio import Imported
from zpmodel.datasets.point import HUGE_PAGE
from zpmodel.datasets.schema import (
    MOST_IN_FLIGHT,
    WRITES,
    DataSet,
    check_points,
    conform,
)
from zpmodel.devices import device_for
from zpmodel.host.machine import write_toml
from zpmodel.host.signals import signals_held
from zpmodel.queue.kernel import LARGEST_BLOCK_BYTES
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.presets import find_limits

FORMAT = 1
_ROWS, _SET = "rows.csv", "set.toml"
_LARGEST_BYTES = 64 << 20
_SHOWN = 20  # left-out lines of a kind

_Text = Annotated[str, msgspec.Meta(max_length=4096)]
_Lines = Annotated[list[_Text], msgspec.Meta(max_length=10_000)]


class DriverFacts(NamedTuple):
    """What is known of a driver: the preset of limits to assume, whether a CPU copies the data, what kind of device."""

    limits: str
    copies: bool
    kind: str


DRIVERS = {
    "nvme": DriverFacts("nvme-mdts5", False, "drive"),
    "sd": DriverFacts("sata", False, "drive"),
    "virtio_blk": DriverFacts("virtio-blk", True, ""),
    "loop": DriverFacts("loop", True, ""),
    "null_blk": DriverFacts("null_blk", False, ""),
}
"""By their names in the kernel."""

_NODES = {"nvme": "nvme", "sd": "sd", "vd": "virtio_blk", "loop": "loop", "nullb": "null_blk"}
_UNKNOWN = DriverFacts("nvme-mdts5", True, "")


class _Set(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    fio_files: _Lines
    limits: dict[str, Any]
    copies: bool
    machine: dict[str, dict[str, _Text]]
    assumed: _Lines
    left_out: _Lines
    limits_assumed: _Text = ""
    without_cpu: _Text = ""


@dataclass(frozen=True)
class Said:
    """What whoever imports says of the data; None where they don't.

    :ivar limits: the queue's limits: a file or a preset.
    :ivar driver: of :data:`DRIVERS`.
    :ivar memory: malloc (4 KiB pages) or mmaphuge (2 MiB), of buffers of which fio doesn't say.
    :ivar cpu, kernel: what ran it.
    """

    limits: str | None = None
    driver: str | None = None
    memory: str | None = None
    cpu: str | None = None
    kernel: str | None = None


def recognises(path: Path) -> bool:
    """Whether a path is such a folder."""
    return (path / _SET).is_file()


def read_set(folder: Path | str) -> DataSet:
    """Read an imported data set.

    :raises InputError: where its files are not what `import` writes.
    """
    folder = Path(folder)
    where = folder / _SET
    try:
        found = msgspec.convert(tomllib.loads(read_text(where)), _Set)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(str(where), "file", str(error), "the set.toml of a folder made by zpmodel import") from None
    if found.format != FORMAT:
        raise InputError(str(where), "format", found.format, f"{FORMAT}: import again with this version")
    rows = folder / _ROWS
    try:
        text = read_text(rows, _LARGEST_BYTES)
    except (OSError, ValueError) as error:
        raise InputError(str(rows), "file", str(error), "the rows.csv of a folder made by zpmodel import") from None
    table = read_columns(text, str(rows), "the rows.csv of a folder made by zpmodel import")
    writes = conform(table, WRITES, str(rows))
    check_points(writes, str(rows))
    given = {name: value for name, value in found.limits.items() if name != "source"}
    limits = QueueLimits.from_mapping(given, source=str(where))
    wrong = writes.loc[writes["block_bytes"] % limits.logical_block_size != 0, "block_bytes"]
    if len(wrong) or writes["max_sectors_kb"].any():
        shown = int(wrong.iloc[0]) if len(wrong) else "max_sectors_kb"
        raise InputError(str(rows), "block_bytes", shown, "whole logical blocks, under the limits of set.toml")
    device = device_for(found.machine.get("target", {}), limits)
    return DataSet(
        folder.resolve().name,
        found.machine,
        limits,
        device,
        writes,
        tuple(found.left_out),
        tuple(found.assumed),
        found.copies,
        limits_assumed=found.limits_assumed,
        without_cpu=found.without_cpu,
    )


def write_set(out: Path, imported: Imported, said: Said, files: Iterable[str]) -> DataSet:
    """Make a data set folder of what was read of somebody's fio files, and read it back.

    :raises InputError: where nothing of it is usable, or the folder holds something already.
    """
    check_folder(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError("--out", "folder", str(out), "a folder that is not there yet, or empty")
    rows, assumed, left_out = _usable(imported, said)
    driver, facts = _driver(rows, said, assumed)
    limits = find_limits(said.limits or facts.limits)
    if said.limits is None:
        assumed.append(f"queue limits of the preset {facts.limits}: whoever knows the device's passes --limits")
    odd = rows["block_bytes"] % limits.logical_block_size != 0
    left_out += [f"{source}: blocks that are no whole logical blocks" for source in rows.loc[odd, "source"]]
    rows = rows[~odd]
    if rows.empty:
        why = left_out[0] if left_out else "no jobs"
        raise InputError("fio files", "jobs", f"none usable; {why}", "direct I/O in one direction, whole")
    target = {"driver": driver or "", "file_system": "", "kind": facts.kind}
    machine = {"cpu": {"model": said.cpu or "unknown CPU"}, "kernel": {"release": said.kernel or "?"}, "target": target}
    document = {
        "format": FORMAT,
        "fio_files": list(files)[:1000],
        "copies": facts.copies,
        "assumed": assumed,
        "left_out": _short(left_out),
        "limits_assumed": "" if said.limits else f"preset {facts.limits}",
        "without_cpu": _without_cpu(imported, rows),
        "limits": limits.to_sysfs() | {"source": limits.source},
        "machine": machine,
    }
    _write(out, document, rows)
    return read_set(out)


def _write(out: Path, document: dict[str, Any], rows: pd.DataFrame) -> None:
    columns = [*(column.name for column in WRITES), "direction", "source"]
    try:
        with signals_held():
            out.mkdir(parents=True, exist_ok=True)
            write_atomically(out / _ROWS, rows[columns].to_csv(index=False, float_format="%.9g"))
            # Last: without it the folder is no data set.
            write_atomically(out / _SET, write_toml(document))
    except OSError as error:
        with suppress(OSError):  # half a set would be in the next one's way
            (out / _ROWS).unlink(missing_ok=True)
            out.rmdir()
        raise InputError("--out", "folder", error.strerror or str(error), "a folder that can be written") from None


def _usable(imported: Imported, said: Said) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Rows in the form of a set, with what had to be assumed for them and what was left out."""
    rows = imported.rows
    left_out = [f"{a}: {reason}" for a, what, reason in imported.left_out.itertuples(index=False) if what != "cpu_s"]
    assumed: list[str] = []
    if (rows["direction"] == "write").any():
        left_out += [f"{source}: reads beside writes" for source in rows.loc[rows["direction"] == "read", "source"]]
        rows = rows[rows["direction"] == "write"]
    elif len(rows):
        assumed.append("reads stand for writes: the block layer's work is the same, the device's is not")
    sane = rows["block_bytes"].between(512, LARGEST_BLOCK_BYTES) & rows["depth"].between(1, MOST_IN_FLIGHT)
    left_out += [f"{source}: block size or depth out of range" for source in rows.loc[~sane, "source"]]
    rows = rows[sane]
    if (rows["memory"] == "unknown").any():
        memory = said.memory or "malloc"
        if said.memory is None:
            assumed.append("buffers of 4 KiB pages, where fio's output doesn't say: else pass --memory")
        rows = rows.assign(memory=rows["memory"].replace("unknown", memory))
    # One row may stand for two now: count the repeats anew.
    keys = ["block_bytes", "depth", "memory"]
    rows = rows.assign(replicate=rows.groupby(keys).cumcount() + 1, max_sectors_kb=0)
    return _with_cpu(rows, said, assumed, left_out), assumed, left_out


def _with_cpu(rows: pd.DataFrame, said: Said, assumed: list[str], left_out: list[str]) -> pd.DataFrame:
    """CPU time as the middle of what fio's milliseconds allow; none where the buffers may be huge pages."""
    cpu_s = rows["cpu_s"] + rows["rounding_s"]
    maybe_huge = (rows["memory"] == "malloc") & (rows["block_bytes"] * rows["depth"] >= HUGE_PAGE)
    if said.memory is None and (maybe_huge & cpu_s.notna()).any():
        number = int((maybe_huge & cpu_s.notna()).sum())
        left_out.append(
            f"CPU time of {number} runs with buffers of 2 MiB and more: they may be transparent huge pages "
            "(--memory malloc says that they are not)"
        )
        cpu_s = cpu_s.where(~maybe_huge)
    if cpu_s.notna().any():
        assumed.append("the CPU time is that of fio's threads: interrupts on other CPUs and kernel threads are not in")
    if len(rows) and not rows["fixed"].all():
        assumed.append("no pages of a buffer lie side by side (in buffers that are not registered those merge)")
    return rows.assign(cpu_s=cpu_s, path_s=cpu_s)


def _without_cpu(imported: Imported, rows: pd.DataFrame) -> str:
    """Of how many of the rows the CPU time is not known, and why, in words; empty where fio printed all."""
    lost = imported.left_out[imported.left_out["what"] == "cpu_s"]
    reasons = Counter(_why_no_cpu(reason) for reason in lost.loc[lost["source"].isin(rows["source"]), "reason"])
    said = [
        f"{'all' if number == len(rows) else f'{number} of'} {len(rows)} runs is not known: {reason}"
        for reason, number in reasons.most_common(3)
    ]
    return "; of ".join(said)[:4000]


def _why_no_cpu(reason: str) -> str:
    """In a reader's words; they say what fio printed."""
    if "sqthread_poll" not in reason:
        return reason
    seems = "seems to have let" if "perhaps" in reason else "let"
    return (
        f"fio {seems} a kernel thread poll and submit for it (sqthread_poll), and of that thread's CPU time it prints "
        "nothing, so no cost of a CPU can be calibrated; measure without that option"
    )


def _driver(rows: pd.DataFrame, said: Said, assumed: list[str]) -> tuple[str | None, DriverFacts]:
    if said.driver is not None:
        return said.driver, DRIVERS[said.driver]
    nodes = {Path(target).name.rstrip("0123456789pn") for target in rows["target"]}
    found = {driver for node in nodes for start, driver in _NODES.items() if node.startswith(start)}
    if len(found) == 1 and all(target.startswith("/dev/") for target in rows["target"]):
        (driver,) = found
        assumed.append(f"the driver is {driver}, by the names of the files that fio was given")
        return driver, DRIVERS[driver]
    assumed.append("a device of no particular kind: else pass --driver")
    return None, _UNKNOWN


def _short(lines: list[str]) -> list[str]:
    """The lines; of many with one reason the first few, and how many more there are."""
    seen, kept = Counter[str](), []
    for line in lines:
        reason = line.rpartition(": ")[2]
        seen[reason] += 1
        if seen[reason] <= _SHOWN:
            kept.append(line[:4000])
    return kept + [f"{number - _SHOWN} more: {reason[:4000]}" for reason, number in seen.items() if number > _SHOWN]
