"""The closed form against the slow version: random limits, pages and ranges long enough for periods to be skipped."""

import random

import naive
import pytest

from zpmodel.base.errors import InputError
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import count
from zpmodel.structure.crossing import count_below, floor_sum

CASES, BATCHES = 2000, 10


def any_queue(draw: random.Random) -> dict:
    block = 512 << draw.choice([0, 0, 0, 1, 3])
    physical = max(block, 512 << draw.choice([0, 0, 3, 3, 5]))
    sectors = draw.choice([8, 16, 64, 128, 248, 255, 256, 512, 1000, 1024, 2040, 2560, 8192, draw.randrange(8, 3000)])
    chunk = 0
    if draw.random() < 0.4:
        chunk = draw.choice([8, 64, 128, 256, 1024, 2048, 680, 2040, draw.randrange(1, 5000)])
        chunk = -(-chunk // (physical // 512)) * (physical // 512)
    limits = {
        "max_sectors": max(sectors, block // 512),
        "max_segments": draw.choice([1, 2, 4, 33, 127, 128, 254, 65535, draw.randrange(1, 300)]),
        "max_segment_size": draw.choice([4096, 65536, UINT_MAX, UINT_MAX, 1 << 20, draw.randrange(4096, 300000)]),
        "seg_boundary_mask": draw.choice([UINT_MAX, UINT_MAX, UINT_MAX, 4095, 65535, (1 << 17) - 1]),
        "virt_boundary_mask": draw.choice([0, 0, 0, 511, 4095, 4095, 65535]),
        "chunk_sectors": chunk,
        "logical_block_size": block,
        "physical_block_size": physical,
        "nomerges": draw.choice([0, 0, 0, 1, 2]),
    }
    if draw.random() < 0.15:
        limits["write_zeroes_max_bytes"] = draw.choice([block, 1 << 16, 1 << 20, 12345 * 512, 1 << 23])
    return limits


def odd_queue(draw: random.Random) -> dict:
    """Parts that start at another byte of a large page each time."""
    sectors = draw.choice([255, 127, draw.randrange(8, 3000), draw.randrange(8, 3000)])
    return {
        "max_sectors": sectors,
        "max_segments": draw.choice([128, 254, draw.randrange(1, 300)]),
        "max_segment_size": draw.choice([65536, UINT_MAX, 1 << 20, draw.randrange(4096, 300000)]),
        "chunk_sectors": draw.choice([0, 0, sectors * draw.randrange(50, 2000)]),
        "nomerges": draw.choice([0, 0, 2]),
    }


def any_range(draw: random.Random, limits: dict, zero_bytes: int) -> tuple[int, int]:
    """Several bios where the slow version can do as many, else some vectors."""
    block = limits.get("logical_block_size", 512)
    offset = draw.choice([0, 0, draw.randrange(5000) * block, draw.randrange(10**7) * block])
    length = draw.choice([draw.randrange(1, 4 * 256 * zero_bytes), draw.randrange(1, 1 << draw.randrange(13, 29))])
    parts = min(limits["max_sectors"], limits.get("chunk_sectors") or UINT_MAX) * 512
    parts = min(parts, limits.get("write_zeroes_max_bytes") or parts)
    length = min(length, parts * 2000, (1 << 24) * (16 if zero_bytes > 1 << 20 else 1))
    if draw.random() < 0.2:
        length = max(zero_bytes, length // zero_bytes * zero_bytes)
    return offset, max(block, length // block * block)


def check(limits: dict, zero_bytes: int, offset: int, length: int) -> None:
    case = (limits, zero_bytes, offset, length)
    page, queue = ZeroPage("folio", zero_bytes), QueueLimits.from_mapping(limits)
    try:
        seen = naive.zeroout(limits, zero_bytes, offset, length)
    except naive.EinvalError:
        with pytest.raises(InputError, match="EINVAL"):
            count(page, queue, offset, length)
        return
    model = count(page, queue, offset, length)
    assert {(a, b, c): n for a, b, c, n in model.bio_table.tolist()} == seen.bios, case
    assert {(r["bytes"], r["segments"]): r["count"] for r in model.request_histogram()} == seen.requests, case
    assert (model.splits, model.back_merges) == (seen.splits, seen.back_merges), case
    if model.operation == "write":
        assert {(a, b, c): n for a, b, c, n in model.request_table.tolist()} == seen.prp, case
        work = {name: n for name, n in model.work._asdict().items() if n}
        assert work == {name: n for name, n in seen.work.items() if n}, case


@pytest.mark.parametrize("seed", range(BATCHES))
def test_random_limits_agree_with_the_slow_version(seed):
    draw = random.Random(seed)
    for i in range(CASES // BATCHES):
        limits = odd_queue(draw) if i % 6 == 0 else any_queue(draw)
        zero_bytes = 4096 << draw.choice([0, 1, 4, 6, 9, 9])
        check(limits, zero_bytes, *any_range(draw, limits, zero_bytes))


def test_sums_of_floors_and_counts():
    draw = random.Random(1)
    for _ in range(500):
        n, m, a, b, bound = (draw.randrange(1, most) for most in (60, 50, 200, 200, 60))
        assert floor_sum(n, m, a, b) == sum((a * k + b) // m for k in range(n))
        assert count_below(n, m, a, b, bound) == sum((a * k + b) % m < bound for k in range(n))
