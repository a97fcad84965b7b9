"""Scratch devices: what they are, and that nothing of them is left whatever ends their owner."""

import contextlib
import fcntl
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import children
import pytest
from scratch_devices import run

from zpmodel.base.errors import InputError, RefusedError
from zpmodel.host import leftovers, scratch
from zpmodel.host.programs import run_program
from zpmodel.host.scratch import remove_leftovers, scratch_device
from zpmodel.host.signals import Stopped, ends_orderly

pytestmark = [pytest.mark.root]


@pytest.fixture(autouse=True)
def root() -> None:
    reason = scratch.why_impossible()
    if reason is None:
        return
    assert not os.environ.get("CI"), reason
    pytest.skip(reason)


def left_of(pid: int) -> list[str]:
    """Mounts and folders of a process."""
    mark = f"zpmodel-scratch-{pid}-"
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if mark in line]
    return [*mounts, *map(str, Path(tempfile.gettempdir()).glob(mark + "*"))]


@pytest.mark.parametrize("block", [512, 4096])
def test_it_is_a_block_device_as_asked_for_and_gone_afterwards(block: int) -> None:
    with scratch_device(4 << 20, block) as device:
        assert device.path.is_block_device()
        assert os.lseek(device.fd, 0, os.SEEK_END) == 4 << 20
        assert (device.queue / "logical_block_size").read_text() == f"{block}\n"
        assert os.pwrite(device.fd, b"z" * block, 0) == block
        assert left_of(os.getpid()) == []  # already: only the descriptor holds it
    assert not device.path.exists()
    assert not device.queue.exists()


def test_settings_reach_the_kernel_and_bad_ones_are_refused() -> None:
    with scratch_device(4 << 20) as device:
        device.set_queue(max_sectors_kb=64, nomerges=2)
        assert (device.queue / "max_sectors_kb").read_text() == "64\n"
        assert (device.queue / "nomerges").read_text() == "2\n"
        with pytest.raises(InputError, match="scheduler"):
            device.set_queue(scheduler="no-such")
        with pytest.raises(InputError, match="no_such_setting"):
            device.set_queue(no_such_setting=1)


@pytest.mark.parametrize(("size", "block"), [(0, 512), (4097, 512), (4 << 20, 100), (4 << 20, 1 << 30)])
def test_impossible_sizes(size: int, block: int) -> None:
    with pytest.raises(InputError), scratch_device(size, block):
        pass


def test_more_memory_than_there_is() -> None:
    with pytest.raises(RefusedError, match="memory"), scratch_device(1 << 50):
        pass


def test_gone_after_an_exception() -> None:
    with pytest.raises(RuntimeError), scratch_device(4 << 20) as device:
        raise RuntimeError
    assert not device.path.exists()


def test_two_at_a_time() -> None:
    with scratch_device(4 << 20) as one, scratch_device(4 << 20) as two:
        assert one.path != two.path
        removed = remove_leftovers()
        assert str(one.path) not in removed  # those that live are not leftovers
        assert str(two.path) not in removed
        os.pwrite(one.fd, b"1" * 512, 0)
        assert os.pread(two.fd, 512, 0) == bytes(512)


