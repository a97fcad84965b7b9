"""How long an instruction of the kernel's I/O path takes: by CPU, measured on this machine, and on a real kernel.

Counts are of a build; time is of a processor. A user-mode build of the block layer gives both on one machine. A reader
without a kernel build has a short loop of the same kind of work (a chase through a table in the cache, sums,
conditional moves): its turn is worth a number of the kernel's instructions, calibrated where both were measured.

``python -m zpmodel.kernel_cpu.time_per_instruction TABLE`` puts both beside each other, where tools/native made TABLE.
"""

import sys
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from zpmodel.base import shipped
from zpmodel.base.accelerate import kernel
from zpmodel.base.errors import InputError
from zpmodel.base.estimate import Estimate
from zpmodel.base.units import GIB
from zpmodel.kernel_cpu.instructions import LOOPS, WORK, WorkCosts, fit_work, read_table, table_work

_TABLE = 512  # entries: three arrays of 4 KiB each, half of the smallest level-1 cache
_TURNS = 2_000_000
_REPEATS = 15

TURN_INSTRUCTIONS = 17.0
"""Kernel instructions that last as long as one turn of the loop: 3.4 ns a turn on the Zen 3 where the user-mode build
took 0.20 ns an instruction, 3.2 on another where it took 0.19. A turn is 37 instructions of its own; the kernel's are
dearer for locked operations, calls and misses."""

_TURN_DOUBT = 2.5
"""Factor either way, 90 %: one kind of CPU calibrated it, where loops over vectors took 0.08 ns an instruction, all
else 0.11 without locked operations and 0.22 with them; and processors differ threefold in the kernel's own time."""


@kernel
def _walk(following: Any, length: Any, flags: Any, turns: int) -> int:
    """Chase through a table as a walk over vectors does: cut, count, borrow.

    :param following: index of the next entry, shape (entries,).
    :param length: bytes of each, shape (entries,).
    :param flags: of each; changed, shape (entries,).
    :param turns: how many entries to visit.
    """
    at = segments = left = total = 0
    for _ in range(turns):
        at = following[at]
        if flags[at] & 1:
            segments += 1
            left -= length[at]
        else:
            left += length[at] >> 3
        if left < 0:
            left += 131072
            segments += 2
        total += left ^ segments
        flags[at] ^= 1
    return int(total)


def measure_time_per_instruction(*, turns: int = _TURNS, repeats: int = _REPEATS) -> Estimate:
    """Time of a kernel instruction on this machine [ns], from a loop of the same kind of work.

    CPU time of this thread, so that a busy machine lengthens it only by what shares its caches and clock; the median of
    the repeats, widened by their quantiles and by what the loop's worth in instructions is unsure by.

    :raises InputError: on less than one turn or three repeats.
    """
    if turns < 1 or repeats < 3:
        raise InputError("time per instruction", "turns, repeats", f"{turns}, {repeats}", "at least 1 and 3")
    rng = np.random.default_rng(0)
    order = rng.permutation(_TABLE)
    following = np.empty(_TABLE, np.int64)
    following[order] = np.roll(order, -1)
    length, flags = rng.integers(1, 9, _TABLE) * 512, rng.integers(0, 2, _TABLE)
    _walk(following, length, flags, 10)
    each = []
    for _ in range(repeats):
        start = time.thread_time_ns()
        _walk(following, length, flags, turns)
        each.append((time.thread_time_ns() - start) / turns / TURN_INSTRUCTIONS)
    low, value, high = np.quantile(each, [0.05, 0.5, 0.95])
    return Estimate(float(value), float(low / _TURN_DOUBT), float(high * _TURN_DOUBT))


def fit_time_per_instruction(table: pd.DataFrame, instructions: WorkCosts) -> Estimate:
    """Time of an instruction [ns] of a CPU where the kernel's own zero-out was timed.

    Ranges of 1 GiB and more: there a call's wait is small. The median over configurations and boots of their medians;
    the interval holds their quantiles, since boots differ by more than repeats do, and each kind of work's own time.

    :param table: rows of :func:`zpmodel.kernel_cpu.instructions.read_table` with ``boot`` and ``elapsed_ns``, or, where
        it was measured, ``cpu_ns``, which other work on the machine does not lengthen.
    :raises InputError: without such rows.
    """
    long = _long(table)
    counted: npt.NDArray[np.float64] = table_work(long) @ instructions.costs
    keys = ["zero_page_bytes", "max_sectors", "boot", "length_bytes"]
    medians = (long[_time(table)] / counted).groupby([long[key] for key in keys]).median()
    found = Estimate.of(float(medians.median()), medians.to_numpy())
    kinds = time_by_kind(table, instructions).values()
    return Estimate(found.value, min(found.low, *kinds), max(found.high, *kinds))


def time_by_kind(table: pd.DataFrame, instructions: WorkCosts) -> dict[str, float]:
    """Time of an instruction [ns] in the loops over vectors (``loops``), and of everything else (``calls``).

    Non-negative least squares of relative errors over the medians of configurations; parameters as
    :func:`fit_time_per_instruction`.
    """
    from scipy.optimize import nnls  # half a second to import

    long, time_ns = _long(table), _time(table)
    keys = ["zero_page_bytes", "max_sectors", "length_bytes"]
    medians = long.groupby(keys)[time_ns].median().reset_index()
    rows = medians.merge(long.drop_duplicates(keys).drop(columns=time_ns), on=keys)
    counted = table_work(rows) * instructions.costs
    loops = counted[:, [WORK.index(name) for name in LOOPS]].sum(axis=1)
    shares = np.stack([loops, counted.sum(axis=1) - loops], axis=1) / rows[time_ns].to_numpy()[:, None]
    found, _ = nnls(shares, np.ones(len(shares)))
    return {"loops": float(found[0]), "calls": float(found[1])}


def _time(table: pd.DataFrame) -> str:
    return "cpu_ns" if "cpu_ns" in table else "elapsed_ns"


def _long(table: pd.DataFrame) -> pd.DataFrame:
    long = table[table["length_bytes"] >= GIB]
    if long.empty or not {"boot", _time(table)} <= set(long):
        raise InputError(
            "time per instruction", "rows of 1 GiB and more", len(long), "at least one, with boot and time"
        )
    return long


def known_times() -> dict[str, Estimate]:
    """Time of an instruction [ns] by CPU, from data/kernel/time-per-instruction.csv."""
    table = pd.read_csv(shipped.data("kernel", "time-per-instruction.csv"))
    return {
        row["cpu"]: Estimate(row["ns_per_instruction"], row["low"], row["high"]) for row in table.to_dict("records")
    }


def any_cpu() -> Estimate:
    """Time of an instruction [ns] of a CPU that nobody measured: from the fastest to the slowest that somebody did."""
    known = [one.value for one in known_times().values()]
    low, high = min(known), max(known)
    return Estimate((low * high) ** 0.5, low, high)


def _main() -> None:
    """Print what a table of timed zero-outs says, and the loop on this machine."""
    counted = fit_work(read_table(shipped.data("kernel", "zeroout-instructions-7.3-tiny.csv")))
    table = read_table(sys.argv[1])
    print(f"timed zero-outs {fit_time_per_instruction(table, counted)} ns an instruction")
    for kind, value in time_by_kind(table, counted).items():
        print(f"  {kind:<14}{value:.3f}")
    print(f"loop here       {measure_time_per_instruction()}")


if __name__ == "__main__":
    _main()
