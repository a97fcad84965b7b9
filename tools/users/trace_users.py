"""Users of zero pages on the running kernel: the bios that they submit, with their vectors, seen by a BPF program.

trace_users.py > users.jsonl, as root; what to install stands in README.md. On file systems of its own, on loop devices
over a ramfs, it writes parts of blocks with O_DIRECT into holes (`iomap_dio_zero`), lets ext4 initialise its inode
tables (`sb_issue_zeroout`), and lets it write zeroes round a block in the middle of an unwritten extent, of a plain
file (`blkdev_issue_zero_pages`) and of an encrypted one (`fscrypt_zeroout_range`). Prints a line a request, in the
fields of data/kernel/users-7.3.jsonl; a file system that the kernel refuses is named on stderr.

Which bios of a write are zeroes follows from where they lie, not from what the model says: the bios of one write have
to cover whole blocks without a gap, the data the place that was asked for, and the zeroes have to come from one page
that no data come from.
"""

import fcntl
import json
import mmap
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
HOLE = 2 * MIB  # each write has one of its own
WRITES = 30
LAZY = (600 * MIB, 2 * GIB, 7 * GIB)  # sizes of file systems whose inode tables are written
XFS = [("xfs", block) for block in (4 * KIB, 8 * KIB, 16 * KIB, 32 * KIB, 64 * KIB)]
EXTENTS = [(2, 0), (2, 1), (5, 0), (6, 3), (8, 3), (17, 0), (18, 0), (64, 20), (130, 64), (300, 40), (512, 100)]
"""Blocks of an unwritten extent, and the one that is written."""
EXT4 = [("ext4", block) for block in (KIB, 2 * KIB, 4 * KIB)]

HERE = Path(__file__).parent


class Bio(NamedTuple):
    """A write: first byte on the device, bytes, vectors used and allocated, its first page."""

    at: int
    size: int
    vectors: int
    room: int
    page: str

    def told(self, **more: int) -> dict[str, int]:
        """As the data set has it."""
        return {"bytes": self.size, "bvecs": self.vectors, "max_vecs": self.room, **more}


def run(*command: object) -> str:
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def loop(size: int) -> Iterator[tuple[str, Path]]:
    """A loop device over a sparse file in memory, and a folder to mount it on."""
    with tempfile.TemporaryDirectory(prefix="trace-users-") as folder:
        memory, point = Path(folder, "memory"), Path(folder, "mounted")
        memory.mkdir()
        point.mkdir()
        run("mount", "-t", "ramfs", "ramfs", memory)
        try:
            with (memory / "image").open("wb") as image:
                image.truncate(size)
            device = run("losetup", "--find", "--show", memory / "image")
            try:
                yield device, point
            finally:
                run("losetup", "--detach", device)
        finally:
            run("umount", memory)


def build(folder: Path) -> None:
    """Compile the BPF program for the running kernel, and what loads it."""
    types = run("bpftool", "btf", "dump", "file", "/sys/kernel/btf/vmlinux", "format", "c")
    (folder / "vmlinux.h").write_text(types)
    target = ("-O2", "-g", "-target", "bpf", f"-I{folder}", f"-I/usr/include/{os.uname().machine}-linux-gnu")
    run("clang", *target, "-c", HERE / "bios.bpf.c", "-o", folder / "bios.bpf.o")
    run("gcc", "-O2", "-o", folder / "bios", HERE / "bios.c", "-lbpf")


@contextmanager
def watched(built: Path, device: str, whose: str) -> Iterator[list[Bio]]:
    """Bios that a thread (by number or name) submits to a device; filled when the block ends."""
    number = Path(device).stat().st_rdev
    command = (built / "bios", built / "bios.bpf.o", str(os.major(number) << 20 | os.minor(number)))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the BPF program could not be loaded"
        found: list[Bio] = []
        try:
            yield found
        finally:
            for line in process.communicate()[0].splitlines():
                thread, *numbers, page, name = line.split(maxsplit=6)
                if whose in (thread, name):
                    sector, size, vectors, room = map(int, numbers)
                    found.append(Bio(sector * 512, size, vectors, room, page))


