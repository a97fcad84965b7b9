"""Measure this machine's memory from user space, without system calls: clearing, and reading zeroes, by mapping.

``python -m zpmodel.memory.reading.microbench > FILE`` writes the table as CSV (about a minute).
"""

import ctypes
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from zpmodel.base.accelerate import kernel
from zpmodel.base.errors import RefusedError
from zpmodel.base.units import KIB, MIB
from zpmodel.memory.reading.mapped import Mapping, mapped

PIECE_BYTES = 4 * KIB
"""Copies and sums go piece by piece [byte], so that the number of calls is the same for every source."""

_libc = ctypes.CDLL(None)
_memcpy = _libc.memcpy
_memcpy.restype, _memcpy.argtypes = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


@kernel
def copy_pieces(source: int, source_bytes: int, target: int, target_bytes: int, pieces: int) -> None:
    """Copy with libc's memcpy, piece by piece, round source and destination."""
    src = dst = 0
    for _ in range(pieces):
        _memcpy(target + dst, source + src, 4096)
        src += 4096
        if src >= source_bytes:
            src = 0
        dst += 4096
        if dst >= target_bytes:
            dst = 0


@kernel
def sum_pieces(words: NDArray[np.uint64], pieces: int) -> int:
    """Add up 8-byte words, piece by piece, round the source: a stand-in for a checksum."""
    total = np.uint64(0)
    at = 0
    for _ in range(pieces):
        for i in range(at, at + 512):
            total += words[i]
        at += 512
        if at >= words.size:
            at = 0
    return int(total)


def _seconds(run: Callable[[int], object], *, at_least: float, repeats: int) -> list[float]:
    """CPU seconds per unit of work, one for each repeat; the amount is doubled until it lasts long enough.

    Of this thread, so that what else runs on the CPU is not in them; a hypervisor's other guests are.
    """
    amount = 8
    while True:
        start = time.thread_time()
        run(amount)
        spent = time.thread_time() - start
        if spent >= at_least:
            break
        amount = max(2 * amount, int(amount * min(20.0, at_least / max(spent, 1e-7))))
    out = []
    for _ in range(repeats):
        start = time.thread_time()
        run(amount)
        out.append((time.thread_time() - start) / amount)
    return out


def measure(*, seconds: float = 0.02, repeats: int = 5, largest_bytes: int = 128 * MIB) -> pd.DataFrame:
    """Run it all.

    :param seconds: least length of one measurement [s].
    :param repeats: measurements of each point.
    :param largest_bytes: largest region cleared [byte].
    :return: a row for each repeat: ``operation method mapping source_bytes target_bytes call_bytes repeat
        bandwidth_bytes_per_s``. Clearing has no source; ``call_bytes`` is what one call clears, ``target_bytes`` the
        region.
    :raises RefusedError: on machines other than x86-64 with Linux, and with NUMBA_DISABLE_JIT, where there are no such
        instructions to run.
    """
    if platform.machine() != "x86_64" or sys.platform != "linux" or os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        raise RefusedError("the micro-benchmark needs Linux on x86-64, and compiled kernels")
    rows: list[tuple[object, ...]] = []
    mappings: tuple[Mapping, ...] = ("4 KiB pages", "2 MiB pages")
    for mapping in mappings:
        with mapped(largest_bytes, mapping) as words:
            rows += _clearing(words, mapping, seconds, repeats)
    for source_mapping in (*mappings, "virtual"):
        with mapped(2 * MIB, source_mapping) as source, mapped(64 * MIB, "2 MiB pages") as target:
            rows += _reading(source, target, source_mapping, seconds, repeats)
    names = ["operation", "method", "mapping", "source_bytes", "target_bytes", "call_bytes", "repeat"]
    return pd.DataFrame(rows, columns=[*names, "bandwidth_bytes_per_s"])


def _clearing(words: NDArray[np.uint64], mapping: str, seconds: float, repeats: int) -> list[tuple[object, ...]]:
    from zpmodel.memory.clearing import stores

    methods = {"rep-stos": stores.clear_strings, "non-temporal": stores.clear_past_caches}
    if " clzero" in Path("/proc/cpuinfo").read_text(encoding="ascii"):
        methods["clzero"] = stores.clear_lines
    rows: list[tuple[object, ...]] = []
    largest = words.size * 8
    address = words.ctypes.data
    regions = [size for size in (4 * KIB, 64 * KIB, 512 * KIB, 2 * MIB, 8 * MIB, 32 * MIB) if size < largest]
    points = [(size, size) for size in (*regions, largest)] + [(largest, call) for call in regions]
    for method, clear in methods.items():
        clear(address, 4 * KIB, 4 * KIB, 1)
        for region, call in points:

            def work(n: int, region: int = region, call: int = call, clear: Callable[..., None] = clear) -> None:
                clear(address, region, call, n)

            # Short calls in a large region need a whole round, or they'd stay in the caches.
            floor = max(seconds, largest / 5e9) if region == largest else seconds
            for i, spent in enumerate(_seconds(work, at_least=floor, repeats=repeats)):
                rows.append(("clear", method, mapping, 0, region, call, i, call / spent))
    return rows


def _reading(
    source: NDArray[np.uint64], target: NDArray[np.uint64], mapping: str, seconds: float, repeats: int
) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    sum_pieces(source, 1)
    copy_pieces(source.ctypes.data, PIECE_BYTES, target.ctypes.data, PIECE_BYTES, 1)
    for size in (4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 1 * MIB, 2 * MIB):
        part = source[: size // 8]
        for i, spent in enumerate(_seconds(lambda n, p=part: sum_pieces(p, n), at_least=seconds, repeats=repeats)):  # type: ignore[misc]
            rows.append(("sum", "numba", mapping, size, 0, PIECE_BYTES, i, PIECE_BYTES / spent))
        for room in (4 * KIB, 256 * KIB, 2 * MIB, 64 * MIB):

            def work(n: int, size: int = size, room: int = room) -> None:
                copy_pieces(source.ctypes.data, size, target.ctypes.data, room, n)

            for i, spent in enumerate(_seconds(work, at_least=seconds, repeats=repeats)):
                rows.append(("copy", "memcpy", mapping, size, room, PIECE_BYTES, i, PIECE_BYTES / spent))
    return rows


if __name__ == "__main__":
    measure().to_csv(sys.stdout, index=False)
