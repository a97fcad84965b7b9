"""The rows of one entry of ``jobs``: what the job did in each direction, and what its options say about it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from zpmodel.fio import block, members, options
from zpmodel.fio.dialect import DIRECTIONS, NAN, NO_LATENCY, Latency, Moved, count, latency, moved, number, part, share

_LITTLE_TOLERANCE = 0.06
# Latencies of submission, completion and both are taken by one clock; this is what rounding leaves.
_CLOCK = 1.001
# No submission takes this share of the run, where there are so many.
_NEVER, _MANY = 0.25, 16
# Fewer I/Os than this that began in the ramp are not worth a word.
_FEW = 0.01
_NO_POLLER_CPU = "sqthread_poll: the poller's CPU is not in usr_cpu and sys_cpu"


@dataclass(frozen=True)
class _Queue:
    """How full the queue was: depth of each job and of all, I/Os in flight as a share of it, time of this [s]."""

    depth: float
    total: float
    little: float


def rows(
    entry: Mapping[str, Any],
    given: dict[str, str] | None,
    siblings: members.Siblings,
    numjobs: float,
    where: str,
) -> Iterator[dict[str, Any]]:
    """Give a row for each direction that moved data or was asked to.

    :param given: the options, as `options.merged` says.
    :param numjobs: as `members.asked` says.
    :raises InputError: where the entry doesn't have fio's shape.
    """
    fields: dict[str, Mapping[str, Any]] = {}
    sides: dict[str, Moved] = {}
    for name in DIRECTIONS:
        # unified_rw_reporting=both: the sum of the others.
        if entry.get(name) is not None and not (name == "mixed" and fields):
            fields[name] = part(entry, name, where)
            sides[name] = moved(fields[name], f"{where}: {name}")
    notes: list[str] = []
    waits = {name: _latencies(side, sides[name], f"{where}: {name}", notes) for name, side in fields.items()}
    summed_s = count(entry, "job_runtime", where) / 1000.0
    found = members.find(entry, given, sides, siblings, numjobs, summed_s)
    trusted = None if found.mixed else given
    notes += found.notes
    queue, found = _queue(trusted, sides, waits, found, summed_s, notes)
    polled = _polled(trusted, fields, waits, notes)
    waits = {name: _believed(each, notes) for name, each in waits.items()}
    undone = _undone(sides, notes)
    shared = {
        "group": number(entry, "groupid", where),
        "client": f"{entry['hostname']}:{entry.get('port', '')}" if "hostname" in entry else "",
        **_described(trusted),
        "numjobs": found.numjobs,
        "sqthread_poll": polled,
        "depth": queue.depth,
        "jobs": found.jobs,
        "total_depth": queue.total,
        "syncs": count(part(entry, "sync", where), "total_ios", where),
        **_cpu(entry, sides, trusted, found, summed_s, polled is not False or undone, where),
        "context_switches": count(entry, "ctx", where),
        "error": 0,
        "little": queue.little,
        "little_ok": None if math.isnan(queue.little) else abs(queue.little - 1.0) <= _LITTLE_TOLERANCE,
    }
    asked = options.directions(trusted.get("rw", "read")) if trusted is not None else ()
    listed = [name for name, side in sides.items() if side.ios or side.bytes or name in asked or name == "mixed"]
    for name in listed:
        row, note = _direction(name, sides[name], fields[name], given, found.mixed, queue.total, where)
        yield {**shared, **row, **_latency_columns(waits[name]), "notes": "; ".join([*notes, *note])}
    if not listed:
        nothing = {"ios": 0, "bytes": 0, "runtime_s": 0.0, "iops": 0.0, "bytes_per_s": 0.0}
        yield {**shared, "direction": "none", **nothing, "notes": "; ".join(notes)}


def _latencies(fields: Mapping[str, Any], side: Moved, where: str, notes: list[str]) -> dict[str, Latency]:
    """All three; without submission where `disable_lat` took its beginning away, so that it counts from fio's start."""
    found = {name: latency(fields, name, where) for name in ("slat", "clat", "lat")}
    unbegun = math.isnan(found["lat"].mean) and found["slat"].mean * 1e-9 > _NEVER * side.runtime_s
    if not unbegun or side.ios < _MANY:
        return found
    notes.append("slat counts from fio's start (disable_lat), so wrong")
    return {**found, "slat": NO_LATENCY}


def _undone(sides: Mapping[str, Moved], notes: list[str]) -> bool:
    """Say whether fio counts I/Os that took no time at all while others did: ``verify_only`` writes nothing."""
    if not any(side.runtime_s for side in sides.values()):
        return False
    idle = [name for name, side in sides.items() if side.ios and not side.runtime_s]
    notes += [f"{sides[name].ios} I/Os of {name} took no time: perhaps not done (verify_only)" for name in idle]
    return bool(idle)


def _direction(
    name: str,
    side: Moved,
    fields: Mapping[str, Any],
    given: dict[str, str] | None,
    mixed: bool,
    in_flight: float,
    where: str,
) -> tuple[dict[str, Any], list[str]]:
    if mixed and given is not None:
        size, begun = block.confirmed(given, name, side), 0
    else:
        size, begun = block.find(given, name, side, in_flight)
    note, rate = [], side.bytes_per_s
    if begun > _FEW * side.ios:
        note = [f"the bytes include {begun} I/Os begun in the ramp, the I/Os don't"]
        printed = count(fields, "bw_bytes", where)
        rate = rate if math.isnan(printed) else printed
    row = {
        "direction": name,
        "block_bytes": size,
        "mean_io_bytes": (side.bytes / side.ios if not begun else size) if side.ios else NAN,
        "runtime_s": side.runtime_s,
        "ios": int(side.ios),
        "bytes": int(side.bytes),
        "iops": side.iops,
        "bytes_per_s": rate,
    }
    return row, note


