"""Reading back what `zpmodel measure` wrote: one row a point, and the paired contrast of the two buffer memories."""

import math
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from zpmodel.base.errors import InputError
from zpmodel.base.estimate import LEVEL
from zpmodel.base.files import read_bounded
from zpmodel.datasets.fio_answer import Job, Usage, check_answer, check_usage, point_of, way_of
from zpmodel.datasets.home import read_home
from zpmodel.datasets.kernel_threads import seconds_of_io, seconds_of_teardown
from zpmodel.datasets.point import Point

FIO_TICK_S = 1e-3
"""What fio's CPU times are cut down to [s]."""

WITHOUT_USAGE = (
    "the set's folder usage/ is missing or empty: its CPU time is what fio says of its own thread, so that io_uring's "
    "workers and kernel threads are not in it, nor is it known which runs other programs disturbed"
)
"""What is said of such a set."""

_FINEST_NS = 1000  # no two readings of a clock are closer to what they enclose


@dataclass(frozen=True)
class Measured:
    """One finished point.

    ``ios`` and ``bytes`` [byte] done in ``seconds`` [s]; ``thread_cpu_seconds`` is the CPU time of fio's submitting
    thread, known to plus or minus ``thread_cpu_resolution_s``; ``worker_cpu_seconds`` io_uring's workers',
    ``kernel_cpu_seconds`` kernel threads' but for memory management's, ``teardown_cpu_seconds`` the part of it that
    may be the end of fio's ring [s]; ``elapsed_seconds`` is how long fio's process lived [s], and
    ``others_cpu_share`` the share of all CPU time meanwhile that was neither its nor kernel threads' [1], of a clock of
    10 ms, NaN where nobody noted it. Where a set has lost all that was noted beside fio's answers, ``started`` is empty
    and whatever fio doesn't say is NaN.
    """

    point: Point
    started: str
    seconds: float
    ios: int
    bytes: int
    latency_ns: float
    thread_cpu_seconds: float
    thread_cpu_resolution_s: float
    worker_cpu_seconds: float
    kernel_cpu_seconds: float
    teardown_cpu_seconds: float
    steal_seconds: float
    others_cpu_share: float
    elapsed_seconds: float
    machine_digest: str | None

    @property
    def bytes_per_second(self) -> float:
        """Throughput [byte/s]."""
        return self.bytes / self.seconds

    @property
    def cpu_seconds(self) -> float:
        """CPU time of the job wherever it was spent, but for interrupts that hit an idle CPU; that of fio's thread
        where nobody noted the others' [s]."""
        if not self.noted:
            return self.thread_cpu_seconds
        return self.thread_cpu_seconds + self.worker_cpu_seconds + self.kernel_cpu_seconds

    @property
    def noted(self) -> bool:
        """Whether there is more than fio's own answer."""
        return bool(self.started)

    @property
    def cpu_ns_per_byte(self) -> float:
        """CPU time of a byte [ns/byte]."""
        return self.cpu_seconds / self.bytes * 1e9


