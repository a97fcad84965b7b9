"""A measurement that is stopped, killed or hung up on: nothing is lost and nothing stays."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from children import default_signals
from measuring import MIB, POOL, TINY, one_at_a_time, planned, quick_start

from zpmodel.datasets import points as dataset
from zpmodel.host import machine
from zpmodel.measure import run
from zpmodel.measure.plan import Matrix
from zpmodel.measure.run import measure

__all__ = ["one_at_a_time", "quick_start"]  # fixtures

pytestmark = [
    pytest.mark.fio,
    pytest.mark.skipif(shutil.which("fio") is None, reason="fio is not installed"),
]


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
    latest = 0.0
    for number in range(kills):
        begun = time.monotonic()
        child = os.fork()
        if child == 0:
            measure_fast(target, out)
            os._exit(3)
        if number == 0:  # how fast the machine is today
            while not list(out.glob("points/[!.]*")):
                time.sleep(0.01)
            latest = 1.3 * (time.monotonic() - begun) + 0.2
        else:
            time.sleep(moments.uniform(0.02, latest))
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
        "from pathlib import Path; from test_measure_stopping import kill_at_random_moments\n"
        f"kill_at_random_moments(Path({str(tmp_path)!r}), 20)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert list((tmp_path / "target").iterdir()) == []
    assert POOL.read_text() == pool


def ignoring_hang_up() -> None:
    default_signals()
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
    process = started(tmp_path, 30, default_signals)
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 128 + number
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
        "from pathlib import Path; from test_measure_stopping import measure_fast\n"
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
