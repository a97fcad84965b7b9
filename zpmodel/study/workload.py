"""What a day's zeroing saves in CPU time, and how much would have to be zeroed to save a minute or an hour."""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.base.estimate import Estimate, digits
from zpmodel.base.units import GIB, MIB
from zpmodel.study.compare import compare
from zpmodel.study.scenario import Scenario

MINUTE_S, HOUR_S = 60.0, 3600.0

CORE_HOURS_PER_GIB_HOUR = Estimate(
    0.14, 0.05, 0.3, "assumed: clouds' list prices of memory over those of CPUs; change it to your own"
)
"""What a GiB of RAM for an hour is worth in hours of one CPU [1]."""


@dataclass(frozen=True)
class Workload:
    """What is zeroed in a day.

    :ivar name: what to call it.
    :ivar bytes_per_day: zeroed [byte/day].
    :ivar call_bytes: by one call [byte].
    :ivar of: whose day.
    :ivar source: who says so.
    """

    name: str
    bytes_per_day: float
    call_bytes: int = 2 * MIB
    of: str = "one machine"
    source: str = "given"

    def __post_init__(self) -> None:
        if not 0 <= self.bytes_per_day < math.inf:
            raise InputError("workload", "bytes_per_day", self.bytes_per_day, "0 or more bytes")
        if not self.call_bytes > 0:
            raise InputError("workload", "call_bytes", self.call_bytes, "a positive number of bytes")


@cache
def published_workloads() -> tuple[Workload, ...]:
    """Days that somebody published, or that follow from a file system's defaults."""
    table = pd.read_csv(shipped.data("published", "zeroed-per-day.csv"))
    columns = (table[name] for name in ("name", "zeroed_bytes_per_day", "call_bytes", "of", "source"))
    return tuple(
        Workload(str(name), float(size), int(call), str(of), str(source))
        for name, size, call, of, source in zip(*columns, strict=True)
    )


@dataclass(frozen=True)
class Saving:
    """What a policy saves of CPU time.

    :ivar per_gib_s: CPU time saved for each GiB zeroed [s].
    :ivar machine: whose costs.
    """

    policy: str
    per_gib_s: Estimate
    machine: str

    def a_day_s(self, workload: Workload) -> Estimate:
        """CPU time saved in a day of a workload [s]."""
        return self.per_gib_s.scaled(workload.bytes_per_day / GIB)

    def bytes_to_save(self, seconds: float) -> Estimate:
        """Bytes a day that save so much CPU time [byte]; unbounded where it may be that none is saved."""
        saved = self.per_gib_s
        ends = [seconds / each * GIB if each > 0 else math.inf for each in (saved.value, saved.high, saved.low)]
        return Estimate(ends[0], ends[1], ends[2], f"{digits(seconds)} s of CPU time by costs of {self.machine}")

    def bytes_that_pay(self, held_bytes: int = 2 * MIB, worth: Estimate = CORE_HOURS_PER_GIB_HOUR) -> Estimate:
        """Bytes a day that pay for the memory held all day [byte], at what a GiB-hour of memory is worth."""
        day_s = held_bytes / GIB * 24 * HOUR_S
        need = [self.bytes_to_save(day_s * each) for each in (worth.value, worth.low, worth.high)]
        return Estimate(need[0].value, need[1].low, need[2].high, worth.source)


def saving(scenario: Scenario, policy: str = "static", *, call_bytes: int = 2 * MIB) -> Saving:
    """CPU time that a policy saves per GiB, in calls of so many bytes.

    :raises InputError: as :func:`zpmodel.study.compare.compare`.
    """
    found = compare(scenario.but(length=call_bytes), ("page", policy))[1]
    return Saving(policy, found.cpu_saved_s.scaled(GIB / call_bytes), scenario.machine.name)


def day(scenario: Scenario, mix: tuple[Workload, ...] | None = None, policy: str = "static") -> list[dict[str, Any]]:
    """CPU time that each workload of a mix saves in a day, and whether it reaches a minute or an hour.

    :param mix: the published ones by default.
    :return: rows of ``workload of gib_per_day cpu_saved_s low_s high_s reaches source machine``.
    """
    rows = []
    for work in published_workloads() if mix is None else mix:
        saved = saving(scenario, policy, call_bytes=work.call_bytes).a_day_s(work)
        rows.append(
            {
                "workload": work.name,
                "of": work.of,
                "gib_per_day": work.bytes_per_day / GIB,
                "cpu_saved_s": saved.value,
                "low_s": saved.low,
                "high_s": saved.high,
                "reaches": reaches(saved),
                "source": work.source,
                "machine": scenario.machine.name,
            }
        )
    return rows


def reaches(saved: Estimate) -> str:
    """The largest of a CPU-hour, a CPU-minute or nothing that a day's saving reaches, surely or maybe."""
    for seconds, name in ((HOUR_S, "a CPU-hour"), (MINUTE_S, "a CPU-minute")):
        if saved.low >= seconds:
            return name
        if saved.high >= seconds:
            return f"perhaps {name}" if saved.value < seconds else f"{name}, not surely"
    return "not a CPU-minute"


def plainly(rows: list[dict[str, Any]]) -> str:
    """Say whether any machine of the published days saves a CPU-hour a day; fleets are not one machine."""
    alone = [row for row in rows if "fleet" not in row["of"]]
    best = max(alone, key=lambda row: float(row["cpu_saved_s"]), default=None)
    if best is None:
        return "No workload of one machine was asked about."
    saved = Estimate(best["cpu_saved_s"], best["low_s"], best["high_s"])
    most = f"the most is {saved} s ({best['of']}), by costs of {best['machine']}"
    if best["high_s"] < HOUR_S:
        return f"No published workload of one machine saves a CPU-hour a day: {most}."
    return f"A CPU-hour a day may be reached: {most}."
