"""Compiled kernels on disk, safe for many processes at once.

numba's own cache keeps an index for each function, which processes that write at the same time can leave wrong. Here
each compiled signature is one file (:mod:`zpmodel.base.kept`) under a name that says all it depends on; what can't be
read, or whose digest is wrong, is compiled anew. Processes that start together compile each signature once: the others
wait for who began (:mod:`zpmodel.base.turn`).
"""

import hashlib
import os
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.runtime.nrt import rtsys
from numba.core.serialize import dumps
from numba.core.sigutils import normalize_signature
from numba.core.types import unliteral

from zpmodel.base.kept import keep, kept_folder
from zpmodel.base.sealed import read_sealed
from zpmodel.base.turn import Turn

_LARGEST_BYTES = 64 << 20


@cache
def cache_folder() -> Path | None:
    """The folder of this version's kernels; None where there can be none, or ``ZPMODEL_CACHE=0``."""
    return None if os.environ.get("NUMBA_DISABLE_JIT") == "1" else kept_folder(_version())


def _version() -> str:
    """What code depends on besides its own function and signature, as one name."""
    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__} {sys.version}".encode())
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode() + path.read_bytes())
    return digest.hexdigest()[:24]


def whatever_the_values(compiled: Any) -> Any:
    """The same function, not compiled anew for each constant that another kernel hands it: half of all compiling."""
    compile_types = compiled.compile

    def compile_signature(signature: Any) -> Any:
        types, _ = normalize_signature(signature)  # type: ignore[no-untyped-call]
        return compile_types(tuple(unliteral(one) for one in types))  # type: ignore[no-untyped-call]

    compiled.compile = compile_signature
    return compiled


class KernelCache(NullCache):
    """The compiled signatures of one function, as numba's dispatcher asks for them."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._turns = dict[str, Turn]()

    @property
    def cache_path(self) -> str:
        """The folder, as numba shows it."""
        return str(cache_folder())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function for a signature; None where it has to be compiled."""
        folder = cache_folder()
        if folder is None:
            return None
        # numba's own cache calls refresh(), which takes half a second to make ready what compiling needs, and loading
        # does not; whoever compiles calls it then. Arrays need numba's runtime.
        rtsys.initialize(target_context)
        name = self._file(sig, target_context.codegen())
        if (found := _read(folder / name, target_context)) is not None:
            return found
        # Somebody may be compiling it; then it is there when it is our turn. numba does this in one thread at a time.
        self._end_turn(name)  # of a compilation that failed
        turn = Turn(folder, name)
        turn.wait()
        found = _read(folder / name, target_context)
        if found is None:
            self._turns[name] = turn
        else:
            turn.end()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function, where it can be kept."""
        folder = cache_folder()
        if folder is None:
            return
        name = self._file(sig, data.codegen)
        if not data.library.has_dynamic_globals and all(part.can_cache for part in data.lifted):
            with suppress(OSError):  # a full disk or a folder that went away costs time only
                keep(folder / name, dumps(data._reduce()))  # type: ignore[no-untyped-call]
        self._end_turn(name)

    def _end_turn(self, name: str) -> None:
        if name in self._turns:
            self._turns.pop(name).end()

    def _file(self, sig: Any, codegen: Any) -> str:
        """The name of a signature's file: function, types, and the processor that the code is for."""
        return hashlib.sha256(f"{self._name} {sig} {codegen.magic_tuple()}".encode()).hexdigest()


def _read(path: Path, target_context: Any) -> Any:
    """A compiled function that was kept; None where it is missing, damaged, or of something that only looks alike."""
    try:
        content = read_sealed(path, _LARGEST_BYTES, mine=True)
        return CompileResult._rebuild(target_context, *pickle.loads(content))  # type: ignore[no-untyped-call]
    except Exception:
        return None
