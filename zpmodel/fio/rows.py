"""The rows of one document: what each entry of ``jobs`` says, direction by direction."""

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from zpmodel.base.errors import InputError
from zpmodel.fio import options
from zpmodel.fio.dialect import DIRECTIONS, NAN, Latency, Moved, latency, moved, number, part

_LITTLE_TOLERANCE = 0.06
_SECTOR = 512
_ALL_CLIENTS = "All clients"


def of_document(document: Mapping[str, Any], where: str) -> Iterator[tuple[list[dict[str, Any]], str]]:
    """Go through the jobs of a document: the rows of each, or why it is rejected.

    :return: pairs of rows (without ``file``, ``document``, ``last``) and a reason; one of them is empty.
    :raises InputError: where the document doesn't have fio's shape.
    """
    jobs = entries(document, where)
    same = Counter(identity(entry) for entry in jobs)
    in_group = Counter(identity(entry)[1:] for entry in jobs)
    version = document.get("fio version", "")
    common = {
        "fio_version": version.removeprefix("fio-") if isinstance(version, str) else str(version),
        "timestamp": number(document, "timestamp", where),
    }
    for index, entry in enumerate(jobs):
        name = str(entry.get("jobname", ""))
        place = f"{where}: job {name!r}"
        error = number(entry, "error", place)
        if error and not math.isnan(error):
            meaning = os.strerror(int(error)) if 0 < error < 4096 else "unknown"
            yield [], f"job {name!r}: error {error:.0f} ({meaning})"
            continue
        given = options.merged(document, entry, place)
        alone = in_group[identity(entry)[1:]] == 1
        yield (
            [
                {**common, "job_index": index, "job": name, **row}
                for row in _of_job(entry, given, same[identity(entry)], alone, place)
            ],
            "",
        )


def entries(document: Mapping[str, Any], where: str) -> list[Mapping[str, Any]]:
    """The entries of ``jobs``, or of ``client_stats`` without their sum.

    :raises InputError: where the document doesn't have fio's shape.
    """
    name = "client_stats" if "client_stats" in document and "jobs" not in document else "jobs"
    found = document.get(name)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise InputError(where, name, type(found).__name__, "a list of jobs")
    if name == "client_stats" and len(found) > 1:
        # fio appends the sum of all of them.
        found = [entry for entry in found if entry.get("jobname") != _ALL_CLIENTS or "job options" in entry]
    if not found:
        raise InputError(where, name, "an empty list", "at least one job")
    for entry in found:
        if not any(isinstance(entry.get(direction), dict) for direction in DIRECTIONS):
            raise InputError(where, name, str(entry.get("jobname", "?")), "jobs with read, write, trim or mixed")
    return found


