"""Reading back what `zpmodel measure` wrote: one row a point, and the paired contrast of the two buffer memories."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from zpmodel.base.errors import InputError
from zpmodel.datasets.point import Point


@dataclass(frozen=True)
class Measured:
    """One finished point.

    ``ios`` and ``bytes`` [byte] done in ``seconds`` [s]; ``thread_cpu_seconds`` is what fio says of its own thread,
    ``worker_cpu_seconds`` io_uring's workers', ``kernel_cpu_seconds`` all kernel threads' [s].
    """

    point: Point
    started: str
    seconds: float
    ios: int
    bytes: int
    latency_ns: float
    thread_cpu_seconds: float
    worker_cpu_seconds: float
    kernel_cpu_seconds: float
    steal_seconds: float

    @property
    def bytes_per_second(self) -> float:
        """Throughput [byte/s]."""
        return self.bytes / self.seconds

    @property
    def cpu_seconds(self) -> float:
        """CPU time of the job wherever it was spent, but for interrupts that hit an idle CPU [s]."""
        return self.thread_cpu_seconds + self.worker_cpu_seconds + self.kernel_cpu_seconds

    @property
    def cpu_ns_per_byte(self) -> float:
        """CPU time of a byte [ns/byte]."""
        return self.cpu_seconds / self.bytes * 1e9


@dataclass(frozen=True)
class Contrast:
    """2 MiB against 4 KiB buffer pages at one block size and depth: ratios mmaphuge / malloc, 95 % intervals."""

    operation: str
    block_bytes: int
    depth: int
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
    path = out / "points" / f"{name}.json"
    try:
        text = path.read_text()
        job = json.loads(text[text.index("{") :])["jobs"][0]
        usage = json.loads((out / "usage" / f"{name}.json").read_text())
        point = Point.from_id(name)
        way = job["read" if point.operation == "zero" else "write"]
        return Measured(
            point=point,
            started=usage["started"],
            seconds=way["runtime"] / 1e3,
            ios=way["total_ios"],
            bytes=way["io_bytes"],
            latency_ns=way["lat_ns"]["mean"],
            thread_cpu_seconds=(job["usr_cpu"] + job["sys_cpu"]) / 100 * job["job_runtime"] / 1e3,
            worker_cpu_seconds=usage["io_worker_seconds"],
            kernel_cpu_seconds=sum(usage["kernel_thread_seconds"].values()),
            steal_seconds=usage["machine_seconds"]["steal"],
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(
            str(path), "point", f"{type(error).__name__}: {error}", "a point and its usage as measured"
        ) from None


def finished(out: Path) -> list[str]:
    """List the finished points of a data set, in the order of their names."""
    return sorted(path.stem for path in (out / "points").glob("[!.]*.json"))


def load(out: str | Path) -> pd.DataFrame:
    """Read a measured data set: one row a point, in the order in which they ran.

    Columns: ``id``, ``operation`` (write, zero), ``block_bytes``, ``depth``, ``memory``, ``replicate``,
    ``reference``, ``started``, ``seconds`` [s], ``ios``, ``bytes``, ``latency_ns`` [ns], the CPU times of `Measured`
    [s], ``cpu_seconds`` (their sum), ``steal_seconds`` (all CPUs), ``bytes_per_second`` [byte/s], ``cpu_ns_per_byte``
    [ns/byte].

    :raises InputError: where the folder holds no points.
    """
    out = Path(out)
    names = finished(out)
    if not names:
        raise InputError(str(out), "points", "none", "a folder that zpmodel measure has filled")
    rows = []
    for item in (read_point(out, name) for name in names):
        fields = {key: value for key, value in vars(item).items() if key != "point"}
        derived = {key: getattr(item, key) for key in ("cpu_seconds", "bytes_per_second", "cpu_ns_per_byte")}
        rows.append({"id": item.point.id, **asdict(item.point), **fields, **derived})
    return pd.DataFrame(rows).sort_values("started", kind="stable", ignore_index=True)


def contrasts(points: Iterable[Measured]) -> list[Contrast]:
    """Compare the two memories, replicate by replicate (a pair ran back to back, so slow drift cancels)."""
    found: dict[tuple[str, int, int], dict[int, dict[str, Measured]]] = defaultdict(lambda: defaultdict(dict))
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


def interval(ratios: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Return the geometric mean of ratios and its Student interval on the log scale; NaN bounds for a single one."""
    logs = np.log(np.asarray(ratios, dtype=float))
    centre = math.exp(logs.mean())
    if len(logs) < 2:
        return centre, math.nan, math.nan
    half = float(stats.t.ppf((1 + level) / 2, len(logs) - 1)) * logs.std(ddof=1) / math.sqrt(len(logs))
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
