"""How much faster the structure kernels are than walking every vector. Run: pytest benchmarks -q -s"""

import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import naive

from zpmodel.base.units import GIB, TIB
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import count

LIMITS = QueueLimits(256, 128, UINT_MAX)


@pytest.mark.parametrize("name", ["page", "static"])
def test_one_tebibyte(benchmark, name):
    page = ZeroPage.named(name)
    count(page, LIMITS, 0, GIB)  # compile
    started = time.perf_counter()
    naive.zeroout({"max_sectors": 256, "max_segments": 128, "max_segment_size": UINT_MAX}, page.size_bytes, 0, GIB)
    naive_ns_per_byte = (time.perf_counter() - started) / GIB * 1e9
    benchmark(count, page, LIMITS, 0, TIB)
    fast = benchmark.stats.stats.median
    ratio = naive_ns_per_byte / (fast / TIB * 1e9)
    print(f"\n{name}: 1 TiB in {fast * 1e3:.3f} ms; the naive walk of 1 GiB takes {ratio:,.0f} times as long per byte")
    assert fast < 0.010
    assert ratio > 1000
