"""fio files that somebody made large on purpose: time and memory go with their size, not with its square."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

SIZE = 20_000_000
# Each repeated: openings of documents, of other objects and of lists, never closed or closed at once; strings that
# end where the next begins; escapes and numbers that JSON has not; what fio prints between documents.
PIECES = (
    *('{"', "{ ", '{"a":', '{"a":"x', '{"a":1}', '{"x":['),
    *('{"jobs":', '{"jobs":[nan,', '{"jobs":"\\q', '{"jobs":[{"jobname":"x"}]}', '{"jobs":[' + "1," * 10),
    *('{"fio version":"fio-3.1","jobs":[]}', "fio: x\n"),
)
CHILD = """
import resource, sys, time
from zpmodel.fio.read import read
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
before = peak()
begun = time.process_time()
reading = read([sys.argv[1]])
print(len(reading.jobs), len(reading.rejected), time.process_time() - begun, peak() - before)
"""


@pytest.mark.parametrize("piece", PIECES)
def test_twenty_megabytes_are_refused_in_seconds(piece: str, tmp_path: Path) -> None:
    path = tmp_path / "crafted.json"
    path.write_text(piece * (SIZE // len(piece)))
    done = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True)
    jobs, rejected, cpu_s, grown_bytes = map(float, done.stdout.split())
    path.unlink()
    assert (jobs, rejected) == (0, 1)
    assert cpu_s < 10  # it was 198 s
    assert grown_bytes < 6 * SIZE


@pytest.mark.parametrize("piece", PIECES)
def test_so_is_what_is_just_not_too_rich_to_be_parsed(piece: str, tmp_path: Path) -> None:
    path = tmp_path / "crafted.json"
    path.write_text(piece * 290_000)
    limited = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_CPU, (20, 20))}
    done = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, **limited)  # type: ignore[call-overload]
    assert done.stdout.split()[:2] == ["0", "1"], done.stderr
    assert float(done.stdout.split()[2]) < 10
