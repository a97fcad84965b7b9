"""Measure what a shared counter costs on this machine: a flag's test, an atomic on an owned line, a line that moves.

``python -m zpmodel.memory.life.getter_bench > FILE`` writes the table as CSV (some seconds).
Any CPU that LLVM knows atomics of will do; what is shared needs two CPUs.
"""

# mypy: disable-error-code="import-untyped, untyped-decorator, no-untyped-def, no-untyped-call, call-arg, unreachable"

import os
import resource
import sys
import threading
import time

import numpy as np
import pandas as pd
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from zpmodel.base.accelerate import kernel
from zpmodel.base.errors import RefusedError

COLUMNS = ("what", "repeat", "ns")
KINDS = ("flag", "atomic", "transfer")
"""Testing a flag that hits L1 (each load waits for the one before); an increment of a line that this CPU owns; an
increment of a line that another CPU incremented last. The last is a difference: two CPUs take turns, once with and once
without so many more lines to increment in each turn (a locked increment waits for the one before, so they add up)."""

_LINES, _STRIDE = 8, 4096 + 256  # no neighbours, whose lines a prefetcher might bring
_OFTEN, _TURNS = 20_000, 200


def _pointer(builder, address, bits):
    return builder.inttoptr(address, ir.IntType(bits).as_pointer())


@intrinsic
def _increment(typing, address):
    def code(context, builder, signature, arguments):
        return builder.atomic_rmw("add", _pointer(builder, arguments[0], 64), ir.Constant(ir.IntType(64), 1), "seq_cst")

    return types.int64(types.int64), code


@intrinsic
def _load(typing, address):
    def code(context, builder, signature, arguments):
        return builder.load_atomic(_pointer(builder, arguments[0], 64), "acquire", 8)

    return types.int64(types.int64), code


@kernel
def _flags(address: int, times: int) -> int:
    """A load and a branch, ``times`` in a row, each at an address that the one before told (always the same one)."""
    at = address
    for _ in range(times):
        seen: int = _load(at)
        if seen != 0:
            at += seen
    return int(at)


@kernel
def _atomics(address: int, times: int) -> int:
    last = 0
    for _ in range(times):
        last += _increment(address)
    return last


@kernel
def _turns(address: int, mine: int, times: int, lines: int, nothing: int) -> int:
    """Increment whenever it is this CPU's turn (the counter's lowest bit is ``mine``), ``times``; ``lines`` more first.

    ``nothing`` is 0, which the compiler can't know: each address comes from the increment before, or lines would be
    asked for before their turn.
    """
    seen = 0
    for _ in range(times):
        while _load(address) & 1 != mine:
            pass
        for line in range(1, lines + 1):
            seen = _increment(address + line * _STRIDE + (seen & nothing))
        _increment(address + (seen & nothing))
    return seen


def _line() -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], int]:
    """Counters on lines of their own, and the first one's address."""
    words = np.zeros((_LINES + 2) * _STRIDE // 8, np.int64)
    return words, (words.ctypes.data + 127) // 128 * 128


def _alone(work, address: int, repeats: int) -> list[float]:
    work(address, 1)
    out: list[float] = []
    while len(out) < repeats:
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
        started = time.perf_counter_ns()
        work(address, _OFTEN)
        spent = time.perf_counter_ns() - started
        if resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw == before:
            out.append(spent / _OFTEN)
    return out


class _Player(threading.Thread):
    """One of two threads that take turns on one CPU each."""

    def __init__(self, cpu: int, mine: int, address: int, gate: threading.Barrier, repeats: int) -> None:
        super().__init__()
        self.cpu, self.mine, self.address, self.gate, self.repeats = cpu, mine, address, gate, repeats
        self.spent: list[float] = []
        self.disturbed: list[bool] = []

    def run(self) -> None:
        os.sched_setaffinity(0, {self.cpu})
        for _ in range(self.repeats):
            self.gate.wait()
            # A first few turns bring both threads onto their CPUs; their number leaves the counter even.
            _turns(self.address, self.mine, 50, _LINES, 0)
            before = resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
            times = [time.perf_counter_ns()]
            for lines in (0, _LINES):
                _turns(self.address, self.mine, _TURNS, lines, 0)
                times.append(time.perf_counter_ns())
            more = (times[2] - times[1]) - (times[1] - times[0])
            self.spent.append(more / (2 * _TURNS * _LINES))
            self.disturbed.append(resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw != before)


def _between(cpus: tuple[int, int], repeats: int) -> list[float]:
    """An increment of a line of another CPU [ns]; repeats in which the scheduler took a CPU away are left out."""
    _, address = _line()
    _turns(address, 0, 1, 0, 0)
    _turns(address, 1, 1, 0, 0)
    gate = threading.Barrier(2)
    players = [_Player(cpu, mine, address, gate, repeats) for mine, cpu in enumerate(cpus)]
    for player in players:
        player.start()
    for player in players:
        player.join()
    pairs = zip(players[0].spent, players[0].disturbed, players[1].disturbed, strict=True)
    return [spent for spent, mine, others in pairs if not mine and not others]


def measure(*, repeats: int = 200) -> pd.DataFrame:
    """Measure all :data:`KINDS`, each so many times.

    :return: :data:`COLUMNS`: kind, number of the repeat, nanoseconds of one.
    :raises RefusedError: with NUMBA_DISABLE_JIT, where no atomic could be run, and on a machine that disturbs every
        repeat.
    """
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        raise RefusedError("measuring the getter needs compiled kernels")
    cpus = sorted(os.sched_getaffinity(0))
    _, address = _line()
    found = {"flag": _alone(_flags, address, repeats), "atomic": _alone(_atomics, address, repeats)}
    if len(cpus) > 1:
        found["transfer"] = _between((cpus[0], cpus[-1]), repeats)
        if not found["transfer"]:
            raise RefusedError("no repeat was left undisturbed: other work on the CPUs")
    rows = [(what, i, ns) for what, times in found.items() for i, ns in enumerate(times)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


if __name__ == "__main__":
    measure().to_csv(sys.stdout, index=False, float_format="%.4f")
