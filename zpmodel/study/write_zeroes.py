"""Whether a zero-out on a device writes pages at all, and when the device's own Write Zeroes is slower than that."""

import math
from dataclasses import dataclass
from functools import cache

import pandas as pd

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.base.estimate import Estimate
from zpmodel.base.units import MIB
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.timing.predict import Prediction

DEFAULT_COMMAND_BYTES = 8 * MIB
"""Largest Write Zeroes of the published run, and a common limit of drives [byte]."""


@dataclass(frozen=True)
class Kind:
    """A kind of device.

    :ivar name: what it is called.
    :ivar writes_pages: ``yes``; ``as below`` (what is under it decides); ``by feature``, ``by controller``.
    :ivar why: the reason.
    :ivar source: the driver, or who saw it.
    """

    name: str
    writes_pages: str
    why: str
    source: str


@cache
def kinds() -> dict[str, Kind]:
    """The kinds of devices that are known, by name."""
    table = pd.read_csv(shipped.data("published", "who-writes-pages.csv")).astype(str)
    columns = (table[name] for name in ("kind", "writes_pages", "why", "source"))
    return {row[0]: Kind(*row) for row in zip(*columns, strict=True)}


def kind_of(name: str) -> Kind:
    """A kind by its name, in any case.

    :raises InputError: on others, listing those there are.
    """
    found = {key.lower(): kind for key, kind in kinds().items()}.get(name.lower())
    if found is None:
        raise InputError("write zeroes", "device", name, ", ".join(kinds()))
    return found


def writes_pages(limits: QueueLimits) -> bool:
    """Whether a zero-out through a queue writes zero pages: only where the device offers no Write Zeroes."""
    return limits.write_zeroes_max_bytes == 0


@cache
def published_speeds() -> Estimate:
    """Speed of drives' own Write Zeroes [byte/s]: from the slowest published to the fastest, their middle by ratio."""
    rates = pd.read_csv(shipped.data("published", "write-zeroes-speeds.csv"))
    low, high = float(rates["bytes_per_s"].min()), float(rates["bytes_per_s"].max())
    return Estimate(math.sqrt(low * high), low, high, str(rates["source"].iloc[0]))


@cache
def command_cpu_s() -> Estimate:
    """CPU time of one Write Zeroes command [s], from a published run of data-less bios."""
    table = pd.read_csv(shipped.data("published", "figures.csv"))
    row = table[table["case"] == "write-zeroes-bios"].iloc[0]
    each = float(row["value"]) * 1e-3 / math.ceil(float(row["input_value"]) / DEFAULT_COMMAND_BYTES)
    return Estimate(each, each / 2, each * 2, f"{row['condition']}; {row['source']}; other CPUs: a factor of 2")


@dataclass(frozen=True)
class Offload:
    """Write Zeroes beside writing pages.

    :ivar commands: Write Zeroes commands.
    :ivar elapsed_s: of Write Zeroes [s].
    :ivar cpu_s: its CPU time [s].
    :ivar pages_elapsed_s: of writing pages [s].
    :ivar pages_cpu_s: its CPU time [s].
    :ivar break_even_bytes_per_s: speed below which Write Zeroes is slower [byte/s].
    :ivar verdict: ``offload loses``, ``offload wins`` or ``depends on the drive``, by elapsed time.
    """

    commands: int
    elapsed_s: Estimate
    cpu_s: Estimate
    pages_elapsed_s: Estimate
    pages_cpu_s: Estimate
    break_even_bytes_per_s: Estimate
    verdict: str


def offload(
    pages: Prediction,
    *,
    speed: Estimate | None = None,
    command_bytes: int = DEFAULT_COMMAND_BYTES,
    per_command_s: Estimate | None = None,
) -> Offload:
    """Set a device's Write Zeroes beside a prediction of writing pages.

    Commands are sent one after another while the device works, so that their cost and the device's time overlap: the
    longer of the two counts (and one command's cost, which nothing hides).

    :param pages: writing the range from a zero page.
    :param speed: of the device's Write Zeroes [byte/s]; the published range by default.
    :param command_bytes: largest Write Zeroes command [byte].
    :param per_command_s: CPU time of one [s]; the published by default.
    :raises InputError: on sizes and speeds that are not positive, and on a prediction that writes no pages.
    """
    speed = published_speeds() if speed is None else speed
    each = command_cpu_s() if per_command_s is None else per_command_s
    if not 0 < command_bytes <= UINT_MAX:
        raise InputError("write zeroes", "command_bytes", command_bytes, f"1 to {UINT_MAX} bytes")
    if not speed.low > 0:
        raise InputError("write zeroes", "speed", str(speed), "a positive speed [byte/s]")
    if pages.structure.operation != "write":
        raise InputError("write zeroes", "pages", pages.structure.operation, "a prediction of writing pages")
    length = pages.structure.length
    commands = math.ceil(length / command_bytes)

    def takes(rate: float, cost: float) -> float:
        return cost + max(length / rate, commands * cost)

    elapsed = Estimate(takes(speed.value, each.value), takes(speed.high, each.low), takes(speed.low, each.high))
    there = pages.elapsed_s
    even = Estimate(length / there.value, length / there.high, length / there.low, there.source)
    verdict = "depends on the drive"
    if elapsed.low > there.high:
        verdict = "offload loses"
    elif elapsed.high < there.low:
        verdict = "offload wins"
    return Offload(commands, elapsed, each.scaled(commands), there, pages.cpu_s, even, verdict)
