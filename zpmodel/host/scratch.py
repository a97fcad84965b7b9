"""A block device that nobody can miss: a loop device over a file on a ramfs, made for one run and gone after it.

The kernel itself removes it: the loop device is bound so that it detaches at its last close, and the file system is
unmounted lazily as soon as both exist, so that they live exactly as long as the open file descriptor, `kill -9`
included. What a killed run can leave is an unbound device number, or, in the moment of making, a mount; the ledger and
the mount's name tell whose they are, and the next run removes them. Nothing else is ever touched.
"""

import errno
import fcntl
import os
import random
import shutil
import stat
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zpmodel.base.errors import InputError, RefusedError
from zpmodel.base.units import MIB, format_size, is_power_of_two
from zpmodel.host.block import number_of, read_text, write_setting
from zpmodel.host.ledger import open_ledger
from zpmodel.host.leftovers import is_leftover, owned_name
from zpmodel.host.meminfo import available_bytes
from zpmodel.host.mounts import mounts
from zpmodel.host.programs import run_program
from zpmodel.host.signals import ends_orderly, signals_held

# linux/loop.h
_LOOP_CONFIGURE, _LOOP_CTL_ADD, _LOOP_CTL_REMOVE = 0x4C0A, 0x4C80, 0x4C81
_LO_FLAGS_AUTOCLEAR = 4
# struct loop_config: fd, block_size, struct loop_info64 (five u64, four u32 of which the last are flags, names, key,
# init), eight u64 reserved.
_LOOP_CONFIG = struct.Struct("=2I 5Q4I64s64s32s2Q 8Q")
# Numbers of our own, far from those that `losetup --find` hands out: a number in use elsewhere keeps its queue
# settings for the next user, so only devices that are thrown away may have theirs changed.
_NUMBERS = range(7000, 8000)
_KIND = "scratch"


@dataclass(frozen=True)
class Scratch:
    """A scratch device: its path, its open descriptor and its size [byte]."""

    path: Path
    fd: int
    size_bytes: int

    @property
    def queue(self) -> Path:
        """Where its queue limits are under /sys."""
        return Path("/sys/block", self.path.name, "queue")

    def set_queue(self, **settings: object) -> None:
        """Change queue settings, such as ``max_sectors_kb=128, nomerges=2, scheduler="none"``.

        :raises InputError: where the kernel knows no such setting or refuses the value.
        """
        for name, value in settings.items():
            try:
                write_setting(self.queue / name, value)
            except OSError as error:
                raise InputError(
                    str(self.queue), name, value, f"what the kernel takes ({os.strerror(error.errno or 0)})"
                ) from None


def why_impossible() -> str | None:
    """Say in a few words why no scratch device can be made here, None where one can."""
    if os.geteuid() != 0:
        return "needs root"
    if not Path("/dev/loop-control").exists():
        return "needs loop devices (/dev/loop-control)"
    if "\tramfs\n" not in Path("/proc/filesystems").read_text():
        return "needs a kernel with ramfs"
    missing = [name for name in ("mount", "umount") if shutil.which(name) is None]
    return f"needs the program {missing[0]}" if missing else None


def remove_leftovers() -> list[str]:
    """Remove what killed runs left: their mounts, folders and device numbers.

    :return: the names of what was removed.
    """
    with signals_held(), _loop_control() as control:
        return _remove_leftovers(control)


def _remove_leftovers(control: int) -> list[str]:
    removed: list[str] = []
    for mount in mounts():
        if mount.file_system == "ramfs" and is_leftover(mount.point.name, _KIND):
            run_program("scratch device", "umount", "--lazy", mount.point)
            removed.append(str(mount.point))
    for folder in Path(tempfile.gettempdir()).glob(f"zpmodel-{_KIND}-*"):
        if is_leftover(folder.name, _KIND):
            with suppress(OSError):
                folder.rmdir()
                removed.append(str(folder))

    def settle(debt: dict[str, Any]) -> bool:
        gone = _remove_number(control, debt["number"], own_node=debt["own_node"] is True)
        if gone:
            removed.append(f"/dev/loop{debt['number']}")
        return gone or _is_others(debt["number"])

    with open_ledger() as ledger:
        ledger.settle_dead(_KIND, settle)
    return removed


def _is_others(number: int) -> bool:
    """Say whether a number is bound by somebody else: ours detach by themselves, sooner or later."""
    return read_text(Path(f"/sys/block/loop{number}/loop/autoclear")) == "0"


@contextmanager
def _loop_control() -> Iterator[int]:
    """Open the loop driver's control device and keep other scratch devices' making and removing out meanwhile."""
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(control, fcntl.LOCK_EX)
        yield control
    finally:
        os.close(control)


def _add_number(control: int) -> int:
    """Make a device number that nobody has, with its node, and record both as ours."""
    for number in random.sample(_NUMBERS, len(_NUMBERS)):
        node = Path(f"/dev/loop{number}")
        own_node = not node.exists()  # as far as it goes: a devtmpfs makes it itself
        with open_ledger() as ledger:
            if Path(f"/sys/block/loop{number}").exists():
                continue
            # Before it is made: a kill ends us when the kernel is done with making it, and no line of ours runs then.
            ledger.write(_KIND, str(number), {"number": number, "own_node": own_node})
            try:
                fcntl.ioctl(control, _LOOP_CTL_ADD, number)
            except OSError as error:
                ledger.strike(_KIND, str(number))
                if error.errno != errno.EEXIST:
                    raise RefusedError(f"scratch device: no loop device to be had: {error.strerror}") from None
                continue
            return number
    raise RefusedError("scratch device: all loop devices 7000 to 7999 are in use")


