"""Large output: time grows with its length alone, and memory is bounded."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zpmodel.base.errors import InputError
from zpmodel.fio.read import read_file, read_text

REAL = Path(__file__).parent / "fixtures" / "fio" / "real"


def appended(name: str, runs: int) -> str:
    """So many runs of one job in one file, each some seconds after the one before it."""
    run, found = json.loads((REAL / name).read_text()), []
    for _ in range(runs):
        run["timestamp"] += 3
        run["timestamp_ms"] += 3000
        found.append(json.dumps(run))
    return "\n".join(found)


def cpu_s(text: str, runs: int) -> float:
    started = time.process_time()
    rows = read_text(text, "made").jobs
    assert (len(rows), rows["last"].sum()) == (runs, runs)
    return time.process_time() - started


@pytest.mark.slow
def test_time_is_linear_in_the_number_of_appended_runs() -> None:
    few, many = (appended("json-libaio-qd8.json", runs) for runs in (500, 4000))
    ratios = sorted(cpu_s(many, 4000) / cpu_s(few, 500) for _ in range(3))
    assert ratios[1] < 2 * 8


def test_a_file_of_400_mb_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.write((REAL / "json-libaio-qd8.json").read_bytes())
        file.truncate(400_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="400000000 bytes is not accepted; expected at most 268435456 bytes"):
        read_file(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


@pytest.mark.slow
def test_the_largest_file_that_is_read_takes_less_than_a_gibibyte(tmp_path: Path) -> None:
    one = appended("jsonplus-randrw.json", 40) + "\n"
    path = tmp_path / "plus.json"
    with path.open("w") as file:
        for _ in range((250 << 20) // len(one)):
            file.write(one)
    program = (
        "import resource, sys; from zpmodel.fio.read import read_file\n"
        "print(len(read_file(sys.argv[1]).jobs), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    rows, peak_kib = map(int, done.stdout.split())
    assert rows > 10_000
    assert peak_kib < 1 << 20
