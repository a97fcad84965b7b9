"""Whether anything on this machine uses a file or block device."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from zpmodel.base.errors import RefusedError
from zpmodel.host import block
from zpmodel.host.mounts import mounts, unescape
from zpmodel.host.processes import mapped_by, opened_by
from zpmodel.host.signature import signature


@dataclass(frozen=True)
class _Storage:
    """Something whose use by others matters: the target, the disk that a partition is on, what a loop device stands on.

    ``rdev`` is 0 for a regular file; ``loop`` names the loop device that is known to stand on it.
    """

    shown: str
    device: int
    inode: int
    rdev: int
    loop: str = ""

    def is_at(self, path: Path) -> bool:
        """Say whether a path leads to it."""
        with suppress(OSError, ValueError):
            return self.is_what(path.stat())
        return False

    def is_what(self, status: os.stat_result) -> bool:
        """Say whether a status is its own."""
        if self.rdev:
            return stat.S_ISBLK(status.st_mode) and status.st_rdev == self.rdev
        return (status.st_dev, status.st_ino) == (self.device, self.inode)


def check_unused(path: str | os.PathLike[str], fd: int) -> None:
    """Refuse an open file or block device that anything on this machine uses, or that holds a known signature.

    :raises RefusedError: with the reason.
    """
    path = Path(path)
    status = os.fstat(fd)
    if stat.S_ISBLK(status.st_mode):
        _check_device(path, status.st_rdev)
    for storage in _storages(path, fd):
        _check_storage(storage)
    if found := signature(path, fd):
        raise RefusedError(f"{path} holds {found}; if it may go, remove it first (wipefs)")


def _check_device(path: Path, number: int) -> None:
    folder = block.folder_of(number)
    if folder is None:
        raise RefusedError(f"{path}: the kernel does not know this device")
    if parts := [part.name for part in block.partitions(folder)]:
        raise RefusedError(f"{path} holds partitions ({', '.join(parts)})")
    if block.is_partition(folder) and (others := block.overlapping(folder)):
        raise RefusedError(f"{path} overlaps with {', '.join(others)}")
    disk = block.disk_of(folder)
    for part in dict.fromkeys((folder, disk)):
        if holders := sorted(child.name for child in part.glob("holders/*")):
            shown = path if part == folder else f"{path}: its disk {part.name}"
            raise RefusedError(f"{shown} is in use by {', '.join(holders)}")
    if block.read_text(folder / "ro") == "1":
        raise RefusedError(f"{path} is read-only")
    if block.read_text(disk / "queue/zoned") not in ("", "none"):
        raise RefusedError(f"{path} is a zoned device, which can't be overwritten in place")


def _storages(path: Path, fd: int) -> Iterator[_Storage]:
    status = os.fstat(fd)
    number = status.st_rdev if stat.S_ISBLK(status.st_mode) else 0
    yield _Storage(str(path), status.st_dev, status.st_ino, number)
    folder = block.folder_of(number) if number else None
    if folder is None:
        return
    disk = block.disk_of(folder)
    if disk != folder:
        yield _Storage(f"{path}: its disk {disk.name}", 0, 0, block.number_of(disk))
    backing = block.backing_of(disk.name)
    if backing is not None:
        yield _Storage(f"{path}: what it stands on", *backing, loop=disk.name)


def _check_storage(storage: _Storage) -> None:
    for mount in mounts():
        # btrfs and others mount under an anonymous device number: the source's name tells.
        number = f"{os.major(storage.rdev)}:{os.minor(storage.rdev)}" if storage.rdev else ""
        if mount.device == number or (mount.source.startswith("/") and storage.is_at(Path(mount.source))):
            raise RefusedError(f"{storage.shown} is mounted at {mount.point}")
    for line in block.read_text(Path("/proc/swaps")).splitlines()[1:]:
        if storage.is_at(Path(unescape(line.split()[0]))):
            raise RefusedError(f"{storage.shown} is used as swap")
    for name, backing, file in block.bound_loops():
        if name != storage.loop and _stands_on(backing, file, storage):
            raise RefusedError(f"{storage.shown} is the backing of /dev/{name}")
    if user := opened_by(storage.is_at):
        raise RefusedError(f"{storage.shown} is opened by {user}")
    if user := mapped_by(storage.is_at):
        raise RefusedError(f"{storage.shown} is mapped by {user}")


def _stands_on(backing: block.Backing | None, file: str, storage: _Storage) -> bool:
    if backing is None:
        # The kernel doesn't tell this user: the name has to do, which may be one of another mount namespace.
        return storage.is_at(Path(file))
    if storage.rdev:
        return backing.rdev == storage.rdev
    return (backing.device, backing.inode) == (storage.device, storage.inode)
