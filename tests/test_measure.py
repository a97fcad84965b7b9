"""Measuring for real: fio on scratch files and loop devices of our own."""

import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
import tomllib
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from scratch_devices import loop_device, missing, mounted

from zpmodel.base.errors import InputError, RefusedError
from zpmodel.datasets import points as dataset
from zpmodel.datasets.point import Point
from zpmodel.host import hugepages
from zpmodel.measure.plan import FULL, QUICK, Matrix, plan
from zpmodel.measure.run import Progress, measure

KIB, MIB = 1 << 10, 1 << 20
POOL = Path("/proc/sys/vm/nr_hugepages")

TINY = Matrix(
    (4 * KIB, 64 * KIB),
    (2,),
    (4 * KIB,),
    seconds_per_point=0.05,
    min_rounds=1,
    max_rounds=2,
    precision=0,
    file_bytes=4 * MIB,
)

pytestmark = [
    pytest.mark.fio,
    pytest.mark.skipif(shutil.which("fio") is None, reason="fio is not installed"),
]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for huge pages")


def planned(matrix: Matrix) -> set[str]:
    return {point.id for points in plan(matrix, 0) for point in points}


class TestPlan:
    @pytest.mark.parametrize("matrix", [FULL, QUICK, TINY])
    def test_every_point_once_and_pairs_back_to_back(self, matrix: Matrix) -> None:
        rounds = plan(matrix, 3)
        points = [point for points in rounds for point in points]
        assert len({point.id for point in points}) == len(points)
        assert all(Point.from_id(point.id) == point for point in points)
        assert plan(matrix, 3) == rounds != plan(matrix, 4)
        for number, points in enumerate(rounds, start=1):
            pairs = [point for point in points if not point.reference]
            assert {p.replicate for p in pairs} == {number}
            assert len(pairs) == 2 * (len(matrix.blocks) * len(matrix.depths) + len(matrix.zero_blocks))
            for first, second in zip(pairs[::2], pairs[1::2], strict=True):
                assert first.pair == second.pair
                assert {first.memory, second.memory} == {"malloc", "mmaphuge"}

    def test_neither_memory_is_always_first(self) -> None:
        first = [point.memory for points in plan(FULL, 1) for point in points if not point.reference][::2]
        assert 0.4 < first.count("malloc") / len(first) < 0.6

    def test_references_run_all_through(self) -> None:
        points = [point for points in plan(FULL, 1) for point in points]
        at = [index for index, point in enumerate(points) if point.reference and point.operation == "write"]
        assert max(b - a for a, b in pairwise(at)) <= 2 * (FULL.reference_every + 1)

    @pytest.mark.parametrize("name", ["write-bs0x10-qd1-malloc-r01", "write-bs4096-qd1-malloc", "../x", ""])
    def test_no_point(self, name: str) -> None:
        with pytest.raises(InputError):
            Point.from_id(name)

    def test_nonsense_matrix(self) -> None:
        with pytest.raises(InputError, match="multiples of 4 KiB"):
            Matrix((1000,), (1,), ())
        with pytest.raises(InputError, match="distinct positive"):
            Matrix((4096,), (0,), ())


