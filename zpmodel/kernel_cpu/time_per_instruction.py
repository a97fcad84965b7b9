"""How long an instruction of the kernel's I/O path takes: by CPU, measured on this machine, and on a real kernel.

Counts are of a build; time is of a processor, and of the kind of work: loops over vectors run at several instructions a
cycle, calls (requests, bios, commands) wait for locked operations and cold lines. A user-mode build of the block layer
gives both on one machine, and what return thunks and retpolines add where it is built with them. A reader without a
kernel build has a short loop (a chase through a table in the cache, sums, conditional moves): its turn is worth a
number of the kernel's instructions of either kind, calibrated where both were measured.

``python -m zpmodel.kernel_cpu.time_per_instruction TABLE`` puts both beside each other, where tools/native made TABLE.
"""

import sys
import time
from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from zpmodel.base import shipped
from zpmodel.base.accelerate import kernel
from zpmodel.base.errors import InputError, ZpmodelError
from zpmodel.base.estimate import Estimate
from zpmodel.base.text import printable
from zpmodel.base.units import GIB
from zpmodel.kernel_cpu.instructions import LOOPS, WORK, WorkCosts, fit_work, read_table, table_work

_TABLE = 512  # entries: three arrays of 4 KiB each, half of the smallest level-1 cache
_TURNS = 2_000_000
_REPEATS = 15

TURN_INSTRUCTIONS = {"loops": 40.0, "calls": 14.6}
"""Kernel instructions of each kind that last as long as one turn of the loop: 3.2 ns a turn on the Zen 3, machine and
day, where the user-mode build took 0.080 and 0.219 ns an instruction. A turn is 37 instructions of its own, so it runs
as loops over vectors do; calls are dearer for locked operations and misses."""

_TURN_DOUBT = {"loops": 1.6, "calls": 2.0}
"""Factors either way, 90 %: one kind of CPU calibrated it. Calls without locked operations take half; what locked
operations and misses take beside a loop differs from CPU to CPU."""

LIKE = 0.57
"""Correlation of the logarithms of both kinds' times from CPU to CPU: over the three builds and machines of Zen 3 in
time-per-instruction.csv."""

_ADDED_ANY = (1.69, 1.0, 2.85)  # nothing, or all that thunks add on Zen 3
_WITH_THUNKS = "AMD EPYC, Zen 3"  # the CPU of time-per-instruction.csv where what they add was measured
_THUNKS = Path("/sys/devices/system/cpu/vulnerabilities/spec_rstack_overflow")


@dataclass(frozen=True)
class InstructionTimes:
    """Time of an instruction of the kernel's I/O path on one CPU.

    :ivar loops: in the loops over vectors [ns].
    :ivar calls: of everything else: bios, requests, commands [ns].
    :ivar added: what a real kernel makes of it [1]: return thunks and retpolines, cold caches, interrupts.
    """

    loops: Estimate
    calls: Estimate
    added: Estimate

    def scaled(self, factor: float) -> "InstructionTimes":
        """Of a CPU that takes ``factor`` times as long [1]."""
        return replace(self, loops=self.loops.scaled(factor), calls=self.calls.scaled(factor))

    def slowed(self, factor: Estimate) -> "InstructionTimes":
        """Of a CPU that takes a factor longer that is not known exactly [1]."""
        return replace(self, added=self.added.times(factor))

    @classmethod
    def alike(cls, each: Estimate) -> "InstructionTimes":
        """One time [ns] for both kinds, where nobody said more, on any real kernel."""
        return cls(each, each, Estimate(*_ADDED_ANY))


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


def measure_time_per_instruction(*, turns: int = _TURNS, repeats: int = _REPEATS) -> InstructionTimes:
    """Time of a kernel instruction on this machine, from a loop of the same kind of work.

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
        each.append((time.thread_time_ns() - start) / turns)
    low, value, high = np.quantile(each, [0.05, 0.5, 0.95]).tolist()

    def worth(kind: str) -> Estimate:
        turn, doubt = TURN_INSTRUCTIONS[kind], _TURN_DOUBT[kind]
        return Estimate(value / turn, low / turn / doubt, high / turn * doubt)

    return InstructionTimes(
        worth("loops"), worth("calls"), known_times()[_WITH_THUNKS].added if _has_thunks() else Estimate(*_ADDED_ANY)
    )


def _has_thunks() -> bool:
    """Whether this kernel returns through thunks against speculative return stack overflow."""
    try:
        return "Safe RET" in _THUNKS.read_text(encoding="utf-8")
    except OSError:
        return False


def time_by_kind(table: pd.DataFrame, instructions: WorkCosts) -> dict[str, float]:
    """Time of an instruction [ns] in the loops over vectors (``loops``), and of everything else (``calls``).

    Non-negative least squares of relative errors over the medians of configurations; ranges of 1 GiB and more, since
    there a call's wait is small.

    :param table: rows of :func:`zpmodel.kernel_cpu.instructions.read_table` with ``boot`` and ``elapsed_ns``, or, where
        it was measured, ``cpu_ns``, which other work on the machine does not lengthen.
    :raises InputError: without such rows.
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


@cache
def known_times() -> dict[str, InstructionTimes]:
    """Times of an instruction by CPU, from data/kernel/time-per-instruction.csv."""

    def of(row: dict[Hashable, Any], name: str, unit: str = "") -> Estimate:
        return Estimate(row[name + unit], row[f"{name}_low"], row[f"{name}_high"])

    return {
        row["cpu"]: InstructionTimes(of(row, "loops", "_ns"), of(row, "calls", "_ns"), of(row, "added"))
        for row in _table().to_dict("records")
    }


def any_cpu() -> InstructionTimes:
    """Of a CPU that nobody measured: from the fastest to the slowest whose CPU time somebody did.

    By the clock of a shared machine the same CPU took twice as long: that says what it shared.
    """
    known = known_times()
    timed = [known[cpu] for cpu in _table().query("by == 'cpu'")["cpu"]]

    def between(found: list[float]) -> Estimate:
        return Estimate((min(found) * max(found)) ** 0.5, min(found), max(found))

    loops, calls = between([one.loops.value for one in timed]), between([one.calls.value for one in timed])
    return InstructionTimes(loops, calls, Estimate(*_ADDED_ANY))


@cache
def _table() -> pd.DataFrame:
    return pd.read_csv(shipped.data("kernel", "time-per-instruction.csv"))


def _main() -> None:
    """Print what a table of timed zero-outs says, and the loop on this machine; bad input is one line, and status 2."""
    try:
        if len(sys.argv) != 2:
            raise InputError("arguments", "TABLE", " ".join(sys.argv[1:]), "one file, a table of timed zero-outs")
        counted = fit_work(read_table(shipped.data("kernel", "zeroout-instructions-7.3-tiny.csv")))
        found = time_by_kind(read_table(sys.argv[1]), counted)
    except ZpmodelError as error:
        print(f"time_per_instruction: {printable(str(error))}", file=sys.stderr)
        sys.exit(2)
    here = measure_time_per_instruction()
    for kind, value in found.items():
        print(f"{kind}: {value:.3f} ns an instruction by the timed zero-outs, {getattr(here, kind)} by the loop here")


if __name__ == "__main__":
    _main()
