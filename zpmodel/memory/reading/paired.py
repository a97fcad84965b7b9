"""Exercise a CPU's readers of zeroes: the same work from a 4 KiB page, from 512 mappings of one, from a 2 MiB page.

``python -m zpmodel.memory.reading.paired > FILE`` measures (a minute or two); with ``--score FILE CPU`` the model's
prediction of each ratio to the 4 KiB page stands beside it, from other CPUs alone where ``--left-out CPU`` is given.
Sources follow each other within a round, in an order that changes from round to round, so that what the machine does
besides weighs on all of them alike; ratios are taken within rounds.
"""

# mypy: disable-error-code="no-untyped-call"

import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zpmodel.base.errors import InputError
from zpmodel.base.units import KIB, MIB
from zpmodel.memory.machines import read_machine
from zpmodel.memory.reading import crc_bench
from zpmodel.memory.reading.cpus import Crc, Work, read_zeroes
from zpmodel.memory.reading.mapped import mapped
from zpmodel.memory.reading.microbench import PIECE_BYTES, copy_pieces, sum_pieces
from zpmodel.memory.reading.model import Source

COLUMNS = ("work", "target_bytes", "source", "round", "bandwidth_bytes_per_s")
SCORED = ("work", "source", "measured", "measured_low", "measured_high", "predicted", "low", "high", "verdict")
ROUNDS = 41

_LARGE: tuple[Source, ...] = ("virtual", "static")
_WORKS: dict[str, tuple[Work, int, Crc]] = {
    "copy to 4 KiB": ("copy", 4 * KIB, "folding"),
    "copy to 64 MiB": ("copy", 64 * MIB, "folding"),
    "sum": ("sum", 4 * KIB, "folding"),
    "crc by tables": ("crc", 4 * KIB, "tables"),
    "crc by instruction": ("crc", 4 * KIB, "instruction"),
}
"""Names of the works, and how :func:`zpmodel.memory.reading.cpus.read_zeroes` is asked for each."""


def _run(
    work: str, source: NDArray[np.uint64], target: NDArray[np.uint64], pieces: int, slices: NDArray[np.uint64]
) -> None:
    kind, room, crc = _WORKS[work]
    if kind == "copy":
        copy_pieces(source.ctypes.data, source.nbytes, target.ctypes.data, room, pieces)
    elif kind == "sum":
        sum_pieces(source, pieces)
    else:
        chunk: Callable[..., int] = crc_bench._chunk_tables if crc == "tables" else crc_bench._chunk_instruction
        crc_bench._go_round(chunk, source, PIECE_BYTES // 8, pieces, slices)


def measure(*, rounds: int = ROUNDS, pieces: int = 4096, seed: int = 0) -> pd.DataFrame:
    """Measure every work from every source, in CPU time of this thread.

    :param pieces: of 4 KiB that one measurement reads; the first of each is not kept.
    :return: :data:`COLUMNS`.
    :raises RefusedError: where the kernel gives no 2 MiB pages.
    """
    rng, slices, rows = np.random.default_rng(seed), crc_bench.tables(), []
    with (
        mapped(4 * KIB, "4 KiB pages") as page,
        mapped(2 * MIB, "virtual") as virtual,
        mapped(2 * MIB, "2 MiB pages") as static,
        mapped(64 * MIB, "2 MiB pages") as target,
    ):
        sources = {"page": page, "virtual": virtual, "static": static}
        for number in range(-1, rounds):
            for work in _WORKS:
                for name in rng.permutation(list(sources)):
                    started = time.thread_time_ns()
                    _run(work, sources[name], target, pieces, slices)
                    spent = time.thread_time_ns() - started
                    if number >= 0:
                        rows.append((work, _WORKS[work][1], str(name), number, pieces * PIECE_BYTES / spent * 1e9))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def score(table: pd.DataFrame, cpu: str, left_out: tuple[str, ...] = ()) -> pd.DataFrame:
    """Ratios of bandwidth to the 4 KiB page: measured, with the interval of their median, and predicted.

    :param table: of :func:`measure`.
    :param cpu: name or path of a machine file.
    :return: ``work, source, measured, measured_low, measured_high, predicted, low, high, verdict``.
    :raises InputError: on a table of something else.
    """
    if not set(COLUMNS) <= set(table.columns):
        raise InputError("paired", "columns", ", ".join(map(str, table.columns)), ", ".join(COLUMNS))
    machine, found = read_machine(cpu), []
    for work, (kind, room, crc) in _WORKS.items():
        wide = table[table["work"] == work].pivot_table(index="round", columns="source", values=COLUMNS[-1])
        for source in _LARGE:
            ratios = np.sort(wide[source].to_numpy(float) / wide["page"].to_numpy(float))
            # Ranks that hold the median with 90 %, by the normal form of the binomial.
            half = 1.645 * len(ratios) ** 0.5 / 2
            at = [int(np.clip(len(ratios) / 2 + side * half, 0, len(ratios) - 1)) for side in (-1, 1)]
            told = read_zeroes(
                machine, kind, source, target_bytes=room, chunk_bytes=PIECE_BYTES, crc=crc, left_out=left_out
            ).against_page
            held = told.low <= ratios[at[1]] and ratios[at[0]] <= told.high
            measured = (float(np.median(ratios)), float(ratios[at[0]]), float(ratios[at[1]]))
            found.append((work, source, *measured, told.value, told.low, told.high, "within" if held else "OUTSIDE"))
    return pd.DataFrame(found, columns=list(SCORED))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--score"]:
        out = tuple(sys.argv[5:]) if sys.argv[4:5] == ["--left-out"] else ()
        print(score(pd.read_csv(sys.argv[2]), sys.argv[3], out).round(3).to_csv(index=False), end="")
    else:
        measure().to_csv(sys.stdout, index=False)
