"""Measuring for real: fio on scratch files and loop devices of our own."""

import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from measuring import KIB, MIB, ONCE, POOL, TINY, VARIED, needs_root, one_at_a_time, planned, quick_start
from scratch_devices import loop_device, missing

from zpmodel.base.errors import InputError
from zpmodel.datasets import points as dataset
from zpmodel.datasets.others import disturbed
from zpmodel.datasets.point import Point
from zpmodel.host import hugepages
from zpmodel.measure.plan import Matrix, plan
from zpmodel.measure.run import Progress, measure
from zpmodel.measure.sectors import restore_leftovers, sectors_knob

__all__ = ["one_at_a_time", "quick_start"]  # fixtures

pytestmark = [
    pytest.mark.fio,
    pytest.mark.skipif(shutil.which("fio") is None, reason="fio is not installed"),
]


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
        10 ms) where the thread never sleeps, as getrusage(2) of a running thread is as old as the last tick. With other
        programs on the CPUs it hardly does: when its turn comes, its writes are done."""
        measure(tmp_path, tmp_path / "out", matrix=TINY)
        for name in dataset.finished(tmp_path / "out"):
            item = dataset.read_point(tmp_path / "out", name)
            raw = (tmp_path / "out/points" / f"{name}.json").read_text()
            job = json.loads(raw[raw.index("{\n") :])["jobs"][0]
            whole_ms = round((job["usr_cpu"] + job["sys_cpu"]) / 100 * job["job_runtime"])
            lost_ms = 2.2 if item.point.operation == "write" and not disturbed(item) else 12.2
            assert whole_ms - 0.2 <= item.thread_cpu_seconds * 1e3 <= whole_ms + lost_ms
            assert 0 < item.thread_cpu_resolution_s < 0.5e-3

    def test_points_are_direct_zero_writes_of_the_asked_kind(self, tmp_path: Path, quick_start: None) -> None:
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

    def test_time_is_a_limit_across_sessions(self, tmp_path: Path, quick_start: None) -> None:
        for _ in range(2):
            clock = time.monotonic()
            summary = measure(tmp_path, tmp_path / "out", matrix=TINY, seconds=1.6)
            assert summary.stopped == "time"
            assert 0 < summary.points < len(planned(TINY))
        assert time.monotonic() - clock < 2.6

    @pytest.mark.root
    @needs_root
    def test_precise_pairs_are_left_alone(self, tmp_path: Path, quick_start: None) -> None:
        matrix = Matrix(
            (64 * KIB,), (1,), (), seconds_per_point=0.05, min_rounds=2, max_rounds=9, precision=1e9, file_bytes=MIB
        )
        summary = measure(tmp_path, tmp_path / "out", matrix=matrix)
        assert (summary.stopped, summary.rounds) == ("precise", 2)
        assert summary.contrasts[0].pairs == 2

    def test_another_measurement_in_the_folder_is_refused(self, tmp_path: Path, quick_start: None) -> None:
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
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_start: None
    ) -> None:
        nothing = hugepages.borrow(0)
        monkeypatch.setattr(hugepages, "borrow", lambda pages: replace(nothing, pages=0))
        summary = measure(tmp_path, tmp_path / "out", matrix=ONCE)
        assert set(dataset.finished(summary.out)) == {name for name in planned(ONCE) if "malloc" in name}
        assert "can't be identified" in summary.notes[0]
        assert summary.contrasts == ()


@pytest.mark.root
@needs_root
class TestVaryingTheLimit:
    @pytest.mark.skipif(bool(missing()), reason=missing() or "-")
    def test_requests_are_smaller_and_the_limit_is_put_back(self, tmp_path: Path, quick_start: None) -> None:
        with loop_device(tmp_path / "disk", 16 * MIB) as device:
            limit = Path("/sys/block", device.name, "queue/max_sectors_kb")
            found, seen = limit.read_text(), {}

            def look(now: Progress) -> None:
                seen[now.point] = writes_of(device)

            notes: list[str] = []
            measure(device, tmp_path / "out", matrix=VARIED, destroy=True, seed=0, progress=look, note=notes.append)
            after = writes_of(device)
            assert limit.read_text() == found
        table = dataset.load(tmp_path / "out", varied=True).set_index("id")
        assert set(table.index) == planned(VARIED), notes
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
            assert not list(Path("/run/zpmodel-ledger").glob(f"zpmodel-sectors-*-{device.name}"))


def writes_of(device: Path) -> int:
    """Requests written by a block device since it was made (the fifth field of its stat)."""
    return int(Path("/sys/block", device.name, "stat").read_text().split()[4])
