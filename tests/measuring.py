"""What the tests of measuring share: small matrices, and measuring one at a time."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from zpmodel.host import hugepages
from zpmodel.measure import sectors
from zpmodel.measure.plan import Matrix, plan

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

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for huge pages")


@pytest.fixture(autouse=True)
def one_at_a_time() -> Iterator[None]:
    """Measurements that run beside each other share the huge pages and the CPUs, whatever process tests them."""
    with (Path(tempfile.gettempdir()) / f"zpmodel-tests-{os.geteuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
        # What a measurement that a test killed had borrowed: the next test counts the pool.
        hugepages.settle()
        sectors.restore_leftovers()


def planned(matrix: Matrix) -> set[str]:
    """The points that can be measured here: as another user than root only those without huge pages."""
    points = [point for points in plan(matrix, 0) for point in points]
    can_have = 1 << 30 if os.geteuid() == 0 else hugepages.free_pages()
    return {point.id for point in points if point.huge_pages <= can_have}


@pytest.fixture
def quick_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a session looks at before it begins takes more than a second: not in every test."""
    monkeypatch.setattr("zpmodel.host.machine.background", lambda: {})
    monkeypatch.setattr("zpmodel.measure.run.overhead_ns", lambda command: 100_000)
