"""Clearing costs of any CPU: its own, where its clearing was measured or published; else what the known ones have in
common, with an interval as wide as they differ.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.base.estimate import Estimate
from zpmodel.base.units import KIB, MIB, format_size
from zpmodel.memory.clearing.fit import fit_clearing
from zpmodel.memory.clearing.model import COLD_REGIONS, ClearingModel, Method
from zpmodel.memory.clearing.series import micro_clearing, published, published_machines
from zpmodel.memory.elsewhere import ANOTHER_MACHINE, EXTRAPOLATED, of_another, with_doubt
from zpmodel.memory.machines import Machine, read_machine

WHOLE_FOLIO_SINCE = (7, 0)
"""From here on a folio is cleared in one go; before, page by page. Source: clear_pages() in mm/memory.c of 7.0."""


@cache
def known_cpus() -> tuple[str, ...]:
    """Machine files of CPUs whose clearing was published, or measured by the micro-benchmark."""
    measured = [path.parent.name for path in shipped.data("memory").glob("*/microbench.csv")]
    return tuple(sorted({*published_machines(), *measured}))


def points_of(name: str) -> pd.DataFrame:
    """A known CPU's points, as :func:`zpmodel.memory.clearing.fit.fit_clearing` reads them: published ones, of real
    hardware, where there are any.

    :raises InputError: for other CPUs.
    """
    if name not in known_cpus():
        raise InputError("clearing", "cpu", name, ", ".join(known_cpus()))
    if name in published_machines():
        return published(name)
    return micro_clearing(pd.read_csv(shipped.data("memory", name, "microbench.csv")), "2 MiB pages")


@cache
def _own(name: str) -> tuple[ClearingModel, str]:
    """Costs of a known CPU and their source."""
    machine, points = read_machine(name), points_of(name)
    if "source" in points:
        return fit_clearing(points, machine.caches), f"published for {machine.model}: {points['source'].iloc[0]}"
    return fit_clearing(points, machine.caches, page="2 MiB pages"), f"measured on {machine.model}"


def predict_clearing(
    machine: Machine,
    method: Method,
    call_bytes: float,
    region_bytes: float | None = None,
    instruction_bytes: float | None = None,
    *,
    left_out: tuple[str, ...] = (),
) -> tuple[Estimate, str]:
    """Bandwidth of clearing on any CPU [byte/s], and what was not measured (empty where nothing was missing).

    A CPU that nobody measured is given each known one's costs in turn, behind its own caches: string stores that stop
    allocating lines with those that do.

    :param machine: its file; known by its name.
    :param method: how it clears.
    :param call_bytes: of one call [byte].
    :param region_bytes: memory gone round [byte]; the call's own by default.
    :param instruction_bytes: longest piece of one instruction [byte]; the call by default.
    :param left_out: CPUs to know nothing of (the machine's own name, to test what would be said without it).
    :raises InputError: on methods and sizes that can't be.
    """
    if machine.name in known_cpus() and machine.name not in left_out:
        model, source = _own(machine.name)
        row = model.predict(method, call_bytes, region_bytes, instruction_bytes).iloc[0]
        value, low, high = (float(row[f"{name}_bytes_per_s"]) for name in ("bandwidth", "low", "high"))
        missing = str(row["extrapolates"])
        doubt = EXTRAPOLATED if missing else 0.0
        return with_doubt(Estimate(value, low, high, source), ANOTHER_MACHINE, doubt), missing
    names = [name for name in known_cpus() if name not in left_out]
    rates, noises = [], []
    for name in names:
        model = replace(_own(name)[0], caches=machine.caches)
        row = model.predict(method, call_bytes, region_bytes, instruction_bytes).iloc[0]
        rates.append(float(row["bandwidth_bytes_per_s"]))
        noises.append(model.noise)
    source = f"not measured on {machine.model}: its caches, and costs of {', '.join(names)}"
    return of_another(rates, float(np.mean(noises)), source), "no clearing of this CPU is known"


def check_cpus(names: tuple[str, ...]) -> None:
    """Refuse names that no known CPU has.

    :raises InputError: listing those there are.
    """
    for name in names:
        if name not in known_cpus():
            raise InputError("clearing", "cpu", name, ", ".join(known_cpus()))


def cold_region(machine: Machine, folio_bytes: int) -> int:
    """Memory to go round so that no cache has a line of a folio when it is cleared again [byte]."""
    return max(folio_bytes, COLD_REGIONS * machine.caches.llc_bytes)


def call_of(folio_bytes: int, kernel: tuple[int, int]) -> int:
    """What one call clears when a kernel clears a folio [byte]."""
    return folio_bytes if kernel >= WHOLE_FOLIO_SINCE else min(folio_bytes, 4 * KIB)


def clear_folio_s(
    machine: Machine | None, folio_bytes: int = 2 * MIB, kernel: tuple[int, int] = (7, 3), method: Method = "rep-stos"
) -> Estimate:
    """Time of clearing a folio whose lines no cache holds [s], as a kernel does it.

    :param machine: whose; None: of any CPU, from the quickest to the slowest of those known.
    :param folio_bytes: the folio [byte].
    :param kernel: (major, minor): from :data:`WHOLE_FOLIO_SINCE` in one clear, before in one for each 4 KiB.
    :raises InputError: on sizes that are not positive.
    """
    if not folio_bytes > 0:
        raise InputError("clearing", "folio_bytes", folio_bytes, "a positive number of bytes")
    call = call_of(folio_bytes, kernel)
    if machine is None:
        rates = [rate for name in known_cpus() if (rate := _cold_rate(name, method, call))]
        seen = of_another(rates, source=f"of any CPU, from {len(rates)} known ones; {_how(kernel, folio_bytes)}")
        return seen.inverse().scaled(folio_bytes)
    found, _ = predict_clearing(machine, method, call, cold_region(machine, folio_bytes))
    said = replace(found, source=f"{found.source}; {_how(kernel, folio_bytes)}")
    return said.inverse().scaled(folio_bytes)


def _cold_rate(name: str, method: Method, call_bytes: int) -> float:
    """Measured bandwidth of the call nearest in size among those out of every cache [byte/s]; 0 where there is none."""
    points, machine = points_of(name), read_machine(name)
    cold = points[(points["method"] == method) & (points["region_bytes"] >= 3 * machine.caches.llc_bytes)]
    if cold.empty:
        return 0.0
    distance = np.abs(np.log(cold["call_bytes"].to_numpy(float) / call_bytes))
    return float(cold["bandwidth_bytes_per_s"].to_numpy()[int(np.argmin(distance))])


def _how(kernel: tuple[int, int], folio_bytes: int) -> str:
    version = ".".join(map(str, kernel))
    if kernel >= WHOLE_FOLIO_SINCE:
        return f"kernel {version}: one clear of {format_size(folio_bytes)}"
    return f"kernel {version}: {folio_bytes // (4 * KIB)} clears of 4 KiB"
