"""What a measurement may write to, and nothing else.

A directory gets a scratch file without a name, which the kernel frees whatever happens to the program. An existing
file or block device is written only when the user says so *and* nothing on this machine uses it or has left a
signature in it.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from zpmodel.base.errors import InputError, RefusedError
from zpmodel.base.units import MIB, format_size
from zpmodel.host.in_use import check_unused
from zpmodel.host.signals import signals_held

_CHUNK = 4 * MIB


@dataclass(frozen=True)
class Target:
    """An open target: ``kind`` "new file", "file" or "device"; ``path`` as the user named it; ``size_bytes`` [byte]."""

    kind: str
    path: Path
    fd: int
    size_bytes: int

    @property
    def filename(self) -> str:
        """The name under which a child that inherits ``fd`` opens it: the very file that was checked."""
        return f"/proc/self/fd/{self.fd}"


def kind_of(path: str | os.PathLike[str]) -> str:
    """Say what a target path stands for: "new file" (a directory), "file" or "device".

    :raises InputError: for anything else, and where there is nothing.
    """
    pinned = _pin(path)
    try:
        return _kind(path, pinned)
    finally:
        os.close(pinned)


def what_is_lost(path: str | os.PathLike[str]) -> str:
    """Describe what writing to an existing file or device destroys.

    :raises InputError: where the path is no target.
    """
    pinned = _pin(path)
    try:
        kind = _kind(path, pinned)
        fd = os.open(f"/proc/self/fd/{pinned}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _describe(Path(path), kind, fd)
        finally:
            os.close(fd)
    finally:
        os.close(pinned)


def check_target(path: str | os.PathLike[str]) -> None:
    """Refuse an existing file or block device that must not be overwritten; changes nothing.

    :raises RefusedError: with the reason.
    """
    pinned = _pin(path)
    try:
        _kind(path, pinned)
        fd = _open_existing(Path(path), pinned)
        try:
            check_unused(path, fd)
        finally:
            os.close(fd)
    finally:
        os.close(pinned)


@contextmanager
def open_target(
    path: str | os.PathLike[str],
    size_bytes: int,
    *,
    destroy: bool = False,
    confirm: Callable[[str], bool] | None = None,
) -> Iterator[Target]:
    """Open a target, after every check that it may be written; closes (and so frees a new file) at the end.

    The path is looked up once: what is found there is checked, described and written, wherever it leads later.

    :param size_bytes: how much will be written [byte].
    :param destroy: the user's word that an existing file or device may be overwritten.
    :param confirm: is asked before an existing file or device is written, with what is lost.
    :raises InputError: where the path is no target.
    :raises RefusedError: where writing would be unsafe, or was not confirmed; nothing has been written then.
    """
    path = Path(path) if str(path) else path
    pinned = _pin(path)
    try:
        kind = _kind(path, pinned)
        if kind != "new file" and not destroy:
            raise RefusedError(
                f"{path} is an existing {kind}: name a directory (a scratch file is made in it and removed),"
                " or say --destroy-data to overwrite it"
            )
        fd = _open_scratch(Path(path), pinned, size_bytes) if kind == "new file" else _open_existing(Path(path), pinned)
    finally:
        os.close(pinned)
    try:
        target = Target(kind, Path(path), fd, size_bytes)
        if kind != "new file":
            _check_existing(target, confirm)
        _check_direct(target)
        yield target
    finally:
        os.close(fd)


def prefill(target: Target) -> None:
    """Write the whole target once, in order, so that later writes find allocated, written extents.

    :raises RefusedError: where the disk is full or the device fails.
    """
    chunk = os.urandom(_CHUNK)
    try:
        if target.kind == "new file":
            with suppress(OSError):  # some file systems have no fallocate; the writes below allocate as well
                os.posix_fallocate(target.fd, 0, target.size_bytes)
        for start in range(0, target.size_bytes, _CHUNK):
            length = min(_CHUNK, target.size_bytes - start)
            written = 0
            while written < length:
                written += os.pwrite(target.fd, chunk[written:length], start + written)
        os.fsync(target.fd)
    except OSError as error:
        raise RefusedError(
            f"{target.path}: {format_size(target.size_bytes)} could not be written: {error.strerror}"
        ) from None


def _pin(path: str | os.PathLike[str]) -> int:
    """Take hold of what a path leads to, without opening it: no device wakes up, no FIFO waits."""
    if not os.fspath(path):  # Path("") would be the current folder
        raise InputError("--target", "path", "''", "a directory, file or block device")
    try:
        return os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError("--target", "path", str(path), f"a directory, file or block device ({reason})") from None


def _kind(path: str | os.PathLike[str], pinned: int) -> str:
    mode = os.fstat(pinned).st_mode
    for test, kind in ((stat.S_ISDIR, "new file"), (stat.S_ISREG, "file"), (stat.S_ISBLK, "device")):
        if test(mode):
            return kind
    raise InputError("--target", "path", str(path), "a directory, a regular file or a block device")


def _describe(path: Path, kind: str, fd: int) -> str:
    real = Path(f"/proc/self/fd/{fd}").readlink()
    shown = str(path) if real == path.absolute() else f"{path} ({real})"
    size = os.lseek(fd, 0, os.SEEK_END)
    held = "could not be read"
    with suppress(OSError):
        sample = [os.pread(fd, MIB, start) for start in _sample_offsets(size)]
        held = "only zeroes in 16 places looked at" if not any(any(part) for part in sample) else "data"
    return f"{kind} {shown}, {format_size(size)}, holding {held}"


def _check_existing(target: Target, confirm: Callable[[str], bool] | None) -> None:
    check_unused(target.path, target.fd)
    _check_size(target.path, target.fd, target.size_bytes)
    if confirm is None:
        return
    if not confirm(_describe(target.path, target.kind, target.fd)):
        raise RefusedError(f"{target.path} was left as it was")
    # An answer may take an hour.
    check_unused(target.path, target.fd)
    with suppress(OSError):
        now, opened = target.path.stat(), os.fstat(target.fd)
        if os.path.samestat(now, opened) or (now.st_rdev and now.st_rdev == opened.st_rdev):
            return
    raise RefusedError(f"{target.path} leads elsewhere since the question was asked; nothing was written")


def _open_scratch(folder: Path, pinned: int, size_bytes: int) -> int:
    free = os.statvfs(pinned)
    free_bytes = free.f_bavail * free.f_frsize
    if free_bytes < size_bytes * 1.1:
        raise RefusedError(
            f"{folder}: {format_size(free_bytes)} free;"
            f" the scratch file needs {format_size(size_bytes)} and a tenth to spare"
        )
    here = f"/proc/self/fd/{pinned}"
    try:
        with suppress(OSError):  # not every file system can make a file that never had a name
            return os.open(here, os.O_RDWR | os.O_TMPFILE | os.O_EXCL | os.O_CLOEXEC, 0o600)
        path = Path(here, f".zpmodel-{os.urandom(8).hex()}")
        with signals_held():
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            path.unlink()
    except OSError as error:
        raise RefusedError(f"{folder}: no file can be made there: {error.strerror}") from None
    return fd


def _open_existing(path: Path, pinned: int) -> int:
    # For a block device O_EXCL is the kernel's own claim: it fails while a file system, swap, RAID or device mapper
    # has it, and nobody can mount it while we hold it.
    device = stat.S_ISBLK(os.fstat(pinned).st_mode)
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_EXCL if device else 0)
    try:
        fd = os.open(f"/proc/self/fd/{pinned}", flags)
    except OSError as error:
        if error.errno == errno.EBUSY:
            _say_who_uses(path, pinned)
        raise RefusedError(f"{path} can't be opened for writing: {error.strerror}") from None
    if not device:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise RefusedError(f"{path} is locked by another program") from None
    return fd


def _say_who_uses(path: Path, pinned: int) -> None:
    with suppress(OSError):
        fd = os.open(f"/proc/self/fd/{pinned}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            check_unused(path, fd)
        finally:
            os.close(fd)


def _check_size(path: Path, fd: int, size_bytes: int) -> None:
    actual = os.lseek(fd, 0, os.SEEK_END)
    if actual < size_bytes:
        raise RefusedError(f"{path} is {format_size(actual)}; the measurement writes {format_size(size_bytes)}")


def _check_direct(target: Target) -> None:
    try:
        os.close(os.open(target.filename, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC))
    except OSError as error:
        raise RefusedError(f"{target.path}: no direct I/O there ({error.strerror}); name another place") from None


def _sample_offsets(size: int) -> list[int]:
    return [max(0, size - MIB) * step // 15 for step in range(16)]