def _remove_number(control: int, number: int, *, own_node: bool, patience_s: float = 0.0) -> bool:
    """Remove a device number that we made; one that somebody has bound since stays, and is theirs."""
    end = time.monotonic() + patience_s
    node, device = Path(f"/dev/loop{number}"), _device_number(number)
    while True:
        try:
            fcntl.ioctl(control, _LOOP_CTL_REMOVE, number)
        except OSError as error:
            # Something like udev may look at a device for a moment after its last user closed it.
            if error.errno == errno.EBUSY and time.monotonic() < end:
                time.sleep(0.01)
                continue
            if error.errno != errno.ENODEV:
                return False
        # Where /dev is not a devtmpfs the node stays; it goes if we made it and it is still that node.
        with suppress(OSError):
            status = node.lstat()
            if own_node and device and stat.S_ISBLK(status.st_mode) and status.st_rdev == device:
                node.unlink()
        return True


def _device_number(number: int) -> int:
    return number_of(Path(f"/sys/block/loop{number}"))


def _node(number: int) -> Path:
    """Return the device's node, made by hand where /dev is not kept up to date by the kernel (containers)."""
    path = Path(f"/dev/loop{number}")
    if not path.exists():
        os.mknod(path, stat.S_IFBLK | 0o600, _device_number(number))
    return path


def _check_size(size_bytes: int, logical_block_bytes: int) -> None:
    if not is_power_of_two(logical_block_bytes) or not 512 <= logical_block_bytes <= os.sysconf("SC_PAGE_SIZE"):
        raise InputError(
            "scratch device", "logical block size", logical_block_bytes, "a power of two from 512 to the page size"
        )
    if size_bytes < MIB or size_bytes % MIB:
        raise InputError("scratch device", "size", size_bytes, "a multiple of 1 MiB")
    available = available_bytes()
    # ramfs has no limit of its own: a device that is too large would drive the machine out of memory.
    if size_bytes > available // 2:
        raise RefusedError(
            f"scratch device: {format_size(size_bytes)} of memory is more than half of what is available "
            f"({format_size(available)})"
        )


@contextmanager
def scratch_device(size_bytes: int = 256 * MIB, logical_block_bytes: int = 512) -> Iterator[Scratch]:
    """Make a scratch device, and remove it whatever happens: exceptions, Ctrl-C, SIGTERM, SIGHUP and `kill -9`.

    :param size_bytes: its size [byte], held in memory as far as it is written; a multiple of 1 MiB.
    :param logical_block_bytes: its logical block size [byte], a power of two from 512 to the page size.
    :raises RefusedError: where root, loop devices, ramfs or memory are missing.
    :raises InputError: on sizes that no device can have.
    """
    if (reason := why_impossible()) is not None:
        raise RefusedError(f"scratch device: {reason}")
    _check_size(size_bytes, logical_block_bytes)
    with ends_orderly(), ExitStack() as stack:
        with signals_held():
            scratch = _make(stack, size_bytes, logical_block_bytes)
        yield scratch


def _make(stack: ExitStack, size_bytes: int, logical_block_bytes: int) -> Scratch:
    with _loop_control() as control:
        _remove_leftovers(control)
        number = _add_number(control)
        stack.callback(_discard_number, number)
        folder = Path(tempfile.mkdtemp(prefix=owned_name(_KIND, os.getpid()) + "-"))
        with ExitStack() as making:
            making.callback(folder.rmdir)
            run_program("scratch device", "mount", "-t", "ramfs", "-o", "mode=700", "zpmodel", folder)
            making.callback(run_program, "scratch device", "umount", "--lazy", folder)
            path = _node(number)
            # O_EXCL: nobody can mount it or make it part of something while it is in use here.
            fd = os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
            stack.callback(_close, fd)
            with (folder / "image").open("w+b") as image:
                image.truncate(size_bytes)
                _bind(fd, image.fileno(), logical_block_bytes, folder.name)
    return Scratch(path, fd, size_bytes)


def _bind(device: int, file: int, logical_block_bytes: int, name: str) -> None:
    """Bind an open loop device to a file, to detach at its last close: one step, which no kill can part."""
    info = [0] * 7 + [0, _LO_FLAGS_AUTOCLEAR, name.encode()[:63], b"", b"", 0, 0]
    try:
        fcntl.ioctl(device, _LOOP_CONFIGURE, _LOOP_CONFIG.pack(file, logical_block_bytes, *info, *[0] * 8))
    except OSError as error:
        reason = "needs Linux 5.8 or newer" if error.errno in (errno.EINVAL, errno.ENOTTY) else error.strerror
        raise RefusedError(f"scratch device: the loop device can't be set up: {reason}") from None


def _close(fd: int) -> None:
    with signals_held():
        os.close(fd)


def _discard_number(number: int) -> None:
    with signals_held(), _loop_control() as control, open_ledger() as ledger:
        debt = ledger.strike(_KIND, str(number)) or {}
        gone = _remove_number(control, number, own_node=debt.get("own_node") is True, patience_s=2.0)
        if debt and not gone and not _is_others(number):
            ledger.write(_KIND, str(number), debt)  # somebody looks at it just now: the next run removes it
