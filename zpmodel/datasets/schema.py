"""The one form in which measured data cross from their readers to calibration: columns, types, units.

A form of data set is one file with a reader that returns a :class:`DataSet`, and its line in
:data:`zpmodel.datasets.READERS`.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import pandas as pd

from zpmodel.base.errors import InputError
from zpmodel.callers.fio_write import PAGE_BYTES, count_buffer
from zpmodel.devices import DeviceKind
from zpmodel.queue.kernel import LARGEST_BLOCK_BYTES
from zpmodel.queue.limits import QueueLimits
from zpmodel.structure import Structure


class Column(NamedTuple):
    """A column: its name, its type, its unit (empty for names and counts), what it says, and what it is where a reader
    leaves it out (None: it must be there)."""

    name: str
    dtype: str
    unit: str
    says: str
    default: float | None = None


WRITES: tuple[Column, ...] = (
    Column("block_bytes", "int64", "byte", "bytes of one I/O"),
    Column("depth", "int64", "", "I/Os in flight"),
    Column("memory", "object", "", "buffers of 4 KiB pages (malloc) or of 2 MiB pages (mmaphuge)"),
    Column("max_sectors_kb", "int64", "KiB", "what that limit was set to for this run; 0: left alone", 0),
    Column("replicate", "int64", "", "counts the repeats of a point"),
    Column("cpu_s", "float64", "s", "CPU time of an I/O, all threads; missing where it was not measured"),
    Column("path_s", "float64", "s", "the part of it on the submitting thread; missing likewise"),
    Column("rounding_s", "float64", "s", "half of what the clock of both rounds by, for an I/O"),
    Column("rate", "float64", "1/s", "I/Os a second"),
    Column(
        "kernel_s", "float64", "s", "the part of cpu_s that is the kernel's; missing where it is not known", math.nan
    ),
    Column("waits", "float64", "", "sleeps of the submitting thread for an I/O; missing likewise", math.nan),
)
"""A row of a data set: one run."""

KEYS = ("block_bytes", "depth", "memory", "max_sectors_kb")
"""What tells the points of a set apart."""

MOST_IN_FLIGHT = 1 << 20
"""No queue depth is larger."""

_FINITE = (1e-18, 1e18)
"""Of a rate [1/s] or a time [s], measured or not: nothing is outside, and ratios and squares of these are finite."""


def conform(frame: pd.DataFrame, columns: tuple[Column, ...], where: str) -> pd.DataFrame:
    """Check a table at the door: every column there, of its type, in order; an empty table keeps its columns.

    :raises InputError: naming the column.
    """
    typed: dict[str, Any] = {}
    for column in columns:
        if column.name not in frame and column.default is None:
            raise InputError(where, "column", f"{column.name} (missing)", column.says)
        try:
            given = frame[column.name] if column.name in frame else pd.Series(column.default, index=frame.index)
            typed[column.name] = given.astype(column.dtype)  # type: ignore[call-overload]
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(where, column.name, str(error), f"{column.says}, as {column.dtype}") from None
        values = typed[column.name]
        if column.dtype == "float64" and not (values.isna() | (values == 0) | values.between(*_FINITE)).all():
            accepted = f"{column.says}: 0, or {_FINITE[0]:g} to {_FINITE[1]:g} [{column.unit}]"
            raise InputError(where, column.name, "negative, infinite or out of range", accepted)
    return pd.DataFrame(typed, columns=[column.name for column in columns]).reset_index(drop=True)


def check_points(found: pd.DataFrame, where: str) -> None:
    """Refuse points that no block device can have.

    :raises InputError: naming the column.
    """
    for name, low, high in (("block_bytes", 512, LARGEST_BLOCK_BYTES), ("depth", 1, MOST_IN_FLIGHT)):
        wrong = found.loc[(found[name] < low) | (found[name] > high), name]
        if len(wrong):
            raise InputError(where, name, int(wrong.iloc[0]), f"{low} to {high}")
    if found.empty or not (found["rate"] > 0).all():
        raise InputError(where, "rate", "none, 0 or missing", "a rate in every row [1/s], and a row at least")
    if not set(found["memory"]) <= set(PAGE_BYTES):
        raise InputError(where, "memory", str(sorted(map(str, set(found["memory"]))))[:60], " or ".join(PAGE_BYTES))


def facts(machine: dict[str, Any], name: str) -> dict[str, Any]:
    """A table of a machine's facts; empty where there is none of that name."""
    found = machine.get(name)
    return found if isinstance(found, dict) else {}


