"""The one place where numba is configured.

``NUMBA_DISABLE_JIT=1`` runs every kernel as plain Python, and then numba is not even imported. What is compiled is kept
in the user's cache folder (:mod:`zpmodel.base.compiled`), so that a new process need not compile it, unless
``ZPMODEL_CACHE=0``.
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

_plain = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")


def odd_chunk(chunk_sectors: int) -> bool:
    """Whether a queue has a chunk that is no power of two: bios and vectors come round in it after many of them."""
    return chunk_sectors & (chunk_sectors - 1) != 0


def few_answers(chunk_sectors: int = 0) -> None:
    """Say that this program asks for so little that plain Python is done sooner than numba is imported.

    It must come before any module with kernels is imported; after numba was, it changes nothing.

    :param chunk_sectors: of the queue that is asked about: chunks that are no power of two take thousands of steps
        and more, in compiled code sooner.
    """
    global _plain
    _plain = _plain or (not odd_chunk(chunk_sectors) and "numba" not in sys.modules)


def compiles() -> bool:
    """Whether kernels are compiled in this process, and not run as plain Python."""
    return not _plain


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that takes and returns scalars, arrays and NamedTuples only."""
    return _compiled(function, counts_references=True)


def borrowing_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """As :func:`kernel`, for one that makes no array and returns none.

    What it is given outlives it, so that no references are counted; elsewhere a look at an array costs two of them,
    each an atomic addition.
    """
    return _compiled(function, counts_references=False)


def _compiled(function: Callable[..., Any], *, counts_references: bool) -> Callable[..., Any]:
    if _plain:
        return function
    import numba

    from zpmodel.base.compiled import KernelCache, cache_folder, whatever_the_values

    # Nobody calls kernels from C: without the wrapper for that they compile sooner.
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
    # Said either way: else it would be as whoever calls it first has it.
    options["_nrt"] = counts_references
    compiled: Any = whatever_the_values(numba.njit(**options)(function))
    if hasattr(compiled, "_cache") and cache_folder() is not None:
        compiled._cache = KernelCache(function)
    return compiled  # type: ignore[no-any-return]


def cores() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def in_pieces(function: Callable[[slice], Any], rows: int, least: int = 256, jobs: int | None = None) -> list[Any]:
    """Call a function for pieces of ``rows``, on all cores; kernels let go of Python's lock.

    :param least: rows below which a piece is not worth a thread.
    :param jobs: threads; as many as cores where left out.
    :return: what it returned, in the order of the pieces.
    """
    number = min(jobs or cores(), max(1, rows // least))
    edges: npt.NDArray[np.int64] = np.linspace(0, rows, number + 1).astype(np.int64)
    slices = [slice(int(a), int(b)) for a, b in pairwise(edges)]
    if number == 1:
        return [function(slices[0])]
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(function, slices))
