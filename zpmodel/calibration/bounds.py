"""What data tell of a cost: a value, a limit on one side, or nothing."""

import numpy as np

from zpmodel.base.estimate import DEVIATIONS, TAILS, Estimate, digits
from zpmodel.devices.base import Parameter
from zpmodel.timing.machine import Floats

NEVER = 0.02
"""Of its upper limit: a cost whose interval starts below that can't be told from zero."""

_REACHES = 0.5  # widths of its prior: an interval that comes so close to an end of it was not ended by the data
_ANY = 0.1  # a share from below this to above 1 less this is any

VALUE, AT_MOST, AT_LEAST, UNKNOWN = "", "at most", "at least", "can't be known from this set"

_BLOCKS = "small and large blocks at depth 1 (4 KiB to 4 MiB)"
_SIZES = "buffers that together are small and large (blocks of 64 KiB to 8 MiB at depths 1 to 16)"
_REMEDY = {
    **dict.fromkeys(("latency", "request", "stream", "mebibyte"), _BLOCKS),
    "segment": "both memories at each block size",
    **dict.fromkeys(("cold", "cache"), _SIZES),
    "cold_segment": f"both memories, with {_SIZES}",
    "rounds": "depth 1 and deeper queues, with blocks of several sizes",
    **dict.fromkeys(("mend", "partial"), "blocks that are no whole units of the drive's mapping, beside such that are"),
}


def told_of(best: float, draws: Floats, parameter: Parameter | None = None) -> str:
    """What draws say of a cost: :data:`VALUE`, :data:`AT_MOST`, :data:`AT_LEAST` or :data:`UNKNOWN`.

    :param best: the best value.
    :param parameter: what it is of a device, whose draws reach as far as its prior does where the data don't move it;
        None: a CPU cost.
    """
    low, high = np.quantile(draws, TAILS)
    if parameter is not None and parameter.is_share:
        return UNKNOWN if low < _ANY and high > 1 - _ANY else VALUE
    if parameter is not None:
        half = (DEVIATIONS - _REACHES) * parameter.prior
        open_below, open_above = low < parameter.start * np.exp(-half), high > parameter.start * np.exp(half)
        if open_above and open_below:
            return UNKNOWN
        if not parameter.unit.startswith("s"):
            return AT_LEAST if open_above else AT_MOST if open_below else VALUE
    return AT_MOST if low <= NEVER * high or not low <= best <= high else VALUE


def in_words(told: str, found: Estimate, name: str) -> str:
    """The same for people; empty where it is a value with its interval.

    :param found: of the cost, in the unit that is shown; ``name``: the device's parameter of which it is.
    """
    if told == UNKNOWN:
        return f"{UNKNOWN}: measure {remedy(name)}"
    return {AT_MOST: f"{AT_MOST} {digits(found.high)}", AT_LEAST: f"{AT_LEAST} {digits(found.low)}"}.get(told, "")


def remedy(name: str) -> str:
    """What to measure to know a parameter of a device."""
    return _REMEDY.get(name, "more block sizes and depths")
