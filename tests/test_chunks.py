"""Ranges of many chunks by arithmetic: against the slow version, and against the walk that it spares."""

import math
import random

import numpy as np
import pytest
from test_structure_fuzz import check

from zpmodel.base.units import GIB, TIB
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import count
from zpmodel.structure.chunk_parts import KINDS, add_stretch, ends_on_vectors
from zpmodel.structure.chunk_tables import add_all_places
from zpmodel.structure.chunks import cutting_of, reach_of
from zpmodel.structure.count import make_structure
from zpmodel.structure.records import new_log, new_states
from zpmodel.structure.zeroout import STATES, how_filled, zero_out

SLOW, CASES, BATCHES = 600, 1200, 6


def chunked_queue(draw: random.Random, most_chunk: int, vector: int) -> dict:
    physical = draw.choice([1, 1, 1, 8])
    logical = draw.choice([1, physical])
    chunk = draw.choice(
        [255, 257, 2047, 8191, draw.randrange(1, 300), draw.randrange(8, 3000), draw.randrange(64, 20000)]
    )
    chunk = draw.choice([chunk, chunk, draw.randrange(1, 40) * 64, draw.randrange(1, most_chunk)])
    sectors = draw.choice([8, 255, 256, 512, 1024, 2560, 8192, draw.randrange(8, 3000), draw.randrange(1, 300) * 8])
    enough = sectors // vector + 2
    return {
        "max_sectors": max(8, sectors // logical * logical),
        "max_segments": draw.choice([128, 127, 33, 254, 65535, 1, 2, 3, enough, draw.randrange(1, 300)]),
        "max_segment_size": draw.choice([UINT_MAX] * 9 + [65536]),
        "seg_boundary_mask": draw.choice([UINT_MAX] * 15 + [65535]),
        "virt_boundary_mask": draw.choice([0, 0, 511, 4095]),
        "chunk_sectors": -(-chunk // physical) * physical,
        "logical_block_size": 512 * logical,
        "physical_block_size": 512 * physical,
        "nomerges": draw.choice([0, 0, 0, 2]),
    }


def place(draw: random.Random, limits: dict, sectors: int, bio: int) -> tuple[int, int]:
    """A range of about so many sectors; some end with a bio, some just after one or after a chunk."""
    block, chunk = limits["logical_block_size"] // 512, limits["chunk_sectors"]
    offset = draw.choice([0, draw.randrange(5000) * limits["physical_block_size"] // 512, draw.randrange(5000) * block])
    sectors += draw.choice([0, 0, draw.randrange(2 * chunk), draw.randrange(9)])
    if draw.random() < 0.2:
        sectors = (sectors // bio or 1) * bio + draw.choice([0, 0, draw.randrange(2 * block)])
    return offset * 512, max(block, sectors // block * block) * 512


def by_arithmetic(limits: QueueLimits, zero_bytes: int, offset: int, length: int) -> bool:
    kernel_limits = limits.for_kernel()
    filling = how_filled(kernel_limits, zero_bytes, 4096)
    cutting = cutting_of(kernel_limits, zero_bytes, filling.full_bytes, filling.by_bytes, offset // 512)
    return cutting.part > 0 and reach_of(cutting, filling.by_bytes, offset // 512, length // 512).end > 0


def walked(limits: QueueLimits, zero_bytes: int, offset: int, length: int):
    """The same without arithmetic on chunks."""
    bios, requests, states = new_log(1 << 20), new_log(1 << 20), new_states(STATES)
    status = zero_out(limits.for_kernel(), zero_bytes, 4096, offset, length, states, bios, requests)
    assert not any(log.reach[0]["full"] for log in (bios, requests))
    return None if status else make_structure(length, states.flat, bios, requests)


@pytest.mark.parametrize("seed", range(BATCHES))
def test_tens_of_chunks_agree_with_the_slow_version(seed):
    draw, known = random.Random(seed), 0
    for _ in range(SLOW // BATCHES):
        vector = draw.choice([8, 8, 8, 16, 64, 128, 256, 1024, 4096, 4096, 16384])
        limits = chunked_queue(draw, 3000, vector)
        chunk, bio = limits["chunk_sectors"], 256 * vector
        part = min(limits["max_sectors"], chunk, limits["max_segments"] * vector)
        sectors = min(
            draw.choice([chunk * draw.randrange(5, 60), bio * draw.randrange(1, 4)]), part * 800, vector * 800
        )
        offset, length = place(draw, limits, sectors, bio)
        length = min(length, max(limits["logical_block_size"], part * 1600 * 512 // 4096 * 4096))
        check(limits, vector * 512, offset, length)
        known += by_arithmetic(QueueLimits.from_mapping(limits), vector * 512, offset, length)
    assert known > SLOW // BATCHES / 4


@pytest.mark.parametrize("seed", range(BATCHES))
def test_thousands_of_odd_chunks_agree_with_the_walk(seed):
    draw, known = random.Random(1000 + seed), 0
    for _ in range(CASES // BATCHES):
        vector = 8 << draw.choice([0, 0, 1, 3, 5, 9, 9, 12, 15, 17])
        limits = chunked_queue(draw, 100000, vector)
        bio = UINT_MAX // (vector * 512) * vector if vector >= 1 << 15 else 256 * vector
        part = min(limits["max_sectors"], limits["chunk_sectors"], limits["max_segments"] * vector)
        sectors = min(draw.randrange(10, 8000) * limits["chunk_sectors"], 1 << 31, part << 18)
        offset, length = place(draw, limits, sectors, bio)
        queue = QueueLimits.from_mapping(limits)
        if not by_arithmetic(queue, vector * 512, offset, length):
            continue
        slow = walked(queue, vector * 512, offset, length)
        assert slow is not None
        known += 1
        fast = count(ZeroPage("folio", vector * 512), queue, offset, length)
        case = (limits, vector, offset, length)
        assert fast.totals() == slow.totals(), case
        assert fast.work == slow.work, case
        assert fast.bio_table.tolist() == slow.bio_table.tolist(), case
        assert fast.request_table.tolist() == slow.request_table.tolist(), case
    assert known > CASES // BATCHES / 4


def look_at_each(cutting, sums, of, place, step, number):
    """As ``add_all_places``, one place after the other."""
    for i in range(number):
        length = (place + i * step) % of or of
        start = -length & (cutting.vector - 1)
        if of == cutting.chunk:
            add_stretch(cutting, sums, start, of, False, -1)
        add_stretch(cutting, sums, start, length, True, 1)
        add_stretch(cutting, sums, 0, of - length, False, 1)


@pytest.mark.parametrize("seed", range(BATCHES))
def test_tables_of_places_say_what_a_look_at_each_says(seed):
    draw, known = random.Random(seed), 0
    while known < CASES // BATCHES // 4:
        vector = 8 << draw.choice([0, 1, 3, 4, 5, 9, 12, 15])
        sectors = draw.choice([8, 255, 256, 512, draw.randrange(8, 3000), draw.randrange(8, 300)])
        chunk = draw.choice([draw.randrange(8, 3000), draw.randrange(8, 20000)])
        queue = QueueLimits(sectors, 65535, UINT_MAX, chunk_sectors=chunk, nomerges=2).for_kernel()
        filling = how_filled(queue, vector * 512, 4096)
        cutting = cutting_of(queue, vector * 512, filling.full_bytes, filling.by_bytes, 0)
        of = min(cutting.bio, cutting.chunk)
        place, step, number = draw.randrange(of), draw.randrange(of), draw.randrange(1, min(3 * of, 2000))
        if cutting.part == 0 or cutting.whole:
            continue
        known += 1
        one, other = np.zeros((2, KINDS + min(cutting.part, cutting.chunk) * cutting.width), np.int64)
        look_at_each(cutting, one, of, place, step, number)
        add_all_places(cutting, other, of, place, step, of // math.gcd(of, step), number)
        assert one.tolist() == other.tolist(), (cutting, of, place, step, number)


def test_kinds_stay_few_however_long_the_range():
    # One row a part, as the walk logs them, once took all memory here.
    limits = QueueLimits(2560, 128, UINT_MAX, chunk_sectors=65537)
    model = count(ZeroPage("folio", 2 << 20), limits, 2560, 1024 * TIB)
    assert sum(r["bytes"] * r["count"] for r in model.request_histogram()) == 1024 * TIB
    assert len(model.request_table) < 10_000


@pytest.mark.parametrize("part", [256, 2560, 255])
@pytest.mark.parametrize("zero_bytes", [4096, 65536, 2 << 20])
def test_what_comes_round_is_counted_as_often(part, zero_bytes):
    # After as many chunks as a bio has sectors everything is as it was; up to there the walk says how it is.
    chunk, page = 4097, ZeroPage("folio", zero_bytes)
    limits, round_bytes = QueueLimits(part, 128, UINT_MAX, chunk_sectors=chunk), chunk * 256 * zero_bytes
    start = 256 * zero_bytes * 20
    once, twice, long = (count(page, limits, 4096 * 3, start + n * round_bytes) for n in (1, 2, 1001))
    tables = [{tuple(row[:3]): row[3] for row in found.request_table.tolist()} for found in (once, twice, long)]
    assert tables[2] == {kind: n + 1000 * (tables[1][kind] - n) for kind, n in tables[0].items()}
    assert sum(kind[0] * n for kind, n in tables[2].items()) == long.length
    for name in ("bios", "vectors", "splits", "requests", "segments"):
        one, two = getattr(once, name), getattr(twice, name)
        assert getattr(long, name) == one + 1000 * (two - one)
    if zero_bytes < 2 << 20:
        assert walked(limits, zero_bytes, 4096 * 3, once.length).request_table.tolist() == once.request_table.tolist()


def test_chunks_without_a_large_request_follow_each_other():
    # Of two vectors less a part of one, and the rest: the plug is flushed by its number, which no table of kinds tells.
    limits = QueueLimits(2560, 2, UINT_MAX, chunk_sectors=301)
    found, slow = count(ZeroPage("folio", 65536), limits, 0, GIB), walked(limits, 65536, 0, GIB)
    assert found.work == slow.work
    assert found.request_table.tolist() == slow.request_table.tolist()


def test_an_array_of_ranges_is_counted_as_each_is():
    limits, page = QueueLimits(256, 33, UINT_MAX, chunk_sectors=65537), ZeroPage("folio", 2 << 20)
    table = count(page, limits, 0, [GIB, TIB])
    for row, length in zip(table.to_dict("records"), (GIB, TIB), strict=True):
        assert row == row | count(page, limits, 0, length).totals()
    tiny = QueueLimits(256, 1, 4096, chunk_sectors=65568, logical_block_size=16384, physical_block_size=16384)
    with pytest.raises(Exception, match="EINVAL"):
        count(page, tiny, 0, [GIB])


@pytest.mark.parametrize("part", [1, 3, 8, 40, 255, 256, 4096, 2560, 12288])
def test_parts_that_end_with_a_vector(part):
    draw = random.Random(part)
    queue = QueueLimits(max(part, 8), 65535, UINT_MAX, chunk_sectors=99991).for_kernel()
    for vector in (8, 64, 4096):
        cutting = cutting_of(queue, vector * 512, 256 * vector * 512, False, 0)
        if cutting.part == 0:
            continue
        for _ in range(50):
            start, parts = draw.randrange(vector), draw.randrange(60)
            slow = sum((start + i * cutting.part) % vector == 0 for i in range(1, parts + 1))
            assert ends_on_vectors(cutting, start, parts) == slow
