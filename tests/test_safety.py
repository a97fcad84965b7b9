"""What may be written: every refusal on a real loop device, and nothing written by it."""

import hashlib
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from children import holder
from scratch_devices import add_partition, loop_device, missing, mounted, run

from zpmodel.base.errors import InputError, RefusedError
from zpmodel.host.safety import kind_of, open_target, prefill, what_is_lost
from zpmodel.measure.plan import Matrix
from zpmodel.measure.run import measure

MIB = 1 << 20
TINY = Matrix((4096,), (1,), (), seconds_per_point=0.05, min_rounds=1, max_rounds=1, file_bytes=4 * MIB)

needs_loop = pytest.mark.skipif(bool(missing()), reason=missing() or "-")


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def partitioned(size: int) -> bytes:
    """A disk with a DOS table of one Linux partition from 1 MiB to its end."""
    disk = bytearray(size)
    disk[446:462] = struct.pack("<B3sB3sII", 0, b"\0\0\0", 0x83, b"\0\0\0", 2048, size // 512 - 2048)
    disk[510:512] = b"\x55\xaa"
    return bytes(disk)


@contextmanager
def untouched(path: Path) -> Iterator[None]:
    os.sync()
    before = digest(path)
    yield
    os.sync()
    assert digest(path) == before, f"{path} was written to"


def refuses(target: Path, tmp_path: Path, words: str) -> None:
    """The whole measurement, not only its check, must refuse and leave both target and output folder alone."""
    out = tmp_path / "out"
    with pytest.raises(RefusedError, match=words):
        measure(target, out, matrix=TINY, destroy=True)
    assert not out.exists()


@contextmanager
def partition_of(backing: Path) -> Iterator[tuple[Path, Path]]:
    """A loop device with one partition: both."""
    backing.write_bytes(partitioned(32 * MIB))
    with loop_device(backing) as device:
        partition = Path(f"{device}p1")
        if not partition.exists():  # a kernel that does not read partition tables is told of them
            run("partx", "--add", device)
        try:
            yield device, partition
        finally:
            subprocess.run(["partx", "--delete", device], capture_output=True)


@pytest.mark.root
@needs_loop
class TestDevices:
    def test_a_free_device_is_written_only_with_the_flag(self, tmp_path: Path) -> None:
        backing = tmp_path / "disk"
        with loop_device(backing) as device:
            with untouched(backing), pytest.raises(RefusedError, match="--destroy-data"), open_target(device, MIB):
                pass
            with open_target(device, MIB, destroy=True) as target:
                assert target.kind == "device"
                prefill(target)
            os.sync()
            assert any(backing.read_bytes()[:MIB])
            assert not any(backing.read_bytes()[MIB:])

    def test_mounted(self, tmp_path: Path) -> None:
        backing = tmp_path / "disk"
        with loop_device(backing) as device:
            run("mkfs.ext4", "-q", device)
            with mounted(device, tmp_path / "mnt", "-o", "ro"), untouched(backing):
                refuses(device, tmp_path, "is mounted at")

    @pytest.mark.parametrize(
        ("program", "words"),
        [(["mkfs.ext4", "-q"], "signature of ext4"), (["mkswap"], "signature of swap")],
    )
    def test_signatures(self, tmp_path: Path, program: list[str], words: str) -> None:
        backing = tmp_path / "disk"
        with loop_device(backing) as device:
            run(*program, device)
            with untouched(backing):
                refuses(device, tmp_path, words)

    def test_a_partition_table_alone(self, tmp_path: Path) -> None:
        backing = tmp_path / "disk"
        backing.write_bytes(partitioned(32 * MIB))
        with untouched(backing):
            refuses(backing, tmp_path, "partition table of type dos")

    def test_a_file_with_a_signature(self, tmp_path: Path) -> None:
        image = tmp_path / "image"
        image.write_bytes(bytes(16 * MIB))
        run("mkfs.ext4", "-q", image)
        with untouched(image):
            refuses(image, tmp_path, "signature of ext4")

    def test_swap_in_use(self, tmp_path: Path) -> None:
        backing = tmp_path / "disk"
        backing.write_bytes(bytes(32 * MIB))
        with loop_device(backing) as device:
            run("mkswap", device)
            run("swapon", device)
            try:
                with untouched(backing):
                    refuses(device, tmp_path, "used as swap")
            finally:
                run("swapoff", device)

    def test_a_partitions_parent_but_not_the_partition(self, tmp_path: Path) -> None:
        backing = tmp_path / "disk"
        backing.write_bytes(partitioned(32 * MIB))
        with loop_device(backing) as device:
            partition = Path(f"{device}p1")
            if not partition.exists():  # a kernel that does not read partition tables is told of them
                run("partx", "--add", device)
            assert partition.exists()
            with untouched(backing):
                refuses(device, tmp_path, f"holds partitions .{partition.name}")
            with open_target(partition, MIB, destroy=True) as target:
                assert target.kind == "device"
            run("partx", "--delete", device)

    def test_the_backing_of_a_loop_device(self, tmp_path: Path) -> None:
        backing = tmp_path / "disk"
        with loop_device(backing) as device, untouched(backing):
            refuses(backing, tmp_path, f"backing of {device}")
            with loop_device(device):
                refuses(device, tmp_path, f"{device} is ")

    def test_claimed_by_another_program(self, tmp_path: Path) -> None:
        backing = tmp_path / "disk"
        with loop_device(backing) as device, untouched(backing):
            program = f"import os; os.open({str(device)!r}, os.O_RDWR | os.O_EXCL); print('open', flush=True); input()"
            other = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            try:
                assert other.stdout is not None
                other.stdout.readline()
                refuses(device, tmp_path, f"opened by process {other.pid}")
            finally:
                other.communicate(b"\n")

    def test_read_only(self, tmp_path: Path) -> None:
        backing = tmp_path / "disk"
        with loop_device(backing) as device, untouched(backing):
            run("blockdev", "--setro", device)
            try:
                refuses(device, tmp_path, "can't be opened|read-only")
            finally:
                run("blockdev", "--setrw", device)  # it sticks to the loop device

    def test_too_small(self, tmp_path: Path) -> None:
        backing = tmp_path / "disk"
        with loop_device(backing, 2 * MIB) as device, untouched(backing):
            refuses(device, tmp_path, "is 2 MiB; the measurement writes 4 MiB")

    def test_nobody_can_mount_it_meanwhile(self, tmp_path: Path) -> None:
        with (
            loop_device(tmp_path / "disk") as device,
            open_target(device, MIB, destroy=True),
            pytest.raises(OSError, match="busy"),
        ):
            os.open(device, os.O_RDWR | os.O_EXCL)

    def test_a_partition_whose_disk_somebody_has_open(self, tmp_path: Path) -> None:
        backing = tmp_path / "disk"
        with partition_of(backing) as (device, partition), untouched(backing):
            for flags in ("os.O_RDONLY", "os.O_RDWR"):  # without a claim: dd, or a virtual machine
                with holder(f"x = os.open({str(device)!r}, {flags})") as other:
                    refuses(partition, tmp_path, f"its disk {device.name} is opened by process {other.pid}")
            with holder(f"x = os.open({str(device)!r}, os.O_RDWR | os.O_EXCL)"):
                refuses(partition, tmp_path, r"opened by process|can't be opened")
            with loop_device(device):
                refuses(partition, tmp_path, "its disk .* is ")

    def test_a_partition_that_overlaps_with_another(self, tmp_path: Path) -> None:
        backing = tmp_path / "disk"
        with partition_of(backing) as (device, partition), untouched(backing):
            run("partx", "--delete", device)
            control = os.open(device, os.O_RDWR)
            try:
                add_partition(control, 1, MIB, 8 * MIB)
                try:
                    add_partition(control, 2, 4 * MIB, 8 * MIB)
                except OSError:
                    return  # this kernel makes no such partitions
            finally:
                os.close(control)
            refuses(partition, tmp_path, f"overlaps with {device.name}p2")

    @pytest.mark.parametrize("what", ["file", "device"])
    def test_mapped_by_another_program(self, what: str, tmp_path: Path) -> None:
        backing = tmp_path / "disk"
        backing.write_bytes(bytes(32 * MIB))
        with ExitStack() as stack:
            target = backing if what == "file" else stack.enter_context(loop_device(backing))
            stack.enter_context(untouched(backing))
            # Python's own mmap keeps a descriptor, which would be seen without looking at mappings.
            code = (
                "import ctypes; c = ctypes.CDLL(None); c.mmap.restype = ctypes.c_void_p\n"
                f"f = os.open({str(target)!r}, os.O_RDWR)\n"
                "assert c.mmap(None, ctypes.c_size_t(4096), 3, 1, f, ctypes.c_long(0)) != 2**64 - 1; os.close(f)"
            )
            with holder(code) as other:
                refuses(target, tmp_path, rf"mapped by process {other.pid}")

    def test_the_backing_of_a_loop_device_in_another_mount_namespace(self, tmp_path: Path) -> None:
        """The file is bound under a name that exists in the other namespace alone."""
        backing = tmp_path / "disk"
        backing.write_bytes(bytes(32 * MIB))
        (tmp_path / "mnt").mkdir()
        script = (
            f"mount -t tmpfs none {tmp_path}/mnt && touch {tmp_path}/mnt/other && "
            f"mount --bind {backing} {tmp_path}/mnt/other && losetup --find --show {tmp_path}/mnt/other"
        )
        device = run("unshare", "--mount", "--propagation", "private", "sh", "-c", script)
        try:
            with untouched(backing):
                refuses(backing, tmp_path, f"backing of {device}")
        finally:
            run("losetup", "--detach", device)

    def test_two_loop_devices_on_one_file(self, tmp_path: Path) -> None:
        backing = tmp_path / "disk"
        with loop_device(backing) as one, loop_device(backing) as two, untouched(backing):
            refuses(one, tmp_path, f"what it stands on is the backing of {two}")


class TestFiles:
    @pytest.mark.parametrize("swap", ["link", "file"])
    def test_a_path_that_leads_elsewhere_once_the_question_is_answered(self, swap: str, tmp_path: Path) -> None:
        mine, precious, link = tmp_path / "mine", tmp_path / "precious", tmp_path / "link"
        mine.write_bytes(bytes(8 * MIB))
        precious.write_bytes(b"data" * (2 * MIB))
        link.symlink_to(mine)
        asked: list[str] = []

        def answer(lost: str) -> bool:
            asked.append(lost)
            link.unlink()
            if swap == "link":
                link.symlink_to(precious)
            else:
                precious.rename(link)
            return True

        with (
            untouched(mine),
            pytest.raises(RefusedError, match="leads elsewhere"),
            open_target(link, MIB, destroy=True, confirm=answer),
        ):
            pass
        assert (link if swap == "file" else precious).read_bytes() == b"data" * (2 * MIB)
        assert str(mine) in asked[0]

    def test_no_is_no_and_yes_is_asked_of_what_is_written(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_bytes(bytes(8 * MIB))
        with (
            untouched(file),
            pytest.raises(RefusedError, match="left as it was"),
            open_target(file, MIB, destroy=True, confirm=lambda lost: False),
        ):
            pass
        with open_target(file, MIB, destroy=True, confirm=lambda lost: True) as target:
            prefill(target)
        assert any(file.read_bytes()[:MIB])

    def test_what_was_checked_is_written_whatever_the_path_leads_to(self, tmp_path: Path) -> None:
        file, precious = tmp_path / "file", tmp_path / "precious"
        file.write_bytes(bytes(8 * MIB))
        precious.write_bytes(b"data" * (2 * MIB))
        with untouched(precious), open_target(file, MIB, destroy=True) as target:
            file.rename(tmp_path / "moved")
            file.symlink_to(precious)
            prefill(target)
        assert any((tmp_path / "moved").read_bytes()[:MIB])

    def test_no_path_is_not_the_current_folder(self) -> None:
        for call in (kind_of, what_is_lost):
            with pytest.raises(InputError, match="--target"):
                call("")
        with pytest.raises(InputError, match="--target"), open_target("", MIB):
            pass

    def test_a_fifo_is_refused_at_once(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        for call in (kind_of, what_is_lost):
            with pytest.raises(InputError, match="regular file"):
                call(tmp_path / "fifo")

    def test_a_file_it_did_not_make(self, tmp_path: Path) -> None:
        precious = tmp_path / "precious"
        precious.write_bytes(b"data" * MIB)
        with untouched(precious):
            with pytest.raises(RefusedError, match="existing file"):
                measure(precious, tmp_path / "out", matrix=TINY)
            link = tmp_path / "link"
            link.symlink_to(precious)
            with pytest.raises(RefusedError, match="existing file"):
                measure(link, tmp_path / "out", matrix=TINY)
        assert "4 MiB, holding data" in what_is_lost(precious)

    def test_a_file_that_somebody_has_open(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_bytes(bytes(4 * MIB))
        program = f"f = open({str(file)!r}); print('open', flush=True); input()"
        other = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert other.stdout is not None
            other.stdout.readline()
            with untouched(file):
                refuses(file, tmp_path, f"opened by process {other.pid}")
        finally:
            other.communicate(b"\n")

    def test_the_scratch_file_has_no_name(self, tmp_path: Path) -> None:
        with open_target(tmp_path, MIB) as target:
            prefill(target)
            assert list(tmp_path.iterdir()) == []
            assert Path(target.filename).stat().st_blocks * 512 >= MIB

    def test_no_room(self, tmp_path: Path) -> None:
        with pytest.raises(RefusedError, match="free; the scratch file needs"), open_target(tmp_path, 1 << 60):
            pass
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("path", ["/dev/null", "/nonexistent/x"])
    def test_neither_file_nor_device(self, path: str) -> None:
        with pytest.raises(InputError, match="--target"):
            kind_of(path)
