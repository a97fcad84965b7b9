"""The block size of a direction: what the options say, as far as the bytes moved bear it out."""

import math
from collections.abc import Mapping

from zpmodel.fio import options
from zpmodel.fio.dialect import NAN, Moved

_SECTOR = 512
_TOLERANCE = 0.05


def find(given: Mapping[str, str] | None, direction: str, side: Moved, in_flight: float) -> tuple[float, int]:
    """The block size [byte], and how many I/Os begun in the ramp are in the bytes but not in the count.

    After ``ramp_time`` fio counts the bytes of the I/Os then in flight, and not the I/Os (``reset_all_stats``).

    :param in_flight: how many that can be: the total depth; NaN where unknown.
    """
    if given is None:
        return _measured(side), 0
    readings = options.block_sizes(given, direction)
    if not readings:
        return NAN, 0
    if not (side.ios and side.bytes):
        return readings[0], 0
    slack = 0.0 if side.bytes_exact else 1024.0
    for reading in readings:
        if 0 <= side.ios * reading - side.bytes <= slack:
            return reading, 0
    if options.is_given(given, "ramp_time"):
        for reading in readings:
            begun = (side.bytes - side.ios * reading) / reading if reading else NAN
            if 0 < begun <= in_flight and abs(begun - round(begun)) * reading <= slack:
                return reading, round(begun)
    mean = side.bytes / side.ios
    nearest = min(readings, key=lambda reading: abs(mean - reading))
    return (nearest if abs(mean - nearest) <= _TOLERANCE * nearest + slack / side.ios else NAN), 0


def confirmed(given: Mapping[str, str], direction: str, side: Moved) -> float:
    """The block size [byte] where the options may be another section's: only if every byte bears it out."""
    exact = [reading for reading in options.block_sizes(given, direction) if side.ios * reading == side.bytes > 0]
    return exact[0] if exact else NAN


def _measured(side: Moved) -> float:
    """Bytes / I/Os where that is a power of two, knowing that fio 2 rounds the bytes down to KiB.

    Another whole number of sectors may be the mean of several sizes.
    """
    if not (side.ios and side.bytes):
        return NAN
    if not side.ios_exact:
        return _power_of_two(side)
    block = math.ceil(side.bytes / side.ios / _SECTOR) * _SECTOR
    short = side.ios * block - side.bytes
    whole = short == 0 or (not side.bytes_exact and 0 <= short < 1024)
    return block if whole and block & (block - 1) == 0 else NAN


def _power_of_two(side: Moved) -> float:
    """The one power of two between the bounds that a rate without fraction (fio 2.1 prints no count) leaves."""
    low = side.bytes / (side.ios + side.runtime_s)
    high = (side.bytes + 1024.0) / side.ios
    block = 2.0 ** math.floor(math.log2(high))
    return block if block >= max(low, _SECTOR) else NAN
