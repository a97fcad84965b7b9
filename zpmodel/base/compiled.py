"""Compiled kernels on disk, safe for many processes at once.

numba's own cache keeps an index for each function, which processes that write at the same time can leave wrong. Here
each compiled signature is one file under a name that says all it depends on: it appears whole (a temporary name, then a
rename), two who write the same name write the same thing, and what can't be read, or whose digest is wrong, is compiled
anew. The folder belongs to the user and is closed to others, since what is in it is run.
"""

import hashlib
import os
import pickle
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import Any

import llvmlite
import numba
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from zpmodel.base.sealed import read_sealed, sealed

_KEPT_VERSIONS = 6
_LARGEST_BYTES = 64 << 20


@cache
def cache_folder() -> Path | None:
    """The folder of this version's kernels; None where there can be none, or ``ZPMODEL_CACHE=0``."""
    if os.environ.get("ZPMODEL_CACHE") == "0" or os.environ.get("NUMBA_DISABLE_JIT") == "1":
        return None
    try:
        top = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zpmodel"
        folder = top / _version()
        for path in (top, folder):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = path.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
                return None
        _forget_old(top, folder)
    except (OSError, RuntimeError):  # no home, or one that can't be written
        return None
    return folder if os.access(folder, os.R_OK | os.X_OK) else None


def _version() -> str:
    """What code depends on besides its own function and signature, as one name."""
    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__} {sys.version}".encode())
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode() + path.read_bytes())
    return digest.hexdigest()[:24]


def _forget_old(top: Path, folder: Path) -> None:
    """Remove kernels of versions that were not used for longest; whoever still runs them has them in memory."""
    os.utime(folder)
    others = sorted((path for path in top.iterdir() if path != folder), key=lambda path: path.lstat().st_mtime)
    for old in others[: max(0, len(others) + 1 - _KEPT_VERSIONS)]:
        with suppress(OSError):
            for file in old.iterdir():
                file.unlink()
            old.rmdir()


class KernelCache(NullCache):
    """The compiled signatures of one function, as numba's dispatcher asks for them."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = f"{function.__module__}.{function.__qualname__}"

    @property
    def cache_path(self) -> str:
        """The folder, as numba shows it."""
        return str(cache_folder())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function for a signature; None where it has to be compiled."""
        folder = cache_folder()
        if folder is None:
            return None
        target_context.refresh()
        try:
            path = folder / self._file(sig, target_context.codegen())
            content = read_sealed(path, _LARGEST_BYTES, mine=True)
            return CompileResult._rebuild(target_context, *pickle.loads(content))  # type: ignore[no-untyped-call]
        except Exception:
            return None  # missing, damaged, or of something that only looks alike: compiled anew

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function, where it can be kept."""
        folder = cache_folder()
        if folder is None or data.library.has_dynamic_globals or any(not part.can_cache for part in data.lifted):
            return
        with suppress(OSError):  # a full disk or a folder that went away costs time only
            _write(folder / self._file(sig, data.codegen), dumps(data._reduce()))  # type: ignore[no-untyped-call]

    def _file(self, sig: Any, codegen: Any) -> str:
        """The name of a signature's file: function, types, and the processor that the code is for."""
        return hashlib.sha256(f"{self._name} {sig} {codegen.magic_tuple()}".encode()).hexdigest()


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123
            file.write(sealed(content))
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
