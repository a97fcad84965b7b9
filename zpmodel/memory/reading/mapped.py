"""Memory mapped as the micro-benchmark wants it: with 4 KiB pages, with 2 MiB pages, or one page many times over."""

import ctypes
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from zpmodel.base.errors import RefusedError
from zpmodel.base.units import KIB, MIB, format_size

Mapping = Literal["4 KiB pages", "2 MiB pages", "virtual"]

_MAP_FIXED = 0x10


@contextmanager
def mapped(size_bytes: int, mapping: Mapping) -> Iterator[NDArray[np.uint64]]:
    """Memory of whole pages, touched, as an array of 8-byte words; unmapped at the end.

    :param size_bytes: a multiple of 4 KiB [byte].
    :param mapping: ``virtual`` maps one 4 KiB page again and again.
    :raises RefusedError: where the kernel does not give 2 MiB pages.
    """
    area = mmap.mmap(-1, size_bytes + 2 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    anchor = ctypes.c_char.from_buffer(area)
    start = (ctypes.addressof(anchor) + 2 * MIB - 1) // (2 * MIB) * (2 * MIB)
    words = np.ctypeslib.as_array((ctypes.c_uint64 * (size_bytes // 8)).from_address(start))
    try:
        if mapping == "virtual":
            _map_one_page(start, size_bytes)
            words.sum()
        else:
            area.madvise(mmap.MADV_HUGEPAGE if mapping == "2 MiB pages" else mmap.MADV_NOHUGEPAGE)
            words[:] = 0
            if mapping == "2 MiB pages" and _huge_bytes(start) < size_bytes // 2:
                raise RefusedError(f"the kernel gave no 2 MiB pages for {format_size(size_bytes)}")
        yield words
    finally:
        del words, anchor
        area.close()


def _map_one_page(start: int, size_bytes: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *(ctypes.c_int,) * 3, ctypes.c_long)
    page = os.memfd_create("zpmodel-zero")
    try:
        os.ftruncate(page, 4 * KIB)
        for address in range(start, start + size_bytes, 4 * KIB):
            got = libc.mmap(address, 4 * KIB, mmap.PROT_READ, mmap.MAP_SHARED | _MAP_FIXED, page, 0)
            if got != address:
                raise RefusedError(f"mapping one page many times failed: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(page)


def _huge_bytes(start: int) -> int:
    """Huge page bytes of the mapping around an address, from smaps."""
    inside = False
    for line in Path("/proc/self/smaps").read_text(encoding="ascii", errors="replace").splitlines():
        head = line.split(maxsplit=1)[0]
        if "-" in head and not head.endswith(":"):
            low, high = (int(part, 16) for part in head.split("-"))
            inside = low <= start < high
        elif inside and head == "AnonHugePages:":
            return int(line.split()[1]) * KIB
    return 0
