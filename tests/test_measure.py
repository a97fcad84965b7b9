"""Measuring for real: fio on scratch files and loop devices of our own."""

import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from scratch_devices import loop_device, missing

from zpmodel.base.errors import InputError
from zpmodel.datasets import points as dataset
from zpmodel.datasets.point import Point
from zpmodel.host import hugepages, machine
from zpmodel.measure import run
from zpmodel.measure.plan import FULL, QUICK, Matrix, plan
from zpmodel.measure.run import Progress, measure
from zpmodel.measure.sectors import restore_leftovers, sectors_knob

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

ONCE = replace(TINY, max_rounds=1)
VARIED = replace(ONCE, blocks=(MIB,), depths=(4,), zero_blocks=(), max_sectors_kb=(256,), file_bytes=16 * MIB)

pytestmark = [
    pytest.mark.fio,
    pytest.mark.skipif(shutil.which("fio") is None, reason="fio is not installed"),
]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for huge pages")


@pytest.fixture(autouse=True)
def one_at_a_time() -> Iterator[None]:
    """Measurements that run beside each other share the huge pages and the CPUs, whatever process tests them."""
    with (Path(tempfile.gettempdir()) / f"zpmodel-tests-{os.geteuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def planned(matrix: Matrix) -> set[str]:
    """The points that can be measured here: as another user than root only those without huge pages."""
    points = [point for points in plan(matrix, 0) for point in points]
    can_have = 1 << 30 if os.geteuid() == 0 else hugepages.free_pages()
    return {point.id for point in points if point.huge_pages <= can_have}


@pytest.fixture
def known_overhead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not to be measured anew for every test: that takes fio a second."""
    monkeypatch.setattr("zpmodel.measure.run.overhead_ns", lambda command: 100_000)


class TestPlan:
    @pytest.mark.parametrize("matrix", [FULL, QUICK, TINY, VARIED])
    def test_every_point_once_and_pairs_back_to_back(self, matrix: Matrix) -> None:
        rounds = plan(matrix, 3)
        points = [point for points in rounds for point in points]
        assert len({point.id for point in points}) == len(points)
        assert all(Point.from_id(point.id) == point for point in points)
        assert plan(matrix, 3) == rounds != plan(matrix, 4)
        for number, points in enumerate(rounds, start=1):
            pairs = [point for point in points if not point.reference]
            assert {p.replicate for p in pairs} == {number}
            for first, second in zip(pairs[::2], pairs[1::2], strict=True):
                assert first.pair == second.pair
                assert {first.memory, second.memory} == {"malloc", "mmaphuge"}

    @pytest.mark.parametrize("matrix", [FULL, QUICK, TINY, VARIED])
    def test_every_pair_has_its_turn(self, matrix: Matrix) -> None:
        rounds = plan(matrix, 5)
        everything = {("write", block, depth) for block in matrix.blocks for depth in matrix.depths}
        everything |= {("zero", block, 1) for block in matrix.zero_blocks}
        first = [p.pair[:3] for points in rounds[: matrix.rest_every] for p in points if not p.reference]
        assert set(first) == everything
        focus = {pair for pair in everything if pair[1] >= 512 * KIB and pair[2] >= 4}
        for points in rounds:
            assert focus <= {p.pair[:3] for p in points}

    @pytest.mark.parametrize("matrix", [FULL, QUICK])
    def test_the_contrast_where_it_matters_gets_most_of_the_time(self, matrix: Matrix) -> None:
        points = [point for points in plan(matrix, 1) for point in points]
        focus = [p for p in points if p.operation == "write" and p.block_bytes >= 512 * KIB and p.depth >= 4]
        assert len(focus) / len(points) > 0.5

    def test_limits_of_one_write_follow_each_other(self) -> None:
        for points in plan(FULL, 2):
            pairs = [p for p in points if not p.reference]
            at = {}
            for index, point in enumerate(pairs):
                at.setdefault(point.pair[:3], []).append(index)
            assert all(places == list(range(places[0], places[-1] + 1)) for places in at.values())
        varied = {(p.block_bytes, p.max_sectors_kb) for p in pairs if p.max_sectors_kb}
        assert varied
        assert all(limit * KIB < block for block, limit in varied)

    def test_a_round_fits_its_time_often_enough(self) -> None:
        for matrix, budget, replicates in ((FULL, 600, 6), (QUICK, 120, 3)):
            usual = sum(len(points) for points in plan(matrix, 1)[:replicates]) * (matrix.seconds_per_point + 0.35)
            assert usual < budget

    def test_neither_memory_is_always_first(self) -> None:
        first = [point.memory for points in plan(FULL, 1) for point in points if not point.reference][::2]
        assert 0.4 < first.count("malloc") / len(first) < 0.6

    def test_references_run_all_through(self) -> None:
        points = [point for points in plan(FULL, 1) for point in points]
        at = [index for index, point in enumerate(points) if point.reference and point.operation == "write"]
        longest = 2 * (FULL.reference_every + len(FULL.max_sectors_kb) + 1)
        assert max(b - a for a, b in pairwise(at)) <= longest

    @pytest.mark.parametrize(
        "name",
        [
            "write-bs0x10-qd1-malloc-r01",
            "write-bs4096-qd1-malloc",
            "../x",
            "",
            "write-bs4096-qd1-malloc-r01-max",
            "write-bs4096-qd1-malloc-r01-max9",
        ],
    )
    def test_no_point(self, name: str) -> None:
        with pytest.raises(InputError):
            Point.from_id(name)

    def test_nonsense_matrix(self) -> None:
        with pytest.raises(InputError, match="multiples of 4 KiB"):
            Matrix((1000,), (1,), ())
        with pytest.raises(InputError, match="distinct positive"):
            Matrix((4096,), (0,), ())


class TestMeasure:
    def test_a_whole_set(self, tmp_path: Path) -> None:
        (tmp_path / "target").mkdir()
        out = tmp_path / "out"
        pool = POOL.read_text()
        seen: list[Progress] = []
        summary = measure(tmp_path / "target", out, matrix=TINY, seed=0, progress=seen.append)
        assert (summary.failed, summary.stopped) == (0, "rounds")
        assert set(dataset.finished(out)) == planned(TINY)
        order = [point.id for points in plan(TINY, 0) for point in points]
        assert [progress.point for progress in seen] == [name for name in order if name in planned(TINY)]
        assert {progress.planned for progress in seen} == {len(planned(TINY))}
        assert POOL.read_text() == pool
        assert list((tmp_path / "target").iterdir()) == []
        assert {path.name for path in out.iterdir()} == {"machine.toml", "plan.json", "points", "usage"}
        facts = tomllib.loads((out / "machine.toml").read_text())
        assert facts["seed"] == 0
        assert facts["session"][0]["after"]["loadavg"]
        assert os.uname().nodename not in (out / "machine.toml").read_text().split()

    def test_thread_cpu_is_read_in_nanoseconds_and_agrees_with_fio(self, tmp_path: Path) -> None:
        """fio cuts user and system time down to milliseconds each: the truth is up to 2 ms more, and a tick (at most
        10 ms) where the thread never sleeps, as getrusage(2) of a running thread is as old as the last tick."""
        measure(tmp_path, tmp_path / "out", matrix=TINY)
        for name in dataset.finished(tmp_path / "out"):
            item = dataset.read_point(tmp_path / "out", name)
            raw = (tmp_path / "out/points" / f"{name}.json").read_text()
            job = json.loads(raw[raw.index("{\n") :])["jobs"][0]
            whole_ms = round((job["usr_cpu"] + job["sys_cpu"]) / 100 * job["job_runtime"])
            lost_ms = 2.2 if item.point.operation == "write" else 12.2
            assert whole_ms - 0.2 <= item.thread_cpu_seconds * 1e3 <= whole_ms + lost_ms
            assert 0 < item.thread_cpu_resolution_s < 0.5e-3

    def test_points_are_direct_zero_writes_of_the_asked_kind(self, tmp_path: Path, known_overhead: None) -> None:
        summary = measure(tmp_path, tmp_path / "out", matrix=ONCE, seed=0)
        table = dataset.load(summary.out)
        assert len(table) == len(planned(ONCE))
        for name in table["id"]:
            raw = (summary.out / "points" / f"{name}.json").read_text()
            job = json.loads(raw[raw.index("{\n") :])["jobs"][0]
            options = job["job options"]
            point = Point.from_id(name)
            assert (int(options["bs"]), options["mem"]) == (point.block_bytes, point.memory)
            if point.operation == "write":
                assert (options["direct"], options["zero_buffers"], options["fixedbufs"]) == ("1", "1", "1")
        assert (table["cpu_seconds"] >= table["thread_cpu_seconds"]).all()
        assert table["started"].is_monotonic_increasing

    def test_time_is_a_limit_across_sessions(self, tmp_path: Path, known_overhead: None) -> None:
        for _ in range(2):
            clock = time.monotonic()
            summary = measure(tmp_path, tmp_path / "out", matrix=TINY, seconds=1.6)
            assert summary.stopped == "time"
            assert 0 < summary.points < len(planned(TINY))
        assert time.monotonic() - clock < 2.6

    @pytest.mark.root
    @needs_root
    def test_precise_pairs_are_left_alone(self, tmp_path: Path, known_overhead: None) -> None:
        matrix = Matrix(
            (64 * KIB,), (1,), (), seconds_per_point=0.05, min_rounds=2, max_rounds=9, precision=1e9, file_bytes=MIB
        )
        summary = measure(tmp_path, tmp_path / "out", matrix=matrix)
        assert (summary.stopped, summary.rounds) == ("precise", 2)
        assert summary.contrasts[0].pairs == 2

    def test_another_measurement_in_the_folder_is_refused(self, tmp_path: Path, known_overhead: None) -> None:
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
        plan_file = out / "plan.json"
        kept = json.loads(plan_file.read_text())
        plan_file.write_text(json.dumps({**kept, "machine_digest": "0123456789abcdef"}))
        with pytest.raises(InputError, match="another machine or kernel"):
            measure(tmp_path, out, matrix=TINY)
        plan_file.write_text("{")
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
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known_overhead: None
    ) -> None:
        monkeypatch.setattr(hugepages, "borrow", lambda pages, record: 0)
        summary = measure(tmp_path, tmp_path / "out", matrix=ONCE)
        assert set(dataset.finished(summary.out)) == {name for name in planned(ONCE) if "malloc" in name}
        assert "can't be identified" in summary.notes[0]
        assert summary.contrasts == ()


@pytest.mark.root
@needs_root
def test_borrowed_huge_pages_are_given_back_after_a_kill(tmp_path: Path) -> None:
    record = tmp_path / "record"
    before = int(POOL.read_text())
    wanted = hugepages.free_pages() + 3
    program = (
        "import os, sys; from pathlib import Path; from zpmodel.host import hugepages\n"
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
class TestVaryingTheLimit:
    @pytest.mark.skipif(bool(missing()), reason=missing() or "-")
    def test_requests_are_smaller_and_the_limit_is_put_back(self, tmp_path: Path, known_overhead: None) -> None:
        with loop_device(tmp_path / "disk", 16 * MIB) as device:
            limit = Path("/sys/block", device.name, "queue/max_sectors_kb")
            found, seen = limit.read_text(), {}

            def look(now: Progress) -> None:
                seen[now.point] = writes_of(device)

            measure(device, tmp_path / "out", matrix=VARIED, destroy=True, seed=0, progress=look)
            after = writes_of(device)
            assert limit.read_text() == found
        table = dataset.load(tmp_path / "out", varied=True).set_index("id")
        assert set(table.index) == planned(VARIED)
        names = [*list(seen), ""]
        for name, following in pairwise(names):
            if "bs1048576" not in name or "mmaphuge" not in name:
                continue
            done = (seen.get(following) or after) - seen[name]
            parts = 4 if "max256k" in name else 1
            assert done / table.loc[name, "ios"] == pytest.approx(parts, rel=0.05)
        assert dataset.load(tmp_path / "out")["max_sectors_kb"].isna().all()

    @pytest.mark.skipif(bool(missing()), reason=missing() or "-")
    def test_a_killed_measurement_s_limit_is_put_back_by_the_next(self, tmp_path: Path) -> None:
        with loop_device(tmp_path / "disk", 16 * MIB) as device:
            limit = Path("/sys/block", device.name, "queue/max_sectors_kb")
            found = limit.read_text()
            program = (
                "import os; from pathlib import Path; from zpmodel.measure.sectors import sectors_knob\n"
                f"with sectors_knob(Path('/sys/block/{device.name}')) as knob:\n"
                "    knob.turn(128); os.kill(os.getpid(), 9)"
            )
            assert subprocess.run([sys.executable, "-c", program]).returncode == -9
            assert limit.read_text() == "128\n" != found
            restore_leftovers()
            assert limit.read_text() == found
            with sectors_knob(limit.parent.parent) as knob, sectors_knob(limit.parent.parent) as second:
                knob.turn(64)
                restore_leftovers()  # its owner lives
                assert limit.read_text() == "64\n"
                assert "another measurement" in second.why_not
                assert not second.allows(64)
                assert second.allows(None)
            assert limit.read_text() == found


def writes_of(device: Path) -> int:
    """Requests written by a block device since it was made (the fifth field of its stat)."""
    return int(Path("/sys/block", device.name, "stat").read_text().split()[4])


KILLED = Matrix(
    TINY.blocks, TINY.depths, TINY.zero_blocks, 0.05, min_rounds=4, max_rounds=4, precision=0, file_bytes=4 * MIB
)


def measure_fast(target: Path, out: Path) -> None:
    """What is killed: without the waits at the start of a session that have nothing to do with its files."""
    machine.background = lambda: {}
    run.overhead_ns = lambda command: 100_000
    measure(target, out, matrix=KILLED, seed=0)


def kill_at_random_moments(folder: Path, kills: int) -> None:
    """Fork, kill and look, again and again: its own program, as a process with threads must not fork."""
    moments, target, out = random.Random(20), folder / "target", folder / "out"
    before: dict[str, tuple[int, bytes]] = {}
    for _ in range(kills):
        child = os.fork()
        if child == 0:
            measure_fast(target, out)
            os._exit(3)
        time.sleep(moments.uniform(0.02, 0.9))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, "done before it could be killed: plan too short"
        points = {path.stem: path for path in (out / "points").glob("[!.]*")} if out.exists() else {}
        for name in points:
            dataset.read_point(out, name)  # whole, with its usage
        now = {name: (path.stat().st_ino, path.read_bytes()) for name, path in points.items()}
        assert before.items() <= now.items()
        before = now
    assert 0 < len(before) < len(planned(KILLED))
    measure_fast(target, out)
    assert set(dataset.finished(out)) == planned(KILLED)
    assert {path.stem for path in (out / "usage").iterdir()} == planned(KILLED)
    assert {path.name for path in out.iterdir()} == {"machine.toml", "plan.json", "points", "usage"}
    assert all((out / "points" / f"{name}.json").stat().st_ino == inode for name, (inode, _) in before.items())


@pytest.mark.slow
def test_killed_at_twenty_random_moments_it_ends_with_the_same_set(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    pool = POOL.read_text()
    program = (
        "from pathlib import Path; from tests.test_measure import kill_at_random_moments\n"
        f"kill_at_random_moments(Path({str(tmp_path)!r}), 20)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert list((tmp_path / "target").iterdir()) == []
    assert POOL.read_text() == pool


def heeding_signals() -> None:
    """For a child: take Ctrl-C and a hang-up as usual, even if this process was told to ignore them (nohup)."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def ignoring_hang_up() -> None:
    heeding_signals()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def started(tmp_path: Path, seconds: float, prepare: Callable[[], None]) -> subprocess.Popen[str]:
    """The command line, measuring; returns when the first point is there."""
    out = tmp_path / "out"
    arguments = ["measure", "--target", str(tmp_path), "--out", str(out), "--quick", "--time", str(seconds)]
    program = [sys.executable, "-c", f"{SMALL_FILE}; from zpmodel.commands.main import main; main()", *arguments]
    pipe = subprocess.PIPE
    process = subprocess.Popen(program, stdout=pipe, stderr=pipe, text=True, start_new_session=True, preexec_fn=prepare)
    deadline = time.monotonic() + 60
    while not list(out.glob("points/[wz]*.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


# The quick matrix with a file that is written in a moment.
SMALL_FILE = (
    "import dataclasses; from zpmodel.measure import run; "
    "run.QUICK = dataclasses.replace(run.QUICK, file_bytes=16 << 20)"
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_asked_to_stop_it_stops_fio_and_says_how_to_go_on(tmp_path: Path, number: signal.Signals) -> None:
    out, pool = tmp_path / "out", POOL.read_text()
    process = started(tmp_path, 30, heeding_signals)
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert not list(out.glob(".run-*"))
    assert {path.stem for path in out.glob("points/*")} <= {path.stem for path in out.glob("usage/*")}
    assert POOL.read_text() == pool


def test_under_nohup_a_hang_up_ends_nothing(tmp_path: Path) -> None:
    process = started(tmp_path, 4, ignoring_hang_up)
    os.killpg(process.pid, signal.SIGHUP)
    shown, said = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in said) == (0, False)
    assert "the time is up" in shown
    assert f"zpmodel report {tmp_path}/out --out reports/out" in shown
    assert "--quick: ratios" in said


def test_a_stopped_parent_takes_fio_with_it(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from tests.test_measure import measure_fast\n"
        f"folder = Path({str(tmp_path)!r}); measure_fast(folder, folder / 'out')"
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 60
    fio = ""
    while not fio and time.monotonic() < deadline:
        for child in children.read_text().split():
            # The output file of a run tells it from `fio --version` and others.
            with suppress(OSError):
                if b"--output=" in Path(f"/proc/{child}/cmdline").read_bytes():
                    fio = child
    process.kill()
    process.wait()
    assert fio
    deadline = time.monotonic() + 2
    while is_alive(fio):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
