"""The structure model against traced kernels, against the slow version, and against laws that hold for any queue."""

import csv
import json
from collections import Counter

import naive
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from zpmodel.base import shipped
from zpmodel.base.errors import InputError
from zpmodel.base.units import GIB, KIB, MIB, TIB
from zpmodel.callers.cases import count_cases
from zpmodel.callers.fio_write import count_buffer
from zpmodel.queue.limits import UINT_MAX, QueueLimits
from zpmodel.queue.zeropage import ZeroPage
from zpmodel.structure import count

SMALL_QUEUE = '"limits": {"max_segments": 1, "max_segment_size": 65536, "max_sectors": 256}'
PAGE, STATIC = ZeroPage.named("page"), ZeroPage.named("static")


def ordered(rows):
    return sorted(tuple(sorted(row.items())) for row in rows)


def test_every_traced_range_of_linux_7_2_is_reproduced():
    lines = shipped.data("kernel", "zeroout-7.2.jsonl").read_text().splitlines()
    assert len(lines) == 2906
    for line, structure in zip(lines, count_cases(lines), strict=True):
        truth, model = json.loads(line), structure.as_case()
        for name in ("bios", "requests"):
            assert ordered(model[name]) == ordered(truth[name]), (name, truth)
        for name in ("operation", "splits", "back_merges"):
            assert model[name] == truth[name], (name, truth)


def test_every_traced_range_of_a_6_18_loop_device_is_reproduced():
    """Random limits, schedulers and ranges; the tracepoints of 6.18 give sizes, not vectors and segments."""

    def sizes(rows):
        found = Counter()
        for row in rows:
            found[row["bytes"]] += row["count"]
        return found

    lines = shipped.data("kernel", "loop-6.18-page.jsonl").read_text().splitlines()
    assert len(lines) == 400
    for line, structure in zip(lines, count_cases(lines), strict=True):
        truth, model = json.loads(line), structure.as_case()
        assert sizes(model["bios"]) == sizes(truth["bios"]), truth
        assert sizes(model["requests"]) == sizes(truth["requests"]), truth
        assert (model["splits"], model["back_merges"]) == (truth["splits"], truth["back_merges"]), truth