def _queue(
    given: dict[str, str] | None,
    sides: Mapping[str, Moved],
    waits: Mapping[str, Mapping[str, Latency]],
    found: members.Members,
    summed_s: float,
    notes: list[str],
) -> tuple[_Queue, members.Members]:
    """Little's law, and what it refutes: more I/Os in flight than the depth allows means that the depth is another."""
    depth = _depth(given)
    total = depth * found.jobs
    waited = [side.ios * _total(waits[name]) * 1e-9 for name, side in sides.items() if side.ios]
    longest = max((side.runtime_s for side in sides.values() if side.ios), default=NAN)
    elapsed = longest
    if len(waited) > 1:
        # Directions run side by side (randrw) or one after the other (write, then verify); the job's runtime has both.
        whole = summed_s / found.jobs
        elapsed = NAN if math.isnan(whole) and members.in_phases(given, sides) else max(longest, whole, key=_or_zero)
    if not (waited and elapsed > 0 and total > 0):
        return _Queue(depth, total, NAN), found
    little = sum(waited) / (elapsed * total)
    # I/Os that began before the clock did (ramp_time) count in full, and the clock has whole milliseconds.
    slowest = max(_total(waits[name]) for name, side in sides.items() if side.ios) * 1e-9
    limit = (1 + _LITTLE_TOLERANCE) * (1 + (slowest + 0.002) / elapsed)
    if little > limit:
        notes.append(
            f"{little * total:.3g} I/Os in flight at a depth of {total:.0f}: the options are not the whole run's"
        )
        known = not math.isnan(summed_s)
        return _Queue(NAN, NAN, NAN), found if known else replace(found, jobs=NAN)
    if found.inferred and found.jobs > 1 and abs(little - 1) > _LITTLE_TOLERANCE:
        return _Queue(depth, NAN, NAN), found
    return _Queue(depth, total, little), found


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _cpu(
    entry: Mapping[str, Any],
    sides: Mapping[str, Moved],
    given: dict[str, str] | None,
    found: members.Members,
    summed_s: float,
    elsewhere: bool,
    where: str,
) -> dict[str, float]:
    """CPU shares are of the runtime summed over the jobs; before 3.2 that has to be known from their number."""
    user, system = share(entry, "usr_cpu", where), share(entry, "sys_cpu", where)
    runtime = summed_s
    if math.isnan(runtime) and not members.in_phases(given, sides):
        runtime = max((side.runtime_s for side in sides.values()), key=_or_zero) * found.jobs
    ios = sum(side.ios for side in sides.values())
    return {
        "job_runtime_s": runtime,
        "user_cpu_share": user,
        "system_cpu_share": system,
        "cpu_s_per_io": (user + system) * runtime / ios if ios and not elsewhere else NAN,
    }


def _polled(
    given: dict[str, str] | None,
    fields: Mapping[str, Mapping[str, Any]],
    waits: Mapping[str, Mapping[str, Latency]],
    notes: list[str],
) -> bool | None:
    """Say whether a kernel thread submitted (``sqthread_poll``); None where that can't be known.

    fio 3 doesn't print the bare flag, but then no submission latency is measured, and completion counts from no start.
    """
    if given is not None and "sqthread_poll" in given:
        if options.is_given(given, "sqthread_poll") or not given["sqthread_poll"]:
            notes.append(_NO_POLLER_CPU)
            return True
        return False
    # `lat` holds both parts, so it can't be the shorter one.
    wrong = any(each["clat"].mean > _CLOCK * each["lat"].mean for each in waits.values())
    if wrong and (given is None or _engine(given).startswith("io_uring")):
        notes.append("completion latency above the total: perhaps a bare sqthread_poll, whose CPU fio doesn't see")
        return None
    return False


def _believed(found: dict[str, Latency], notes: list[str]) -> dict[str, Latency]:
    if not found["clat"].mean > _CLOCK * found["lat"].mean:
        return found
    note = "clat is longer than lat, so wrong"
    notes += [] if note in notes else [note]
    return {**found, "clat": NO_LATENCY}


def _engine(given: Mapping[str, str]) -> str:
    return given.get("ioengine", "psync").split(":")[0]


def _described(given: dict[str, str] | None) -> dict[str, Any]:
    """What the options say about the run; nothing where they can't be known."""
    if given is None:
        return {}
    engine = _engine(given)
    has_fixed = engine.startswith("io_uring") and "fixedbufs" not in given
    own_buffers = "/" in engine or engine.startswith(options.OWN_BUFFERS)
    return {
        "engine": engine,
        "rw": given.get("rw", "read"),
        "filename": given.get("filename", given.get("directory")),
        "buffer_pages": None if own_buffers else given.get("mem", "malloc").split(":")[0] or "malloc",
        "fixed_buffers": None if has_fixed else "fixedbufs" in given and options.is_set(given["fixedbufs"]),
        "direct": options.is_set(given.get("direct", "0")),
        "rate_limited": any(_nonzero(given.get(name, "")) for name in options.RATE_LIMITS),
    }


def _nonzero(text: str) -> bool:
    return any(character in "123456789" for character in text)


def _depth(given: dict[str, str] | None) -> float:
    if given is None:
        return NAN
    if _engine(given) in options.SYNCHRONOUS and given.get("io_submit_mode") != "offload":
        return 1
    return options.whole(given, "iodepth", 1)


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
