"""What a measurement may write to, and nothing else.

A directory gets a scratch file without a name, which the kernel frees whatever happens to the program. An existing
file or block device is written only when the user says so *and* nothing on this machine uses it or has left a
signature in it.
"""

import errno
import fcntl
import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from zpmodel.base.errors import InputError, RefusedError
from zpmodel.base.units import MIB, format_size

_CHUNK = 4 * MIB
_BLKGETSIZE64 = 0x80081272


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
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        raise InputError(
            "--target", "path", str(path), f"a directory, file or block device ({error.strerror})"
        ) from None
    for test, kind in ((stat.S_ISDIR, "new file"), (stat.S_ISREG, "file"), (stat.S_ISBLK, "device")):
        if test(mode):
            return kind
    raise InputError("--target", "path", str(path), "a directory, a regular file or a block device")


def what_is_lost(path: str | os.PathLike[str]) -> str:
    """Describe, for the question that is asked first, what writing to an existing file or device destroys."""
    path = Path(path)
    kind = kind_of(path)
    real = path.resolve()
    shown = str(path) if real == path.absolute() else f"{path} ({real})"
    size = _size_of(real)
    held = "could not be read"
    with suppress(OSError), real.open("rb") as file:
        sample = [file.read(MIB) for start in _sample_offsets(size) if file.seek(start) >= 0]
        held = "only zeroes in 16 places looked at" if not any(any(part) for part in sample) else "data"
    return f"{kind} {shown}, {format_size(size)}, holding {held}"


def check_target(path: str | os.PathLike[str]) -> None:
    """Refuse an existing file or block device that must not be overwritten; changes nothing.

    :raises RefusedError: with the reason.
    """
    path = Path(path)
    fd = _open_existing(path, kind_of(path))
    try:
        check_unused(path, fd)
    finally:
        os.close(fd)


