"""Points that are damaged, foreign or under another's name: left out with a reason, never fatal."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from zpmodel.base.errors import InputError
from zpmodel.base.units import format_size
from zpmodel.datasets import points as dataset
from zpmodel.datasets.fio_answer import check_answer, check_usage
from zpmodel.datasets.point import Point
from zpmodel.measure import thread_cpu
from zpmodel.measure.folder import set_aside

DATA = Path(__file__).parents[1] / "data/fio"
NAME = "write-bs1048576-qd4-malloc-r01"
OTHERS = ("write-bs1048576-qd4-mmaphuge-r01", "write-bs4096-qd1-malloc-r01")


@pytest.fixture
def small_set(tmp_path: Path) -> Path:
    """Three real points of a shipped set, with its plan and machine."""
    return copy_of("kvm-zen5-virtio", tmp_path / "set")


def copy_of(name: str, out: Path) -> Path:
    for kind in ("points", "usage"):
        (out / kind).mkdir(parents=True)
        for point in (NAME, *OTHERS):
            shutil.copy(DATA / name / kind / f"{point}.json", out / kind)
    for file in ("plan.json", "machine.toml"):
        shutil.copy(DATA / name / file, out)
    return out


def changed(*path: object, to: object) -> Callable[[str], str]:
    """Set one value in the JSON of a file."""

    def change(text: str) -> str:
        document = json.loads(text)
        inner = document
        for key in path[:-1]:
            inner = inner[key]
        if to is KeyError:
            del inner[path[-1]]
        else:
            inner[path[-1]] = to
        return json.dumps(document).replace('"1e999"', "1e999")

    return change


write = ("jobs", 0, "write")
DAMAGE: dict[str, tuple[str, Callable[[str], str]]] = {
    "cut to 1000 bytes": ("points", lambda text: text[:1000]),
    "empty": ("points", lambda text: ""),
    "not UTF-8": ("points", lambda text: text.replace("fio-3.33", "\udcff")),
    "zeroes, as after a power cut": ("points", lambda text: "\0" * 4096),
    "deep": ("points", lambda text: '{"jobs": ' + "[" * 100_000 + "]" * 100_000 + "}"),
    "large": ("points", lambda text: text + " " * (5 << 20)),
    "no io_bytes": ("points", changed(*write, "io_bytes", to=KeyError)),
    "io_bytes 0": ("points", changed(*write, "io_bytes", to=0)),
    "io_bytes a list": ("points", changed(*write, "io_bytes", to=[1048576])),
    "io_bytes another number": ("points", changed(*write, "io_bytes", to=1048576)),
    "no I/O": ("points", changed(*write, "total_ios", to=0)),
    "10^400 I/Os": ("points", changed(*write, "total_ios", to=10**400)),
    "infinite latency": ("points", changed(*write, "lat_ns", "mean", to="1e999")),
    "negative runtime": ("points", changed(*write, "runtime", to=-500)),
    "runtime 0": ("points", changed(*write, "runtime", to=0)),
    "half the time": ("points", changed(*write, "runtime", to=250)),
    "CPU as text": ("points", changed("jobs", 0, "sys_cpu", to="12")),
    "CPU of two threads": ("points", changed("jobs", 0, "sys_cpu", to=200)),
    "an error": ("points", changed("jobs", 0, "error", to=5)),
    "no jobs": ("points", changed("jobs", to=[])),
    "another point's": ("points", changed("jobs", 0, "jobname", to=OTHERS[0])),
    "another depth": ("points", changed("jobs", 0, "job options", "iodepth", to="1")),
    "usage cut": ("usage", lambda text: text[:300]),
    "usage of another": ("usage", changed("id", to=OTHERS[0])),
    "infinite workers": ("usage", changed("io_worker_seconds", to="1e999")),
    "negative kernel thread": ("usage", changed("kernel_thread_seconds", to={"kworker": -1.0})),
    "another day": ("usage", changed("started", to="2026-11-25T01:10:31.747+00:00")),
    "no date": ("usage", changed("started", to="yesterday")),
    "another machine": ("usage", changed("machine_digest", to="0123456789abcdef")),
    "more CPU than time": ("usage", changed("thread_cpu_ns", to=10**12)),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_point_is_left_out_and_the_others_are_read(small_set: Path, what: str) -> None:
    kind, damage = DAMAGE[what]
    path = small_set / kind / f"{NAME}.json"
    path.write_bytes(damage(path.read_text()).encode("utf-8", "surrogateescape"))
    good, left_out = dataset.load_points(small_set)
    assert {item.point.id for item in good} == set(OTHERS)
    assert [item.name for item in left_out] == [NAME]
    assert left_out[0].reason
    table = dataset.load(small_set)
    assert set(table["id"]) == set(OTHERS)
    assert table.attrs["left_out"] == [{"id": NAME, "reason": left_out[0].reason}]


def test_nothing_is_left_out_of_the_shipped_sets() -> None:
    for name in ("kvm-zen5-virtio", "kvm-zen5-loop"):
        good, left_out = dataset.load_points(DATA / name)
        assert left_out == []
        assert len(good) == len(list((DATA / name / "points").iterdir()))


class TestForeignFiles:
    def test_without_usage(self, small_set: Path) -> None:
        (small_set / "usage" / f"{NAME}.json").unlink()
        assert dataset.load_points(small_set)[1] == [dataset.LeftOut(NAME, "its usage is missing")]

    def test_a_point_of_another_machine(self, small_set: Path) -> None:
        for kind in ("points", "usage"):
            shutil.copy(DATA / "kvm-zen5-loop" / kind / f"{NAME}.json", small_set / kind)
        good, left_out = dataset.load_points(small_set)
        assert {item.point.id for item in good} == set(OTHERS)
        assert "outside this set's sessions" in left_out[0].reason

    @pytest.mark.parametrize("name", ["write-bs1048576-qd4-malloc-r07", "hello", "write-bs1048576-qd4-malloc-r1"])
    def test_under_another_name(self, small_set: Path, name: str) -> None:
        for kind in ("points", "usage"):
            (small_set / kind / f"{NAME}.json").rename(small_set / kind / f"{name}.json")
        good, left_out = dataset.load_points(small_set)
        assert {item.point.id for item in good} == set(OTHERS)
        assert [item.name for item in left_out] == [name]

    def test_no_file_is_waited_for(self, small_set: Path) -> None:
        for name, make in (("a", os.mkfifo), ("b", os.mkdir), ("c", lambda path: path.symlink_to("/dev/zero"))):
            make(small_set / "points" / f"write-bs4096-qd1-{'malloc'}-r0{'abc'.index(name) + 2}.json")
        clock = time.monotonic()
        good, left_out = dataset.load_points(small_set)
        assert time.monotonic() - clock < 1
        assert (len(good), len(left_out)) == (3, 3)

    def test_nothing_good_is_one_line(self, small_set: Path) -> None:
        for path in (small_set / "points").iterdir():
            path.write_text("{")
        with pytest.raises(InputError, match=r"none that can be read; write-bs\d+-qd\d-malloc-r01: point"):
            dataset.load(small_set)

    def test_set_aside_keeps_all_that_was_there(self, small_set: Path) -> None:
        for content in ("{", "{{"):
            (small_set / "points" / f"{NAME}.json").write_text(content)
            set_aside(small_set, dataset.load_points(small_set)[1])
        kept = {path.name: path.read_text() for path in (small_set / "set-aside/points").iterdir()}
        assert kept == {f"{NAME}.json": "{", f"{NAME}.json.2": "{{"}
        assert dataset.load_points(small_set)[1] == []
        lines = [json.loads(line) for line in (small_set / "failures.jsonl").read_text().splitlines()]
        assert [line["id"] for line in lines] == [NAME, NAME]
        assert all("set aside" in line["reason"] for line in lines)


def test_no_mutation_of_a_point_raises_anything_but_a_reason() -> None:
    """Bytes are changed, lost and doubled; what passes must be finite and in bounds."""
    chance = random.Random(4)
    point = Point.from_id(NAME)
    answer = (DATA / "kvm-zen5-virtio/points" / f"{NAME}.json").read_bytes()
    usage = (DATA / "kvm-zen5-virtio/usage" / f"{NAME}.json").read_bytes()
    pieces = [
        b"1e999",
        b"-1",
        b"NaN",
        b"[]",
        b"{}",
        b"null",
        b'""',
        b"9" * 400,
        b"[" * 5000,
        b"\xff",
        b"",
        b"true",
        b"0",
    ]
    for _ in range(1500):
        for raw, check in ((answer, check_answer), (usage, check_usage)):
            start = chance.randrange(len(raw))
            end = start + chance.choice((0, 1, 2, 5, 300))
            try:
                checked = check(raw[:start] + chance.choice(pieces) + raw[end:], point)
            except ValueError:
                continue
            numbers = [value for value in vars_of(checked) if isinstance(value, int | float)]
            assert np.isfinite(numbers).all()


def vars_of(form: object) -> list[object]:
    return [getattr(form, name) for name in form.__struct_fields__]  # type: ignore[attr-defined]


class TestThreadCpu:
    def test_coarse_readings_are_intervals(self, small_set: Path) -> None:
        path = small_set / "points" / f"{NAME}.json"
        text = path.read_text()
        for share, low, high in ((0.0, 0.0, 2e-3), (10.0, 0.05, 0.052)):
            document = json.loads(text)
            document["jobs"][0] |= {"usr_cpu": 0.0, "sys_cpu": share, "job_runtime": 500}
            path.write_text(json.dumps(document))
            item = dataset.read_point(small_set, NAME)
            assert item.thread_cpu_seconds - item.thread_cpu_resolution_s == pytest.approx(low)
            assert item.thread_cpu_seconds + item.thread_cpu_resolution_s == pytest.approx(high)

    def test_the_rounding_in_the_shipped_sets_is_what_the_page_says(self) -> None:
        page = (DATA.parents[1] / "docs/measuring.md").read_text()
        columns = []
        for name in ("kvm-zen5-virtio", "kvm-zen5-loop"):
            table = dataset.load(DATA / name).query("operation == 'write'")
            share = (table["thread_cpu_resolution_s"] / table["thread_cpu_seconds"]).groupby(table["block_bytes"])
            columns += [share.median(), share.max()]
        for block in columns[0].index:
            shares = " | ".join(f"{column[block]:.1%}" for column in columns)
            assert f"| {format_size(block)} | {shares} |" in page

    def test_nanoseconds_win_over_milliseconds(self, small_set: Path) -> None:
        path = small_set / "usage" / f"{NAME}.json"
        usage = json.loads(path.read_text()) | {"thread_cpu_ns": 5_100_000, "thread_cpu_overhead_ns": 100_000}
        path.write_text(json.dumps(usage))
        item = dataset.read_point(small_set, NAME)
        assert (item.thread_cpu_seconds, item.thread_cpu_resolution_s) == pytest.approx((5e-3, 5e-5))

    @pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
    @pytest.mark.parametrize("burnt_ms", [0, 7, 60])
    def test_a_known_burner(self, tmp_path: Path, burnt_ms: int) -> None:
        """A thread that runs the two commands as fio's does, and burns CPU by its own clock in between; another burns
        beside it. What the readings say must be what the thread's clock says."""
        option = thread_cpu.arguments()[0].partition("=")[2]
        program = (
            "import os, sys, threading, time\n"
            "def burn(ms):\n"
            "    end = time.thread_time_ns() + ms * 1_000_000\n"
            "    while time.thread_time_ns() < end: pass\n"
            "def job():\n"
            f"    os.system({option + ' > job.prerun.txt'!r})\n"
            "    begun = time.thread_time_ns()\n"
            f"    burn({burnt_ms})\n"
            "    spent = time.thread_time_ns() - begun\n"
            f"    os.system({option + ' > job.postrun.txt'!r})\n"
            "    print(spent)\n"
            "other = threading.Thread(target=burn, args=(30,)); other.start()\n"
            "thread = threading.Thread(target=job); thread.start(); thread.join(); other.join()\n"
        )
        done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
        thread, workers = thread_cpu.spent(tmp_path, "job")
        assert thread is not None
        assert 0 <= thread - int(done.stdout) < 1_500_000
        assert workers == 0

    def test_what_a_killed_look_left_goes_with_the_next(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        program = (
            "import os, sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
            "from zpmodel.measure import thread_cpu\n"
            "thread_cpu.subprocess.run = lambda *words, **more: os.kill(os.getpid(), 9)\n"
            "thread_cpu.overhead_ns(['fio'])"
        )
        assert subprocess.run([sys.executable, "-c", program, str(tmp_path)]).returncode == -9
        (left,) = tmp_path.iterdir()
        (tmp_path / "zpmodel-fio-notes").mkdir()
        thread_cpu.overhead_ns(["true"])
        assert [path.name for path in tmp_path.iterdir()] == ["zpmodel-fio-notes"]
        assert not left.exists()

    def test_a_missing_reading_is_none(self, tmp_path: Path) -> None:
        assert thread_cpu.spent(tmp_path, "job") == (None, 0)
        for when in ("prerun", "postrun"):
            (tmp_path / f"job.{when}.txt").write_text("12\n/proc/1/task/1/schedstat:5 5 5\n")
        assert thread_cpu.spent(tmp_path, "job") == (None, 0)

    def test_workers_are_told_apart(self, tmp_path: Path) -> None:
        text = "12\n/proc/1/task/2/comm:fio\n/proc/1/task/3/comm:iou-wrk-2\n/proc/1/task/2/children:12 \n"
        for when, own, worker in (("prerun", 100, 0), ("postrun", 700, 50)):
            schedstat = f"/proc/1/task/2/schedstat:{own} 1 2\n/proc/1/task/3/schedstat:{worker} 1 2\n"
            (tmp_path / f"job.{when}.txt").write_text(text + schedstat)
        assert thread_cpu.spent(tmp_path, "job") == (600, 50)
