"""Latency percentiles as fio prints them, or from the histogram of JSON+ by fio's own rule."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

# fio 2 printed one entry per bucket index; FIO_IO_U_PLAT_BITS, stat.h.
_PLAT_BITS = 6
_INDEXED = "FIO_IO_U_PLAT_BITS"
_LARGEST = 2.0**64
_NUMBER = re.compile(r"\d{1,19}")


def bucket_value(index: int, bits: int = _PLAT_BITS) -> int:
    """Middle of a histogram bucket, in the unit of the samples (``plat_idx_to_val`` in fio's stat.c)."""
    if index < 2 << bits:
        return index
    shift = (index >> bits) - 1
    return int((1 << (shift + bits)) + (index % (1 << bits) + 0.5) * (1 << shift))


def histogram(bins: Mapping[str, Any]) -> dict[int, int]:
    """Read ``bins`` of JSON+: value of a bucket -> samples, in rising order.

    fio 3 writes the middle of the bucket [ns]; fio 2.99 and older the bucket's index (of a value in us), beside
    the constants that the index is made with. Entries that aren't counts are left out.
    """
    counts = {
        int(key): count
        for key, count in bins.items()
        if isinstance(count, int) and not isinstance(count, bool) and count > 0 and _NUMBER.fullmatch(key)
    }
    if _INDEXED in bins:
        bits = bins[_INDEXED]
        bits = bits if isinstance(bits, int) and 1 <= bits <= 16 else _PLAT_BITS
        counts = {bucket_value(index, bits): count for index, count in counts.items() if index < 64 << bits}
    return dict(sorted(counts.items()))


def percentile(counts: Mapping[int, int], percent: float) -> float:
    """The smallest bucket at which at least this share of the samples has been counted (``calc_clat_percentiles``).

    :param counts: bucket value -> samples, in rising order.
    :param percent: in ``(0, 100]``.
    :return: in the unit of the buckets; NaN without samples.
    """
    total, seen = sum(counts.values()), 0
    # In whole numbers: fio's long double keeps apart what a double would round together.
    share, scale = percent.as_integer_ratio()
    for value, count in counts.items():
        seen += count
        if 100 * scale * seen >= share * total:
            return float(value)
    return float("nan")


def find(latency: Mapping[str, Any], percents: Sequence[float]) -> list[float]:
    """Percentiles of a latency object: fio's own where printed, from the histogram otherwise, else NaN.

    :param latency: ``clat_ns`` or the like.
    :param percents: each in ``(0, 100]``.
    :return: in the unit of the object (ns, or us before fio 3).
    """
    printed = latency.get("percentile")
    found: dict[float, float] = {}
    if isinstance(printed, dict):
        for key, value in printed.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LARGEST:
                found.setdefault(_as_float(key), float(value))
    bins = latency.get("bins")
    if isinstance(bins, dict) and any(percent not in found for percent in percents):
        counts = histogram(bins)
        return [found[each] if each in found else percentile(counts, each) for each in percents]
    return [found.get(percent, float("nan")) for percent in percents]


def _as_float(key: str) -> float:
    try:
        return float(key)
    except ValueError:
        return float("nan")