CHILD = """
import time
from zpmodel.host.scratch import scratch_device
with scratch_device(4 << 20) as device:
    print(device.path, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_gone_whatever_ends_the_owner(ending: signal.Signals) -> None:
    child = children.python(CHILD)
    assert child.stdout is not None
    with child, child.stdout:
        path = Path(child.stdout.readline().strip())
        system = Path("/sys/block") / path.name
        assert (system / "loop/backing_file").exists()
        child.send_signal(ending)
        child.wait(timeout=20)
    end = time.monotonic() + 5
    while (system / "loop/backing_file").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not (system / "loop/backing_file").exists()  # the memory is free again, after kill -9 too
    assert left_of(child.pid) == []
    if ending == signal.SIGKILL:
        remove_leftovers()
    assert not system.exists()


def test_killed_at_any_moment_of_making() -> None:
    pids, numbers = [], set(Path("/sys/block").glob("loop7[0-9][0-9][0-9]"))
    for step in range(20):
        child = children.python(CHILD, stdout=subprocess.DEVNULL)
        time.sleep(0.04 + 0.008 * step)
        child.kill()
        child.wait()
        pids.append(child.pid)
    time.sleep(0.3)  # a mount or losetup that was running when its parent died
    remove_leftovers()
    assert [left for pid in pids for left in left_of(pid)] == []
    assert set(Path("/sys/block").glob("loop7[0-9][0-9][0-9]")) == numbers
    with scratch._loop_control():  # nobody is in the middle of making one
        bound = [path.parent for path in Path("/sys/block").glob("loop7[0-9][0-9][0-9]/loop/backing_file")]
        assert [folder for folder in bound if (folder / "autoclear").read_text() == "0\n"] == []


def test_a_number_that_somebody_still_looks_at_goes_with_the_next_run() -> None:
    child = children.python(CHILD)
    assert child.stdout is not None
    with child, child.stdout:
        device = Path(child.stdout.readline().strip())
        looking = os.open(device, os.O_RDONLY)
        try:
            child.terminate()
            child.wait(timeout=20)
            remove_leftovers()
            assert (Path("/sys/block") / device.name).exists()
        finally:
            os.close(looking)
    end = time.monotonic() + 5
    while (Path("/sys/block") / device.name / "loop/backing_file").exists() and time.monotonic() < end:
        time.sleep(0.05)
    remove_leftovers()
    assert not (Path("/sys/block") / device.name).exists()


@pytest.fixture
def foreign_number():
    """A loop device number in our range that somebody else made."""
    control = os.open("/dev/loop-control", os.O_RDWR)
    for number in range(7100, 7999):
        with contextlib.suppress(OSError):
            fcntl.ioctl(control, 0x4C80, number)
            break
    yield number
    with contextlib.suppress(OSError):
        fcntl.ioctl(control, 0x4C81, number)
    os.close(control)


def test_what_somebody_else_made_stays(foreign_number: int, tmp_path: Path) -> None:
    device, system = Path(f"/dev/loop{foreign_number}"), Path(f"/sys/block/loop{foreign_number}")
    remove_leftovers()
    assert system.exists()  # unbound: still theirs
    (tmp_path / "disk").write_bytes(bytes(1 << 20))
    run("losetup", device, tmp_path / "disk")
    try:
        with scratch_device(4 << 20):
            pass
        assert device.is_block_device()
        assert (system / "loop/backing_file").read_text() == f"{tmp_path / 'disk'}\n"
    finally:
        run("losetup", "--detach", device)
    assert device.is_block_device()


def test_a_number_of_ours_that_somebody_bound_since_is_theirs(tmp_path: Path) -> None:
    child = children.python(CHILD)
    with child:
        assert child.stdout is not None
        device = Path(child.stdout.readline().strip())
        child.kill()
    end = time.monotonic() + 5
    while (Path("/sys/block") / device.name / "loop/backing_file").exists() and time.monotonic() < end:
        time.sleep(0.05)
    (tmp_path / "disk").write_bytes(bytes(1 << 20))
    run("losetup", device, tmp_path / "disk")
    try:
        remove_leftovers()
        assert (Path("/sys/block") / device.name / "loop/backing_file").exists()
    finally:
        run("losetup", "--detach", device)
        with contextlib.suppress(OSError):
            control = os.open("/dev/loop-control", os.O_RDWR)
            fcntl.ioctl(control, 0x4C81, int(device.name.removeprefix("loop")))
    assert not device.exists()


def test_a_passing_folder_goes_whenever_a_signal_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(call):
        def with_signal(*words, **more):
            signal.raise_signal(signal.SIGTERM)
            return call(*words, **more)

        return with_signal

    for module, name in ((leftovers.tempfile, "mkdtemp"), (leftovers.shutil, "rmtree")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, interrupted(getattr(module, name)))
            with pytest.raises(Stopped), ends_orderly(), leftovers.passing_folder("x", tmp_path):  # noqa: PT012
                (tmp_path / "entered").touch()
                (tmp_path / "entered").unlink()
        assert list(tmp_path.iterdir()) == []


def test_whose_name_is_a_leftover() -> None:
    mine = leftovers.owned_name("scratch", os.getpid())
    assert not leftovers.is_leftover(mine, "scratch")
    assert leftovers.is_leftover(f"zpmodel-scratch-{os.getpid()}-1-abc", "scratch")  # the number was used again
    assert not leftovers.is_leftover("zpmodel-scratch-notes", "scratch")
    assert not leftovers.is_leftover(f"zpmodel-scratch-{os.getpid()}-1", "trace")


def test_a_program_that_unmounts_is_out_of_reach_of_a_ctrl_c() -> None:
    """Also in the moment before it has a session of its own, when a terminal's signal to the group still finds it."""
    run_program("test", "sh", "-c", "kill -INT $$; kill -TERM $$; kill -HUP $$")
    with pytest.raises(RefusedError, match="test: sh failed: why"):
        run_program("test", "sh", "-c", "echo why >&2; exit 3")
