"""What it costs to get the zero folio, when several CPUs do: a contended counter, a flag in the mm, a static key."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.base.estimate import TAILS, Estimate

FAULT_NS = (500.0, 1000.0, 2000.0)
"""What a read fault of 2 MiB costs beside the getter [ns]: least, middle, most; assumed, only to read the published
pair of throughputs as a time."""


@dataclass(frozen=True)
class GetterTimes:
    """What counting a reference is made of [ns].

    :ivar flag: testing a flag in the current mm: a load that hits L1 and a predicted branch.
    :ivar atomic: an atomic increment of a line that this CPU owns.
    :ivar transfer: the same of a line that another CPU owns, one socket; between sockets it takes longer.
    """

    flag: Estimate
    atomic: Estimate
    transfer: Estimate


def measured_cpus() -> list[str]:
    """CPUs on which the getter was measured, by the name of their machine file."""
    return sorted(path.parent.name for path in shipped.data("memory").glob("*/getter.csv"))


@cache
def getter_times(cpu: str | None = None) -> GetterTimes:
    """A getter's times, of a CPU that was measured, or of any.

    Of any: the middle of those measured; the interval goes from half of the least to three times the most that a
    measurement, or the published pair of throughputs, gives (other clocks; lines that cross sockets).

    :param cpu: one of :func:`measured_cpus`; None or another: any.
    """
    known = measured_cpus()
    tables = {name: pd.read_csv(shipped.data("memory", name, "getter.csv")) for name in known}
    if cpu in tables:
        table = tables[str(cpu)]
        return GetterTimes(*(_measured(table, what, str(cpu)) for what in ("flag", "atomic", "transfer")))
    found = []
    for what in ("flag", "atomic", "transfer"):
        each = [_measured(table, what, name) for name, table in tables.items()]
        source = f"measured on {', '.join(known)}, not on this CPU"
        if what == "transfer":
            each.append(published_transfer())
            source += f"; {each[-1].source}"
        value = float(np.exp(np.mean([np.log(one.value) for one in each])))
        found.append(Estimate(value, min(one.low for one in each) / 2, max(one.high for one in each) * 3, source))
    return GetterTimes(*found)


def _measured(table: pd.DataFrame, what: str, cpu: str) -> Estimate:
    times = table.loc[table["what"] == what, "ns"]
    low, high = (float(times.quantile(q)) for q in TAILS)
    return Estimate(float(times.median()), low, high, f"measured on {cpu}, {len(times)} repeats")


def published_transfer() -> Estimate:
    """Time that a getter's line is held for one increment on a Haswell-EP with 72 tasks [ns].

    From the published pair of throughputs: of each get, the share ``c`` went into the counter, which was saturated, so
    that 72 tasks made a get and a put in each ``fault / (1 - c)``.
    """
    table = pd.read_csv(shipped.data("published", "figures.csv"))
    rows = table[(table["case"] == "huge-zero-refcount") & (table["output"] == "throughput")]
    seen = dict(zip(rows["input_value"], rows["value"].astype(float), strict=True))
    share = cycles_share_from_throughput(seen["per-get"], seen["per-mm"])
    low, value, high = (fault / (1 - share) / (72 * 2) for fault in FAULT_NS)
    return Estimate(value, low, high, f"Haswell-EP, 72 tasks, from throughputs of {rows['source'].iloc[0]}")


def contended_ns(cpus: int, think_ns: float, service_ns: float) -> float:
    """Mean time in a resource that one CPU uses at a time (a cache line), with others queueing for it [ns].

    Exact mean-value analysis of a closed network of one queue and a delay (Reiser and Lavenberg 1980).

    :param cpus: CPUs that take turns.
    :param think_ns: time that each works between two visits [ns].
    :param service_ns: time that a visit holds the line [ns].
    :raises InputError: on fewer than one CPU or negative times.
    """
    if cpus < 1:
        raise InputError("getter", "cpus", cpus, "1 or more")
    for field, value in (("think_ns", think_ns), ("service_ns", service_ns)):
        if not (value >= 0 and np.isfinite(value)):
            raise InputError("getter", field, value, "a time of 0 or more [ns]")
    waiting, response = 0.0, service_ns
    for n in range(1, cpus + 1):
        response = service_ns * (1 + waiting)
        cycle = think_ns + response
        waiting = n * response / cycle if cycle > 0 else float(n)
    return response


def getter_cost(
    cpus: int,
    think_ns: float,
    *,
    gets_per_mm: float = 1000.0,
    times: GetterTimes | None = None,
) -> pd.DataFrame:
    """Cost of getting and putting the folio for each I/O, by how it is counted.

    - ``atomic per I/O``: one increment, one decrement of a counter that all CPUs share.
    - ``flag per mm``: the counter once per mm (get and put), a flag after that.
    - ``static key``: nothing to count; the branch is patched into the code.

    :param cpus: CPUs that issue such I/O at the same time.
    :param think_ns: what one CPU does for an I/O besides [ns].
    :param gets_per_mm: I/Os over which an mm spreads its one reference.
    :param times: of a CPU; of any by default.
    :return: ``counting getter_ns ios_per_s cycles_share``, for all CPUs together; share of the CPUs' time.
    :raises InputError: as :func:`contended_ns`, and on ``gets_per_mm`` below 1.
    """
    if not gets_per_mm >= 1:
        raise InputError("getter", "gets_per_mm", gets_per_mm, "1 or more")
    times = getter_times() if times is None else times
    flag_ns = times.flag.value
    each = times.atomic.value if cpus == 1 else times.transfer.value
    shared = 2 * contended_ns(cpus, think_ns / 2, each)
    rare = 2 * contended_ns(cpus, gets_per_mm * (think_ns + flag_ns) / 2, each) / gets_per_mm + flag_ns
    rows = [("atomic per I/O", shared), ("flag per mm", rare), ("static key", 0.0)]
    table = pd.DataFrame(rows, columns=["counting", "getter_ns"])
    table["ios_per_s"] = cpus / (think_ns + table["getter_ns"]) * 1e9
    table["cycles_share"] = table["getter_ns"] / (think_ns + table["getter_ns"])
    return table


def cycles_share_from_throughput(slower: float, faster: float) -> float:
    """Share of the CPUs' cycles that must have gone into what made the difference between two throughputs [1].

    The published pair (72 tasks, reference per get against one per mm) says 62 %; perf saw 54 % in the getter itself.

    :raises InputError: unless ``0 < slower <= faster``.
    """
    if not 0 < slower <= faster:
        raise InputError("getter", "throughputs", (slower, faster), "0 < slower <= faster")
    return 1 - slower / faster
