"""What the numbers of a document mean: the units that changed at fio 3, the fields that came and went.

Sources: ``stat.c`` of fio, ``add_ddir_status_json`` and ``show_thread_status_json``.

========================  =================================================  =====================================
quantity                  fio 2                                              fio 3
========================  =================================================  =====================================
latencies                 ``slat``, ``clat``, ``lat`` [us]                   ``slat_ns``, ``clat_ns``, ``lat_ns``
bytes                     ``io_bytes`` [KiB]                                 ``io_bytes`` [byte], ``io_kbytes``
rate                      ``bw`` [KiB/s]                                     ``bw`` [KiB/s], ``bw_bytes``
runtime of a direction    ``runtime`` [ms]                                   ``runtime`` [ms]
runtime of the job        not printed                                        ``job_runtime`` [ms], from 3.2
========================  =================================================  =====================================

The presence of a field decides, not the version: the change came in several steps.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zpmodel.base.errors import InputError
from zpmodel.fio import percentiles

NAN = math.nan
_LARGEST_COUNT = 2.0**64
DIRECTIONS = ("read", "write", "trim", "mixed")


def number(holder: Mapping[str, Any], name: str, where: str) -> float:
    """A number of a document; NaN where it is absent, null, or one that printf wrote as nan or inf.

    :raises InputError: where something else stands there, or a number that no fio can count to.
    """
    value = holder.get(name)
    # Nearly every number is one of these; a document has a hundred.
    if (type(value) is int or type(value) is float) and -_LARGEST_COUNT <= value <= _LARGEST_COUNT:
        return float(value)
    if value is None:
        return NAN
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(where, name, value, "a number")
    if isinstance(value, int) and abs(value) > _LARGEST_COUNT:
        raise InputError(where, name, f"a number of {value.bit_length()} bits", "a number of at most 2^64")
    if abs(value) > _LARGEST_COUNT and math.isfinite(value):
        raise InputError(where, name, value, "a number of at most 2^64")
    return float(value) if math.isfinite(value) else NAN


def count(holder: Mapping[str, Any], name: str, where: str) -> float:
    """A number that can't be negative; NaN where it is absent or null.

    :raises InputError: where something else stands there; fio counts in whole numbers, so nan and inf are not its own.
    """
    result = number(holder, name, where)
    if result < 0:
        raise InputError(where, name, holder[name], "no negative number, and at most 2^64")
    if math.isnan(result) and holder.get(name) is not None:
        raise InputError(where, name, holder[name], "a finite number")
    if result >= 0 and not result.is_integer():
        raise InputError(where, name, holder[name], "a whole number")
    return result


def share(holder: Mapping[str, Any], name: str, where: str) -> float:
    """A percentage as a share of 1; NaN where it is absent, or where fio divided by zero.

    :raises InputError: where it is negative or no number.
    """
    result = number(holder, name, where)
    if result < 0:
        raise InputError(where, name, holder[name], "no negative number")
    return result / 100.0


def part(holder: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    """An object of a document; empty where it is absent.

    :raises InputError: where something else stands there.
    """
    value = holder.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(where, name, value, "an object")
    return value


@dataclass(frozen=True)
class Latency:
    """One of a direction's latencies [ns]; NaN where it wasn't measured."""

    mean: float
    std: float
    p50: float
    p90: float
    p99: float
    p999: float


NO_LATENCY = Latency(NAN, NAN, NAN, NAN, NAN, NAN)


@dataclass(frozen=True)
class Moved:
    """What one direction of a job did: I/Os, bytes, runtime [s]."""

    ios: float
    bytes: float
    runtime_s: float
    iops: float
    bytes_per_s: float
    bytes_exact: bool
    ios_exact: bool


def latency(direction: Mapping[str, Any], name: str, where: str) -> Latency:
    """Read ``slat``, ``clat`` or ``lat`` [ns] of a direction."""
    fields, scale = part(direction, f"{name}_ns", where), 1.0
    if not fields:
        fields, scale = part(direction, name, where), 1000.0
    mean, largest = number(fields, "mean", where), number(fields, "max", where)
    samples = number(fields, "N", where)
    # Without a sample (`disable_lat`, `gtod_reduce`) fio prints zeroes, and before 3.6 no N.
    if samples == 0 or mean < 0 or not (mean > 0 or largest > 0):
        return NO_LATENCY
    deviation = scale * number(fields, "stddev", where)
    points = [scale * point for point in percentiles.find(fields, (50.0, 90.0, 99.0, 99.9))]
    return Latency(scale * mean, deviation if deviation >= 0 else NAN, *points)


def moved(direction: Mapping[str, Any], where: str) -> Moved:
    """Read I/Os, bytes and runtime of a direction, in the units of either dialect."""
    runtime = count(direction, "runtime", where) / 1000.0
    ios = count(direction, "total_ios", where)
    printed_iops = number(direction, "iops", where)
    counted = not math.isnan(ios)
    if not counted:
        ios = round(printed_iops * runtime) if printed_iops * runtime >= 0 else NAN
    amount = count(direction, "io_bytes", where)
    rate_kib = number(direction, "bw", where)
    exact = "io_kbytes" in direction
    if not exact:
        # KiB, unless the rate says bytes. Then bytes / 1024 is the rate x time, and KiB / 1024 far below it.
        exact = rate_kib * runtime > 0 and amount > 32 * rate_kib * runtime and amount > 32 * ios
        amount = amount if exact else amount * 1024
    if math.isnan(ios) or math.isnan(amount):
        missing = "total_ios" if math.isnan(ios) else "io_bytes"
        raise InputError(where, missing, direction.get(missing), "a number")
    ios, amount = math.floor(ios), math.floor(amount)
    if not runtime > 0:
        rate = 0.0 if ios == 0 and amount == 0 else NAN
        return Moved(ios, amount, runtime, rate, rate, exact, counted)
    return Moved(ios, amount, runtime, ios / runtime, amount / runtime, exact, counted)