@pytest.mark.root
@needs_root
class TestMeasure:
    def test_a_whole_set(self, tmp_path: Path) -> None:
        (tmp_path / "target").mkdir()
        out = tmp_path / "out"
        pool = POOL.read_text()
        seen: list[Progress] = []
        summary = measure(tmp_path / "target", out, matrix=TINY, seed=0, progress=seen.append)
        assert (summary.failed, summary.stopped, summary.notes) == (0, "rounds", ())
        assert set(dataset.finished(out)) == planned(TINY)
        assert [progress.point for progress in seen] == [point.id for points in plan(TINY, 0) for point in points]
        assert POOL.read_text() == pool
        assert list((tmp_path / "target").iterdir()) == []
        assert {path.name for path in out.iterdir()} == {"machine.toml", "plan.json", "points", "usage"}
        facts = tomllib.loads((out / "machine.toml").read_text())
        assert facts["limits"]["logical_block_size"] in (512, 4096)
        assert facts["seed"] == 0
        assert facts["session"][0]["after"]["loadavg"]
        assert os.uname().nodename not in (out / "machine.toml").read_text().split()

    def test_points_are_direct_zero_writes_of_the_asked_kind(self, tmp_path: Path) -> None:
        summary = measure(tmp_path, tmp_path / "out", matrix=TINY, seed=0)
        table = dataset.load(summary.out)
        assert len(table) == len(planned(TINY))
        for name in table["id"]:
            job = json.loads((summary.out / "points" / f"{name}.json").read_text())["jobs"][0]
            options = job["job options"]
            point = Point.from_id(name)
            assert (int(options["bs"]), options["mem"]) == (point.block_bytes, point.memory)
            if point.operation == "write":
                assert (options["direct"], options["zero_buffers"], options["fixedbufs"]) == ("1", "1", "1")
        assert (table["cpu_seconds"] >= table["thread_cpu_seconds"]).all()
        assert table["started"].is_monotonic_increasing

    def test_time_is_a_limit_across_sessions(self, tmp_path: Path) -> None:
        for _ in range(2):
            clock = time.monotonic()
            summary = measure(tmp_path, tmp_path / "out", matrix=TINY, seconds=2.0)
            assert summary.stopped == "time"
            assert 0 < summary.points < len(planned(TINY))
        assert time.monotonic() - clock < 3

    def test_precise_pairs_are_left_alone(self, tmp_path: Path) -> None:
        matrix = Matrix(
            (64 * KIB,), (1,), (), seconds_per_point=0.05, min_rounds=2, max_rounds=9, precision=1e9, file_bytes=MIB
        )
        summary = measure(tmp_path, tmp_path / "out", matrix=matrix)
        assert (summary.stopped, summary.rounds) == ("precise", 2)
        assert summary.contrasts[0].pairs == 2

    def test_another_measurement_in_the_folder_is_refused(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        (tmp_path / "other").mkdir()
        measure(tmp_path, out, matrix=TINY, seconds=1.0, seed=1)
        before = {path: path.read_bytes() for path in out.rglob("*.json")}
        with pytest.raises(InputError, match="another matrix"):
            measure(tmp_path, out, quick=True)
        with pytest.raises(InputError, match="another target"):
            measure(tmp_path / "other", out, matrix=TINY)
        with pytest.raises(InputError, match="seed"):
            measure(tmp_path, out, matrix=TINY, seed=2)
        (out / "plan.json").write_text("{")
        with pytest.raises(InputError, match=r"plan\.json"):
            measure(tmp_path, out, matrix=TINY)
        assert {p: p.read_bytes() for p in before if p.name != "plan.json"} == {
            p: b for p, b in before.items() if p.name != "plan.json"
        }

    def test_a_folder_of_something_else_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").write_text("x")
        with pytest.raises(InputError, match="--out"):
            measure(tmp_path, tmp_path, matrix=TINY)
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]

    def test_without_huge_pages_it_goes_on_and_says_what_is_lost(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hugepages, "borrow", lambda pages, record: 0)
        summary = measure(tmp_path, tmp_path / "out", matrix=TINY)
        assert set(dataset.finished(summary.out)) == {name for name in planned(TINY) if "malloc" in name}
        assert "can't be identified" in summary.notes[0]
        assert summary.contrasts == ()