def limits_of(limits: QueueLimits, max_sectors_kb: int) -> QueueLimits:
    """A queue's limits with ``max_sectors_kb`` [KiB] set to another value, as sysfs takes it; 0: as they are.

    :raises InputError: where the kernel would refuse the value.
    """
    return replace(limits, max_sectors=2 * max_sectors_kb) if max_sectors_kb else limits


@dataclass(frozen=True, eq=False)  # a set is itself: its tables have no equality of their own
class DataSet:
    """Runs of fio on one machine and device.

    :ivar name: what to call it.
    :ivar machine: facts of the machine, as ``machine.toml`` has them.
    :ivar limits: limits of the queue that was written to.
    :ivar device: the kind of device that it was, not fitted.
    :ivar writes: a row a run, with the columns of :data:`WRITES`.
    :ivar left_out: what was not taken, and why, a line each.
    :ivar assumed: what nobody measured and was assumed, such as the queue's limits.
    :ivar limits_known: whether they are that queue's; False where nobody knows it, and another's were assumed.
    :ivar limits_assumed: which limits were assumed of a queue that is like them but for all that anybody said; empty
        where they are known.
    :ivar copies: whether a CPU moves the data (a device that is software); False where the device fetches them itself
        (DMA), so that bytes cost no CPU time but by their vectors and requests.
    :ivar without_cpu: of how many runs the CPU time is not known, and why; empty where it is, or nobody knows why.
    :ivar disturbed: what other programs did to the runs, in words; empty where they left them alone, or nobody knows.
    """

    name: str
    machine: dict[str, Any]
    limits: QueueLimits
    device: DeviceKind
    writes: pd.DataFrame
    left_out: tuple[str, ...] = ()
    assumed: tuple[str, ...] = field(default=())
    copies: bool = True
    limits_known: bool = True
    limits_assumed: str = ""
    disturbed: str = ""
    without_cpu: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "writes", conform(self.writes, WRITES, self.name))

    def describe(self) -> str:
        """The machine in a few words."""
        cpu, kernel, target = (facts(self.machine, name) for name in ("cpu", "kernel", "target"))
        parts = [
            str(cpu.get("model", "unknown CPU")),
            f"Linux {kernel.get('release', '?')}",
            f"{target.get('driver') or 'unknown device'}, {target.get('file_system') or 'raw'}",
        ]
        return ", ".join(parts)

    def structure(self, block_bytes: int, memory: str, max_sectors_kb: int = 0) -> Structure:
        """The structure of one of the set's writes, with the limit that it was made under."""
        return count_buffer(memory, limits_of(self.limits, max_sectors_kb), block_bytes)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What has to be said of the runs, a line each: what others did to them, what was assumed and left out."""
        lines = [f"The runs: {self.disturbed}."] if self.disturbed else []
        lines += [f"CPU time of {self.without_cpu}."] if self.without_cpu else []
        lines += [f"Assumed: {line}." for line in self.assumed]
        if self.left_out:
            lines.append(f"{len(self.left_out)} left out, the first: {self.left_out[0]}.")
        return tuple(lines)

    @property
    def plain(self) -> pd.DataFrame:
        """The runs under the queue's own limits: what the device does when nobody meddles."""
        return self.writes[self.writes["max_sectors_kb"] == 0]

    def _repr_html_(self) -> str:
        from html import escape

        points = self.writes.groupby(list(KEYS)).ngroups
        text = f"<b>{escape(self.name)}</b>: {len(self.writes)} runs of {points} points; {escape(self.describe())}"
        return text + (f"; {len(self.left_out)} left out" if self.left_out else "")
