"""What may go wrong while measuring: fio that misbehaves, full disks, places that are no good."""

import json
import os
import shutil
import stat
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from measuring import MIB, ONCE, TINY, one_at_a_time, planned, quick_start
from scratch_devices import loop_device, missing, mounted

from zpmodel.base.errors import RefusedError
from zpmodel.calibration.calibrate import calibrate
from zpmodel.calibration.identify import missing as missing_of
from zpmodel.calibration.store import read, save
from zpmodel.commands.main import main
from zpmodel.datasets import points as dataset
from zpmodel.datasets import read_data_set
from zpmodel.measure.folder import note_failure
from zpmodel.measure.plan import plan
from zpmodel.measure.run import Progress, measure
from zpmodel.study.compare import compare
from zpmodel.study.scenario import Scenario

__all__ = ["one_at_a_time", "quick_start"]  # fixtures

pytestmark = [
    pytest.mark.fio,
    pytest.mark.usefixtures("quick_start"),
    pytest.mark.skipif(shutil.which("fio") is None, reason="fio is not installed"),
]
as_root = pytest.mark.skipif(bool(missing()), reason=missing() or "-")


def put_on_path(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    program = folder / "fio"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8", errors="surrogateescape")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def answering(how: str) -> str:
    """A fio that does ``how`` in place of a job; $out is where its answer belongs, $name the job."""
    return (
        'case "$*" in *--version*) echo fio-3.33; exit;; esac\n'
        'for a; do case $a in --output=*) out="${a#*=}";; --name=*) name="${a#*=}";; esac; done\n' + how
    )


class TestProgram:
    @pytest.mark.parametrize(
        ("script", "said"),
        [
            ("echo fio-2.21", r"is fio-2\.21; fio-3\.0 or newer"),
            ("echo 'fio-3.\udcff\udcfe'", "fio-3.0 or newer"),
            ("echo 'fio-9999999999999999999999.1'", "fio-3.0 or newer"),
            ("true", "is of an unknown version; fio-3.0 or newer"),
            ("exec cat /dev/zero", "fio-3.0 or newer"),
        ],
    )
    def test_old_or_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str) -> None:
        put_on_path(tmp_path / "bin", script, monkeypatch)
        with pytest.raises(RefusedError, match=said):
            measure(tmp_path, tmp_path / "out", matrix=TINY)
        assert not (tmp_path / "out").exists()

    def test_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(RefusedError, match="not installed"):
            measure(tmp_path, tmp_path / "out", matrix=TINY)


WAY = '{"io_bytes": %s, "total_ios": 1, "runtime": 50, "lat_ns": {"mean": 1}}'
ANSWER = (
    '{"jobs": [{"jobname": "'
    "$name"
    '", "error": 0, "job options": {}, "job_runtime": 50, "usr_cpu": 1, "sys_cpu": 1,'
    f' "read": {WAY}, "write": {WAY}}}]}}'
)