@pytest.mark.root
@needs_root
def test_borrowed_huge_pages_are_given_back_after_a_kill(tmp_path: Path) -> None:
    record = tmp_path / "record"
    before = int(POOL.read_text())
    wanted = hugepages.free_pages() + 3
    program = (
        "import os, sys; from pathlib import Path; from zpmodel.fio import hugepages\n"
        f"hugepages.borrow({wanted}, Path({str(record)!r})); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == -9
    assert int(POOL.read_text()) == before + 3
    hugepages.give_back(record)
    assert int(POOL.read_text()) == before
    assert not record.exists()
    hugepages.give_back(record)
    assert int(POOL.read_text()) == before


@pytest.mark.root
@needs_root
class TestTroubles:
    def put_on_path(self, folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        program = folder / "fio"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def test_fio_missing_or_old(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.put_on_path(tmp_path / "old", "echo fio-2.21", monkeypatch)
        with pytest.raises(RefusedError, match=r"fio-2\.21; fio-3\.0 or newer"):
            measure(tmp_path, tmp_path / "out", matrix=TINY)
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(RefusedError, match="not installed"):
            measure(tmp_path, tmp_path / "out", matrix=TINY)
        assert not (tmp_path / "out").exists()

    def test_a_killed_fio_is_reported_and_the_rest_goes_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = shutil.which("fio")
        script = f'case "$*" in *bs65536*) kill -9 $$;; esac; exec {real} "$@"'
        self.put_on_path(tmp_path / "bin", script, monkeypatch)
        summary = measure(tmp_path, tmp_path / "out", matrix=TINY)
        lost = {name for name in planned(TINY) if "bs65536" in name}
        assert set(dataset.finished(summary.out)) == planned(TINY) - lost
        lines = [json.loads(line) for line in (summary.out / "failures.jsonl").read_text().splitlines()]
        assert {line["id"] for line in lines} == lost
        assert all("SIGKILL" in line["reason"] for line in lines)
        monkeypatch.undo()
        again = measure(tmp_path, summary.out, matrix=TINY)
        assert (again.failed, set(dataset.finished(again.out))) == (0, planned(TINY))

    def test_half_a_run_is_no_point(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = shutil.which("fio")
        cut = 'for a; do case $a in --output=*) truncate -s 700 "${a#*=}";; esac; done'
        script = f'case "$*" in *--name*) {real} "$@" && {cut};; *) exec {real} "$@";; esac'
        self.put_on_path(tmp_path / "bin", script, monkeypatch)
        summary = measure(tmp_path, tmp_path / "out", matrix=TINY, seconds=2)
        assert summary.failed > 0
        assert (summary.points, dataset.finished(summary.out)) == (0, [])
        assert "no complete result" in (summary.out / "failures.jsonl").read_text()

    @pytest.mark.skipif(bool(missing()), reason=missing() or "-")
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

    @pytest.mark.skipif(bool(missing()), reason=missing() or "-")
    def test_the_disk_of_the_results_is_full(self, tmp_path: Path) -> None:
        with mounted("tmpfs", tmp_path / "small", "-t", "tmpfs", "-o", "size=64k") as small:
            summary = measure(tmp_path, small / "out", matrix=TINY)
            assert summary.failed > 0
            assert summary.points == len(dataset.finished(summary.out)) > 0
            for name in dataset.finished(summary.out):
                dataset.read_point(summary.out, name)


def command(target: Path, out: Path) -> list[str]:
    program = (
        "from zpmodel.measure.plan import Matrix; from zpmodel.measure.run import measure\n"
        f"matrix = Matrix({TINY.blocks}, {TINY.depths}, {TINY.zero_blocks}, seconds_per_point=0.05,"
        f" min_rounds=9, max_rounds=9, precision=0, file_bytes={TINY.file_bytes})\n"
        f"measure({str(target)!r}, {str(out)!r}, matrix=matrix, seed=0)"
    )
    return [sys.executable, "-c", program]


@pytest.mark.root
@pytest.mark.slow
@needs_root
def test_killed_at_twenty_random_moments_it_ends_with_the_same_set(tmp_path: Path) -> None:
    moments = random.Random(20)
    (tmp_path / "target").mkdir()
    out = tmp_path / "out"
    pool = POOL.read_text()
    before: dict[str, tuple[int, bytes]] = {}
    killed = 0
    while killed < 20:
        process = subprocess.Popen(command(tmp_path / "target", out), stdout=subprocess.DEVNULL)
        time.sleep(moments.uniform(0.2, 3.0))
        assert process.poll() is None, "it was done before it could be killed: the test's plan is too short"
        process.kill()
        process.wait()
        killed += 1
        points = {path.stem: path for path in (out / "points").glob("[!.]*")} if out.exists() else {}
        for name, path in points.items():
            dataset.read_point(out, name)  # whole, with its usage
            assert before.get(name, (path.stat().st_ino, path.read_bytes())) == (path.stat().st_ino, path.read_bytes())
        assert set(before) <= set(points)
        before = {name: (path.stat().st_ino, path.read_bytes()) for name, path in points.items()}
    subprocess.run(command(tmp_path / "target", out), check=True)
    whole = Matrix(
        TINY.blocks, TINY.depths, TINY.zero_blocks, 0.05, min_rounds=9, max_rounds=9, precision=0, file_bytes=4 * MIB
    )
    assert set(dataset.finished(out)) == planned(whole)
    assert 0 < len(before) < len(planned(whole))
    assert {path.stem for path in (out / "usage").iterdir()} == planned(whole)
    assert {path.name for path in out.iterdir()} == {"machine.toml", "plan.json", "points", "usage"}
    assert all((out / "points" / f"{name}.json").stat().st_ino == inode for name, (inode, _) in before.items())
    assert list((tmp_path / "target").iterdir()) == []
    assert POOL.read_text() == pool


@pytest.mark.root
@needs_root
def test_control_c_stops_fio_and_says_how_to_go_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["measure", "--target", str(tmp_path), "--out", str(out), "--quick", "--time", "30"]
    program = [sys.executable, "-c", "from zpmodel.commands.main import main; main()", *arguments]
    process = subprocess.Popen(program, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 30
    while not list(out.glob("points/w*.json")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert not list(out.glob(".run-*"))
    assert {path.stem for path in out.glob("points/*")} <= {path.stem for path in out.glob("usage/*")}
    assert not list(Path("/proc").glob(f"{process.pid}/*"))


@pytest.mark.root
@needs_root
def test_a_stopped_parent_takes_fio_with_it(tmp_path: Path) -> None:
    process = subprocess.Popen(command(tmp_path, tmp_path / "out"))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 30
    fio = ""
    while not fio and time.monotonic() < deadline:
        for child in children.read_text().split():
            # The scratch folder of a run tells it from `fio --version` and others.
            with suppress(OSError):
                if b"--output=" in Path(f"/proc/{child}/cmdline").read_bytes():
                    fio = child
    process.kill()
    process.wait()
    time.sleep(0.3)
    assert fio
    with suppress(FileNotFoundError):
        assert Path(f"/proc/{fio}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
