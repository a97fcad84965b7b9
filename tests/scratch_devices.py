"""Loop devices over files of our own, for tests that need a block device; all of them are removed again."""

import ctypes
import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def run(*command: str | Path) -> str:
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout.strip()


def missing() -> str:
    """Say why loop devices can't be used here, or nothing."""
    if os.geteuid() != 0:
        return "needs root"
    if not Path("/dev/loop-control").exists():
        return "needs loop devices"
    return ""


@contextmanager
def loop_device(backing: Path, size: int = 32 << 20) -> Iterator[Path]:
    if not backing.exists():
        with backing.open("wb") as file:
            file.truncate(size)
    device = Path(run("losetup", "--find", "--show", "--partscan", backing))
    try:
        yield device
    finally:
        run("losetup", "--detach", device)


@contextmanager
def mounted(what: str | Path, where: Path, *options: str) -> Iterator[Path]:
    where.mkdir(exist_ok=True)
    run("mount", *options, what, where)
    try:
        yield where
    finally:
        run("umount", where)


def add_partition(disk: int, number: int, start: int, length: int) -> None:
    """Tell the kernel of a partition: linux/blkpg.h, BLKPG_ADD_PARTITION."""
    entry = ctypes.create_string_buffer(struct.pack("=qqi64s64s", start, length, number, b"", b""), 152)
    fcntl.ioctl(disk, 0x1269, struct.pack("@iiiP", 1, 0, len(entry), ctypes.addressof(entry)))
