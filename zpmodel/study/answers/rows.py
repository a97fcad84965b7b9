"""Rows for tables and charts: gains by device and policy, by bandwidth and IOMMU, and what CPU time is made of."""

import pandas as pd

from zpmodel.base.units import GIB
from zpmodel.study.answers.base import Asked
from zpmodel.study.answers.limits import IOMMUS, SPEEDS, varied
from zpmodel.study.compare import compare
from zpmodel.study.scenario import Scenario
from zpmodel.timing.machine import Machine


def gain_rows(asked: Asked) -> pd.DataFrame:
    """Gain by device and policy, zeroing 1 GiB.

    :return: rows of ``device policy`` and, for ``speedup`` [1] and ``saved`` [ms/GiB], value, ``_low`` and ``_high``.
    """
    machines = [(asked.machine.name, asked.machine)]
    if asked.measured is not None:
        machines.append((f"{asked.measured.name}, measured", asked.measured))
    machines += [(f"NVMe, {speed}", varied(asked, device=speed)) for speed in SPEEDS]
    return pd.DataFrame([row for name, machine in machines for row in _gains(name, machine)])


def _gains(name: str, machine: Machine) -> list[dict[str, object]]:
    rows = []
    for item in compare(Scenario(machine, GIB))[1:]:
        saved = item.cpu_saved_s.scaled(1e3)
        row = {"device": name, "policy": item.policy}
        rows.append({**row, **item.speedup.columns("speedup"), **saved.columns("saved")})
    return rows


def grid_rows(asked: Asked) -> pd.DataFrame:
    """Gain of the static page by write bandwidth and IOMMU: as :func:`gain_rows`, with ``speed`` and ``iommu``."""
    rows = []
    for iommu in IOMMUS:
        for speed in SPEEDS:
            machine = varied(asked, device=speed, iommu=iommu)
            found = next(row for row in _gains(speed, machine) if row["policy"] == "static")
            rows.append({"iommu": iommu, "speed": speed, **found})
    return pd.DataFrame(rows)


def term_rows(machine: Machine) -> pd.DataFrame:
    """What the CPU time of zeroing 1 GiB is made of: ``work zero_page number each_ns value low high says`` [ms]."""
    rows = []
    for item in compare(Scenario(machine, GIB), ("page", "static")):
        for term in item.prediction.terms:
            found = term.seconds.scaled(1e3)
            row = {"work": term.name, "zero_page": item.policy, "number": term.number, "each_ns": term.each_s * 1e9}
            rows.append({**row, **found.as_dict(), "says": term.says})
    return pd.DataFrame(rows)
