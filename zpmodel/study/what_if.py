"""Scenarios worked out beforehand, so that a page can answer by itself: a composed drive in every setting of a few."""

from dataclasses import replace
from typing import Any

import pandas as pd

from zpmodel.base.estimate import Estimate, bold, digits
from zpmodel.base.units import GIB, KIB, MIB
from zpmodel.calibration.machine_file import load_machine
from zpmodel.queue.limits import QueueLimits
from zpmodel.queue.presets import nvme
from zpmodel.study.answers.base import as_more
from zpmodel.study.compare import compare
from zpmodel.study.scenario import Scenario
from zpmodel.study.verdict import verdict_of
from zpmodel.timing.machine import Machine

SPEEDS_GB_S = (0.5, 1.0, 2.0, 3.5, 7.0, 14.0)
"""What the device writes [GB/s]: a USB bridge to a drive of PCIe 5."""

LENGTHS = (64 * KIB, 2 * MIB, 32 * MIB, GIB)
"""What one call zeroes [byte]; longer ranges gain what 1 GiB does."""

MDTS = (5, 7, 9)
"""The drive's largest transfer, as the power of two of 4 KiB that NVMe says it in."""

IOMMUS = ("none", "lazy")
"""Strict counts as lazy does: what a strict flush waits for is not counted."""

DEFAULTS = {"speed": 3, "length": 3, "mdts": 0, "iommu": 0}
"""What is shown at first: positions in the lists above."""


def table(machine: str) -> pd.DataFrame:
    """All settings of a composed machine.

    :param machine: a shipped one's name.
    :return: rows of ``speed length mdts iommu`` (positions in the lists of this module), ``speed_gb_s`` [GB/s],
        ``policy`` and, for ``speedup`` (elapsed time of ZERO_PAGE over the policy's) and ``saved`` (CPU time,
        [ms/GiB]): value, ``_low``, ``_high`` and ``_says``, the same as text; four digits.
    """
    rows: list[dict[str, Any]] = []
    for i, iommu in enumerate(IOMMUS):
        for s, speed in enumerate(SPEEDS_GB_S):
            composed = load_machine(machine, device=f"{speed:g} GB/s", iommu=iommu)
            known: dict[QueueLimits, list[list[dict[str, Any]]]] = {}
            for m, mdts in enumerate(MDTS):
                limits = nvme(mdts, translating_iommu=iommu != "none")
                same = replace(limits, source="")
                if same not in known:  # a translating IOMMU makes all transfers as small
                    known[same] = [_gains(composed, limits, length) for length in LENGTHS]
                for n, gains in enumerate(known[same]):
                    place = {"speed": s, "length": n, "mdts": m, "iommu": i, "speed_gb_s": speed}
                    rows += [{**place, **gain} for gain in gains]
    return pd.DataFrame(rows)


def _gains(machine: Machine, limits: QueueLimits, length: int) -> list[dict[str, Any]]:
    found = compare(Scenario(machine, length, limits=limits))[1:]
    return [
        {
            "policy": item.policy,
            **_ends("speedup", item.speedup, item.speedup.as_ratio()),
            **_ends("saved", saved := item.cpu_saved_s.scaled(1e3 * GIB / length), str(saved)),
        }
        for item in found
    ]


def _ends(name: str, found: Estimate, says: str) -> dict[str, Any]:
    rounded = {key: float(f"{value:.4g}") for key, value in found.columns(name).items()}
    return {**rounded, f"{name}_says": says}


def sentence(found: pd.DataFrame, position: dict[str, int] | None = None) -> str:
    """What a setting says, in Markdown.

    :param found: as :func:`table` gives it.
    :param position: a setting; :data:`DEFAULTS` where it is none.
    """
    place = {**DEFAULTS, **(position or {})}
    chosen = found
    for name, at in place.items():
        chosen = chosen[chosen[name] == at]
    row = chosen[chosen["policy"] == "static"].iloc[0]
    most = found[found["policy"] == "static"].sort_values("saved").iloc[-1]
    speedup, saved = (Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"]) for name in ("speedup", "saved"))
    faster = bold(f"{row['speedup_says']} times as fast", as_more(speedup))
    saves = bold(f"{row['saved_says']} ms of CPU time for each GiB", saved)
    return (
        f"At {SPEEDS_GB_S[place['speed']]:g} GB/s the static page is {faster} ({verdict_of(speedup)}) and saves {saves}"
        f". The most that any setting here saves is {digits(most['saved'])} ms, with the IOMMU "
        f"{IOMMUS[int(most['iommu'])]}."
    )