def test_fio_writes_are_cut_as_traced():
    limits = QueueLimits(8192, 254, UINT_MAX)
    truth: dict = {}
    for row in csv.DictReader(shipped.data("kernel", "fio-io-structure.csv").read_text().splitlines()):
        key = row["fixed_buffers"] == "1", row["buffer_pages"], int(row["block_bytes"]), int(row["ios"])
        truth.setdefault(key, []).append((row["event"], row["sectors"], int(row["count"])))
    checked = 0
    for (fixed, pages, block, ios), events in truth.items():
        model = count_buffer(pages, limits, block, fixed=fixed)
        sizes = {("bio", str(r["bytes"] // 512)): r["count"] for r in model.bio_histogram()}
        for row in model.request_histogram():
            key = "request", str(row["bytes"] // 512)
            sizes[key] = sizes.get(key, 0) + row["count"]
        for event, sectors, number in events:
            checked += 1
            assert number == ios * (model.splits if event == "split" else sizes[event, sectors]), (pages, block, event)
    assert checked == 25


def possible(count_it, *arguments, **options):
    """The count, or a discarded example where the kernel would fail the write."""
    try:
        return count_it(*arguments, **options)
    except InputError as error:
        assume("EINVAL" not in str(error))
        raise


powers = st.integers(12, 29).map(lambda n: 1 << n)


@st.composite
def queues(draw):
    """Any limits that the kernel takes, and unlikely ones more often than likely ones."""
    logical = draw(st.sampled_from([512, 512, 4096, 16384]))
    physical = logical << draw(st.integers(0, 4))
    block = physical // 512
    return {
        "max_sectors": draw(st.integers(max(8, logical // 512), 20000)) // (logical // 512) * (logical // 512),
        "max_segments": draw(st.sampled_from([1, 2, 3, 14, 33, 127, 128, 254, 300, 2000, 65535])),
        "max_segment_size": draw(
            st.one_of(st.sampled_from([4096, 65536, UINT_MAX]), st.integers(8, 3000).map(lambda n: n * 512))
        ),
        "seg_boundary_mask": draw(st.sampled_from([UINT_MAX, UINT_MAX, 4095, 65535, (1 << 20) - 1])),
        "virt_boundary_mask": draw(st.sampled_from([0, 0, 4095, 16383, 65535])),
        "chunk_sectors": draw(st.one_of(st.just(0), st.integers(1, 4000 // block + 1).map(lambda n: n * block))),
        "logical_block_size": logical,
        "physical_block_size": physical,
        "write_zeroes_max_bytes": draw(st.sampled_from([0, 0, 0, 0, 64 * logical, 1000 * logical, 4294966784])),
        "nomerges": draw(st.sampled_from([0, 0, 0, 1, 2])),
    }


@settings(max_examples=400, deadline=None)
@given(queues(), powers, st.integers(0, 5000), st.integers(1, 12000))
def test_kernel_agrees_with_the_slow_version(limits, zero_bytes, offset_blocks, length_blocks):
    block = limits["logical_block_size"]
    offset, length = offset_blocks * block, length_blocks * block
    try:
        seen = naive.zeroout(limits, zero_bytes, offset, length)
    except naive.EinvalError:
        with pytest.raises(InputError, match="EINVAL"):
            count(ZeroPage("folio", zero_bytes), QueueLimits.from_mapping(limits), offset, length)
        return
    model = count(ZeroPage("folio", zero_bytes), QueueLimits.from_mapping(limits), offset, length)
    assert {(a, b, c): n for a, b, c, n in model.bio_table.tolist()} == seen.bios
    assert {(r["bytes"], r["segments"]): r["count"] for r in model.request_histogram()} == seen.requests
    assert (model.splits, model.back_merges) == (seen.splits, seen.back_merges)
    if model.operation == "write":
        assert {(a, b, c): n for a, b, c, n in model.request_table.tolist()} == seen.prp
        assert {name: n for name, n in model.work._asdict().items() if n} == {
            name: n for name, n in seen.work.items() if n
        }


@settings(max_examples=60, deadline=None)
@given(
    queues(),
    st.integers(24, 29).map(lambda n: 1 << n),
    st.integers(0, 3),
    st.integers(1, 2),
    st.sampled_from([-1, 0, 1, 8, 513, 4000]),
)
def test_bios_of_large_folios_end_by_their_bytes(limits, zero_bytes, offset_blocks, bios, extra_blocks):
    block = limits["logical_block_size"]
    # Few parts, so that the slow version is quick; the lengths around k x 4 GiB are what matters.
    limits |= {"max_sectors": 1 << 22, "max_segments": 65535, "max_segment_size": UINT_MAX, "virt_boundary_mask": 0}
    limits |= {"chunk_sectors": 0, "seg_boundary_mask": UINT_MAX, "write_zeroes_max_bytes": 0}
    offset, length = offset_blocks * block, bios * (UINT_MAX // zero_bytes) * zero_bytes + extra_blocks * block
    seen = naive.zeroout(limits, zero_bytes, offset, length)
    model = count(ZeroPage("folio", zero_bytes), QueueLimits.from_mapping(limits), offset, length)
    assert {(a, b, c): n for a, b, c, n in model.bio_table.tolist()} == seen.bios
    assert {(r["bytes"], r["segments"]): r["count"] for r in model.request_histogram()} == seen.requests


@pytest.mark.nojit
def test_a_short_last_vector_still_fits():
    limits = QueueLimits(8192, 128, UINT_MAX)
    model = count(ZeroPage("folio", 512 * MIB), limits, 0, 7 * 512 * MIB + 4096)
    assert [(r["bytes"], r["bvecs"], r["count"]) for r in model.bio_histogram()] == [(7 * 512 * MIB + 4096, 8, 1)]


@settings(max_examples=150, deadline=None)
@given(queues(), powers, st.integers(0, 1 << 40), st.integers(1, 1 << 33))
def test_laws_of_any_queue(limits, zero_bytes, offset_blocks, length_blocks):
    block = limits["logical_block_size"]
    offset, length = offset_blocks * block, length_blocks * block
    queue = QueueLimits.from_mapping(limits)
    model = possible(count, ZeroPage("folio", zero_bytes), queue, offset, length)
    assert sum(r["bytes"] * r["count"] for r in model.request_histogram()) == length
    assert sum(r["bytes"] * r["count"] for r in model.bio_histogram()) == length
    assert model.splits + model.bios == model.requests + model.back_merges
    assert sum(r["count"] for r in model.request_histogram()) == model.requests
    if model.operation == "write":
        assert model.vectors >= -(-length // zero_bytes)
        assert all(r["segments"] <= queue.max_segments for r in model.request_histogram())
        # a bio of one small vector is never split, whatever its physical block
        assert all(r["bytes"] <= max(queue.max_bytes, 4096) for r in model.request_histogram())


@settings(max_examples=60, deadline=None)
@given(queues(), st.sampled_from([4 * KIB, 64 * KIB, 2 * MIB]), st.integers(0, 1000), st.integers(1, 40000))
def test_more_bytes_never_make_fewer_requests(limits, zero_bytes, offset_blocks, length_blocks):
    block, queue = limits["logical_block_size"], QueueLimits.from_mapping(limits)
    page = ZeroPage("folio", zero_bytes)
    # For a few blocks more the last request may merge differently, but vectors and bios only grow.
    shorter = possible(count, page, queue, offset_blocks * block, length_blocks * block)
    longer = possible(count, page, queue, offset_blocks * block, 2 * length_blocks * block)
    assert longer.bios >= shorter.bios
    assert longer.vectors >= shorter.vectors
    assert longer.requests >= shorter.requests


@pytest.mark.nojit
def test_whole_periods_are_skipped_exactly():
    # A chunk of 3 x 680 sectors never lines up with 1 MiB bios until many of them have passed.
    limits = {"max_sectors": 1000, "max_segments": 65535, "max_segment_size": UINT_MAX, "chunk_sectors": 2040}
    length = 300 * MIB + 512 * 7
    seen = naive.zeroout(limits, 4096, 512 * 5, length)
    model = count(PAGE, QueueLimits.from_mapping(limits), 512 * 5, length)
    assert {(r["bytes"], r["segments"]): r["count"] for r in model.request_histogram()} == seen.requests
    assert model.splits == seen.splits


@pytest.mark.nojit
def test_requests_grow_over_several_bios():
    limits = {"max_sectors": 20000, "max_segments": 65535, "max_segment_size": UINT_MAX}
    seen = naive.zeroout(limits, 4096, 0, 64 * MIB)
    model = count(PAGE, QueueLimits.from_mapping(limits), 0, 64 * MIB)
    assert model.back_merges == seen.back_merges > 0
    assert {(r["bytes"], r["segments"]): r["count"] for r in model.request_histogram()} == seen.requests


@pytest.mark.nojit
def test_one_tebibyte_by_hand():
    limits = QueueLimits(256, 128, UINT_MAX)
    page, static = count(PAGE, limits, 0, TIB), count(STATIC, limits, 0, TIB)
    assert (page.bios, page.vectors, page.requests) == (TIB // MIB, TIB // 4096, TIB // (128 * KIB))
    assert (static.bios, static.vectors, static.requests) == (TIB // (512 * MIB), TIB // (2 * MIB), TIB // (128 * KIB))
    assert page.segments == 32 * static.segments == TIB // 4096


def test_folios_that_would_pass_4_gib_end_the_bio():
    model = count(ZeroPage("folio", 512 * MIB), QueueLimits(8192, 128, UINT_MAX), 0, 16 * GIB)
    assert [(r["bytes"], r["bvecs"], r["count"]) for r in model.bio_histogram()] == [
        (2 * GIB, 4, 1),
        (7 * 512 * MIB, 7, 4),
    ]


@pytest.mark.nojit
def test_64_kib_base_pages_fill_larger_bios():
    page = ZeroPage.named("page", architecture="arm64", base_page_bytes=64 * KIB)
    model = count(page, QueueLimits(2560, 128, 65536), 0, 64 * MIB)
    assert model.bio_histogram() == [{"bytes": 16 * MIB, "bvecs": 256, "max_vecs": 256, "count": 4}]


def test_arrays_give_a_row_for_each_range():
    table = count(STATIC, QueueLimits(256, 128, UINT_MAX), 0, np.array([MIB, GIB]))
    assert table["requests"].tolist() == [8, 8192]
    assert table["length"].tolist() == [MIB, GIB]


@pytest.mark.parametrize(
    ("offset", "length", "field"),
    [
        (0, 0, "length"),
        (0, 4097, "length"),
        (1, 4096, "offset"),
        (-512, 4096, "offset"),
        (0, -512, "length"),
        ((1 << 63) - 512, 512, "offset + length"),
        (0, 1 << 64, "offset + length"),
        (0, 1.5, "length"),
        (0, True, "length"),
    ],
)
def test_ranges_that_no_device_takes_are_refused(offset, length, field):
    with pytest.raises(InputError) as caught:
        count(PAGE, QueueLimits(256, 128, UINT_MAX), offset, length)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "JSON"),
        ("[1]", "object"),
        ('{"limits": {}}', "offset"),
        ('{"limits": {}, "offset": 0, "length": 512}', "max_segments"),
        (
            f'{{{SMALL_QUEUE}, "offset": 0, "length": 512}}',
            "persistent_huge_zero_folio",
        ),
        (
            f'{{"zero_page_bytes": 3, {SMALL_QUEUE}, "offset": 0, "length": 512}}',
            "power of two",
        ),
    ],
)
def test_bad_cases_name_their_line(line, says):
    with pytest.raises(InputError, match=r"cases line 2") as caught:
        list(count_cases(["", line]))
    assert says in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(queues(), st.sampled_from(["malloc", "mmaphuge"]), st.integers(1, 3000), st.booleans())
def test_buffers_obey_the_same_laws(limits, pages, blocks, fixed):
    length = blocks * limits["logical_block_size"]
    model = possible(
        count_buffer, pages, QueueLimits.from_mapping(limits | {"write_zeroes_max_bytes": 0}), length, fixed=fixed
    )
    assert model.vectors == -(-length // (4096 if pages == "malloc" else 2 * MIB))
    assert model.splits + model.bios == model.requests + model.back_merges
    assert sum(r["bytes"] * r["count"] for r in model.request_histogram()) == length


def test_a_notebook_shows_the_counts_and_no_dump():
    text = count(STATIC, QueueLimits(256, 128, UINT_MAX), 0, TIB)._repr_html_()
    assert "<td>8,388,608</td>" in text
    assert len(text) < 600
    assert "array" not in text
