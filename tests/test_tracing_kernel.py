"""Traces of the running kernel: its own answer beside the model's, and nothing left of the tracing."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import children
import pytest
from click.testing import CliRunner
from scratch_devices import add_partition, loop_device
from scratch_devices import run as system

from zpmodel.base.errors import RefusedError
from zpmodel.commands.trace import command
from zpmodel.host import running, scratch
from zpmodel.host.running import running_zero_page
from zpmodel.queue.limits import QueueLimits
from zpmodel.tracing import tracefs, zero
from zpmodel.tracing.ranges import trace_random_ranges
from zpmodel.tracing.zero import tracer

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("root")]


def run(*arguments: object):
    return CliRunner().invoke(command, [str(a) for a in arguments])


@pytest.fixture
def root() -> None:
    reason = scratch.why_impossible() or tracefs.why_impossible()
    if reason is None:
        return
    # In CI all of it is there: a skip would hide that nothing was tested.
    assert not os.environ.get("CI"), reason
    pytest.skip(reason)


@pytest.mark.slow
def test_the_model_agrees_with_the_running_kernel_on_random_ranges() -> None:
    page, _ = running_zero_page()
    found = list(trace_random_ranges(page, 220, size_bytes=32 << 20, seed=2025))
    wrong = [(done.limits, done.offset, done.length, done.lines) for done in found if not done.agrees]
    assert not wrong, wrong[0]
    assert len(found) == 220
    # The ranges exercise what there is: otherwise agreeing says little.
    assert sum(done.observed.splits or 0 for done in found) > 1000
    assert sum(1 for done in found if done.observed.back_merges) >= 5
    assert len({done.limits.max_sectors for done in found}) > 50


def test_without_a_configuration_the_bios_tell_the_zero_page(monkeypatch: pytest.MonkeyPatch) -> None:
    known = zero.find_zero_page()[0]
    monkeypatch.setattr(zero, "kernel_config", lambda: None)
    monkeypatch.setattr(running, "kernel_config", lambda root: None)
    page, source = zero.find_zero_page()
    assert page == known
    assert source.startswith("the size of its bios")


def test_a_wrong_model_is_caught_by_the_running_kernel() -> None:
    result = run("--length", "3MiB", "--size", "8MiB", "--zero-page", "64KiB", "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)["agrees"] is False
    result = run("--ranges", "4", "--size", "8MiB", "--zero-page", "32KiB", "--json")
    assert result.exit_code == 1


def test_one_range_saved_in_the_fields_of_a_case(tmp_path: Path) -> None:
    from zpmodel.callers.cases import count_cases

    saved = tmp_path / "saved.jsonl"
    result = run("--offset", "4KiB", "--length", "3MiB", "--size", "8MiB", "--save", saved)
    assert result.exit_code == 0, result.output
    (line,) = saved.read_text().splitlines()
    case = json.loads(line)
    (model,) = count_cases([line])
    assert (case["splits"], case["operation"]) == (model.splits, "write")
    assert sum(row["count"] * row["bytes"] for row in case["requests"]) == 3 << 20
    with pytest.raises(RefusedError, match="exists"):
        CliRunner().invoke(command, ["--save", str(saved)], catch_exceptions=False)


def test_lost_events_are_refused_not_undercounted() -> None:
    page = running_zero_page()[0]
    with scratch.scratch_device(256 << 20) as device, tracer(device.fd) as trace:
        device.set_queue(max_sectors_kb=4)
        # The model is told of requests larger than they are, so that far too little room is made.
        limits = QueueLimits(max_sectors=2560, max_segments=128, max_segment_size=65536)
        with pytest.raises(RefusedError, match="lost"):
            trace(page, limits, 0, 256 << 20)


def instances() -> list[str]:
    with tracefs._tracefs() as top:
        return [path.name for path in (top / "instances").iterdir() if path.name.startswith("zpmodel-trace-")]


def tracing_left() -> list[str]:
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "zpmodel-" in line]
    return [*mounts, *(name for name in instances() if f"-{os.getpid()}-" in name)]


def test_nothing_is_left_after_errors() -> None:
    def fail() -> None:
        with tracefs.recorder(os.makedev(7, 0)):
            assert len(tracing_left()) == 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert tracing_left() == []


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_a_trace_its_tracing_goes(ending: signal.Signals) -> None:
    code = """
import os, time
from zpmodel.tracing.tracefs import recorder
with recorder(os.makedev(7, 0)) as made, made.record():
    print("ready", flush=True)
    time.sleep(60)
