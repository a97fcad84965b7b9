"""Results that take seconds to work out and are always the same, kept beside the compiled kernels.

They lie in the folder of this very source (:func:`zpmodel.base.compiled.cache_folder`), under a name that says what
they were worked out from; what can't be read, or whose digest is wrong, is worked out anew.
"""

import hashlib
import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from zpmodel.base.accelerate import compiles
from zpmodel.base.kept import keep, unused_longest
from zpmodel.base.sealed import read_sealed

_LARGEST_BYTES = 64 << 20
_SUFFIX = ".result"
_KEPT_RESULTS = 256

_Result = TypeVar("_Result")


def kept_result(what: str, make: Callable[[], _Result]) -> _Result:
    """What ``make`` returns, from the cache folder where it was worked out before.

    :param what: everything that the result depends on besides the package's own source and its libraries.
    :raises Exception: what ``make`` raises; nothing is kept then.
    """
    folder = _folder()
    if folder is None:
        return make()
    path = folder / (hashlib.sha256(f"{what}\0{_libraries()}".encode()).hexdigest() + _SUFFIX)
    try:
        found: _Result = pickle.loads(read_sealed(path, _LARGEST_BYTES, mine=True))
        with suppress(OSError):  # a folder that can only be read
            os.utime(path)
        return found
    except Exception:
        found = make()  # missing, damaged, or of something that only looks alike
    with suppress(OSError):  # a full disk or a folder that went away costs time only
        keep(path, pickle.dumps(found))
        for old in unused_longest(folder.glob(f"*{_SUFFIX}"), _KEPT_RESULTS):
            old.unlink()
    return found


def _folder() -> Path | None:
    if not compiles():
        return None  # plain Python is asked for to see plain Python run
    from zpmodel.base.compiled import cache_folder

    return cache_folder()


@cache
def _libraries() -> str:
    """Versions of what numbers come from besides the compiler."""
    return " ".join(version(name) for name in ("numpy", "pandas", "scipy"))
