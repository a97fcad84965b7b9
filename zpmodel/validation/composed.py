"""Composed machines against what others published and what was timed: no part was fitted to the truth beside it."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from zpmodel.base import shipped
from zpmodel.base.estimate import Estimate
from zpmodel.base.units import KIB, MIB, format_size
from zpmodel.calibration.machine_file import load_machine
from zpmodel.calibration.vectors import slopes_of, vector_cost
from zpmodel.datasets.schema import DataSet
from zpmodel.study.compare import compare
from zpmodel.study.scenario import Scenario, predict
from zpmodel.timing.counted import CountedCpu
from zpmodel.validation.score import Bar, Score
from zpmodel.validation.series import slopes

TITLE = "Composed machines, against what others published and a zero-out that was timed"

NO_TURBO = Estimate(
    1.4, 1.0, 2.0, "assumed: base clocks of 2 to 3 GHz; the CPUs whose time per instruction is known ran at 3 to 4"
)
"""How much longer an instruction takes where turbo is off [1]."""

_INTERVAL = Bar(interval=True)
_PAGE = 4 * KIB
_MOST_BUFFERS = 2 * MIB  # of more, buffers may be huge pages
_FOUR_PERCENT = "kernel commit 'block: use largest_zero_folio in __blkdev_issue_zero_pages' (2025)"


def scores(data: DataSet) -> Iterator[Score]:
    """The published gain, CPU of a vector on somebody's drive, what mapping one costs, and a caller's CPU time."""
    gain = compare(Scenario(load_machine("nvme-mailing-list")))[2].speedup
    truth = "gain of a 2 MiB zero page, NVMe with MDTS 128 KiB and no Write Zeroes"
    yield Score.of("composed", truth, 1.04, gain, "1", _INTERVAL, _FOUR_PERCENT)
    kernel, said = _scatterlist_kernel()
    truth = f"980 PRO: kernel's CPU of a 4 KiB vector of 8 to 64 KiB reads (DEBUG_PREEMPT, no turbo); {said}"
    found = vector_ns(kernel, "none", 8 * KIB, 64 * KIB, slower=NO_TURBO)
    yield Score.of(
        "composed", truth, published_vector().value * 1e9, found, "ns", _INTERVAL, "nvme-980pro-randread.csv"
    )
    yield from _mapping(kernel, said)
    yield from _caller()


def published_vector(table: pd.DataFrame | None = None) -> Estimate:
    """What a 4 KiB vector of a 980 PRO's reads takes the kernel, at a depth that was not measured [s].

    :param table: as in data/published/nvme-980pro-randread.csv, which is read by default.
    :raises ValueError: where the table doesn't say.
    """
    path = shipped.data("published", "nvme-980pro-randread.csv")
    found = vector_cost(slopes_of(vector_points(pd.read_csv(path, comment="#") if table is None else table)))
    if found is None:
        raise ValueError("no slopes at two depths")
    return found


def vector_points(table: pd.DataFrame) -> pd.DataFrame:
    """A published table of reads as :func:`zpmodel.calibration.vectors.slopes_of` takes it, without those whose buffers
    may be huge pages."""
    small = table[table["block_bytes"] * table["depth"] < _MOST_BUFFERS]
    return pd.DataFrame(
        {
            "depth": small["depth"],
            "vectors": np.maximum(1, small["block_bytes"] // _PAGE),
            "cpu_s": small["kernel_s_per_io"],
            "own_s": small["cpu_s_per_io"] - small["kernel_s_per_io"],
            "waits": small["waits_per_io"],
        }
    )


def vector_ns(
    kernel: str, iommu: str, shorter: int, longer: int, names: tuple[str, ...] = (), slower: Estimate | None = None
) -> Estimate:
    """What a further 4 KiB vector of one request costs a composed machine of any CPU [ns].

    :param shorter, longer: bytes of the two requests whose difference is taken.
    :param names: of the terms that count; all if none are named.
    :param slower: how much longer than on the CPUs that were timed an instruction takes [1].
    """
    machine = load_machine("nvme-mailing-list", kernel=kernel, iommu=iommu)
    if slower is not None and isinstance(machine.cpu, CountedCpu):
        each = machine.cpu.instruction_times.slowed(slower)
        machine = replace(machine, cpu=replace(machine.cpu, instruction_times=each))
    vectors = (longer - shorter) / _PAGE
    value, draws = 0.0, np.zeros(machine.draws)
    for length, sign in ((longer, 1), (shorter, -1)):
        for term in predict(Scenario(machine, length, "page")).terms:
            if not names or term.name in names:
                value += sign * term.number * term.each_s
                draws = draws + sign * term.number * term.each_draws
    return Estimate.of(value / vectors * 1e9, draws / vectors * 1e9)


def _scatterlist_kernel() -> tuple[str, str]:
    """The kernel whose counts stand for those before 6.17: the scatterlist driver's, where they are there."""
    if shipped.data("kernel").joinpath("nvme-instructions-6.12.csv").is_file():
        return "6.12", "counts of 6.12's scatterlists"
    return "7.3", "counts of 7.3's iterator, since those of its scatterlists are not there"


def _mapping(kernel: str, said: str) -> Iterator[Score]:
    """Submission with each vector mapped by the IOMMU, less the same with the mapping kept: what preparing costs."""
    table = slopes().set_index("series")["value"]
    measured = float(table["iommu-strict-slat"] - table["iommu-premapped-slat"])
    mapped, direct = (vector_ns(kernel, mode, 16 * KIB, 64 * KIB, ("NVMe preparing",)) for mode in ("strict", "none"))
    source = "data/published/figures.csv: iommu-strict-slat less iommu-premapped-slat"
    truth = f"a vector mapped by an Intel IOMMU, at submission; {said}"
    yield Score.of("composed", truth, measured, mapped, "ns", _INTERVAL, source)
    right = int(mapped.low > direct.low and mapped.value > direct.value and measured > 0)
    yield Score.counted("composed", "mapping by an IOMMU costs more than none, as was measured", 1, right, source)


def _caller() -> Iterator[Score]:
    """CPU time of the thread that zeroes a loop device; the loop's worker, which has other threads, is left out."""
    folder = shipped.data("zeroout", "kvm-zen3-loop-direct")
    machine = load_machine(str(folder / "composed.toml"))
    for length, group in pd.read_csv(folder / "zeroout.csv").groupby("length_bytes"):
        terms = predict(Scenario(machine, int(str(length)), "page")).terms
        own = [term for term in terms if not term.name.startswith("loop ")]
        draws = np.sum([term.number * term.each_draws for term in own], axis=0)
        found = Estimate.of(sum(term.number * term.each_s for term in own), draws).scaled(1e3)
        measured = float(group["caller_cpu_ns"].median()) / 1e6
        truth = f"caller's CPU time of BLKZEROOUT on a loop device, {format_size(int(str(length)))}"
        source = f"data/zeroout/{folder.name}: median of {len(group)}"
        yield Score.of("composed", truth, measured, found, "ms", _INTERVAL, source)
