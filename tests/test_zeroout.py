"""The zero-out benchmark, on scratch devices."""

import csv
import json
import os
import signal
import subprocess
import time
import tomllib
from pathlib import Path

import children
import pytest
from click.testing import CliRunner

from zpmodel.base.errors import InputError, RefusedError
from zpmodel.commands.zeroout import command
from zpmodel.host import scratch
from zpmodel.measure import zeroout


@pytest.fixture
def root() -> None:
    reason = scratch.why_impossible()
    if reason is None:
        return
    assert not os.environ.get("CI"), reason
    pytest.skip(reason)


@pytest.mark.root
@pytest.mark.usefixtures("root")
def test_a_range_is_zeroed_and_only_that() -> None:
    with scratch.scratch_device(4 << 20) as device:
        os.pwrite(device.fd, b"x" * 16384, 0)
        os.fsync(device.fd)
        zeroout.zero_range(device.fd, 4096, 8192)
        assert os.pread(device.fd, 16384, 0) == b"x" * 4096 + bytes(8192) + b"x" * 4096
        with pytest.raises(RefusedError, match="Invalid argument"):
            zeroout.zero_range(device.fd, 0, 100)


@pytest.mark.root
@pytest.mark.usefixtures("root")
def test_a_set_is_complete_and_never_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "set"
    arguments = ["--scratch", "--size", "2MiB", "--seconds", "0", "--out", str(out), "--json"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert {row["length"] for row in json.loads(result.stdout)["medians"]} == {64 << 10 << n for n in range(6)}
    with (out / "zeroout.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 6
    for row in rows:
        assert 0 < float(row["caller_cpu_ns"]) <= float(row["elapsed_ns"]) * 1.01
    about = tomllib.loads((out / "machine.toml").read_text())
    assert about["kernel"]["release"] == os.uname().release
    assert about["zero_page"]["bytes"] in (4096, 2 << 20)
    assert about["limits"]["max_segments"] > 0
    before = (out / "zeroout.csv").read_bytes()
    with pytest.raises(RefusedError, match="exists"):
        zeroout.write(out, [], {})
    with pytest.raises(RefusedError, match="exists"):
        CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert (out / "zeroout.csv").read_bytes() == before


@pytest.mark.root
@pytest.mark.usefixtures("root")
def test_a_row_counts_what_a_loop_devices_worker_copies() -> None:
    with scratch.scratch_device(64 << 20) as device:
        list(zeroout.measure(device.fd, 64 << 20, seconds=0, lengths=(32 << 20,)))
        row = zeroout.measure_once(device.fd, 64 << 20, 32 << 20, 1)
    # 32 MiB are written by a kernel thread at some GB/s; the caller only submits.
    assert row.kernel_threads_ns > 500_000
    assert row.elapsed_ns > row.caller_cpu_ns


@pytest.mark.root
@pytest.mark.usefixtures("root")
def test_a_device_in_use_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with scratch.scratch_device(4 << 20) as device:
        os.pwrite(device.fd, b"precious" * 512, 0)
        os.fsync(device.fd)
        for flags in ([], ["--destroy-data"]):
            arguments = ["--device", str(device.path), "--size", "1MiB", "--out", str(tmp_path / "set"), *flags]
            assert isinstance(CliRunner().invoke(command, arguments).exception, RefusedError)
        assert os.pread(device.fd, 4096, 0) == b"precious" * 512
    assert not (tmp_path / "set").exists()


@pytest.mark.root
@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_rows_so_far_are_kept_when_it_is_stopped(ending: signal.Signals, tmp_path: Path) -> None:
    out = tmp_path / "set"
    child = children.command(
        "zeroout", "--size", "64MiB", "--seconds", "100", "--out", str(out), stderr=subprocess.PIPE
    )
    with child:
        end = time.monotonic() + 60
        while not out.exists():  # it is made right before the first row
            assert time.monotonic() < end
            time.sleep(0.05)
        time.sleep(3)
        child.send_signal(ending)
        _, said = child.communicate(timeout=30)
    assert child.returncode == 128 + ending, said
    assert "rows measured so far" in said
    with (out / "zeroout.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert all(float(row["elapsed_ns"]) > 0 for row in rows)
    assert "stopped" in tomllib.loads((out / "machine.toml").read_text())


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "NaN"])
def test_seconds_are_a_number(seconds: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["--seconds", seconds, "--out", str(tmp_path / "set")])
    assert result.exit_code == 2
    assert not (tmp_path / "set").exists()


def test_no_length_fits() -> None:
    with pytest.raises(InputError, match="at least 65536"):
        next(zeroout.measure(-1, 4096))