"""
    child = children.python(code)
    assert child.stdout is not None
    with child, child.stdout:
        assert child.stdout.readline() == "ready\n"
        mine = [name for name in instances() if f"-{child.pid}-" in name]
        assert len(mine) == 1
        child.send_signal(ending)
        child.wait(timeout=20)
    if ending == signal.SIGKILL:
        assert mine[0] in instances()  # an instance can't go by itself: the next run takes it away
        assert mine[0] in tracefs.remove_leftovers()
    assert mine[0] not in instances()
    assert tracing_left() == []


def test_watching_writes_nothing_and_sees_others(tmp_path: Path) -> None:
    with scratch.scratch_device(8 << 20) as device:
        os.pwrite(device.fd, b"x" * 4096, 0)
        os.fsync(device.fd)
        code = f"""
import os, time
time.sleep(2)
fd = os.open({str(device.path)!r}, os.O_WRONLY | os.O_SYNC)
os.pwrite(fd, b"y" * 8192, 4096)
"""
        with subprocess.Popen([sys.executable, "-c", code]) as other:
            started = time.monotonic()
            result = run("--device", device.path, "--watch", "5", "--json")
            assert time.monotonic() - started >= 5
            assert other.wait() == 0
        assert os.pread(device.fd, 4096, 0) == b"x" * 4096
    assert result.exit_code == 0, result.output
    assert sum(row["bytes"] * row["count"] for row in json.loads(result.output)["bios"]) == 8192


def test_a_device_is_not_written_without_a_word_or_when_used() -> None:
    with scratch.scratch_device(8 << 20) as device:
        os.pwrite(device.fd, b"precious" * 512, 0)
        os.fsync(device.fd)
        for flags in ([], ["--destroy-data"]):  # in use: this process holds it exclusively
            result = run("--device", device.path, "--length", "4096", *flags)
            assert isinstance(result.exception, RefusedError)
        assert os.pread(device.fd, 4096, 0) == b"precious" * 512


@pytest.fixture
def partition(tmp_path: Path) -> Iterator[Path]:
    """A partition that begins at 3 MiB + 512 bytes, behind another."""
    backing = tmp_path / "disk"
    with loop_device(backing, 32 << 20) as disk:
        fd = os.open(disk, os.O_RDWR)
        add_partition(fd, 1, 1 << 20, 1 << 20)
        add_partition(fd, 2, (3 << 20) + 512, 16 << 20)
        os.pwrite(fd, b"neighbour" * 512, 1 << 20)
        os.fsync(fd)
        os.close(fd)
        try:
            yield Path(f"{disk}p2")
            os.sync()
            data = backing.read_bytes()
            assert data[1 << 20 :][:4608] == b"neighbour" * 512
        finally:
            system("partx", "--delete", disk)


def test_a_partition_is_counted_by_its_disk_and_its_start(partition: Path) -> None:
    result = run("--device", partition, "--offset", "4096", "--length", "5MiB", "--destroy-data", "--json")
    assert result.exit_code == 0, result.output
    seen = json.loads(result.output)
    assert seen["agrees"]
    assert sum(row["bytes"] * row["count"] for row in seen["requests"]) == 5 << 20
    assert sum(row["bytes"] * row["count"] for row in seen["bios"]) == 5 << 20


def test_watching_a_partition_sees_its_writes_and_not_its_neighbours(partition: Path) -> None:
    neighbour = str(partition)[:-1] + "1"
    code = f"""
import os, time
time.sleep(2)
for name, many in (({str(partition)!r}, 8192), ({neighbour!r}, 4096)):
    fd = os.open(name, os.O_RDWR | os.O_SYNC)
    data = os.pread(fd, many, 0)
    os.pwrite(fd, data, 0)
"""
    with subprocess.Popen([sys.executable, "-c", code]) as other:
        result = run("--device", partition, "--watch", "5", "--json")
        assert other.wait() == 0
    assert sum(row["bytes"] * row["count"] for row in json.loads(result.output)["requests"]) == 8192


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_command_obeys_at_any_moment(ending: signal.Signals, tmp_path: Path) -> None:
    """From its start through the compiler to the end; a cache of compiled code would make the first moments short."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    for step in range(6):
        child = children.command("trace", "--ranges", "100000", "--size", "8MiB", "--json", env=environment)
        with child:
            time.sleep(0.3 + 1.1 * step)
            child.send_signal(ending)
            child.communicate(timeout=20)
        assert child.returncode in (-ending, 128 + ending, 1), f"after {0.3 + 1.1 * step} s"
        assert not [name for name in instances() if f"-{child.pid}-" in name]
