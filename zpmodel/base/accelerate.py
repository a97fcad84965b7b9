"""The one place where numba is configured.

``NUMBA_DISABLE_JIT=1`` runs every kernel as plain Python. Compiled kernels are kept in the user's cache folder
(:mod:`zpmodel.base.compiled`), so that a new process need not compile them; ``ZPMODEL_CACHE=0`` switches that off.
"""

from collections.abc import Callable
from typing import Any

import numba

from zpmodel.base.compiled import KernelCache, cache_folder


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that takes and returns scalars, arrays and NamedTuples only."""
    return _kept(numba.njit(nogil=True, error_model="numpy")(function), function)


parallel = numba.prange
"""``range`` of a loop whose turns run on all threads in a :func:`parallel_kernel`."""


def parallel_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function with :data:`parallel` loops; one such call at a time."""
    return _kept(numba.njit(nogil=True, error_model="numpy", parallel=True)(function), function)


def _kept(compiled: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a compiled function keep its code; as plain Python it has none."""
    if hasattr(compiled, "_cache") and cache_folder() is not None:
        compiled._cache = KernelCache(function)
    found: Callable[..., Any] = compiled
    return found
