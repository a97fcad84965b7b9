"""Anybody's fio output as rows that costs and devices can be fitted to, and a list of what was left out and why."""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from zpmodel.fio.read import read

COLUMNS = (
    *("block_bytes", "depth", "memory", "direction", "rate", "cpu_s", "path_s", "replicate", "source"),
    *("rounding_s", "fixed", "target", "kernel_s", "waits"),
)
"""``block_bytes`` [byte]; ``depth`` of all jobs together; ``memory`` malloc, mmaphuge or unknown; ``direction`` read or
write; ``rate`` [1/s]; ``cpu_s`` of an I/O [s] or NaN; ``path_s`` [s], which fio doesn't know: NaN; ``replicate`` from 1
within equal block, depth, memory and direction; ``source``: file, and job; ``rounding_s``: fio cuts a thread's user and
system time down to a millisecond each, which is twice this for an I/O [s]; ``fixed``: whether buffers were registered;
``target``: what fio was told to write to, empty where it isn't known;
``kernel_s``: the part of ``cpu_s`` that is system time [s] or NaN; ``waits``: context switches of an I/O or NaN."""

_TICK_S = 1e-3
_LEAST_CPU_S = 5e-8
"""No I/O costs its thread less, not even one that only fills an entry of a ring [s]: a 0 that would, was not read."""


@dataclass(frozen=True)
class Imported:
    """``rows``: columns as in `COLUMNS`, one row a usable job.

    ``left_out``: columns ``source``, ``what`` (``job``, ``file`` or a column that is missing), ``reason``.
    """

    rows: pd.DataFrame
    left_out: pd.DataFrame


def read_any(files: Iterable[str | os.PathLike[str]]) -> Imported:
    """Read anybody's fio output files, and directories of them.

    A job is usable when its block size, depth and rate are known, it ran in one direction, and nothing but the device
    and the CPU held it back. Never raises for what stands in the files: both tables keep their columns when empty.
    """
    reading = read(files)
    kept: list[dict[str, Any]] = []
    left_out = [(each["file"], each["scope"], each["reason"]) for each in reading.rejected.to_dict("records")]
    jobs = reading.jobs
    several = jobs[jobs["ios"] > 0].groupby(["file", "document", "job_index"])["direction"].nunique()
    seen: dict[tuple[object, ...], int] = {}
    for job in jobs.to_dict("records"):
        source = f"{job['file']}: {job['job']}"
        directions = several.get((job["file"], job["document"], job["job_index"]), 0)
        reason = _unusable({str(name): value for name, value in job.items()}, int(directions))
        if reason:
            left_out.append((source, "job", reason))
            continue
        rounding_s = _TICK_S * max(1, job["jobs"]) / job["ios"]
        cpu_s = float(job["cpu_s_per_io"])
        if math.isnan(cpu_s) or cpu_s + 2 * rounding_s < _LEAST_CPU_S:
            left_out.append((source, "cpu_s", job["notes"] or "fio printed no CPU time"))
            cpu_s = math.nan
        own = (job["system_cpu_share"] * job["job_runtime_s"] / job["ios"], job["context_switches"] / job["ios"])
        kernel_s, waits = own if math.isfinite(cpu_s) else (math.nan, math.nan)
        memory = job["buffer_pages"] if job["buffer_pages"] in ("malloc", "mmaphuge") else "unknown"
        key = (int(job["block_bytes"]), int(job["total_depth"]), memory, job["direction"])
        seen[key] = seen.get(key, 0) + 1
        more = (rounding_s, job["fixed_buffers"] is True, str(job["filename"] or ""), kernel_s, waits)
        kept.append(dict(zip(COLUMNS, (*key, job["iops"], cpu_s, math.nan, seen[key], source, *more), strict=True)))
    kinds = {"block_bytes": "int64", "depth": "int64", "replicate": "int64"}
    numbers = dict.fromkeys(("rate", "cpu_s", "path_s", "rounding_s", "kernel_s", "waits"), "float64")
    rows = pd.DataFrame(kept, columns=list(COLUMNS)).astype({**kinds, **numbers})
    return Imported(rows, pd.DataFrame(left_out, columns=["source", "what", "reason"]))


def _unusable(job: Mapping[str, Any], directions: int) -> str:
    """Why a row can't be a point; empty where it can."""
    if not job["last"]:
        return "running totals that a later document supersedes"
    if job["direction"] not in ("read", "write"):
        return f"direction {job['direction']}: neither reads nor writes alone"
    if directions > 1:
        return "reads and writes in one job: they share its depth and its CPU"
    if job["ios"] == 0:
        return "no I/O"
    for name in ("block_bytes", "total_depth", "iops"):
        if math.isnan(job[name]) or not job[name] > 0:
            return f"{name} isn't known" + (f": {job['notes']}" if job["notes"] else "")
    if job["rate_limited"] is True:
        return "held back by a rate limit or think time"
    if job["direct"] is not True:
        return "buffered I/O: the page cache answers, not the device"
    if job["little_ok"] is False:
        return f"the queue wasn't kept full: {job['little']:.0%} of the depth in flight"
    return ""
