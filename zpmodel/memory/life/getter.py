"""What it costs to get the zero folio, when several CPUs do: a contended counter, a flag in the mm, a static key."""

import numpy as np
import pandas as pd

from zpmodel.base.errors import InputError

FLAG_NS = 1.0
"""Testing a flag in the current mm: a load that hits L1 and a predicted branch [ns]; an assumption."""

ATOMIC_NS = 5.0
"""An atomic increment of a line that this CPU already owns [ns]: about 20 cycles on current x86-64."""

TRANSFER_NS = 60.0
"""An atomic increment of a line that another CPU owns, one socket [ns]; between sockets 2 to 4 times as much."""


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
    atomic_ns: float = ATOMIC_NS,
    transfer_ns: float = TRANSFER_NS,
) -> pd.DataFrame:
    """Cost of getting and putting the folio for each I/O, by how it is counted.

    - ``atomic per I/O``: one increment, one decrement of a counter that all CPUs share.
    - ``flag per mm``: the counter once per mm (get and put), a flag after that.
    - ``static key``: nothing to count; the branch is patched into the code.

    :param cpus: CPUs that issue such I/O at the same time.
    :param think_ns: what one CPU does for an I/O besides [ns].
    :param gets_per_mm: I/Os over which an mm spreads its one reference.
    :param atomic_ns: an atomic operation on a line that the CPU owns [ns].
    :param transfer_ns: the same on a line that another one owns [ns].
    :return: ``counting getter_ns ios_per_s cycles_share``, for all CPUs together; share of the CPUs' time.
    :raises InputError: as :func:`contended_ns`, and on ``gets_per_mm`` below 1.
    """
    if not gets_per_mm >= 1:
        raise InputError("getter", "gets_per_mm", gets_per_mm, "1 or more")
    each = atomic_ns if cpus == 1 else transfer_ns
    shared = 2 * contended_ns(cpus, think_ns / 2, each)
    rare = 2 * contended_ns(cpus, gets_per_mm * (think_ns + FLAG_NS) / 2, each) / gets_per_mm + FLAG_NS
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
