"""Compiled code kept between processes, in a folder of the user's own.

numba's own cache keeps an index a function, which processes that start together overwrite for one another, and knows
nothing of a changed callee. Here each compiled function is one file, named by all that decides its content and checked
by a sum of it, in a folder named by numba, Python, CPU and the package's source. One process at a time writes, under a
lock that nobody waits for, to a temporary name that is then given its own; so what has its name is whole. Who can't
write, or finds nothing, compiles in memory. Whatever goes wrong here costs time, never an answer.

Code that is loaded is run: so the folder must be the user's own and private, what leads to it nobody else's to change,
and nothing on the way below it a symbolic link. ``ZPMODEL_CACHE=0`` switches all of this off.
"""

import fcntl
import hashlib
import os
import pickle
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core.caching import CompileResultCacheImpl, _Cache
from numba.core.serialize import dumps

_dumps: Callable[[Any], bytes] = dumps
_MAGIC = b"zpmodel1"
_SUM_BYTES = 32
_MOST_FOLDERS = 8
"""Folders of other versions that are kept; the ones not written for longest go."""


def _only_ours(path: Path) -> bool:
    """Whether nobody but this user and root can change what leads to a folder, as sshd asks of a home."""
    for folder in (path, *path.parents):
        about = folder.lstat()
        others_may = about.st_mode & 0o022 and not about.st_mode & stat.S_ISVTX
        if not stat.S_ISDIR(about.st_mode) or about.st_uid not in (0, os.geteuid()) or others_may:
            return False
    return True


def _user_cache() -> Path | None:
    """The folder that this user's programs keep caches in, made where it is missing; None where there can be none."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    if Path(named).is_absolute():
        found = Path(named)
        found.mkdir(mode=0o700, parents=True, exist_ok=True)
    else:
        # A home that does not exist is not made.
        found = Path("~").expanduser() / ".cache"
        found.mkdir(mode=0o700, exist_ok=True)
    found = found.resolve(strict=True)
    return found if _only_ours(found) else None


def _private(name: str, parent: int | None = None) -> int:
    """Open a folder that is private to this user, made where it is missing.

    :raises OSError: where it is a link, another's, or open to others.
    """
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    about = os.fstat(fd)
    if about.st_uid != os.geteuid() or about.st_mode & 0o077:
        os.close(fd)
        raise PermissionError(name)
    return fd


def source_key() -> str:
    """Hash of the package's source: what a kernel calls may stand in any of its files."""
    found = hashlib.sha256()
    root = Path(__file__).resolve().parent.parent
    for path in sorted(root.rglob("*.py")):
        found.update(f"{path.relative_to(root)}\0".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


@cache
def _folder(machine: tuple[str, ...]) -> int | None:
    """The open folder for this source on this machine; None where there is none to be had.

    :param machine: target, name and features of the CPU that numba compiles for.
    """
    settings = sorted((name, value) for name, value in os.environ.items() if name.startswith("NUMBA_"))
    versions = (numba.__version__, llvmlite.__version__, np.__version__, sys.version, sys.implementation.cache_tag)
    try:
        home = _user_cache()
        if home is None:
            return None
        key = hashlib.sha256(repr((source_key(), machine, versions, settings)).encode()).hexdigest()[:24]
        top = _private(str(home / "zpmodel"))
        try:
            return _private(f"compiled-{key}", top)
        finally:
            _prune(top)
            os.close(top)
    except (OSError, RuntimeError):
        return None


def _prune(top: int) -> None:
    """Delete the folders of versions that were not written for longest."""
    names = [name for name in os.listdir(top) if name.startswith("compiled-")]
    if len(names) <= _MOST_FOLDERS:
        return
    names.sort(key=lambda name: os.stat(name, dir_fd=top, follow_symlinks=False).st_mtime)
    for name in names[:-_MOST_FOLDERS]:
        shutil.rmtree(name, ignore_errors=True, dir_fd=top)


@contextmanager
def _writer(folder: int) -> Iterator[bool]:
    """Whether this process is the one that may write now."""
    lock = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(lock)


def _read(folder: int, name: str) -> bytes | None:
    """The content of a file; None where there is none, or not a whole one of this user's."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None
    about = os.fstat(fd)
    if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o022:
        os.close(fd)
        return None
    with os.fdopen(fd, "rb") as file:
        try:
            whole = file.read()
        except OSError:
            return None
    head, content = whole[: len(_MAGIC) + _SUM_BYTES], whole[len(_MAGIC) + _SUM_BYTES :]
    return content if head == _MAGIC + hashlib.sha256(content).digest() else None


def _write(folder: int, name: str, content: bytes) -> None:
    """Write a file, unless another process is writing.

    :raises OSError: where that fails; nothing has the name then.
    """
    with _writer(folder) as mine:
        if not mine:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open("new", flags, 0o600, dir_fd=folder), "wb") as file:
            file.write(_MAGIC + hashlib.sha256(content).digest() + content)
        os.rename("new", name, src_dir_fd=folder, dst_dir_fd=folder)


class Kept(_Cache):
    """What numba asks for a function's compiled code, and gives what it compiled.

    Only what Python calls is kept: what that calls in turn is inside it.
    """

    _waiting = 0
    """Functions being compiled now, one for the sake of the other; numba's own lock guards it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._plain: Any = CompileResultCacheImpl.__new__(CompileResultCacheImpl)

    @property
    def cache_path(self) -> str:
        """What numba's statistics show as the folder."""
        return "zpmodel"

    def _file(self, signature: Any) -> str:
        short = self._name.rpartition(".")[2]
        return f"{short}-{hashlib.sha256(f'{self._name} {signature}'.encode()).hexdigest()[:24]}"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled code for this signature, or None."""
        target_context.refresh()
        found = None
        folder = _folder(tuple(map(str, target_context.codegen().magic_tuple())))
        if folder is not None:
            content = _read(folder, self._file(sig))
            try:
                found = content and self._plain.rebuild(target_context, pickle.loads(content))
            except Exception:
                # Whatever numba can't make sense of any more is compiled again.
                found = None
        if not found:
            Kept._waiting += 1
        return found or None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled for this signature."""
        Kept._waiting -= 1
        folder = _folder(tuple(map(str, data.codegen.magic_tuple())))
        if folder is None or Kept._waiting > 0 or data.lifted or data.library.has_dynamic_globals:
            return
        try:
            _write(folder, self._file(sig), _dumps(self._plain.reduce(data)))
        except OSError:
            return

    def enable(self) -> None:
        """Nothing: it is on, or was never asked for."""

    def disable(self) -> None:
        """Nothing."""

    def flush(self) -> None:
        """Nothing: files are named by what is in them."""


def keep(dispatcher: Any) -> None:
    """Have numba look for a function's compiled code, and keep it."""
    dispatcher._cache = Kept(dispatcher.py_func)