def identity(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """What clones of a job have in common: name, then group and client."""
    return tuple(str(entry.get(field)) for field in ("jobname", "groupid", "hostname", "port"))


def _of_job(
    entry: Mapping[str, Any], given: dict[str, str] | None, same: int, alone: bool, where: str
) -> Iterator[dict[str, Any]]:
    sides: dict[str, tuple[Mapping[str, Any], Moved]] = {}
    for direction in DIRECTIONS:
        if entry.get(direction) is not None:
            fields = part(entry, direction, where)
            sides[direction] = fields, moved(fields, f"{where}: {direction}")
    if len(sides) > 1:
        # unified_rw_reporting=both: the sum of the others.
        sides.pop("mixed", None)
    members = _members(entry, given, sides, same, alone, where)
    ios = sum(side.ios for _, side in sides.values())
    longest = max(side.runtime_s for _, side in sides.values())
    runtime = number(entry, "job_runtime", where, count=True) / 1000.0
    runtime = longest * members if math.isnan(runtime) else runtime
    user, system = (number(entry, name, where) / 100.0 for name in ("usr_cpu", "sys_cpu"))
    depth = _depth(given)
    latencies = {
        direction: {name: latency(fields, name, f"{where}: {direction}") for name in ("slat", "clat", "lat")}
        for direction, (fields, _) in sides.items()
    }
    waited = [side.ios * _total(latencies[direction]) * 1e-9 for direction, (_, side) in sides.items() if side.ios]
    # Directions run side by side (randrw) or one after the other (write, then verify); the job's runtime covers both.
    elapsed = max(longest, runtime / members) if len(waited) > 1 else longest
    little = sum(waited) / (elapsed * depth * members) if waited and elapsed > 0 else NAN
    shared = {
        "group": number(entry, "groupid", where),
        "client": f"{entry['hostname']}:{entry.get('port', '')}" if "hostname" in entry else "",
        **_described(given),
        "depth": depth,
        "jobs": members,
        "total_depth": depth * members,
        "job_runtime_s": runtime,
        "syncs": number(part(entry, "sync", where), "total_ios", where, count=True),
        "user_cpu_share": user,
        "system_cpu_share": system,
        "cpu_s_per_io": (user + system) * runtime / ios if ios else NAN,
        "context_switches": number(entry, "ctx", where),
        "error": 0,
        "little": little,
        "little_ok": None if math.isnan(little) else abs(little - 1.0) <= _LITTLE_TOLERANCE,
    }
    asked = options.directions(given.get("rw", "read")) if given is not None else ()
    listed = [name for name, (_, side) in sides.items() if side.ios or side.bytes or name in asked or name == "mixed"]
    for direction in listed:
        fields, side = sides[direction]
        yield {
            **shared,
            "direction": direction,
            "block_bytes": _block(given, direction, side),
            "mean_io_bytes": side.bytes / side.ios if side.ios else NAN,
            "runtime_s": side.runtime_s,
            "ios": int(side.ios),
            "bytes": int(side.bytes),
            "iops": side.iops,
            "bytes_per_s": side.bytes_per_s,
            **_latency_columns(latencies[direction]),
        }
    if not listed:
        yield {**shared, "direction": "none", "ios": 0, "bytes": 0, "runtime_s": 0.0, "iops": 0.0, "bytes_per_s": 0.0}


def _described(given: dict[str, str] | None) -> dict[str, Any]:
    """What the options say about the run; nothing where fio printed none."""
    if given is None:
        return {}
    engine = given.get("ioengine", "psync").split(":")[0]
    has_fixed = engine.startswith("io_uring") and "fixedbufs" not in given
    return {
        "engine": engine,
        "rw": given.get("rw", "read"),
        "filename": given.get("filename", given.get("directory")),
        "numjobs": options.whole(given, "numjobs", 1),
        "buffer_pages": given.get("mem", "malloc").split(":")[0] or "malloc",
        "fixed_buffers": None if has_fixed else "fixedbufs" in given and options.is_set(given["fixedbufs"]),
        "direct": options.is_set(given.get("direct", "0")),
        "rate_limited": any(_nonzero(given.get(name, "")) for name in options.RATE_LIMITS),
    }


def _nonzero(text: str) -> bool:
    return any(character in "123456789" for character in text)


def _depth(given: dict[str, str] | None) -> float:
    if given is None:
        return NAN
    engine = given.get("ioengine", "psync").split(":")[0]
    if engine in options.SYNCHRONOUS and given.get("io_submit_mode") != "offload":
        return 1
    return options.whole(given, "iodepth", 1)


def _members(
    entry: Mapping[str, Any],
    given: dict[str, str] | None,
    sides: Mapping[str, tuple[Mapping[str, Any], Moved]],
    same: int,
    alone: bool,
    where: str,
) -> int:
    """How many jobs ``group_reporting`` merged into an entry.

    fio 3 doesn't print a bare ``group_reporting``, so the count of entries has to tell: without it, each of the
    ``numjobs`` clones has an entry of its own. Different sections of one group are merged too, under the first one's
    name with the last one's options; then only the summed runtime tells how many.
    """
    asked = options.whole(given, "numjobs", 1) if given is not None else 1
    flag = None if given is None or "group_reporting" not in given else options.is_set(given["group_reporting"])
    if flag is False or (flag is None and asked > 1 and same >= asked):
        return 1
    busy = [side.runtime_s for _, side in sides.values() if side.ios]
    summed = number(entry, "job_runtime", where, count=True) / 1000.0
    if alone and len(busy) == 1 and busy[0] > 0.1 and summed / busy[0] > asked + 0.9:
        ratio = summed / busy[0]
        if abs(ratio - round(ratio)) < 0.03 * ratio:
            return round(ratio)
    return asked


def _total(found: Mapping[str, Latency]) -> float:
    """Mean total latency [ns]; submission is instant where only completion was measured."""
    if not math.isnan(found["lat"].mean):
        return found["lat"].mean
    submission = found["slat"].mean
    return found["clat"].mean + (0.0 if math.isnan(submission) else submission)


def _latency_columns(found: Mapping[str, Latency]) -> dict[str, Any]:
    kind = next((name for name in ("clat", "lat") if not math.isnan(found[name].p50 + found[name].p99)), None)
    kind = kind or next((name for name in ("clat", "lat") if _has_points(found[name])), None)
    points = found[kind or "clat"]
    return {
        "slat_mean_ns": found["slat"].mean,
        "clat_mean_ns": found["clat"].mean,
        "lat_mean_ns": _total(found),
        "lat_std_ns": found["lat"].std,
        "percentiles_of": kind,
        "p50_ns": points.p50,
        "p90_ns": points.p90,
        "p99_ns": points.p99,
        "p999_ns": points.p999,
    }


def _has_points(found: Latency) -> bool:
    return not all(math.isnan(point) for point in (found.p50, found.p90, found.p99, found.p999))


def _block(given: dict[str, str] | None, direction: str, side: Moved) -> float:
    if given is None:
        return _measured_block(side)
    readings = options.block_sizes(given, direction)
    if not readings:
        return NAN
    if not (side.ios and side.bytes):
        return readings[0]
    slack = 0.0 if side.bytes_exact else 1024.0
    for reading in readings:
        if 0 <= side.ios * reading - side.bytes <= slack:
            return reading
    mean = side.bytes / side.ios
    nearest = min(readings, key=lambda reading: abs(mean - reading))
    return nearest if abs(mean - nearest) <= 0.05 * nearest + slack / side.ios else NAN


def _measured_block(side: Moved) -> float:
    """Bytes / I/Os where that is whole sectors, knowing that fio 2 rounds the bytes down to KiB."""
    if not (side.ios and side.bytes):
        return NAN
    if not side.ios_exact:
        return _power_of_two_block(side)
    block = math.ceil(side.bytes / side.ios / _SECTOR) * _SECTOR
    short = side.ios * block - side.bytes
    return block if short == 0 or (not side.bytes_exact and short < 1024) else NAN


def _power_of_two_block(side: Moved) -> float:
    """The one power of two between the bounds that a rate without fraction (fio 2.1 prints no count) leaves."""
    low = side.bytes / (side.ios + side.runtime_s)
    high = (side.bytes + 1024.0) / side.ios
    block = 2.0 ** math.floor(math.log2(high))
    return block if block >= max(low, _SECTOR) else NAN
