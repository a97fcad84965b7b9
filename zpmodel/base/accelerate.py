"""The one place where numba is configured.

``NUMBA_DISABLE_JIT=1`` runs every kernel as plain Python. Compiled code is not cached on disk unless
``ZPMODEL_CACHE=1``: concurrent processes can corrupt numba's cache.
"""

import os
from collections.abc import Callable
from typing import Any

import numba


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that takes and returns scalars and arrays only."""
    cache = os.environ.get("ZPMODEL_CACHE") == "1"
    compiled: Callable[..., Any] = numba.njit(nogil=True, error_model="numpy", cache=cache)(function)
    return compiled


parallel = numba.prange
"""``range`` of a loop whose turns run on all threads in a :func:`parallel_kernel`."""


def parallel_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function with :data:`parallel` loops; one such call at a time."""
    cache = os.environ.get("ZPMODEL_CACHE") == "1"
    compiled: Callable[..., Any] = numba.njit(nogil=True, error_model="numpy", cache=cache, parallel=True)(function)
    return compiled