@dataclass(frozen=True)
class LeftOut:
    """A point file that can't be used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Contrast:
    """2 MiB against 4 KiB buffer pages at one block size and depth: ratios mmaphuge / malloc, with intervals.

    ``max_sectors_kb`` [KiB] is what that limit was set to, 0 where it was left alone.
    """

    operation: str
    block_bytes: int
    depth: int
    max_sectors_kb: int
    pairs: int
    throughput_ratio: float
    throughput_low: float
    throughput_high: float
    cpu_ratio: float
    cpu_low: float
    cpu_high: float


def read_point(out: Path, name: str) -> Measured:
    """Read one finished point of a data set.

    :raises InputError: where its files are missing or not what `measure` writes.
    """
    item, reason = _try(out, name)
    if item is None:
        raise InputError(str(out / "points" / f"{name}.json"), "point", reason, "a point and its usage as measured")
    return item


def _try(out: Path, name: str, *, noted: bool = True) -> tuple[Measured | None, str]:
    """A point, or why it can't be used; ``noted``: it must have its usage, else that is not looked for."""
    where = "point"
    try:
        point = point_of(out / "points" / f"{name}.json")
        job = check_answer(read_bounded(out / "points" / f"{name}.json"), point)
        where = "usage"
        usage = check_usage(read_bounded(out / "usage" / f"{name}.json"), point) if noted else None
    except FileNotFoundError:
        return None, f"its {where} is missing"
    except OSError as error:
        return None, f"its {where} can't be read ({error.strerror})"
    except ValueError as error:
        return None, f"{where}: {error}"
    way = way_of(job, point)
    thread_cpu, resolution = _thread_cpu(job, usage)
    unknown = math.nan
    return Measured(
        point=point,
        started=usage.started if usage else "",
        seconds=way.runtime / 1e3,
        ios=way.total_ios,
        bytes=way.io_bytes,
        latency_ns=way.lat_ns.mean,
        thread_cpu_seconds=thread_cpu,
        thread_cpu_resolution_s=resolution,
        worker_cpu_seconds=usage.io_worker_seconds if usage else unknown,
        kernel_cpu_seconds=seconds_of_io(usage.kernel_thread_seconds) if usage else unknown,
        teardown_cpu_seconds=seconds_of_teardown(usage.kernel_thread_seconds) if usage else unknown,
        steal_seconds=usage.machine_seconds.steal if usage else unknown,
        others_cpu_share=_others_cpu_share(usage) if usage else unknown,
        elapsed_seconds=usage.elapsed_seconds if usage else unknown,
        machine_digest=usage.machine_digest if usage else None,
    ), ""


def _thread_cpu(job: Job, usage: Usage | None) -> tuple[float, float]:
    """The CPU time of the job's thread and the half-width of its rounding [s]; the truth lies within.

    fio cuts user and system time down to whole milliseconds, each by itself (``mtime_since_tv`` of two getrusage(2)):
    m stands for m ... m + 2 ms, and 0 for 0 ... 2 ms. (A thread that never sleeps, as in reads of /dev/zero, loses up
    to a scheduler's tick more: getrusage(2) of a running thread is as old as its last tick.) The scheduler's
    nanoseconds hold the readings' own cost, which is known to about half of itself.
    """
    if usage is not None and usage.thread_cpu_ns is not None:
        half = max(_FINEST_NS, usage.thread_cpu_overhead_ns / 2)
        return max(half, usage.thread_cpu_ns - usage.thread_cpu_overhead_ns) / 1e9, half / 1e9
    return (job.usr_cpu + job.sys_cpu) / 100 * job.job_runtime / 1e3 + FIO_TICK_S, FIO_TICK_S


def _others_cpu_share(usage: Usage) -> float:
    spent = usage.machine_seconds
    busy = spent.user + spent.nice + spent.system + spent.irq + spent.softirq + spent.steal
    there = busy + spent.idle + spent.iowait
    if usage.process_user_seconds is None or usage.process_system_seconds is None or there <= 0:
        return math.nan
    own = usage.process_user_seconds + usage.process_system_seconds + sum(usage.kernel_thread_seconds.values())
    return (busy - own) / there


def finished(out: Path) -> list[str]:
    """List the names of a data set's point files, sorted; whether each can be read is another matter."""
    return sorted(path.stem for path in (out / "points").glob("[!.]*.json"))


def load_points(out: str | Path, *, complete: bool = False) -> tuple[list[Measured], list[LeftOut]]:
    """Read every good point of a measured set, in the order in which they ran, and say which others are there.

    Left out are points that are damaged, without usage, under another's name, not in the set's plan, or measured on
    another machine: by the digest in ``plan.json``, in sets from before there was one by the sessions' times. Where not
    one point has its usage, all are taken for what fio itself says of them.

    :param complete: take none without its usage even then.
    """
    out = Path(out)
    home, names = read_home(out), finished(out)
    noted = complete or any(os.path.lexists(out / "usage" / f"{name}.json") for name in names)
    good, left_out = [], []
    for name in names:
        item, reason = _try(out, name, noted=noted)
        if item is not None:
            when, machine = (item.started, item.machine_digest) if noted else (None, home.machine_digest)
            reason = home.why_foreign(item.point.id, when, machine)
        if item is None or reason:
            left_out.append(LeftOut(name, reason))
        else:
            good.append(item)
    return sorted(good, key=lambda item: item.started), left_out


