"""Gain by folio size, from 4 KiB to 512 MiB: what each step adds, and from where on steps add little (the knee)."""

from dataclasses import dataclass
from typing import Any

from zpmodel.base.errors import InputError
from zpmodel.base.estimate import Estimate
from zpmodel.base.units import KIB, MIB, format_size
from zpmodel.memory.machines import Machine as CpuMachine
from zpmodel.memory.reading.cpus import Reading, Work, read_zeroes
from zpmodel.study.compare import Comparison, compare
from zpmodel.study.scenario import Scenario

SIZES: tuple[int, ...] = tuple(4 * KIB << power for power in range(18))
"""Every power of two from 4 KiB to 512 MiB [byte]."""

KNEE_SHARE = 0.9
"""The knee is the smallest folio that brings this share of the largest gain [1]."""


@dataclass(frozen=True)
class Step:
    """One folio size.

    :ivar folio_bytes: the size [byte].
    :ivar comparison: beside 4 KiB.
    :ivar cpu_share: of the CPU time that the best size saves, how much this one does [1]; NaN where none saves any.
    :ivar added_cpu_s: CPU time saved beyond the size before [s].
    :ivar added_elapsed_s: elapsed time saved beyond the size before [s].
    """

    folio_bytes: int
    comparison: Comparison
    cpu_share: float
    added_cpu_s: float
    added_elapsed_s: float

    def row(self) -> dict[str, Any]:
        """As a flat row, with units in the names."""
        names = ("elapsed_s", "cpu_s", "speedup", "speedup_low", "speedup_high", "cpu_saved_s", "cpu_saved_low_s")
        row = self.comparison.row()
        counts = ("cpu_saved_high_s", "bios", "vectors", "requests", "segments", "beyond")
        return {
            "folio": format_size(self.folio_bytes),
            "folio_bytes": self.folio_bytes,
            **{name: row[name] for name in (*names, *counts)},
            "cpu_share": self.cpu_share,
            "added_cpu_s": self.added_cpu_s,
            "added_elapsed_s": self.added_elapsed_s,
        }


def folio_curve(scenario: Scenario, sizes: tuple[int, ...] = SIZES) -> list[Step]:
    """Zero a range from folios of each size.

    :param sizes: powers of two, ascending [byte].
    :raises InputError: on sizes that are no folio's or don't ascend.
    """
    if not sizes or list(sizes) != sorted(set(sizes)):
        raise InputError("folio curve", "sizes", sizes, "at least one size, ascending")
    found = compare(scenario, tuple(str(size) for size in sizes))
    most = max(item.cpu_saved_s.value for item in found)
    steps: list[Step] = []
    for size, item in zip(sizes, found, strict=True):
        before = steps[-1].comparison.prediction if steps else None
        now = item.prediction
        steps.append(
            Step(
                size,
                item,
                item.cpu_saved_s.value / most if most > 0 else float("nan"),
                0.0 if before is None else before.cpu_s.value - now.cpu_s.value,
                0.0 if before is None else before.elapsed_s.value - now.elapsed_s.value,
            )
        )
    return steps


def knee_bytes(steps: list[Step], share: float = KNEE_SHARE) -> int | None:
    """The smallest folio that brings this share of the CPU time that the best one saves; None where none saves any."""
    return next((step.folio_bytes for step in steps if step.cpu_share >= share), None)


def share_of(steps: list[Step], folio_bytes: int, reference_bytes: int = 2 * MIB) -> Estimate:
    """Of what one folio saves in CPU time, the share that a smaller one does already [1].

    :raises InputError: on sizes that are not in the curve, and where the reference saves nothing.
    """
    known = {step.folio_bytes: step.comparison for step in steps}
    for field, size in (("folio_bytes", folio_bytes), ("reference_bytes", reference_bytes)):
        if size not in known:
            raise InputError("folio curve", field, size, ", ".join(map(format_size, known)))
    page = steps[0].comparison.prediction
    small, large = known[folio_bytes].prediction, known[reference_bytes].prediction
    if not page.cpu_s.value > large.cpu_s.value:
        raise InputError("folio curve", "reference_bytes", reference_bytes, "a folio that saves CPU time")
    value = (page.cpu_s.value - small.cpu_s.value) / (page.cpu_s.value - large.cpu_s.value)
    return Estimate.of(value, (page.cpu_draws - small.cpu_draws) / (page.cpu_draws - large.cpu_draws))


def reader_curve(
    cpu: CpuMachine, work: Work = "copy", sizes: tuple[int, ...] = SIZES, **asked: Any
) -> list[tuple[int, Reading, Reading]]:
    """A CPU that reads the zeroes, for each size: from a physical folio and from a virtual one (one page, mapped over
    and over). DMA gains nothing from a virtual one: its vectors are those of 4 KiB pages.

    :param asked: as :func:`zpmodel.memory.reading.cpus.read_zeroes` takes it.
    """
    return [
        (
            size,
            read_zeroes(cpu, work, "static", folio_bytes=size, **asked),
            read_zeroes(cpu, work, "virtual", folio_bytes=size, **asked),
        )
        for size in sizes
    ]