class TestAnswers:
    @pytest.mark.parametrize(
        ("how", "reason"),
        [
            ("exit 0", "no complete result"),
            ("echo ok", "no complete result"),
            ('echo "{" > $out', "no complete result"),
            (f"echo '{ANSWER % (1, 1)}' > $out", "no complete result"),
            (f"echo '{ANSWER % ('[4096]', '[4096]')}' > $out", "array"),
            (f"echo '{ANSWER % ('1e999', '1e999')}' > $out", "range"),
            (f"echo '{ANSWER % (-5, -5)}' > $out", "no complete result"),
            (f"printf '{ANSWER % (0, 0)}\\377' > $out", "no complete result"),
            ("head -c 300000 /dev/zero | tr '\\0' '[' > $out", "no complete result"),
            ("(echo '{\"x\":'; head -c 100000 /dev/zero | tr '\\0' '[') > $out", "nested too deeply"),
            ("exec yes > $out", "more than 4194304 bytes"),
            ("yes; true", "more than 4194304 bytes"),
            ("kill -KILL $$", "SIGKILL"),
            ("kill -40 $$", "signal 40"),
            ("exit 3", "status 3: without a word"),
            ("printf 'error \\033[31m\\377 red' >&2; exit 1", "status 1: error"),
        ],
    )
    def test_when_every_point_fails_it_stops_and_says_why(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, reason: str
    ) -> None:
        put_on_path(tmp_path / "bin", answering(how), monkeypatch)
        said: list[str] = []
        with pytest.raises(RefusedError, match="5 points in a row failed") as stopped:
            measure(tmp_path, tmp_path / "out", matrix=TINY, seed=0, note=said.append)
        assert reason in str(stopped.value)
        assert "nothing was measured" in str(stopped.value)
        assert str(stopped.value).isprintable()
        assert all(text.isprintable() for text in said)
        assert dataset.finished(tmp_path / "out") == []
        assert len((tmp_path / "out/failures.jsonl").read_text().splitlines()) == 5

    def test_a_killed_fio_is_reported_and_the_rest_goes_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = shutil.which("fio")
        put_on_path(tmp_path / "bin", f'case "$*" in *bs=65536*) kill -9 $$;; esac; exec {real} "$@"', monkeypatch)
        summary = measure(tmp_path, tmp_path / "out", matrix=ONCE, seed=0)
        lost = {name for name in planned(ONCE) if "bs65536" in name}
        assert set(dataset.finished(summary.out)) == planned(ONCE) - lost
        lines = [json.loads(line) for line in (summary.out / "failures.jsonl").read_text().splitlines()]
        assert {line["id"] for line in lines} == lost
        assert all("SIGKILL" in line["reason"] for line in lines)
        monkeypatch.undo()
        again = measure(tmp_path, summary.out, matrix=ONCE)
        assert (again.failed, set(dataset.finished(again.out))) == (0, planned(ONCE))

    def test_half_a_run_is_no_point(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        cut = f'{shutil.which("fio")} "$@" && truncate -s 1500 "$out"'
        put_on_path(tmp_path / "bin", answering(cut), monkeypatch)
        with pytest.raises(RefusedError, match="no complete result"):
            measure(tmp_path, tmp_path / "out", matrix=TINY)
        assert dataset.finished(tmp_path / "out") == []


class TestResuming:
    def test_points_that_cant_be_used_are_set_aside_and_measured_anew(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        measure(tmp_path, out, matrix=ONCE, seed=0)
        whole = {path.name: path.read_bytes() for path in (out / "points").iterdir()}
        names = sorted(whole)
        (out / "points" / names[0]).write_bytes(whole[names[0]][:1000])
        (out / "usage" / names[1]).unlink()
        foreign = json.loads((out / "usage" / names[2]).read_text()) | {"machine_digest": "0" * 16}
        (out / "usage" / names[2]).write_text(json.dumps(foreign))
        (out / "points/holiday.json").write_text("{}")
        said: list[str] = []
        summary = measure(tmp_path, out, matrix=ONCE, note=said.append)
        assert any("4 points of earlier sessions can't be used and went to" in text for text in said)
        assert set(dataset.finished(out)) == planned(ONCE)
        assert (summary.failed, dataset.load_points(out)[1]) == (0, [])
        aside = {path.name: path.read_bytes() for path in (out / "set-aside/points").iterdir()}
        assert set(aside) == {*names[:3], "holiday.json"}
        assert aside[names[0]] == whole[names[0]][:1000]
        for name in names[3:]:
            assert (out / "points" / name).read_bytes() == whole[name]

    def test_a_damaged_machine_file_is_written_anew(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        measure(tmp_path, out, matrix=ONCE, seed=0)
        for text in (b"\xff", b"[[session]]\n", b"session = 3\n", b"a = " + b"[" * 5000):
            (out / "machine.toml").write_bytes(text)
            measure(tmp_path, out, matrix=ONCE, seconds=1e-6)
            assert len(tomllib.loads((out / "machine.toml").read_text())["session"]) == 1, text[:20]

    @pytest.mark.parametrize("planted", ["symlink", "FIFO"])
    def test_a_planted_list_of_failures_is_not_written(self, tmp_path: Path, planted: str) -> None:
        path, other = tmp_path / "failures.jsonl", tmp_path / "other"
        path.symlink_to(other) if planted == "symlink" else os.mkfifo(path)
        note_failure(tmp_path, "point", "why")
        assert not other.exists()


class TestPlaces:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--target", "", "--out", "o"], "--target"),
            (["--target", ".", "--out", ""], "--out"),
            (["--target", ".", "--out", "o", "--time", "nan"], "--time"),
            (["--target", ".", "--out", "o", "--time", "-1"], "--time"),
            (["--target", "nowhere", "--out", "o"], "--target"),
            (["--target", "/dev/null", "--out", "o"], "--target"),
        ],
    )
    def test_nonsense_is_one_line(
        self,
        tmp_path: Path,
        options: list[str],
        said: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["zpmodel", "measure", *options])
        with pytest.raises(SystemExit, match="2"):
            main()
        shown = capsys.readouterr().err
        assert len(shown.splitlines()) == 1
        assert said in shown
        assert list(tmp_path.iterdir()) == []

    def test_without_lockable_memory_it_says_so(self, tmp_path: Path) -> None:
        """As another user, as root may lock whatever the limit says."""
        program = (
            "import os, resource, sys\n"
            "from measuring import TINY; from zpmodel.measure.run import measure\n"
            "from zpmodel.base.errors import RefusedError\n"
            "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
            "resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))\n"
            "try: measure(sys.argv[1], sys.argv[1] + '/out', matrix=TINY)\n"
            "except RefusedError as error: print(error); sys.exit(2)\n"
        )
        tmp_path.chmod(0o777)
        for parent in tmp_path.parents:  # pytest's own folders, which another user may not enter
            if parent.owner() == tmp_path.owner() and parent.name.startswith(("pytest-", "popen-")):
                parent.chmod(0o755)
        done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
        said = done.stdout + done.stderr
        assert "Traceback" not in said
        assert "no io_uring" not in said
        assert done.returncode == 0 or "ulimit -l" in said

    @as_root
    def test_memory_as_target_is_told_before_and_measured(self, tmp_path: Path) -> None:
        with mounted("tmpfs", tmp_path / "memory", "-t", "tmpfs", "-o", "size=64m") as memory:
            said: list[str] = []
            first: list[int] = []

            def look(now: Progress) -> None:
                first.append(len(said))

            if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 6):  # no direct I/O in memory
                with pytest.raises(RefusedError, match="no direct I/O there"):
                    measure(memory, tmp_path / "out", matrix=ONCE)
                return
            summary = measure(memory, tmp_path / "out", matrix=ONCE, note=said.append, progress=look)
        assert any("no block device whose queue limits" in text for text in said[: first[0]])
        assert set(dataset.finished(summary.out)) == planned(ONCE)
        assert not dataset.load(summary.out).empty
        model = calibrate(read_data_set(summary.out), resamples=20)
        assert next(str(item) for item in missing_of(model)).startswith("The target was on no block device")
        save(model, tmp_path / "machine.json")
        for machine in (model, read(tmp_path / "machine.json")):
            assert not machine.driver.known
            assert compare(Scenario(machine))[2].verdict == "unknown"

    @as_root
    def test_a_device_that_fails_under_way(self, tmp_path: Path) -> None:
        """The loop device's backing is a hole on a full tmpfs: writes fail as on a dying disk; clearing goes on."""
        with mounted("tmpfs", tmp_path / "small", "-t", "tmpfs", "-o", "size=16m") as small:
            with loop_device(small / "disk", 8 * MIB) as device:

                def fill_up(now: Progress) -> None:
                    if now.done == 4:
                        subprocess.run(["fallocate", "--punch-hole", "-l", "8MiB", small / "disk"], check=True)
                        subprocess.run(["dd", "if=/dev/zero", f"of={small}/junk", "bs=1M"], capture_output=True)

                summary = measure(device, tmp_path / "out", matrix=TINY, destroy=True, seed=0, progress=fill_up)
            done = set(dataset.finished(summary.out))
            order = [point.id for points in plan(TINY, 0) for point in points]
            assert done == set(order[:4]) | {name for name in order if "zero-" in name}
            assert "error" in (summary.out / "failures.jsonl").read_text().lower()

    @as_root
    @pytest.mark.parametrize("size", ["48k", "72k", "100k"])
    def test_the_disk_of_the_results_is_full(self, tmp_path: Path, size: str) -> None:
        with mounted("tmpfs", tmp_path / "small", "-t", "tmpfs", "-o", f"size={size}") as small:
            with pytest.raises(RefusedError, match=r"can't be written: No space left on device; .*"):
                measure(tmp_path, small / "out", matrix=replace(TINY, max_rounds=9))
            good, left_out = dataset.load_points(small / "out")
            assert left_out == []
            assert len(good) == len(dataset.finished(small / "out"))
            assert not list((small / "out").glob(".run-*"))