def load(out: str | Path, *, varied: bool = False) -> pd.DataFrame:
    """Read a measured data set: one row a point, in the order in which they ran.

    Columns: ``id``, ``operation`` (write, zero), ``block_bytes``, ``depth``, ``memory``, ``replicate``,
    ``reference``, ``max_sectors_kb`` [KiB] (missing where the queue's was left alone), ``started``, ``seconds`` [s],
    ``ios``, ``bytes``, ``latency_ns`` [ns], the CPU times of `Measured` [s] and ``thread_cpu_resolution_s``,
    ``cpu_seconds`` (thread, workers and kernel), ``steal_seconds`` (all CPUs), ``others_cpu_share`` [1],
    ``bytes_per_second`` [byte/s],
    ``cpu_ns_per_byte`` [ns/byte]. ``attrs["left_out"]`` lists the points that can't be used, as dicts of ``id`` and
    ``reason``.

    :param varied: with the points for which ``max_sectors_kb`` was changed; the limits of ``machine.toml`` are not
        theirs.
    :raises InputError: where the folder holds no points that can be read.
    """
    good, left_out = load_points(out)
    if not good:
        found = f"none that can be read; {left_out[0].name}: {left_out[0].reason}" if left_out else "none"
        raise InputError(str(out), "points", found, "a folder that zpmodel measure has filled")
    rows = []
    for item in good:
        fields = {key: value for key, value in vars(item).items() if key not in ("point", "machine_digest")}
        derived = {key: getattr(item, key) for key in ("cpu_seconds", "bytes_per_second", "cpu_ns_per_byte")}
        rows.append({"id": item.point.id, **asdict(item.point), **fields, **derived})
    table = pd.DataFrame(rows).astype({"max_sectors_kb": "Int64"})
    if not varied:
        table = table[table["max_sectors_kb"].isna()].reset_index(drop=True)
    table.attrs["left_out"] = [{"id": item.name, "reason": item.reason} for item in left_out]
    return table


def contrasts(points: Iterable[Measured]) -> list[Contrast]:
    """Compare the two memories, replicate by replicate (a pair ran back to back, so slow drift cancels)."""
    found: dict[tuple[str, int, int, int], dict[int, dict[str, Measured]]] = defaultdict(lambda: defaultdict(dict))
    for item in points:
        if not item.point.reference:
            found[item.point.pair][item.point.replicate][item.point.memory] = item
    result = []
    for pair in sorted(found):
        both = [memories for memories in found[pair].values() if len(memories) == 2]
        if both:
            speed = [m["mmaphuge"].bytes_per_second / m["malloc"].bytes_per_second for m in both]
            cpu = [m["mmaphuge"].cpu_ns_per_byte / m["malloc"].cpu_ns_per_byte for m in both]
            result.append(Contrast(*pair, len(both), *interval(speed), *interval(cpu)))
    return result


def interval(ratios: Sequence[float]) -> tuple[float, float, float]:
    """Return the geometric mean of ratios and its Student interval on the log scale; NaN bounds for a single one."""
    logs = np.log(np.asarray(ratios, dtype=float))
    centre = math.exp(logs.mean())
    if len(logs) < 2:
        return centre, math.nan, math.nan
    half = float(stdtrit(len(logs) - 1, (1 + LEVEL) / 2)) * logs.std(ddof=1) / math.sqrt(len(logs))
    return centre, centre * math.exp(-half), centre * math.exp(half)


def drift(points: Iterable[Measured]) -> list[dict[str, object]]:
    """Follow the reference points through the run.

    :return: for each kind and for throughput and CPU per byte: how many there are, the spread from one to the next
        (median relative step), and how far the last third's median lies from the first third's (relative).
    """
    groups: dict[str, list[Measured]] = defaultdict(list)
    for item in sorted(points, key=lambda item: item.started):
        if item.point.reference:
            groups[item.point.operation].append(item)
    result: list[dict[str, object]] = []
    for operation, items in sorted(groups.items()):
        for what in ("bytes_per_second", "cpu_ns_per_byte"):
            values = np.array([getattr(item, what) for item in items])
            third = max(1, len(values) // 3)
            step = float(np.median(np.abs(np.diff(np.log(values))))) if len(values) > 1 else math.nan
            change = float(np.median(values[-third:]) / np.median(values[:third]) - 1) if len(values) > 1 else math.nan
            result.append({"reference": operation, "of": what, "points": len(values), "step": step, "change": change})
    return result
