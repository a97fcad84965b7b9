"""Block devices as /sys describes them (Documentation/ABI/stable/sysfs-block), and what a loop device stands on.

A device is known by its number (`st_rdev`) or by its folder under /sys.
"""

import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from zpmodel.base.units import SECTOR
from zpmodel.host.mounts import mount_of, unescape

_SYS = Path("/sys/block")
_LOOP_GET_STATUS64 = 0x4C05  # linux/loop.h
_LOOP_INFO64 = struct.Struct("=5Q4I64s64s32s2Q")


def read_text(path: Path) -> str:
    """Return what a small file of the kernel says, without blanks around it; "" where it can't be read."""
    try:
        return path.read_text(errors="surrogateescape").strip()
    except OSError:
        return ""


def write_setting(file: Path, value: object) -> None:
    """Write a setting of the kernel.

    :raises OSError: where there is no such setting, or the kernel refuses the value.
    """
    # Unbuffered: the kernel's answer must be this write's own, not a later close's.
    with file.open("wb", buffering=0) as opened:
        opened.write(str(value).encode())


def folder_of(number: int) -> Path | None:
    """Return the folder of a block device or partition by its number, None where the kernel lists none."""
    folder = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    return folder.resolve() if folder.is_dir() else None


def number_of(folder: Path) -> int:
    """Return the number of the device of a folder; 0 where it is gone."""
    major, _, minor = read_text(folder / "dev").partition(":")
    return os.makedev(int(major), int(minor)) if minor else 0


def is_partition(folder: Path) -> bool:
    """Say whether it is a partition and not a whole device."""
    return (folder / "partition").exists()


def disk_of(folder: Path) -> Path:
    """Return the folder of the whole device: of a partition its parent, else itself."""
    return folder.parent if is_partition(folder) else folder


def extent(folder: Path) -> tuple[int, int]:
    """Return the first sector on the whole device, and the number of sectors [512 byte], also of a partition."""
    return int(read_text(folder / "start") or 0), int(read_text(folder / "size") or 0)


def size_bytes(folder: Path) -> int:
    """Return its size [byte]."""
    return extent(folder)[1] * SECTOR


def partitions(folder: Path) -> list[Path]:
    """Return the folders of a whole device's partitions, by name."""
    return sorted(child.parent for child in folder.glob("*/partition"))


def overlapping(folder: Path) -> list[str]:
    """Return the names of other partitions that share sectors with this one (DOS tables and `partx` allow it)."""
    start, length = extent(folder)
    found = []
    for other in partitions(disk_of(folder)):
        first, many = extent(other)
        if other != folder and first < start + length and start < first + many:
            found.append(other.name)
    return found


def device_under(fd: int) -> Path | None:
    """Return the folder of the whole block device below an open file or device, or None (network, memory)."""
    status = os.fstat(fd)
    number = status.st_rdev if stat.S_ISBLK(status.st_mode) else status.st_dev
    if os.major(number) == 0:  # an anonymous number (btrfs, overlay ...): the mount's source may be a device
        mount = mount_of(fd)
        if mount is None or not mount.source.startswith("/dev/"):
            return None
        with suppress(OSError):
            number = Path(mount.source).stat().st_rdev
    folder = folder_of(number)
    return None if folder is None else disk_of(folder)


class Backing(NamedTuple):
    """What a loop device reads and writes: the file's `st_dev` and `st_ino`, and `st_rdev` where it is a device."""

    device: int
    inode: int
    rdev: int


def loop_backing(fd: int) -> Backing | None:
    """Return what an open loop device stands on, None where it is no loop device or stands on nothing.

    The kernel tells numbers, so that a file in another mount namespace is known as well as one in ours.
    """
    try:
        answer = fcntl.ioctl(fd, _LOOP_GET_STATUS64, bytes(_LOOP_INFO64.size))
    except OSError:
        return None
    device, inode, rdev = _LOOP_INFO64.unpack(answer)[:3]
    return Backing(_decode(device), inode, _decode(rdev))


def bound_loops() -> Iterator[tuple[str, Backing | None, str]]:
    """Give each loop device in use: name, what it stands on (None where this user may not ask), the file's name."""
    for file in sorted(_SYS.glob("loop*/loop/backing_file")):
        name = unescape(read_text(file))
        if not name:
            continue
        device = file.parent.parent
        yield device.name, _ask_loop(device), name


def backing_of(name: str) -> Backing | None:
    """Return what the loop device of this name stands on; None where there is none, or this user may not ask."""
    return next((backing for loop, backing, _ in bound_loops() if loop == name), None)


def _ask_loop(folder: Path) -> Backing | None:
    node = Path("/dev", folder.name)
    with suppress(OSError):
        fd = os.open(node, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(fd)
            if stat.S_ISBLK(status.st_mode) and status.st_rdev == number_of(folder):
                return loop_backing(fd)
        finally:
            os.close(fd)
    return None


def _decode(number: int) -> int:
    """Turn the kernel's number (`new_encode_dev()` in include/linux/kdev_t.h) into one of `os.makedev`."""
    return os.makedev((number & 0xFFF00) >> 8, (number & 0xFF) | ((number >> 12) & 0xFFF00))