@contextmanager
def open_target(path: str | os.PathLike[str], size_bytes: int, *, destroy: bool = False) -> Iterator[Target]:
    """Open a target, after every check that it may be written; closes (and so frees a new file) at the end.

    :param size_bytes: how much will be written [byte].
    :param destroy: the user's word that an existing file or device may be overwritten.
    :raises InputError: where the path is no target.
    :raises RefusedError: where writing would be unsafe; nothing has been written then.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind != "new file" and not destroy:
        raise RefusedError(
            f"{path} is an existing {kind}: name a directory (a scratch file is made in it and removed),"
            " or say --destroy-data to overwrite it"
        )
    fd = _open_scratch(path, size_bytes) if kind == "new file" else _open_existing(path, kind)
    try:
        if kind != "new file":
            check_unused(path, fd)
            _check_size(path, fd, size_bytes)
        target = Target(kind, path, fd, size_bytes)
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


def check_unused(path: str | os.PathLike[str], fd: int) -> None:
    """Refuse an open file or block device that anything on this machine uses, or that holds a known signature.

    :raises RefusedError: with the reason.
    """
    path = Path(path)
    status = os.fstat(fd)
    device = stat.S_ISBLK(status.st_mode)
    if device:
        folder = Path(f"/sys/dev/block/{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}")
        if not folder.is_dir():
            raise RefusedError(f"{path}: the kernel does not know this device")
        parts = sorted(child.parent.name for child in folder.glob("*/partition"))
        if parts:
            raise RefusedError(f"{path} holds partitions ({', '.join(parts)})")
        holders = sorted(child.name for child in folder.glob("holders/*"))
        if holders:
            raise RefusedError(f"{path} is in use by {', '.join(holders)}")
        if _text(folder / "ro") == "1":
            raise RefusedError(f"{path} is read-only")
        if _text(folder / "queue/zoned") not in ("", "none"):
            raise RefusedError(f"{path} is a zoned device, which can't be overwritten in place")
    mounted = _mounted_at(status)
    if mounted:
        raise RefusedError(f"{path} is mounted at {mounted}")
    for line in _text(Path("/proc/swaps")).splitlines()[1:]:
        if _same(Path(_unescape(line.split()[0])), status):
            raise RefusedError(f"{path} is used as swap")
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        if _same(Path(_unescape(_text(backing))), status):
            raise RefusedError(f"{path} is the backing of /dev/{backing.parts[3]}")
    user = _opened_by(status)
    if user:
        raise RefusedError(f"{path} is opened by {user}")
    signature = _signature(path, fd)
    if signature:
        raise RefusedError(f"{path} holds {signature}; if it may go, remove it first (wipefs)")


def _open_scratch(folder: Path, size_bytes: int) -> int:
    free = os.statvfs(folder)
    free_bytes = free.f_bavail * free.f_frsize
    if free_bytes < size_bytes + size_bytes // 10:
        raise RefusedError(
            f"{folder} has {format_size(free_bytes)} free;"
            f" the scratch file needs {format_size(size_bytes)} and a tenth to spare"
        )
    path = folder / f".zpmodel-{os.urandom(8).hex()}"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RefusedError(f"{folder}: no file can be made there: {error.strerror}") from None
    path.unlink()
    return fd


def _open_existing(path: Path, kind: str) -> int:
    # For a block device O_EXCL is the kernel's own claim: it fails while a file system, swap, RAID or device mapper
    # has it, and nobody can mount it while we hold it.
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_EXCL if kind == "device" else 0)
    try:
        fd = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.EBUSY:
            _say_who_uses(path)
        raise RefusedError(f"{path} can't be opened for writing: {error.strerror}") from None
    if kind == "file":
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise RefusedError(f"{path} is locked by another program") from None
    return fd


def _say_who_uses(path: Path) -> None:
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
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


def _size_of(path: Path) -> int:
    with path.open("rb") as file:
        return file.seek(0, os.SEEK_END)


def _sample_offsets(size: int) -> list[int]:
    return [max(0, size - MIB) * step // 15 for step in range(16)]


def _same(path: Path, status: os.stat_result) -> bool:
    with suppress(OSError):
        other = path.stat()
        if stat.S_ISBLK(status.st_mode):
            return stat.S_ISBLK(other.st_mode) and other.st_rdev == status.st_rdev
        return (other.st_dev, other.st_ino) == (status.st_dev, status.st_ino)
    return False


def _mounted_at(status: os.stat_result) -> str:
    number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    for line in _text(Path("/proc/self/mountinfo")).splitlines():
        fields = line.split()
        source = fields[fields.index("-") + 2]
        # btrfs and others mount under an anonymous device number: the source's name tells.
        same_number = stat.S_ISBLK(status.st_mode) and fields[2] == number
        if same_number or (source.startswith("/") and _same(Path(_unescape(source)), status)):
            return _unescape(fields[4])
    return ""


def _opened_by(status: os.stat_result) -> str:
    """Name a process that has the file or device open, other than this one; as far as this user may look."""
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        with suppress(OSError):
            for link in (process / "fd").iterdir():
                if _same(link, status):
                    return f"process {process.name} ({_text(process / 'comm')})"
    return ""


def _signature(path: Path, fd: int) -> str:
    command = ["blkid", "-p", "-o", "export", f"/proc/self/fd/{fd}"]
    try:
        done = subprocess.run(command, pass_fds=[fd], capture_output=True, text=True, errors="replace", timeout=60)
    except FileNotFoundError:
        raise RefusedError(f"{path} can't be checked for file systems: blkid (util-linux) is missing") from None
    except subprocess.TimeoutExpired:
        raise RefusedError(f"{path} can't be checked for file systems: blkid hangs") from None
    if done.returncode == 2 and not done.stdout.strip():
        return ""
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    for key, what in (("TYPE", "a signature of"), ("PTTYPE", "a partition table of type")):
        if key in found:
            return f"{what} {found[key]}"
    # Of an empty partition blkid tells its entry in the parent's table.
    if done.returncode == 0 and all(key == "DEVNAME" or key.startswith("PART_ENTRY_") for key in found):
        return ""
    return f"something that blkid can't make out (its status is {done.returncode})"


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="surrogateescape").strip()
    except OSError:
        return ""


def _unescape(name: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        name = name.replace(code, character)
    return name
