"""Reading zeroes on any CPU: its own costs, where it was measured; else those of measured CPUs behind its caches."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, get_args

import numpy as np
import pandas as pd

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.base.estimate import DEVIATIONS, Estimate
from zpmodel.base.units import KIB, MIB
from zpmodel.memory.elsewhere import ANOTHER_MACHINE, EXPECTED_OF_RATIOS, of_another, with_doubt
from zpmodel.memory.machines import Machine, Tlb, read_machine
from zpmodel.memory.reading.model import SOURCES, ReadingModel, Source, fit_reading

Work = Literal["copy", "sum", "crc"]
WORKS: tuple[Work, ...] = get_args(Work)

Crc = Literal["tables", "instruction", "folding"]
CRCS: tuple[Crc, ...] = get_args(Crc)

USUAL_TLB = Tlb(64, 1536)
"""Of a machine file that gives none: what most x86-64 cores of the last ten years have, 1536 or more."""

CALL_NS = Estimate(8.0, 2.0, 60.0, "assumed: a call of a library's routine, up to one that saves vector registers")
"""What a call costs before its first byte [ns]; ``folding`` pays more of it (kernel_fpu_begin)."""

FOLDING = Estimate(
    20e9, 5e9, 80e9, "assumed: carry-less multiplication, 8 to 32 bytes a cycle by register width; not measured"
)


@dataclass(frozen=True)
class Reading:
    """One way to read zeroes on one CPU.

    :ivar source: the zero page's policy.
    :ivar bandwidth: [byte/s].
    :ivar against_page: bandwidth over that from a 4 KiB page [1]; below 1: it loses.
    :ivar llc_bytes: cache that the source takes from others [byte].
    :ivar missing: what was not measured; empty where nothing is missing.
    """

    source: Source
    bandwidth: Estimate
    against_page: Estimate
    llc_bytes: float
    missing: str

    @property
    def verdict(self) -> str:
        """``loses``, ``gains``, or ``not to be told apart`` from a 4 KiB page; of that page itself ``-``."""
        if self.source == "page":
            return "-"
        if self.against_page.high < 1:
            return "loses"
        return "gains" if self.against_page.low > 1 else "not to be told apart"


def known_readers() -> list[str]:
    """Machine files of CPUs whose reading was measured."""
    return sorted(path.parent.name for path in shipped.data("memory").glob("*/microbench.csv"))


@cache
def reading_model(name: str) -> ReadingModel:
    """Costs of a measured CPU.

    :raises InputError: for others.
    """
    if name not in known_readers():
        raise InputError("reading", "cpu", name, ", ".join(known_readers()))
    return fit_reading(pd.read_csv(shipped.data("memory", name, "microbench.csv")), read_machine(name))


def read_zeroes(
    machine: Machine,
    work: Work,
    source: Source,
    *,
    target_bytes: int = 4 * KIB,
    folio_bytes: int = 2 * MIB,
    chunk_bytes: int | None = None,
    crc: Crc = "folding",
    left_out: tuple[str, ...] = (),
) -> Reading:
    """Bandwidth of a CPU that reads zeroes, and what the source makes of it.

    :param machine: the CPU; known by its name.
    :param work: ``copy`` into a destination, ``sum`` (add words up) or ``crc``.
    :param target_bytes: the destination that is written again and again [byte]; of ``copy``.
    :param folio_bytes: size of the large zero page [byte].
    :param chunk_bytes: what one call reads [byte]; None: calls cost nothing. From a 4 KiB page no call reads more.
    :param crc: how a CRC is computed.
    :param left_out: CPUs to know nothing of.
    :raises InputError: on other works, sources and sizes.
    """
    _check(work, source, crc, {"target_bytes": target_bytes, "folio_bytes": folio_bytes, "chunk_bytes": chunk_bytes})
    for name in left_out:
        if name not in known_readers():
            raise InputError("reading", "left_out", name, ", ".join(known_readers()))
    own = machine.name in known_readers() and machine.name not in left_out
    names = [machine.name] if own else [name for name in known_readers() if name not in left_out]
    if not names:
        raise InputError("reading", "left_out", ", ".join(left_out), "at least one measured CPU to go by")
    here = machine if machine.tlb is not None else replace(machine, tlb=USUAL_TLB)
    rows = []
    for name in names:
        model = replace(reading_model(name), machine=here)
        rows.append(
            [_row(model, work, which, target_bytes, folio_bytes, chunk_bytes, crc) for which in (source, "page")]
        )
    rates, lows, highs = (np.array([[row[i] for row in pair] for pair in rows]) for i in range(3))
    taken = rows[0][0][3]
    ratios, spread = rates[:, 0] / rates[:, 1], float(np.mean(_spreads(names, work)))
    if own:
        said = f"measured on {machine.model}" + (f"; CRC by {crc}: {_crc_rate(crc).source}" if work == "crc" else "")
        half = 0.0 if source == "page" else DEVIATIONS * spread
        ratio = Estimate(ratios[0], ratios[0] * np.exp(-half), ratios[0] * np.exp(half), said)
        rate = with_doubt(Estimate(rates[0, 0], lows[0, 0], highs[0, 0], said), ANOTHER_MACHINE)
        return Reading(source, rate, ratio, taken, "")
    said = f"not measured on {machine.model}: its caches, and costs of {', '.join(names)}"
    deviation = float(np.mean(np.log(highs[:, 0] / lows[:, 0]) / (2 * DEVIATIONS)))
    ratio = of_another(ratios.tolist(), spread, said, expected=EXPECTED_OF_RATIOS)
    ratio = Estimate.exactly(1.0) if source == "page" else ratio
    missing = "no reading of this CPU is known" + ("" if machine.tlb else "; nor its TLBs")
    return Reading(source, of_another(rates[:, 0].tolist(), deviation, said), ratio, taken, missing)


def _check(work: str, source: str, crc: str, sizes: dict[str, int | None]) -> None:
    choices: tuple[tuple[str, str, tuple[str, ...]], ...]
    choices = (("work", work, WORKS), ("source", source, SOURCES), ("crc", crc, CRCS))
    for field, value, known in choices:
        if value not in known:
            raise InputError("reading", field, value, ", ".join(known))
    for field, size in sizes.items():
        if size is not None and not size > 0:
            raise InputError("reading", field, size, "a positive number of bytes")


def _row(
    model: ReadingModel, work: Work, source: str, target: int, folio: int, chunk: int | None, crc: Crc
) -> tuple[float, float, float, float]:
    """Bandwidth, its bounds [byte/s], and the cache taken [byte]; a CRC adds where the lines sit to its own time."""
    row = model.predict("copy" if work == "copy" else "sum", source, target, folio_bytes=folio).iloc[0]  # type: ignore[arg-type]
    value, low, high = (float(row[f"{name}_bytes_per_s"]) for name in ("bandwidth", "low", "high"))
    if work == "crc":
        line = model.machine.caches.line_bytes
        beyond = (line / value * 1e9 - float(row["operation_ns"])) / line
        rate = _crc_rate(crc)
        value, low, high = (1e9 / (1e9 / each + beyond) for each in (rate.value, rate.low, rate.high))
    calls = None if chunk is None else min(chunk, 4 * KIB if source == "page" else folio)
    if calls is not None:
        call = CALL_NS
        ends = ((value, call.value), (low, call.high), (high, call.low))
        value, low, high = (calls / (calls / rate + ns * 1e-9) for rate, ns in ends)
    return value, low, high, float(row["llc_bytes"])


@cache
def _crc_rate(method: Crc) -> Estimate:
    """Bandwidth of a CRC over a source in L1 [byte/s], from the CPU it was measured on."""
    if method == "folding":
        return FOLDING
    tables = {path.parent.name: pd.read_csv(path) for path in shipped.data("memory").glob("*/crc.csv")}
    rates = []
    for table in tables.values():
        hot = table[(table["method"] == method) & (table["source_bytes"] == 4 * KIB)]
        rates.append(float(hot["bandwidth_bytes_per_s"].median()))
    return of_another(rates, 0.1, f"measured on {', '.join(sorted(tables))}, other code and clocks in its interval")


def _spreads(names: list[str], work: Work) -> list[float]:
    """Log standard deviation of a measured ratio of two sources: two scatters, of which a half is common to both."""
    share = 0.3 if work == "crc" else 1.0
    return [share * reading_model(name).scatter for name in names]