def requests(block: int) -> list[tuple[int, int]]:
    """(offset within a hole, length) of writes: sectors, parts of blocks, whole blocks, several blocks."""
    rng = random.Random(block)
    fixed = [(512, 512), (0, 512), (block - 512, 512), (0, block), (block // 2, block), (512, MIB), (0, MIB)]
    sectors = [(rng.randrange(4 * block // 512), rng.randint(1, 4 * block // 512)) for _ in range(WRITES - len(fixed))]
    return fixed + [(offset * 512, length * 512) for offset, length in sectors]


def pads(left: list[Bio], block: int, offset: int, length: int) -> list[Bio]:
    """The zeroes among a write's bios, which are taken from those that are left."""
    size = -(-(offset % block + length) // block) * block  # whole blocks
    bios: list[Bio] = []
    while sum(bio.size for bio in bios) < size:
        bios.append(left.pop(0))
    first = min(bio.at for bio in bios)
    data = first + offset % block
    zeroes = [bio for bio in bios if bio.at + bio.size <= data or bio.at >= data + length]
    others = [bio for bio in bios if bio not in zeroes]
    at = first
    for bio in sorted(bios):
        assert bio.at == at, f"a gap: {bios}"
        at += bio.size
    assert at - first == size, f"not whole blocks: {bios}"
    assert sum(bio.size for bio in others) == length, f"data and zeroes in one bio: {bios}"
    assert not {bio.page for bio in zeroes} & {bio.page for bio in others}
    return zeroes


def sub_block_writes(built: Path, kind: str, block: int) -> Iterator[dict[str, Any]]:
    """Direct writes into holes of a new file."""
    with loop(GIB) as (device, point):
        run("mkfs.xfs", "-q", "-f", "-b", f"size={block}", device) if kind == "xfs" else run(
            "mkfs.ext4", "-q", "-F", "-b", block, "-E", "lazy_itable_init=0,lazy_journal_init=0", device
        )
        run("mount", device, point)
        try:
            asked = requests(block)
            fd = os.open(point / "file", os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600)
            os.ftruncate(fd, HOLE * len(asked))
            buffer = mmap.mmap(-1, 2 * MIB)
            buffer.write(b"x" * (2 * MIB))
            with watched(built, device, str(threading.get_native_id())) as found:
                for number, (offset, length) in enumerate(asked):
                    assert os.pwrite(fd, memoryview(buffer)[:length], number * HOLE + offset) == length
            os.close(fd)
            with (point / "file").open("rb") as file:  # what was asked for is there, zeroes round it
                for number, (offset, length) in enumerate(asked):
                    file.seek(number * HOLE)
                    wanted = bytes(offset) + b"x" * length + bytes(HOLE - offset - length)
                    assert file.read(HOLE) == wanted, f"not what was written: {block}, {offset}, {length}"
        finally:
            run("umount", point)
    zeroes = [pads(found, block, *request) for request in asked]
    assert not found, f"bios of no write: {found}"
    pages = {bio.page for each in zeroes for bio in each}
    assert len(pages) <= 1, f"zeroes from several pages: {pages}"
    for (offset, length), each in zip(asked, zeroes, strict=True):
        about = {"filesystem": kind, "block_bytes": block, "write_offset": offset, "write_length": length}
        yield {"user": "iomap_dio_zero", **about, "bios": [bio.told() for bio in each]}


def encrypt(point: Path, folder: Path) -> None:
    """Encrypt what will be made in a folder: a key of our own, AES-256-XTS (include/uapi/linux/fscrypt.h)."""
    by_identifier, add_key, set_policy = 2, 0xC0506617, 0x800C6613
    key = bytearray(struct.pack("=II32sII32s", by_identifier, 0, b"", 64, 0, b"") + os.urandom(64))
    for path, number, argument in ((point, add_key, key), (folder, set_policy, None)):
        fd = os.open(path, os.O_RDONLY)
        fcntl.ioctl(fd, number, argument or struct.pack("=BBBBB3s16s", 2, 1, 4, 0, 0, b"", bytes(key[8:24])))
        os.close(fd)


def extent_zeroouts(built: Path, encrypted: bool) -> Iterator[dict[str, Any]]:
    """Zeroes behind and before one written block of an unwritten extent (fs/ext4/extents.c: ext4_ext_zeroout)."""
    block = 4 * KIB
    with loop(GIB) as (device, point):
        options = ("-O", "encrypt") if encrypted else ()
        run("mkfs.ext4", "-q", "-F", *options, "-E", "lazy_itable_init=0,lazy_journal_init=0", device)
        run("mount", "-o", "nodioread_nolock", device, point)  # else extents are split without zeroing
        try:
            Path("/sys/fs/ext4", Path(device).name, "extent_max_zeroout_kb").write_text("2048")
            folder = point / "folder"
            folder.mkdir()
            if encrypted:
                encrypt(point, folder)
            for number, (blocks, written) in enumerate(EXTENTS):
                fd = os.open(folder / str(number), os.O_RDWR | os.O_CREAT)
                os.posix_fallocate(fd, 0, blocks * block)
                os.fsync(fd)
                with watched(built, device, str(threading.get_native_id())) as found:
                    os.pwrite(fd, b"x" * block, written * block)
                    os.fsync(fd)
                os.close(fd)
                data = found.pop()
                assert data.size == block, f"not the written block: {data}"
                behind = [bio for bio in found if bio.at > data.at]
                before = [bio for bio in found if bio.at < data.at]
                if behind:
                    assert sum(bio.size for bio in behind) == (blocks - written - 1) * block
                if before:
                    assert sum(bio.size for bio in before) == written * block
                for bios in filter(None, (behind, before)):
                    user = {"user": "fscrypt_zeroout_range" if encrypted else "blkdev_issue_zero_pages"}
                    more = {"crypto": "software", "data_unit_bytes": block} if encrypted else {}
                    length = sum(bio.size for bio in bios)
                    yield {**user, "filesystem": "ext4", "length": length, **more, "bios": [bio.told() for bio in bios]}
        finally:
            run("umount", point)


def lazy_initialisation(built: Path, size: int) -> Iterator[dict[str, Any]]:
    """All inode tables of a new ext4 file system."""
    with loop(size) as (device, point):
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1", device)
        with watched(built, device, "ext4lazyinit") as found:
            run("mount", "-o", "init_itable=0", device, point)
            try:
                while "ext4lazyinit" in run("ps", "-e", "-o", "comm"):
                    time.sleep(0.1)
            finally:
                run("umount", point)
    about = {"filesystem": "ext4 lazy inode table", "block_bytes": 4096, "inode_ratio": 16384, "filesystem_bytes": size}
    yield {"user": "sb_issue_zeroout", **about, "bios": [bio.told() for bio in found]}


def main() -> None:
    kernel = os.uname().release.split("-")[0]
    with tempfile.TemporaryDirectory(prefix="trace-users-") as folder:
        built = Path(folder)
        build(built)
        doings = [(sub_block_writes, given) for given in (*XFS, *EXT4)] + [
            (lazy_initialisation, (size,)) for size in LAZY
        ]
        doings += [(extent_zeroouts, (encrypted,)) for encrypted in (False, True)]
        for doing, given in doings:
            try:
                for row in doing(built, *given):
                    print(json.dumps({"kernel": kernel, "zero_page_bytes": 4096, **row}), flush=True)
            except subprocess.CalledProcessError as error:
                print(f"not here: {' '.join(error.cmd)}: {error.stderr.strip()}", file=sys.stderr)


if __name__ == "__main__":
    main()
