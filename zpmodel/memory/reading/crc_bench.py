"""Measure CRC-32C over zeroes by chunk: one call a chunk, by tables (slicing by 8) and by the processor's instruction.

``python -m zpmodel.memory.reading.crc_bench > FILE`` writes the table as CSV (some seconds).
"""

# mypy: disable-error-code="import-untyped, untyped-decorator, no-untyped-def, no-untyped-call, call-arg, unreachable"

import os
import platform
import sys
import time

import numpy as np
import pandas as pd
from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from zpmodel.base.accelerate import kernel
from zpmodel.base.errors import RefusedError
from zpmodel.base.units import KIB, MIB
from zpmodel.memory.reading.mapped import mapped

# numba itself needs no assembler, so it does not start one.
binding.initialize_native_asmparser()

COLUMNS = ("method", "source_bytes", "chunk_bytes", "repeat", "bandwidth_bytes_per_s")
CHUNKS = (64, 256, 1 * KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 2 * MIB)

_POLYNOMIAL = 0x82F63B78
_I64 = ir.IntType(64)


@intrinsic
def _crc32q(typing, crc, word):
    def code(context, builder, signature, arguments):
        kind = ir.FunctionType(_I64, [_I64, _I64])
        return builder.asm(kind, "crc32q $2, $0", "=r,0,r", list(arguments), side_effect=False)

    return types.int64(types.int64, types.int64), code


@kernel
def _chunk_instruction(words, first, number, tables):
    crc = 0xFFFFFFFF
    for i in range(first, first + number):
        crc = _crc32q(crc, np.int64(words[i]))
    return crc


@kernel
def _chunk_tables(words, first, number, tables):
    crc = np.uint64(0xFFFFFFFF)
    low = np.uint64(0xFF)
    for i in range(first, first + number):
        word = words[i] ^ crc
        crc = np.uint64(0)
        for k in range(8):
            crc ^= tables[7 - k, (word >> np.uint64(8 * k)) & low]
    return crc


@kernel
def _go_round(chunk, words, number, calls, tables):
    """So many calls over chunks of ``number`` words, round the source."""
    total, at = np.int64(0), 0
    for _ in range(calls):
        total = total ^ np.int64(chunk(words, at, number, tables))
        at += number
        if at + number > words.size:
            at = 0
    return total


def tables() -> NDArray[np.uint64]:
    """Tables of slicing by 8 for CRC-32C, shape (8, 256). Source: Kounavis and Berry, IEEE ISCC 2005."""
    first = np.arange(256, dtype=np.uint64)
    for _ in range(8):
        first = np.where(first & 1, (first >> 1) ^ _POLYNOMIAL, first >> 1).astype(np.uint64)
    out = [first]
    for _ in range(7):
        out.append((out[-1] >> np.uint64(8)) ^ first[out[-1] & np.uint64(0xFF)])
    return np.array(out, dtype=np.uint64)


def crc(words: NDArray[np.uint64], method: str) -> int:
    """CRC-32C register over all words, not inverted at the end; what both methods are tested by."""
    run = _chunk_tables if method == "tables" else _chunk_instruction
    return int(run(words, 0, words.size, tables()))


def measure(*, seconds: float = 0.005, repeats: int = 7) -> pd.DataFrame:
    """Measure both methods, from a source of 4 KiB (chunks up to it) and of 2 MiB.

    :param seconds: least length of one measurement [s].
    :return: :data:`COLUMNS`.
    :raises RefusedError: on machines other than x86-64 with Linux, and with NUMBA_DISABLE_JIT.
    """
    if platform.machine() != "x86_64" or sys.platform != "linux" or os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        raise RefusedError("measuring CRCs needs Linux on x86-64, and compiled kernels")
    rows, slices = [], tables()
    with mapped(2 * MIB, "2 MiB pages") as source:
        for method, run in (("tables", _chunk_tables), ("instruction", _chunk_instruction)):
            for size in (4 * KIB, 2 * MIB):
                for chunk in (chunk for chunk in CHUNKS if chunk <= size):
                    calls = max(1, int(seconds * 2e9 / chunk))
                    work = (run, source[: size // 8], chunk // 8, calls, slices)
                    _go_round(*work)
                    for i in range(repeats):
                        started = time.thread_time()
                        _go_round(*work)
                        spent = time.thread_time() - started
                        rows.append((method, size, chunk, i, calls * chunk / spent))
    return pd.DataFrame(rows, columns=list(COLUMNS))


if __name__ == "__main__":
    measure().to_csv(sys.stdout, index=False)
